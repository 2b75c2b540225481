//! Reads and parses a configuration file; the only place that names the YAML crate.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeSeed;

use super::interpolate::Environment;
use super::problem::{Invalid, Place, Problem, Report};
use super::tree::{self, Kind, Node, NodeId};
use super::walk::{MAX_NODES, MAX_TEXT, Walk};
use super::{Config, check};

/// Largest configuration file, bytes.
const MAX_FILE: u64 = 1 << 20;
/// Most opening brackets of a file: the parser's cost grows with the square of their nesting.
const MAX_BRACKETS: usize = 20_000;
/// Most `%TAG` directives, which the parser compares with each other.
const MAX_DIRECTIVES: usize = 100;

/// Reads, completes from the environment and validates a file.
///
/// Relative paths in it count from its own directory.
///
/// # Errors
/// All problems of the file at once, or the one that keeps it from being read.
pub fn load(file: &Path, env: Environment) -> Result<Config, Invalid> {
    let text = read(file).map_err(|problem| Invalid::one(file, problem))?;
    of_text(&text, file, env)
}

/// As [`load`], of what the file holds.
pub(super) fn of_text(text: &str, file: &Path, env: Environment) -> Result<Config, Invalid> {
    let mut root = parse(text).map_err(|problem| Invalid::one(file, problem))?;
    let report = Report::default();
    tree::settle(&mut root, "", env, &report);
    let config = check::config(&root, file, env, &report);
    match report.finish(file.to_owned(), |node| locate(text, node)) {
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
    check_cost(text)?;
    let walk = Walk::default();
    let root = run(&walk, text).map_err(|error| {
        let found = if walk.is_over_budget() {
            Problem::of_file(format!(
                "holds too much, aliases followed: more than {MAX_NODES} values or {} MiB",
                MAX_TEXT >> 20
            ))
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

/// Counts instead of parsing, so that nothing in the text can fool it.
fn check_cost(text: &str) -> Result<(), Problem> {
    let brackets = text
        .bytes()
        .filter(|byte| matches!(byte, b'[' | b'{'))
        .count();
    if brackets > MAX_BRACKETS {
        return Err(
            Problem::of_file(format!("has more than {MAX_BRACKETS} opening brackets"))
                .hint("write lists and mappings in lines of their own"),
        );
    }
    if text.matches("%TAG").count() > MAX_DIRECTIVES {
        return Err(Problem::of_file(format!(
            "has more than {MAX_DIRECTIVES} %TAG directives"
        )));
    }
    Ok(())
}

fn run(walk: &Walk, text: &str) -> Result<Node, serde_yaml::Error> {
    walk.deserialize(serde_yaml::Deserializer::from_str(text))
}

/// The place of a node: walks the document again and fails there, which makes the parser say where.
fn locate(text: &str, node: NodeId) -> Option<Place> {
    run(&Walk::to(node), text).err().as_ref().and_then(place)
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
