//! The list of calls.

use std::time::Duration;

use envdeck::console::effect::Effect;
use envdeck::console::testing::fleet::{READY, call, instance};
use envdeck::model::{CallId, Caller, Command, Happening, ToolCall};

use crate::common::*;

#[test]
fn each_call_says_how_it_goes() {
    insta::assert_snapshot!(body(&full(140, 15).press("8z")), @r#"
    ┌ 8 Calls ─ 6 calls · 2 running ───────────────────────────────────────────────────────────────────────────────────────────────────────────┐
    │  ID     TIME      CALLER        BACKEND      INSTANCE  TOOL              STATE       TOOK      SIZE  ARGUMENTS                           │
    │> #6     14:03:16  trainer       memory       1f2e3d4c  read_graph        ⊘ cancel sent 3 s ago                                           │
    │  #5     14:03:18  trainer       memory       1f2e3d4c  slow              ◐ 3.2 s ▰▰▰▱▱▱▱▱ 3/8 step 3 · 27 s left                         │
    │  #4     14:02:50  command line  filesystem   a1b2c3d4  read_file         ✖ failed  no answer to tools/call within 30s                    │
    │  #3     14:02:42  trainer       memory       1f2e3d4c  slow              ⊘ cancelled, server went on · 2.4 s                             │
    │  #2     14:02:32  operator      filesystem   a1b2c3d4  write_file        ✖ error    41 ms   3.4 KiB  {"path":"/data/2.txt"}              │
    │  #1     14:02:22  operator      filesystem   a1b2c3d4  read_file         ✔ ok      3.0 ms     214 B  {"path":"/data/1.txt"}              │
    │                                                                                                                                          │
    │                                                                                                                                          │
    │                                                                                                                                          │
    │                                                                                                                                          │
    └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
    "#);
    insta::assert_snapshot!(body(&full(80, 15).press("8z")), @r#"
    ┌ 8 Calls ─ 6 calls · 2 running ───────────────────────────────────────────────┐
    │  ID     TIME      TOOL              STATE       TOOK      SIZE  ARGUMENTS    │
    │> #6     14:03:16  read_graph        ⊘ cancel sent 3 s ago                    │
    │  #5     14:03:18  slow              ◐ 3.2 s ▰▰▰▱▱▱▱▱ 3/8 step 3 · 27 s left  │
    │  #4     14:02:50  read_file         ✖ failed  no answer to tools/call withi… │
    │  #3     14:02:42  slow              ⊘ cancelled, server went on · 2.4 s      │
    │  #2     14:02:32  write_file        ✖ error    41 ms   3.4 KiB  {"path":"/d… │
    │  #1     14:02:22  read_file         ✔ ok      3.0 ms     214 B  {"path":"/d… │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn without_a_call_it_says_how_to_make_one() {
    insta::assert_snapshot!(text(&empty(80, 15).press("8z")), @"no calls yet — c calls the selected tool; calls of agents show here too");
}

#[test]
fn the_cursor_follows_the_newest_until_it_is_moved() {
    let newer = || Happening::CallStarted {
        call: call(7, READY, "newer", Caller::Operator, 0),
    };
    let following = full(120, 36).press("8z").happening(newer());
    assert!(following.screen().contains("> #7"));
    let moved = full(120, 36).press("8zj").happening(newer());
    assert!(moved.screen().contains("> #5"));
    assert!(moved.press("g").screen().contains("> #7"));
}

#[test]
fn running_again_repeats_the_call_as_the_operator() {
    let harness = full(120, 36).press("8Gr");
    let again = ToolCall {
        instance: instance(READY),
        tool: "read_file".into(),
        arguments: r#"{"path":"/data/1.txt"}"#.into(),
        caller: Caller::Operator,
        timeout: None,
    };
    assert_eq!(commands(&harness), [Command::Call(again)]);
}

#[test]
fn running_again_on_a_gone_instance_says_so() {
    let harness = full(120, 36)
        .happening(Happening::InstanceRemoved {
            instance: instance(READY),
        })
        .press("8Gr");
    assert_eq!(commands(&harness), []);
    assert!(harness.screen().contains("instance a1b2c3d4 is gone"));
}

#[test]
fn editing_a_call_leads_to_the_form() {
    let harness = full(120, 36).press("8GR");
    assert_eq!(harness.model.focus().to_string(), "Call");
    assert_eq!(selected(&harness), instance(READY));
}

#[test]
fn the_running_call_under_the_cursor_is_cancelled_or_gets_more_time() {
    let harness = full(120, 36).press("8j<ctrl+c>x");
    assert_eq!(
        commands(&harness),
        [
            Command::Cancel(CallId(5)),
            Command::Extend(CallId(5), Duration::from_mins(1))
        ]
    );
    assert!(!harness.effects.contains(&Effect::Quit));
}

#[test]
fn arguments_and_requests_are_copied() {
    assert_eq!(
        copied(&full(120, 36).press("8Gy")),
        Some(r#"{"path":"/data/1.txt"}"#)
    );
    let harness = full(120, 36).press("8G<ctrl+y>");
    let command =
        r#"envdeck call filesystem read_file --json '{"path":"/data/1.txt"}' --config mcp.yaml"#;
    assert_eq!(copied(&harness), Some(command));
    let harness = full(120, 36).press("8GY");
    let request: serde_json::Value = serde_json::from_str(copied(&harness).unwrap()).unwrap();
    assert_eq!(request["method"], "tools/call");
    assert_eq!(request["params"]["arguments"]["path"], "/data/1.txt");
}

#[test]
fn search_goes_from_match_to_match_and_filter_hides_the_rest() {
    let harness = full(120, 36).press("8z/read_file");
    assert!(harness.screen().contains("> #4"), "{}", harness.screen());
    let harness = harness.press("<enter>n");
    assert!(harness.screen().contains("> #1"));
    let harness = harness.press("n");
    assert!(harness.screen().contains("> #4"));
    let harness = harness.press("N");
    assert!(harness.screen().contains("> #1"));
    let harness = harness.press("&slow<enter>");
    assert!(harness.screen().contains("2 match slow"));
    assert!(!harness.screen().contains("read_file"));
    assert!(harness.press("<esc>").screen().contains("6 calls"));
}

#[test]
fn enter_shows_the_result() {
    let harness = full(120, 36).press("8G<enter>");
    assert_eq!(harness.model.focus().to_string(), "Result");
}
