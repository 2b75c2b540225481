//! What can be said of an image, sound or file without showing it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::text::size;
use crate::stores::document::{Child, Document};
use crate::stores::lines::clean;

/// Bytes looked at for an image's dimensions; a JPEG may have a thumbnail before them.
const HEAD: usize = 64 << 10;

/// `image/png 640×480 12.3 KiB`: of the base64 string `data`.
pub fn summary(doc: &Document, mime: &str, data: &Child) -> String {
    let base64 = doc.bytes().get(data.value.clone()).unwrap_or_default();
    let base64 = base64.strip_prefix(b"\"").unwrap_or(base64);
    let base64 = base64.strip_suffix(b"\"").unwrap_or(base64);
    let mut words = vec![clean(mime).into_owned()];
    let head = &base64[..base64.len().min(HEAD)];
    let sides = std::str::from_utf8(head).ok().and_then(dimensions);
    words.extend(sides.map(|(width, height)| format!("{width}×{height}")));
    words.push(size(decoded_len(base64) as u64));
    words.join(" ")
}

/// Bytes that this much base64 stands for.
fn decoded_len(base64: &[u8]) -> usize {
    let padding = base64.iter().rev().take_while(|byte| **byte == b'=');
    let padding = padding.count().min(2);
    (base64.len() / 4 * 3).saturating_sub(padding) + (base64.len() % 4).saturating_sub(1)
}

/// Width and height of a PNG, GIF or JPEG, from the beginning of its base64.
fn dimensions(base64: &str) -> Option<(u32, u32)> {
    let head = base64.get(..base64.len() / 4 * 4)?;
    let bytes = STANDARD.decode(head).ok()?;
    png(&bytes).or_else(|| gif(&bytes)).or_else(|| jpeg(&bytes))
}

fn png(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(header.get(at..at + 4)?.try_into().ok()?));
    Some((number(8)?, number(12)?))
}

fn gif(bytes: &[u8]) -> Option<(u32, u32)> {
    let header = bytes
        .strip_prefix(b"GIF87a")
        .or_else(|| bytes.strip_prefix(b"GIF89a"))?;
    let number = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
    Some((number(0)?.into(), number(2)?.into()))
}

/// Walks the segments to the first frame header (ITU T.81, annex B).
fn jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let [0xff, marker, high, low, body @ ..] = rest else {
            return None;
        };
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let [_, h1, h0, w1, w0, ..] = body else {
                return None;
            };
            let number = |high: &u8, low: &u8| u32::from(u16::from_be_bytes([*high, *low]));
            return Some((number(w1, w0), number(h1, h0)));
        }
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        rest = rest.get(2 + length..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_come_from_the_header() {
        let of = |bytes: &[u8]| dimensions(&STANDARD.encode(bytes));
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0rest";
        assert_eq!(of(png), Some((640, 480)));
        assert_eq!(of(b"GIF89a\x40\x01\xf0\x00rest"), Some((320, 240)));
        let jpeg = b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08\x01\xe0\x02\x80rest";
        assert_eq!(of(jpeg), Some((640, 480)));
        assert_eq!(of(b"RIFFxxxxWEBP"), None);
        assert_eq!(dimensions("not base64!"), None);
    }

    #[test]
    fn base64_stands_for_so_many_bytes() {
        for len in 0..20 {
            assert_eq!(decoded_len(STANDARD.encode(vec![0; len]).as_bytes()), len);
        }
    }
}
