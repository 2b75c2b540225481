//! Whole screens, as pictures in `tests/snapshots/`: what an operator sees at each size.
#![allow(clippy::unwrap_used)] // tests may

use std::sync::Arc;
use std::time::Duration;

use envdeck::console::msg::{Done, Msg};
use envdeck::console::testing::fleet::{READY, backend, call, fleet, instance, tool};
use envdeck::console::testing::{Harness, NOW};
use envdeck::console::theme::{ColorDepth, Theme};
use envdeck::model::{
    CallId, CallState, Caller, Fleet, Happening, Level, Notice, Outcome, ToolSpec,
};
use envdeck::stores::logs::Source;
use envdeck::stores::results::ResultStore;
use serde_json::json;

/// From the widest screen that fits on a laptop to one that is too small.
const SIZES: [(u16, u16); 6] = [
    (160, 45),
    (120, 36),
    (100, 30),
    (80, 24),
    (60, 15),
    (40, 10),
];

fn empty(width: u16, height: u16) -> Harness {
    Harness::new(width, height, results())
}

fn results() -> ResultStore {
    // Only large results are written to a file, and none here is.
    ResultStore::new(std::env::temp_dir().join("envdeck-screens-test"))
}

/// A fleet with something of everything: an instance that is ready, with tools and a log, is selected.
fn full(width: u16, height: u16) -> Harness {
    let harness = empty(width, height)
        .given(fleet())
        .happening(Happening::ToolsListed {
            instance: instance(READY),
            tools: tools(),
        });
    let log = harness.logs.writer(&instance(READY));
    let lines = [
        (
            Source::Stderr,
            "Secure MCP Filesystem Server running on stdio",
        ),
        (
            Source::Stderr,
            "\u{1b}[33mwarning:\u{1b}[0m client does not support roots",
        ),
        (Source::Envdeck, "ready after 1.9 s"),
        (Source::Stdout, "Allowed directories: /data"),
        (Source::Envdeck, "call #1 read_file → ok 3.0 ms 214 B"),
    ];
    for (source, line) in lines {
        log.line(source, line);
    }
    let mut harness = harness;
    harness.send(Msg::Data);
    harness
}

fn tools() -> Arc<[Arc<ToolSpec>]> {
    let described = |name: &str, description: &str, schema: serde_json::Value| {
        Arc::new(ToolSpec {
            description: Some(description.into()),
            input_schema: schema,
            ..(*tool(name)).clone()
        })
    };
    Arc::from([
        described(
            "read_file",
            "Reads a file as text, or its first or last lines.",
            json!({
                "type": "object",
                "properties": {
                    "path": { "type": "string", "description": "Below one of the allowed directories." },
                    "head": { "type": "integer", "minimum": 1 },
                    "tail": { "type": "integer", "minimum": 1 },
                    "encoding": { "enum": ["utf-8", "latin-1", "base64"], "default": "utf-8" },
                    "follow_links": { "type": "boolean", "default": true },
                    "ranges": { "type": "array", "items": { "type": "integer" } },
                },
                "required": ["path"],
            }),
        ),
        tool("write_file"),
        tool("list_directory"),
        tool("search_files"),
    ])
}

/// The same with a call that was just answered.
fn answered(width: u16, height: u16) -> Harness {
    let harness = full(width, height);
    let raw = json!({
        "content": [{ "type": "text", "text": "# Notes\nbuy milk\n" }],
        "structuredContent": { "path": "/data/notes.txt", "lines": 2, "mtime": 1_795_269_000.25, "owner": null },
        "isError": false,
    });
    let answer = harness.results.insert(raw.to_string().into(), false);
    let asked = call(10, READY, "read_file", Caller::Operator, 1_500);
    harness
        .happening(Happening::CallStarted { call: asked })
        .happening(Happening::CallEnded {
            call: CallId(10),
            state: CallState::Ended {
                outcome: Outcome::Done(answer.id),
                at: jiff::Timestamp::from_second(NOW).unwrap(),
                took: Duration::from_micros(3_100),
                size: answer.size,
            },
        })
}

/// The scene at each size, one below the other; times of log lines, which are real, stand still.
fn pictures(scene: impl Fn(u16, u16) -> Harness) -> String {
    let time = regex::Regex::new(r"\d\d:\d\d:\d\d\.\d{3}").unwrap();
    let picture = |(width, height): (u16, u16)| {
        let screen = scene(width, height).screen();
        let screen = time.replace_all(&screen, "14:03:20.112");
        format!("{width}×{height}\n{screen}\n")
    };
    SIZES
        .into_iter()
        .map(picture)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn nothing_yet() {
    let with_backends = |width, height| {
        let backends = [backend("filesystem"), backend("memory")];
        empty(width, height).given(Fleet::new(Arc::from(backends)))
    };
    insta::assert_snapshot!(pictures(with_backends));
}

#[test]
fn sessions_instances_and_tools() {
    insta::assert_snapshot!(pictures(full));
}

#[test]
fn a_call_form() {
    let form = |width, height| full(width, height).press("c/data/notes.txt<tab>12");
    insta::assert_snapshot!(pictures(form));
}

#[test]
fn a_result() {
    insta::assert_snapshot!(pictures(
        |width, height| answered(width, height).press("5jj")
    ));
}

#[test]
fn help() {
    insta::assert_snapshot!(pictures(|width, height| full(width, height).press("?")));
}

#[test]
fn a_new_session() {
    insta::assert_snapshot!(pictures(|width, height| full(width, height).press("n+j+")));
}

#[test]
fn a_death_card() {
    insta::assert_snapshot!(pictures(
        |width, height| full(width, height).press("2jj<enter>")
    ));
}

#[test]
fn logs_over_the_whole_screen() {
    insta::assert_snapshot!(pictures(|width, height| full(width, height).press("7z")));
}

#[test]
fn nothing_shines_through_a_toast() {
    let mut harness = full(60, 15).press("2jj<enter>");
    let text = "words so long that they reach over the border of the card";
    harness.send(Msg::Notice(Notice::new(Level::Warn, text)));
    let screen = harness.screen();
    let row = screen.lines().position(|line| line.contains("! words so"));
    let row = u16::try_from(row.unwrap()).unwrap();
    let toast = harness.buffer()[(20, row)].style();
    let column = (10..50).find(|column| harness.buffer()[(*column, row)].style() != toast);
    assert_eq!(column, None, "{screen}");
}

/// How the first cell of each text on the screen is styled.
fn styles(harness: &Harness, texts: &[&str]) -> String {
    let screen = harness.screen();
    let style = |text: &&str| {
        let (row, line) = screen
            .lines()
            .enumerate()
            .find(|(_, line)| line.contains(text))
            .unwrap_or_else(|| panic!("no {text}:\n{screen}"));
        let before = &line[..line.find(text).unwrap()];
        let column = unicode_width::UnicodeWidthStr::width(before);
        let at = (u16::try_from(column).unwrap(), u16::try_from(row).unwrap());
        let cell = &harness.buffer()[at];
        format!(
            "{text:12} {:?} on {:?} {:?}",
            cell.fg, cell.bg, cell.modifier
        )
    };
    texts.iter().map(style).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_theme_styles_what_matters() {
    let mut dumps = Vec::new();
    for name in ["dark", "light", "high-contrast", "mono"] {
        let theme = Theme::load(name, None, ColorDepth::TrueColor).unwrap();
        let mut harness = answered(160, 45).press("5jj");
        harness.send(Msg::Done(Done::Theme(Ok(Arc::new(theme)))));
        let texts = [
            "envdeck",
            "5 Result",
            "2 Instances",
            "● ready",
            "◐ starting",
            "✖ failed",
            "STATE",
            "structured",
            "\"/data",
            "stderr",
            "view",
            "path*",
        ];
        dumps.push(format!("{name}\n{}", styles(&harness, &texts)));
    }
    insta::assert_snapshot!(dumps.join("\n\n"));
}
