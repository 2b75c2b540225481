//! Reads and parses a configuration file; the only place that names the YAML crate.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::{
    DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess,
};
use serde::de::{Deserializer, Visitor};
use serde_json::Number;

use super::interpolate::Environment;
use super::problem::{Invalid, Place, Problem, Report};
use super::tree::{self, Entry, Kind, Node, NodeId};
use super::{Config, check};

/// Largest configuration file, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Most keys and values of a file once its aliases are followed: a small file may repeat itself
/// without end ("billion laughs").
const MAX_NODES: NodeId = 200_000;
/// Most text of a file once its aliases are followed, bytes.
const MAX_TEXT: usize = 8 << 20;

/// Reads, completes from the environment and validates a file.
///
/// Relative paths in it count from its own directory.
///
/// # Errors
/// All problems of the file at once, or the one that keeps it from being read.
pub fn load(file: &Path, env: Environment) -> Result<Config, Invalid> {
    let text = read(file).map_err(|problem| Invalid::one(file, problem))?;
    let mut root = parse(&text).map_err(|problem| Invalid::one(file, problem))?;
    let report = Report::default();
    tree::settle(&mut root, "", env, &report);
    let config = check::config(&root, file, &report);
    match report.finish(file.to_owned(), |node| locate(&text, node)) {
        None => Ok(config),
        Some(invalid) => Err(invalid),
    }
}

fn read(file: &Path) -> Result<String, Problem> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Problem::of_file("there is no such file")
            .hint("check the path, or leave out --config for the built-in demo"),
        ErrorKind::IsADirectory => Problem::of_file("this is a directory, not a file"),
        _ => Problem::of_file(format!("cannot be read: {error}")),
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells too large from just right, also for pipes and devices.
    File::open(file)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(
            Problem::of_file(format!("is larger than {} MiB", MAX_FILE >> 20))
                .hint("is this really a configuration file?"),
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Problem::of_file(format!("is not UTF-8: invalid byte at offset {offset}"))
            .hint("save the file as UTF-8")
    })
}

fn parse(text: &str) -> Result<Node, Problem> {
    let walk = Walk::default();
    let root = walk.run(text).map_err(|error| {
        let found = if walk.is_over_budget() {
            Problem::of_file("holds too much once its aliases are followed")
        } else {
            Problem::of_file(format!("is not valid YAML: {}", describe(&error)))
        };
        // At the end of its input the parser stands on a line that is not there.
        found.at(place(&error).map(|place| place.min(end_of(text))))
    })?;
    match root.kind {
        Kind::Null => Err(Problem::of_file("is empty").hint("it needs at least a `backends` list")),
        _ => Ok(root),
    }
}

/// The place of a node: walks the document again and fails there, which makes the parser say where.
fn locate(text: &str, node: NodeId) -> Option<Place> {
    let walk = Walk {
        target: Some(node),
        ..Walk::default()
    };
    walk.run(text).err().as_ref().and_then(place)
}

fn place(error: &serde_yaml::Error) -> Option<Place> {
    error.location().map(|at| Place {
        line: at.line(),
        column: at.column(),
    })
}

/// The place behind the last character, by the line breaks of YAML 1.1.
fn end_of(text: &str) -> Place {
    let mut end = Place { line: 1, column: 1 };
    let mut last = ' ';
    for c in text.chars() {
        match c {
            '\n' if last == '\r' => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                end = Place {
                    line: end.line + 1,
                    column: 1,
                };
            }
            _ => end.column += 1,
        }
        last = c;
    }
    end
}

/// The parser's words without the place, which is shown in front, and ours for its limits.
fn describe(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    let text = match error.location() {
        Some(at) => text.replacen(
            &format!(" at line {} column {}", at.line(), at.column()),
            "",
            1,
        ),
        None => text,
    };
    match text.as_str() {
        "recursion limit exceeded" => "it nests too deeply".to_owned(),
        text if text.contains("more than one document") => {
            "it holds more than one document".to_owned()
        }
        _ => text,
    }
}

/// A walk over a document that numbers its nodes. The parser tells places only in errors, so the
/// place of a node is found by a second walk that fails at its number.
#[derive(Default)]
struct Walk {
    next: Cell<NodeId>,
    text: Cell<usize>,
    target: Option<NodeId>,
}

impl Walk {
    fn run(&self, text: &str) -> Result<Node, serde_yaml::Error> {
        self.deserialize(serde_yaml::Deserializer::from_str(text))
    }

    fn is_over_budget(&self) -> bool {
        self.next.get() > MAX_NODES || self.text.get() > MAX_TEXT
    }

    fn node<E: Error>(&self, kind: impl FnOnce() -> Result<Kind, E>) -> Result<Node, E> {
        let id = self.next.get();
        self.next.set(id + 1);
        if self.target == Some(id) || self.is_over_budget() {
            return Err(E::custom("stopped"));
        }
        Ok(Node { id, kind: kind()? })
    }

    fn leaf<E: Error>(&self, kind: Kind) -> Result<Node, E> {
        self.node(|| Ok(kind))
    }
}

impl<'de> DeserializeSeed<'de> for &Walk {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Walk {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.leaf(Kind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.leaf(Kind::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Kind::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(Kind::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Kind::Number(value.into()))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        self.leaf(Kind::Unusable("a number of this size"))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        self.leaf(Kind::Unusable("a number of this size"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).map(Kind::Number);
        self.leaf(number.unwrap_or(Kind::Unusable("a number that is not finite")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.text.set(self.text.get() + text.len());
        self.leaf(Kind::Text {
            text: text.to_owned(),
            interpolated: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.node(|| {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element_seed(self)? {
                items.push(item);
            }
            Ok(Kind::List(items))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.node(|| {
            let mut entries = Vec::new();
            while let Some(key) = map.next_key_seed(self)? {
                entries.push(Entry {
                    key,
                    value: map.next_value_seed(self)?,
                });
            }
            Ok(Kind::Map(entries))
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        self.node(|| {
            let (_, content) = tagged.variant::<IgnoredAny>()?;
            content.newtype_variant::<IgnoredAny>()?;
            Ok(Kind::Unusable("a tag"))
        })
    }
}
