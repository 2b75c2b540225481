//! New session, inspect, death card.

use envdeck::console::testing::fleet::{FAILED, backend, fleet, instance};
use envdeck::model::{Ask, Caller, Command, Fleet};

use crate::common::*;

fn opens(asks: &[(&str, usize)]) -> Vec<Command> {
    let ask = |(name, count): &(&str, usize)| Ask::new(*name, *count);
    vec![Command::OpenSession {
        caller: Caller::Operator,
        asks: asks.iter().map(ask).collect(),
    }]
}

#[test]
fn the_dialog_shows_every_backend() {
    insta::assert_snapshot!(body(&full(80, 24).press("2zn")), @r#"
    ┌ 2 Instances ─ all sessions · 6 ──────────────────────────────────────────────┐
    │  STATE        ID        BACKEND        UP    MEM  CALLS  ERR  LAST           │
    │> ● ready      a1b2c3d4  filesystem     3m    48M      3    2  read_file      │
    │  ◐ starting   e5f6a7b8  filesystem  initialize · 4 s · 11 s left             │
    │  ✖ failed     99aabbcc  memory      start: exited with status 137 — raise t… │
    │ ┌ New session ─────────────────────────────────────────────────────────────┐ │
    │ │  The instances of a session are closed together.                         │ │
    │ │                                                                          │ │
    │ │  COUNT  BACKEND     MODE      RUNS                                       │ │
    │ │>    0   filesystem  process   npx server-filesystem /data                │ │
    │ │     0   memory      process   npx server-memory /data                    │ │
    │ │     0   search      embedded  shared by all sessions · npx server-searc… │ │
    │ │     0   browser     docker    npx server-browser /data                   │ │
    │ │                                                                          │ │
    │ │  choose how many of each you want                                        │ │
    │ │  + − or a number: how many    space: none or one                         │ │
    │ └──────────────────────────────────────────────────────────────────────────┘ │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn counts_are_set_by_keys_and_digits() {
    let harness = full(80, 24).press("n++-j12j <enter>");
    assert_eq!(
        commands(&harness),
        opens(&[("filesystem", 1), ("memory", 12), ("search", 1)])
    );
    assert!(!harness.screen().contains("New session"));
    let arrows = full(80, 24).press("n<right><right><left>jlll<enter>");
    assert_eq!(
        commands(&arrows),
        opens(&[("filesystem", 1), ("memory", 3)])
    );
}

#[test]
fn shared_ones_count_once() {
    let harness = full(80, 24).press("njj+++j++<enter>");
    assert_eq!(commands(&harness), opens(&[("search", 1), ("browser", 2)]));
}

#[test]
fn nothing_chosen_is_said_and_escape_leaves() {
    let harness = full(80, 24).press("n<enter>");
    assert!(
        harness
            .screen()
            .contains("choose at least one instance first")
    );
    let harness = harness.press("<esc>");
    assert!(!harness.screen().contains("New session"));
    assert_eq!(commands(&harness), []);
}

#[test]
fn the_only_backend_is_chosen_already() {
    let one = || empty(80, 24).given(Fleet::new([backend("files")].into()));
    assert_eq!(commands(&one().press("n<enter>")), opens(&[("files", 1)]));
    let two = empty(80, 24).given(Fleet::new([backend("files"), backend("other")].into()));
    assert_eq!(commands(&two.press("n<enter>")), []);
}

#[test]
fn without_backends_the_dialog_says_what_to_do() {
    let screen = empty(80, 24).press("n").screen();
    assert!(screen.contains("no backends are configured"));
    assert_eq!(commands(&empty(80, 24).press("n<enter>")), []);
}

#[test]
fn inspect_tells_everything() {
    insta::assert_snapshot!(body(&full(80, 36).press("2zi")), @r#"
    ┌ ┌ Inspect ─ filesystem a1b2c3d4 ───────────────────────────────────────────┐─┐
    │ │ instance                                                                 │ │
    │>│  id            a1b2c3d4e5f6                                              │ │
    │ │  session       3f9a21c0ffee                                              │ │
    │ │  state         ● ready since 14:00:10                                    │ │
    │ │  restarts      0                                                         │ │
    │ │                                                                          │ │
    │ │ backend                                                                  │ │
    │ │  name          filesystem                                                │ │
    │ │  type          mcp_server                                                │ │
    │ │  mode          process over stdio                                        │ │
    │ │  scope         session                                                   │ │
    │ │  runs          npx server-filesystem /data                               │ │
    │ │                                                                          │ │
    │ │ server                                                                   │ │
    │ │  name          secure-filesystem-server                                  │ │
    │ │  version       0.2.0                                                     │ │
    │ │  protocol      MCP 2025-11-25, with sessions                             │ │
    │ │  capabilities  tools, logging                                            │ │
    │ │                                                                          │ │
    │ │ instructions                                                             │ │
    │ │  Paths are absolute.                                                     │ │
    │ │                                                                          │ │
    │ │ calls                                                                    │ │
    │ │  total         3 · 2 not ok · 0 running                                  │ │
    │ │  median        41 ms                                                     │ │
    │ │  tools         2                                                         │ │
    │ │                                                                          │ │
    │ │ facts                                                                    │ │
    │ │  command       npx server-filesystem /data                               │ │
    │ │  environment   API_KEY, HOME, PATH                                       │ │
    │ │  pid           4711                                                      │ │
    │ └──────────────────────────────────────────────────────────────────────────┘ │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn the_death_card_keeps_the_evidence() {
    insta::assert_snapshot!(body(&full(80, 40).press("2zjj<enter>")), @r#"
    ┌ ✖ Death card ─ memory 99aabbcc ──────────────────────────────────────────────┐
    │ what happened                                                                │
    │  cause        exited with status 137                                         │
    │  hint         raise the memory limit                                         │
    │  stage        start                                                          │
    │  time         14:03:04                                                       │
    │  ready for    it never was                                                   │
    │  restarts     1                                                              │
    │  instance     99aabbccddee                                                   │
    │  session      3f9a21c0ffee                                                   │
    │                                                                              │
    │ first traceback                                                              │
    │  Traceback (most recent call last):                                          │
    │    File "server.py", line 7, in <module>                                     │
    │      graph = load(path)                                                      │
    │  MemoryError                                                                 │
    │                                                                              │
    │ last output                                                                  │
    │  loading the graph                                                           │
    │  Traceback (most recent call last):                                          │
    │    File "server.py", line 7, in <module>                                     │
    │      graph = load(path)                                                      │
    │  MemoryError                                                                 │
    │                                                                              │
    │ memory, last minute                                                          │
    │  ▁▁▁▁▁▂▂▂▂▂▂▃▃▃▃▃▃▄▄▄▄▄▄▅▅▅▅▅▅▆▆▆▆▆▆▇▇▇▇  312 MiB, peak 312 MiB              │
    │                                                                              │
    │ what it was                                                                  │
    │  command      npx server-filesystem /data                                    │
    │  environment  API_KEY, HOME, PATH                                            │
    │  pid          4711                                                           │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn the_death_card_shows_the_calls_that_were_running() {
    let harness = full(100, 40).press("2jjj<enter>");
    let screen = harness.screen();
    for expected in [
        "killed by SIGKILL",
        "1m26s",
        r#"search_files {"path":"/data/9.txt"}  from trainer"#,
        "last good call",
        "it wrote nothing to stderr",
    ] {
        assert!(screen.contains(expected), "{expected}\n{screen}");
    }
}

#[test]
fn facts_and_evidence_are_a_key_apart_and_can_be_copied() {
    let card = full(80, 24).press("2jji");
    assert!(card.screen().contains("Death card"));
    let copy = full(80, 24).press("2jjiy");
    let text = copied(&copy).unwrap();
    for expected in ["MemoryError", "cause: exited with status 137", "pid: 4711"] {
        assert!(text.contains(expected), "{text}");
    }
    let facts = card.press("i");
    assert!(facts.screen().contains("Inspect ─ memory 99aabbcc"));
    assert!(facts.press("i").screen().contains("Death card"));
    assert_eq!(
        commands(&full(80, 24).press("2jjir")),
        [Command::Restart(instance(FAILED))]
    );
}

#[test]
fn pages_scroll_and_stop_at_their_end() {
    let top = full(80, 20).press("2jji");
    assert!(top.screen().contains("what happened") && top.screen().contains("more ↓"));
    let end = top.press("G");
    assert!(end.screen().contains("pid") && !end.screen().contains("more ↓"));
    assert!(end.press("jjjg").screen().contains("what happened"));
    assert!(fleet().instance(&instance(FAILED)).is_some());
}

#[test]
fn however_many_hints_there_are_the_way_to_help_is_one_of_them() {
    for (width, height) in [(60, 15), (80, 24), (120, 36), (160, 45)] {
        for pane in 1..=9 {
            let harness = full(width, height).press(&pane.to_string());
            let screen = harness.screen();
            let hints = screen.lines().last().unwrap_or_default();
            assert!(
                hints.ends_with(" ?  help") || hints.ends_with("? help"),
                "{pane}: {hints}"
            );
        }
    }
}
