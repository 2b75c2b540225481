//! One line that tells what is in a tool's result.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::json::{Child, Kind, Members, trim};
use super::lines::clean;
use super::text::excerpt;

/// The longest preview, characters, not counting the `…`.
pub(super) const PREVIEW_CHARS: usize = 120;

/// No more than so many first bytes are looked at, which takes some ten milliseconds at worst.
const LOOK: usize = 4 << 20;

/// The first text in a `CallToolResult`, on one clean line; without text, what there is instead.
pub(super) fn preview(raw: &Bytes) -> Arc<str> {
    let look = Look {
        raw: raw.slice(..raw.len().min(LOOK)),
    };
    let root = trim(&look.raw, &(0..look.raw.len()));
    let content = look.member(&root, "content");
    let first = content
        .as_ref()
        .and_then(|content| look.first_text(content));
    let text = first
        .or_else(|| {
            content
                .as_ref()
                .and_then(|content| look.first_block(content))
        })
        .or_else(|| look.structured(&root))
        .unwrap_or_else(|| "[empty]".to_owned());
    one_line(&text)
}

/// What is seen of a result. The scanner takes what is cut off as one last, unfinished member.
struct Look {
    raw: Bytes,
}

impl Look {
    fn members(&self, container: &Range<usize>) -> Members<'_> {
        Members::new(&self.raw, container)
    }

    fn member(&self, object: &Range<usize>, name: &str) -> Option<Child> {
        self.members(object).find(|child| {
            child
                .key
                .as_ref()
                .is_some_and(|key| self.start(key) == name)
        })
    }

    fn text_of(&self, object: &Range<usize>, name: &str) -> Option<String> {
        let child = self
            .member(object, name)
            .filter(|child| child.kind == Kind::String)?;
        Some(self.start(&child.value))
    }

    /// Enough of a string to fill a preview even where a character takes four bytes.
    fn start(&self, value: &Range<usize>) -> String {
        excerpt(&self.raw, value, 4 * PREVIEW_CHARS)
    }

    fn first_text(&self, content: &Child) -> Option<String> {
        let mut texts = self.members(&content.value).filter_map(|block| {
            let is_text = self.text_of(&block.value, "type").as_deref() == Some("text");
            is_text
                .then(|| self.text_of(&block.value, "text"))
                .flatten()
        });
        texts.find(|text| !text.trim().is_empty())
    }

    fn first_block(&self, content: &Child) -> Option<String> {
        let block = self.members(&content.value).next()?.value;
        let kind = self.text_of(&block, "type")?;
        let words = match kind.as_str() {
            "text" => return Some(String::new()),
            "image" | "audio" => [self.text_of(&block, "mimeType"), self.decoded_size(&block)],
            "resource" => {
                let resource = self.member(&block, "resource").map(|child| child.value);
                let text = |name| {
                    resource
                        .as_ref()
                        .and_then(|resource| self.text_of(resource, name))
                };
                [text("uri"), text("mimeType")]
            }
            "resource_link" => [self.text_of(&block, "name"), self.text_of(&block, "uri")],
            _ => [None, None],
        };
        let words: Vec<String> = std::iter::once(kind)
            .chain(words.into_iter().flatten())
            .collect();
        Some(format!("[{}]", words.join(" ")))
    }

    /// The size of what the base64 of `data` stands for; nothing if the end of it is out of sight.
    fn decoded_size(&self, block: &Range<usize>) -> Option<String> {
        let data = self.member(block, "data")?.value;
        let text = self.raw[data.clone()]
            .strip_prefix(b"\"")?
            .strip_suffix(b"\"")?;
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
        Some(size((text.len() / 4 * 3).saturating_sub(padding)))
    }

    fn structured(&self, root: &Range<usize>) -> Option<String> {
        let child = self
            .member(root, "structuredContent")
            .filter(|child| child.kind != Kind::Null)?;
        Some(format!("[structured] {}", self.start(&child.value)))
    }
}

fn one_line(text: &str) -> Arc<str> {
    let text = clean(text.trim());
    match text.char_indices().nth(PREVIEW_CHARS) {
        None => text.trim_end_matches('␊').into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn size(bytes: usize) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB"] {
        if value < 1024.0 {
            let digits = usize::from(unit != "B" && value < 100.0);
            return format!("{value:.digits$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} GiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> String {
        preview(&Bytes::copy_from_slice(json.as_bytes())).to_string()
    }

    #[test]
    fn the_first_text_is_shown_on_one_clean_line() {
        let image = r#"{"type":"image","data":"AAAA","mimeType":"image/png"}"#;
        let text = r#"{"type":"text","text":" one\ntwo\u001b[31m "}"#;
        assert_eq!(
            of(&format!(
                r#"{{"isError":false,"content":[{image},{text}]}}"#
            )),
            "one␊two␛[31m"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = of(&format!(
            r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#,
            "🦀".repeat(500)
        ));
        assert_eq!(shown, "🦀".repeat(PREVIEW_CHARS) + "…");
    }

    #[test]
    fn without_text_it_says_what_there_is() {
        let block = |block: &str| of(&format!(r#"{{"content":[{block}]}}"#));
        let data = "A".repeat(4640);
        assert_eq!(
            block(&format!(
                r#"{{"type":"image","data":"{data}","mimeType":"image/png"}}"#
            )),
            "[image image/png 3.4 KiB]"
        );
        assert_eq!(
            block(r#"{"type":"resource","resource":{"uri":"file:///a"}}"#),
            "[resource file:///a]"
        );
        assert_eq!(
            block(r#"{"type":"resource_link","uri":"u","name":"n"}"#),
            "[resource_link n u]"
        );
        assert_eq!(block(r#"{"type":"new"}"#), "[new]");
        assert_eq!(
            of(r#"{"content":[],"structuredContent":{"a":1}}"#),
            r#"[structured] {"a":1}"#
        );
        assert_eq!(of(r#"{"content":[]}"#), "[empty]");
        assert_eq!(of("nonsense"), "[empty]");
    }

    #[test]
    fn a_giant_text_is_previewed_without_its_end() {
        let json = format!(
            r#"{{"content":[{{"type":"text","text":"start {}"}}]}}"#,
            "x".repeat(LOOK)
        );
        assert!(of(&json).starts_with("start xxx"));
    }
}
