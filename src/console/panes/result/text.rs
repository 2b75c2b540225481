//! A tool result as text: its text blocks unescaped, the others named.

use std::sync::Arc;

use crate::console::widgets::media;
use crate::console::widgets::pager::Part;
use crate::stores::document::{Child, Document, Kind, Lazy, LinedText};
use crate::stores::lines::clean;

/// Content blocks shown; the rest is counted.
const BLOCKS: usize = 1_000;

/// The parts for a pager, once all texts are there.
pub fn parts(doc: &Arc<Document>) -> Lazy<Vec<Part>> {
    match collect(doc) {
        Some(parts) => Lazy::Ready(parts),
        None => Lazy::Pending,
    }
}

/// `None`: something is still being read.
fn collect(doc: &Arc<Document>) -> Option<Vec<Part>> {
    let content = member(doc, &doc.root(), "content")?;
    let Some(content) = content.filter(|content| content.kind == Kind::Array) else {
        return Some(vec![Part::Note("no content: v shows the JSON".to_owned())]);
    };
    let blocks = doc.children(&content.value).ready()?;
    let mut parts = Vec::new();
    for (index, block) in blocks.iter().enumerate().take(BLOCKS) {
        if blocks.len() > 1 {
            parts.push(Part::Note(format!(
                "── {} of {} ──",
                index + 1,
                blocks.len()
            )));
        }
        block_parts(doc, &block, &mut parts)?;
    }
    if blocks.len() > BLOCKS {
        let rest = blocks.len() - BLOCKS;
        parts.push(Part::Note(format!("{rest} more: v shows the JSON")));
    }
    if parts.is_empty() {
        parts.push(Part::Note("the content is empty".to_owned()));
    }
    Some(parts)
}

fn block_parts(doc: &Arc<Document>, block: &Child, parts: &mut Vec<Part>) -> Option<()> {
    if let Some(text) = member(doc, block, "text")? {
        parts.push(Part::Text(text_of(doc, &text)?));
        return Some(());
    }
    let word = |name: &str, inside: &Child| -> Option<Option<String>> {
        let found = member(doc, inside, name)?;
        Some(found.map(|child| clean(&doc.excerpt(&child.value, 200)).into_owned()))
    };
    let kind = word("type", block)?.unwrap_or_else(|| "block".to_owned());
    let mime = word("mimeType", block)?.unwrap_or_default();
    if let Some(data) = member(doc, block, "data")? {
        let summary = media::summary(doc, &mime, &data);
        parts.push(Part::Note(format!("{kind}  {summary}")));
    } else if let Some(resource) = member(doc, block, "resource")? {
        let uri = word("uri", &resource)?.unwrap_or_default();
        let mime = word("mimeType", &resource)?.unwrap_or_default();
        parts.push(Part::Note(format!("{kind}  {uri}  {mime}")));
        if let Some(text) = member(doc, &resource, "text")? {
            parts.push(Part::Text(text_of(doc, &text)?));
        } else if let Some(blob) = member(doc, &resource, "blob")? {
            parts.push(Part::Note(media::summary(doc, &mime, &blob)));
        }
    } else {
        let uri = word("uri", block)?.unwrap_or_default();
        parts.push(Part::Note(format!("{kind}  {uri}  {mime}")));
    }
    Some(())
}

fn text_of(doc: &Arc<Document>, text: &Child) -> Option<Arc<LinedText>> {
    doc.text(&text.value).ready()
}

/// A member of an object by its name: `None` while it is being indexed.
fn member(doc: &Arc<Document>, object: &Child, name: &str) -> Option<Option<Child>> {
    if object.kind != Kind::Object {
        return Some(None);
    }
    let members = doc.children(&object.value).ready()?;
    let named = |child: &Child| {
        let key = child.key.as_ref();
        key.is_some_and(|key| key.len() == name.len() + 2 && doc.excerpt(key, 32) == name)
    };
    Some(members.iter().find(named))
}
