//! The walls between the modules: one crate has none of the compiler's, and a rule that nobody checks drifts.
//!
//! Reads `src/` as text, which is good enough because rustfmt keeps the text regular.
#![allow(clippy::unwrap_used)] // tests may

use std::{
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// Files below `src/` that begin with one of `within`, and with none of `except`, must not hold `words`.
struct Rule {
    within: &'static [&'static str],
    except: &'static [&'static str],
    words: &'static str,
    why: &'static str,
}

const RULES: [Rule; 12] = [
    Rule {
        within: &["model/"],
        except: &[],
        words: r"\b(tokio|ratatui|crossterm|bollard|rmcp|serde_yaml)\b|\bcrate::(\{.*\b)?(cli|commands|config|console|drivers|gateway|mcp|orchestrator|stores|telemetry)\b",
        why: "`model` is pure data: no runtime, no terminal, no wire, no other module of ours",
    },
    Rule {
        within: &["config/", "drivers/", "mcp/", "orchestrator/", "stores/"],
        except: &[],
        words: r"\b(ratatui|crossterm)\b|\bcrate::(\{.*\b)?(commands|console|gateway)\b|\b(console|gateway)::",
        why: "the core knows no terminal and no front end",
    },
    Rule {
        within: &["config/", "drivers/", "mcp/", "stores/"],
        except: &[],
        words: r"\bcrate::(\{.*\b)?orchestrator\b|\borchestrator::",
        why: "the orchestrator stands on these, they do not know it",
    },
    Rule {
        within: &["gateway/"],
        except: &[],
        words: r"\b(ratatui|crossterm)\b|\bcrate::(\{.*\b)?(commands|console|drivers|mcp)\b|\b(commands|console|drivers|mcp)::",
        why: "the gateway is a front end without a screen: it asks the orchestrator, nobody else",
    },
    Rule {
        within: &["console/"],
        except: &[],
        words: r"\b(Mutex|RwLock)\b|\bcrate::(\{.*\b)?(drivers|mcp)\b|\b(drivers|mcp)::",
        why: "the console draws snapshots: no drivers, no wire, no lock",
    },
    Rule {
        within: &["console/"],
        except: &["console/terminal.rs"],
        words: r"\.lock\(\)",
        why: "the console never waits for a lock; only terminal.rs takes stdout's",
    },
    Rule {
        within: &[""],
        except: &["mcp/", "drivers/embedded"],
        words: r"\brmcp\b",
        why: "only mcp/ and drivers/embedded name rmcp",
    },
    Rule {
        within: &[""],
        except: &["drivers/docker", "drivers/sandbox"],
        words: r"\bbollard\b",
        why: "only drivers/docker/ and drivers/sandbox/ name bollard",
    },
    Rule {
        within: &[""],
        except: &["config/load.rs", "console/theme", "console/preferences"],
        words: r"\bserde_yaml\b",
        why: "only config/load.rs, console/theme.rs and console/preferences.rs name the YAML crate",
    },
    Rule {
        within: &[""],
        except: &["console/terminal.rs"],
        words: r"\b((en|dis)able_raw_mode|(Enter|Leave)AlternateScreen|(En|Dis)able(MouseCapture|BracketedPaste|FocusChange)|(Push|Pop)KeyboardEnhancementFlags)\b",
        why: "only console/terminal.rs changes the terminal's modes, so that only it has to put them back",
    },
    Rule {
        within: &[""],
        except: &["commands/", "main.rs"],
        words: r"\b(e?println|e?print)!",
        why: "only commands/ and main.rs print: one stray line breaks the screen",
    },
    Rule {
        within: &[""],
        except: &[],
        words: r"\b(unimplemented|todo|dbg)!",
        why: "nothing is left half done",
    },
];

/// All that stands at the top of the project; `.git` is a file in a work tree.
const TOP: [&str; 13] = [
    ".ci",
    ".git",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "benches",
    "demo.tape",
    "src",
    "target",
    "tests",
    "themes",
];

const LONGEST_FILE: usize = 600;

/// What is wrong with one file, as `src/PATH:LINE: why: the line`.
fn violations(path: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !source.starts_with("//! ") {
        found.push(format!(
            "src/{path}:1: begins with no `//!` sentence of purpose"
        ));
    }
    if source.lines().count() > LONGEST_FILE {
        found.push(format!(
            "src/{path}:{}: longer than {LONGEST_FILE} lines",
            LONGEST_FILE + 1
        ));
    }
    let code = code_lines(source);
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    for rule in RULES
        .iter()
        .filter(|rule| begins(rule.within) && !begins(rule.except))
    {
        let words = Regex::new(rule.words).unwrap();
        let bad = code.iter().filter(|(_, line)| words.is_match(line));
        found.extend(
            bad.map(|(number, line)| {
                format!("src/{path}:{number}: {}: `{}`", rule.why, line.trim())
            }),
        );
    }
    found
}

/// The numbered lines of code: without comments, texts and what is `#[cfg(test)]`; a long `use` made one line.
fn code_lines(source: &str) -> Vec<(usize, String)> {
    let text = Regex::new(r#"'"'|'\\"'|"(\\.|[^"\\])*""#).unwrap();
    let comment = Regex::new("//.*").unwrap();
    let strip = |line: &str| {
        comment
            .replace(&text.replace_all(line, "\"\""), "")
            .into_owned()
    };
    let mut lines = (1..).zip(source.lines().map(strip));
    let mut code = Vec::new();
    while let Some((number, mut line)) = lines.next() {
        let start = line.trim_start();
        if start.starts_with("#[cfg(test)]") {
            let indent = " ".repeat(line.len() - start.len());
            // The item ends at its `;`, or if it opens a brace, at the one below its beginning.
            let (end, mut open) = (format!("{indent}}}"), false);
            for (_, item) in lines.by_ref() {
                if item.trim_end_matches(';') == end || !open && item.ends_with(';') {
                    break;
                }
                open |= item.ends_with('{');
            }
        } else if start.starts_with("use ") || start.starts_with("pub use ") {
            while !line.contains(';') {
                let Some((_, more)) = lines.next() else { break };
                line = format!("{line} {}", more.trim());
            }
            code.push((number, line));
        } else {
            code.push((number, line));
        }
    }
    code
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_module_keeps_to_its_side_of_the_walls() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let check = |path: PathBuf| {
        let name = path
            .strip_prefix(&src)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        violations(&name, &fs::read_to_string(&path).unwrap())
    };
    let found: Vec<_> = rust_files(&src).into_iter().flat_map(check).collect();
    assert!(
        found.is_empty(),
        "{} violations:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn the_top_of_the_project_holds_only_what_belongs_there() {
    let entries = fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let odd: Vec<_> = names.filter(|name| !TOP.contains(&name.as_str())).collect();
    assert!(odd.is_empty(), "does not belong at the top: {odd:?}");
}

#[test]
fn each_rule_finds_what_it_forbids() {
    let cases = [
        ("model/x.rs", "use tokio::sync::watch;"),
        (
            "model/x.rs",
            "use crate::{\n    model::ids,\n    stores::LogStore,\n};",
        ),
        (
            "orchestrator/x.rs",
            "fn draw(frame: &mut ratatui::Frame) {}",
        ),
        ("stores/x.rs", "use crate::orchestrator::Handle;"),
        ("console/x.rs", "let rows = self.rows.lock();"),
        ("console/panes/x.rs", "use crate::{drivers, model};"),
        ("orchestrator/x.rs", "use rmcp::model::Tool;"),
        ("gateway/x.rs", "use crate::drivers::Driver;"),
        ("mcp/x.rs", "use bollard::Docker;"),
        ("config/check.rs", "let value: serde_yaml::Value = value;"),
        ("console/x.rs", "execute!(out, EnterAlternateScreen)?;"),
        ("stores/x.rs", "    println!(\"here\");"),
        ("cli.rs", "    todo!()"),
    ];
    for (path, code) in cases {
        let found = violations(path, &format!("//! Purpose.\n\n{code}\n"));
        assert_eq!(found.len(), 1, "{path}: {code}: {found:?}");
        assert!(
            found[0].starts_with(&format!("src/{path}:3: ")),
            "{found:?}"
        );
    }
    assert_eq!(
        violations("x.rs", "fn main() {}\n").len(),
        1,
        "a file without a purpose"
    );
    assert_eq!(
        violations("x.rs", &format!("//! Purpose.\n{}", "\n".repeat(600))).len(),
        1,
        "a file too long"
    );
}

#[test]
fn comments_texts_tests_and_permitted_places_are_no_violations() {
    let source = r#"//! Purpose: unlike tokio.

/// Not `todo!()` at all.
fn say() -> &'static str {
    let quote = '"';
    "rmcp and \" bollard" // dbg!
}

#[cfg(test)]
use tokio::time;

#[cfg(test)]
mod tests {
    use crate::console;

    fn more() {
        println!("ratatui");
    }
}
"#;
    assert_eq!(violations("model/x.rs", source), Vec::<String>::new());
    assert_eq!(
        violations("model/x.rs", &format!("{source}\nuse ratatui::Frame;\n")).len(),
        1,
        "code after the tests counts"
    );
    assert_eq!(
        violations("mcp/http.rs", "//! Purpose.\nuse rmcp::model::Tool;\n"),
        Vec::<String>::new()
    );
    assert_eq!(
        violations("commands/call.rs", "//! Purpose.\nprintln!();\n"),
        Vec::<String>::new()
    );
}
