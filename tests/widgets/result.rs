//! Result: the tree, the text, and what stands there instead of an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envdeck::console::testing::Harness;
use envdeck::model::{
    Call, CallId, CallState, Caller, Cause, Exit, Failure, Happening, Obedience, Outcome, Progress,
    SessionId, Stage,
};
use jiff::ToSpan;
use serde_json::{Value, json};

use crate::fixture::{calls, copies, instance, ready, with_instance};

/// A running call of the operator, shown in a Result pane that has the whole screen.
fn running(width: u16, height: u16) -> Harness {
    let harness = ready(with_instance(width, height)).press("5z");
    let now = harness.now();
    let call = Call {
        id: CallId(12),
        session: SessionId::new("3f9a21"),
        instance: instance(),
        backend: "files".into(),
        tool: "read_file".into(),
        arguments: r#"{ "path": "/x" }"#.into(),
        caller: Caller::Operator,
        started: now,
        deadline: now + 30.seconds(),
        progress: None,
        state: CallState::Running,
    };
    harness.happening(Happening::CallStarted {
        call: Arc::new(call),
    })
}

fn ended(harness: Harness, outcome: Outcome, size: u64) -> Harness {
    let state = CallState::Ended {
        outcome,
        at: harness.now(),
        took: Duration::from_micros(3_100),
        size,
    };
    let call = CallId(12);
    harness.happening(Happening::CallEnded { call, state })
}

fn answered(width: u16, height: u16, result: &Value) -> Harness {
    let harness = running(width, height);
    let raw = Bytes::from(result.to_string());
    let size = raw.len() as u64;
    let meta = harness.results.insert(raw, false);
    ended(harness, Outcome::Done(meta.id), size)
}

fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }], "isError": false })
}

/// Rows of the pane.
fn rows(harness: &Harness) -> Vec<String> {
    let screen = harness.screen();
    let rows = screen.lines().filter_map(|row| row.strip_prefix('│'));
    let rows: Vec<_> = rows
        .map(|row| row.trim_end_matches('│').trim_end())
        .collect();
    let used = rows
        .iter()
        .rposition(|row| !row.is_empty())
        .map_or(0, |last| last + 1);
    rows[..used].iter().map(|row| (*row).to_owned()).collect()
}

fn title(harness: &Harness) -> String {
    harness.screen().lines().nth(1).unwrap().to_owned()
}

#[test]
fn without_a_call_it_says_how_to_make_one() {
    let harness = with_instance(80, 15).press("5z");
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#" no result yet — pick a tool (3), fill in the form (4), ctrl+s sends"#);
}

#[test]
fn a_short_answer_is_seen_at_once() {
    let harness = answered(80, 15, &text("Hello from source\n"));
    insta::assert_snapshot!(harness.screen(), @r#"
     envdeck  test                                  1 inst 1●   calls 1  p50 3.1 ms
    ┌ 5 Result ─ read_file  ok  3.1 ms  74 B  content ─────────────────────────────┐
    │▾ content: [1]                                                                │
    │  ▾ 0: {2} text                                                               │
    │      type: "text"                                                            │
    │      text: "Hello from source\n"                                             │
    │  isError: false                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
     v view  / search  y copy  Y copy all  r run again  q back  ? help
    "#);
}

#[test]
fn lines_and_json_within_a_text_are_unfolded() {
    let several = answered(80, 15, &text("one\ntwo\n\u{1b}[31mthree"));
    insta::assert_snapshot!(rows(&several).join("\n"), @r#"
    ▾ content: [1]
      ▾ 0: {2} text
          type: "text"
        ▾ text: 3 lines
            one
            two
            ␛[31mthree
      isError: false
    "#);
    let json = answered(80, 15, &text(r#"{"a": [1, {"b": null}], "c": "x"}"#));
    insta::assert_snapshot!(rows(&json).join("\n"), @r#"
    ▾ content: [1]
      ▾ 0: {2} text
          type: "text"
        ▾ text: {2} JSON in a string
          ▸ a: [1, {"b": null}]
            c: "x"
      isError: false
    "#);
}

#[test]
fn an_image_is_named_with_its_size() {
    let png = "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAC6s0uzAAAAAElFTkSuQmCC";
    let image = json!({ "type": "image", "mimeType": "image/png", "data": png });
    let harness = answered(
        80,
        15,
        &json!({ "content": [image, { "type": "text", "text": "see" }] }),
    );
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#"
    ▾ content: [2]
      ▾ 0: {3} image  image/png 640×480 45 B
          type: "image"
          mimeType: "image/png"
          data: "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHgCAIAAAC6s0uzAAAAAElFTkSuQmCC"
      ▾ 1: {2} text
          type: "text"
          text: "see"
    "#);
    let harness = harness.press("v");
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#"
    ── 1 of 2 ──
    image  image/png 640×480 45 B
    ── 2 of 2 ──
    see
    "#);
}

#[test]
fn values_are_copied_unescaped_and_containers_as_json() {
    let harness = answered(80, 15, &text("a\n\"b\"")).press("jjjyggyY");
    let copied = copies(&harness);
    assert_eq!(
        copied[0],
        ("a\n\"b\"".to_owned(), "content[0].text".to_owned())
    );
    assert_eq!(copied[1].0, r#"[{"type":"text","text":"a\n\"b\""}]"#);
    assert_eq!(copied[2].1, "the result");
}

#[test]
fn folding_and_moving() {
    let result =
        json!({ "content": [], "structuredContent": { "a": { "b": { "c": [1, 2] } }, "d": 1 } });
    let harness = answered(80, 15, &result);
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#"
      content: []
    ▾ structuredContent: {2}
      ▾ a: {1}
        ▾ b: {1}
          ▸ c: [1,2]
        d: 1
    "#);
    let folded = harness.press("-");
    insta::assert_snapshot!(rows(&folded).join("\n"), @r#"
      content: []
    ▸ structuredContent: {"a":{"b":{"c":[1,2]}},"d":1}
    "#);
    let all = folded.press("*Gh");
    insta::assert_snapshot!(rows(&all).join("\n"), @r#"
      content: []
    ▾ structuredContent: {2}
      ▾ a: {1}
        ▾ b: {1}
          ▾ c: [2]
              0: 1
              1: 2
        d: 1
    "#);
    assert!(title(&all).contains("structuredContent"), "{}", title(&all));
}

#[test]
fn a_search_unfolds_what_is_around_the_match() {
    let items: Vec<_> = (0..1000)
        .map(|n| json!({ "name": format!("item {n}"), "tags": ["x"] }))
        .collect();
    let harness = answered(
        80,
        24,
        &json!({ "content": [], "structuredContent": { "items": items } }),
    );
    let harness = harness.press("/ITEM 777<enter>");
    assert!(
        title(&harness).contains("structuredContent.items[777].name"),
        "{}",
        title(&harness)
    );
    assert!(
        harness.screen().contains("name: \"item 777\""),
        "{}",
        harness.screen()
    );
    let harness = harness.press("/item 9<enter>");
    assert!(
        title(&harness).contains("items[900].name"),
        "{}",
        title(&harness)
    );
    let harness = harness.press("n");
    assert!(
        title(&harness).contains("items[901].name"),
        "{}",
        title(&harness)
    );
    let harness = harness.press("NN");
    assert!(
        title(&harness).contains("items[90].name") || title(&harness).contains("items[99].name"),
        "{}",
        title(&harness)
    );
    let harness = harness.press("/nowhere<enter>");
    assert!(
        harness.screen().contains("no match"),
        "{}",
        harness.screen()
    );
}

#[test]
fn seven_hundred_thousand_rows_are_no_burden() {
    let numbers: Vec<u32> = (0..700_000).collect();
    let harness = answered(
        80,
        24,
        &json!({ "structuredContent": { "n": numbers }, "content": [] }),
    );
    let harness = harness.press("jl").press("Gk");
    assert!(
        title(&harness).contains("structuredContent.n[699999]"),
        "{}",
        title(&harness)
    );
    assert!(
        harness.screen().contains("699999: 699999"),
        "{}",
        harness.screen()
    );
}

#[test]
fn as_text_it_pages_searches_and_wraps() {
    let lines: Vec<_> = (0..500).map(|n| format!("line {n}")).collect();
    let harness = answered(60, 15, &text(&lines.join("\n"))).press("v");
    assert_eq!(rows(&harness)[0], "line 0");
    assert!(
        title(&harness).contains("line 1 of 500"),
        "{}",
        title(&harness)
    );
    let harness = harness.press("/line 33<enter>");
    assert_eq!(rows(&harness)[0], "line 33");
    let harness = harness.press("n");
    assert_eq!(rows(&harness)[0], "line 330");
    let harness = harness.press("NN");
    assert!(
        harness.screen().contains("wrapped around"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("G");
    assert!(rows(&harness).last().unwrap().starts_with("line 499"));
    let harness = harness.press("Y");
    assert_eq!(copies(&harness)[0].0, lines.join("\n"));
}

#[test]
fn one_long_line_can_be_paged_from_both_ends() {
    let long: String = (10_000..30_000)
        .flat_map(|n: u32| [n.to_string(), "é".to_owned()])
        .collect();
    let mut harness = answered(60, 15, &text(&long)).press("v");
    let width = 58;
    let expected = |row: usize| {
        long.chars()
            .skip(row * width)
            .take(width)
            .collect::<String>()
    };
    assert_eq!(rows(&harness)[..2], [expected(0), expected(1)]);
    harness = harness.press("G");
    assert!(
        rows(&harness).last().unwrap().ends_with("29999é"),
        "{}",
        harness.screen()
    );
    for _ in 0..20 {
        harness = harness.press("k");
    }
    let row = rows(&harness)[0].clone();
    assert!(row.chars().count() == width && long.contains(&row), "{row}");
}

#[test]
fn a_running_call_shows_how_far_it_is() {
    let harness = running(80, 15)
        .after_millis(2_100)
        .happening(Happening::CallProgressed {
            call: CallId(12),
            progress: Progress {
                done: 3.0,
                total: Some(10.0),
                message: Some("copying \u{1b}[2J".into()),
            },
            deadline: jiff::Timestamp::from_second(envdeck::console::testing::NOW).unwrap()
                + 30.seconds(),
        });
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#"
    ██████░░░░░░░░░░░░░░ 30%  copying ␛[2J
    2.1 s  27 s left   ctrl+c cancel  x more time
    "#);
    let harness = harness
        .happening(Happening::CallCancelling { call: CallId(12) })
        .after_millis(6_000);
    insta::assert_snapshot!(rows(&harness).join("\n"), @r#"
    ██████░░░░░░░░░░░░░░ 30%  copying ␛[2J
    8.1 s  cancelled 6.0 s ago, the server still works
    "#);
}

#[test]
fn what_is_no_answer_is_told_in_words() {
    let died = Failure::new(
        Stage::Call,
        Cause::Exited(Exit {
            code: Some(137),
            signal: None,
            out_of_memory: false,
        }),
    )
    .hint("raise the memory limit")
    .output(vec!["Traceback:".into(), "MemoryError".into()]);
    let failed = ended(running(80, 15), Outcome::Failed(died), 0);
    insta::assert_snapshot!(rows(&failed).join("\n"), @r#"
    ✖ call: exited with status 137
    → raise the memory limit

    its last output:
    Traceback:
    MemoryError

    read_file {"path":"/x"}
    "#);
    let words = [Obedience::Confirmed, Obedience::Silent, Obedience::Ignored].map(|obedience| {
        rows(&ended(running(80, 15), Outcome::Cancelled(obedience), 0))[0].clone()
    });
    insta::assert_snapshot!(words.join("\n"), @r#"
    cancelled: the server stopped (confirmed)
    cancelled: the server fell silent, as the protocol asks
    cancelled, but the server ignored the cancellation: it went on
    "#);
}

#[test]
fn a_tools_own_error_is_an_answer() {
    let harness = running(80, 15);
    let raw = json!({ "content": [{ "type": "text", "text": "no such file" }], "isError": true });
    let meta = harness.results.insert(Bytes::from(raw.to_string()), true);
    let harness = ended(harness, Outcome::ToolError(meta.id), 61);
    assert!(
        title(&harness).contains("read_file  isError  3.1 ms  61 B"),
        "{}",
        title(&harness)
    );
    assert!(harness.screen().contains("\"no such file\""));
}

#[test]
fn a_call_can_be_made_again() {
    let harness = answered(80, 15, &text("x")).press("r");
    assert_eq!(calls(&harness), [r#"{ "path": "/x" }"#]);
}

#[test]
fn the_row_under_the_cursor_is_of_one_look_but_for_the_match() {
    let harness = answered(
        80,
        24,
        &json!({"content": [], "structuredContent": {"name": "Ada"}}),
    );
    let harness = harness.press("5/ada<enter>");
    let screen = harness.screen();
    let row = screen
        .lines()
        .position(|line| line.contains("Ada"))
        .unwrap();
    let line = screen.lines().nth(row).unwrap();
    let column = |text: &str| {
        let before = line.split_once(text).unwrap().0.chars().count();
        u16::try_from(before).unwrap()
    };
    let style = |text: &str| harness.buffer()[(column(text), u16::try_from(row).unwrap())].style();
    assert_eq!(style("name"), style(": "));
    assert_eq!(style("Ada").bg, Some(ratatui::style::Color::Yellow));
}
