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
    let content = member(doc, &doc.root(), "content").ready()?;
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
    if let Some(text) = member(doc, block, "text").ready()? {
        parts.push(Part::Text(text_of(doc, &text)?));
        return Some(());
    }
    // A word that is being indexed will be there with the rest.
    let word = |name: &str, inside: &Child| {
        let found = member(doc, inside, name).ready().flatten();
        let text = found.map(|child| doc.excerpt(&child.value, 200));
        clean(&text.unwrap_or_default()).into_owned()
    };
    let (kind, mime) = (word("type", block), word("mimeType", block));
    if let Some(data) = member(doc, block, "data").ready()? {
        let summary = media::summary(doc, &mime, &data);
        parts.push(Part::Note(format!("{kind}  {summary}")));
    } else if let Some(resource) = member(doc, block, "resource").ready()? {
        let uri = word("uri", &resource);
        let mime = word("mimeType", &resource);
        parts.push(Part::Note(format!("{kind}  {uri}  {mime}")));
        if let Some(text) = member(doc, &resource, "text").ready()? {
            parts.push(Part::Text(text_of(doc, &text)?));
        } else if let Some(blob) = member(doc, &resource, "blob").ready()? {
            parts.push(Part::Note(media::summary(doc, &mime, &blob)));
        }
    } else {
        let uri = word("uri", block);
        parts.push(Part::Note(format!("{kind}  {uri}  {mime}")));
    }
    Some(())
}

fn text_of(doc: &Arc<Document>, text: &Child) -> Option<Arc<LinedText>> {
    doc.text(&text.value).ready()
}

/// A member of an object by its name, if it has one.
fn member(doc: &Arc<Document>, object: &Child, name: &str) -> Lazy<Option<Child>> {
    if object.kind != Kind::Object {
        return Lazy::Ready(None);
    }
    let Lazy::Ready(members) = doc.children(&object.value) else {
        return Lazy::Pending;
    };
    let named = |child: &Child| {
        let key = child.key.as_ref();
        key.is_some_and(|key| key.len() == name.len() + 2 && doc.excerpt(key, 32) == name)
    };
    Lazy::Ready(members.iter().find(named))
}
