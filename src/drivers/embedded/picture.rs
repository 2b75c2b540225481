//! A small colour gradient as a PNG, written by hand: the pixels are stored, not compressed.

/// A PNG of `width` × `height` pixels, the same for the same size.
pub fn gradient(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // 8 bits a channel, RGB, the only compression and filter methods there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    chunk(&mut png, *b"IHDR", &header);
    chunk(&mut png, *b"IDAT", &stored_zlib(&pixels(width, height)));
    chunk(&mut png, *b"IEND", &[]);
    png
}

/// Rows of RGB, each after its filter byte (0: none).
fn pixels(width: u32, height: u32) -> Vec<u8> {
    let shade =
        |at: u32, of: u32| u8::try_from(at * 255 / of.max(2).saturating_sub(1)).unwrap_or(u8::MAX);
    let mut pixels = Vec::new();
    for y in 0..height {
        pixels.push(0);
        for x in 0..width {
            let (across, down) = (shade(x, width), shade(y, height));
            pixels.extend([across, down, u8::MAX - across]);
        }
    }
    pixels
}

fn chunk(png: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).expect("a demo picture is far below 4 GiB");
    png.extend(length.to_be_bytes());
    let start = png.len();
    png.extend(kind);
    png.extend(data);
    let checksum = crc32(&png[start..]);
    png.extend(checksum.to_be_bytes());
}

/// A zlib stream of stored blocks (RFC 1950, RFC 1951 § 3.2.4).
fn stored_zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = data.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("chunks are at most u16::MAX long");
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_match_the_published_check_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn the_size_is_in_the_header_and_large_pictures_take_several_blocks() {
        let png = gradient(300, 200);
        assert_eq!(png[16..24], [0, 0, 1, 44, 0, 0, 0, 200]);
        let raw = 200 * (1 + 300 * 3);
        let blocks = raw / 65_535 + 1;
        assert_eq!(png.len(), 8 + 25 + (12 + 2 + raw + 5 * blocks + 4) + 12);
    }
}
