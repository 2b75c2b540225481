//! Results on stdout: as they came for programs, laid out and harmless for a terminal.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, StdoutLock, Write, stdout};

use bytes::Bytes;
use serde::Deserialize;

use super::exit::Trouble;
use crate::arguments::json_text::pretty;
use crate::console::widgets::text::cut;
use crate::model::{Failure, Stage};
use crate::stores::lines::clean;

/// Writes JSON and a line break; on a terminal on several lines.
pub async fn json(text: Bytes) -> Result<(), Trouble> {
    written(move |out, is_terminal| {
        if is_terminal {
            let text = pretty(&String::from_utf8_lossy(&text));
            out.write_all(escaped(&text).as_bytes())?;
        } else {
            out.write_all(&text)?;
        }
        out.write_all(b"\n")
    })
    .await
}

/// Writes text of ours.
pub async fn text(text: String) -> Result<(), Trouble> {
    written(move |out, _| out.write_all(text.as_bytes())).await
}

/// Writes rows of a table; on a terminal each is cut at its edge.
pub async fn table(text: String) -> Result<(), Trouble> {
    written(move |out, is_terminal| {
        let width = crossterm::terminal::size().map(|(width, _)| usize::from(width));
        match width {
            Ok(width) if is_terminal => text
                .lines()
                .try_for_each(|line| writeln!(out, "{}", cut(line, width))),
            _ => out.write_all(text.as_bytes()),
        }
    })
    .await
}

/// Writes the texts of a tool's result, each on lines of its own; returns the types of what is no text.
pub async fn texts(result: &Bytes) -> Result<Vec<String>, Trouble> {
    let content = match serde_json::from_slice::<ToolResult>(result) {
        Ok(result) => result.content,
        Err(error) => {
            return Err(Failure::caused_by(Stage::Call, "a result without content", error).into());
        }
    };
    let (texts, others): (Vec<_>, Vec<_>) = content
        .into_iter()
        .map(Block::text)
        .partition(Result::is_ok);
    written(move |out, is_terminal| {
        for text in texts.into_iter().flatten() {
            if is_terminal {
                // Foreign, so that it cannot move the cursor or write to the clipboard.
                text.lines()
                    .try_for_each(|line| writeln!(out, "{}", clean(line)))?;
            } else {
                out.write_all(text.as_bytes())?;
                if !text.ends_with('\n') {
                    out.write_all(b"\n")?;
                }
            }
        }
        Ok(())
    })
    .await?;
    Ok(others.into_iter().filter_map(Result::err).collect())
}

/// Writes to stdout, on a thread of its own: a reader may be slow, and a signal is heard meanwhile. That nobody
/// reads any more (`| head`) is no trouble.
async fn written(
    write: impl FnOnce(&mut StdoutLock, bool) -> io::Result<()> + Send + 'static,
) -> Result<(), Trouble> {
    let write = || {
        let mut out = stdout().lock();
        let is_terminal = out.is_terminal();
        write(&mut out, is_terminal)?;
        out.flush()
    };
    match tokio::task::spawn_blocking(write).await {
        Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(Trouble::Stdout(error)),
        _ => Ok(()),
    }
}

/// JSON escapes C0 controls; DEL and C1, which terminals obey as well, are escaped here.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match u32::from(character) {
            code @ 0x7f..=0x9f => {
                let _ = write!(escaped, "\\u{code:04x}");
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

#[derive(Deserialize)]
struct ToolResult {
    content: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    resource: Option<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    text: Option<String>,
}

impl Block {
    /// The text of it, also of a resource that comes with it; else its type.
    fn text(self) -> Result<String, String> {
        let resource = self.resource.and_then(|resource| resource.text);
        self.text.or(resource).ok_or(self.kind)
    }
}
