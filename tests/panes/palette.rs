//! The palette and the command line.

use envdeck::console::effect::Effect;
use envdeck::console::testing::fleet::{BUSY, READY, instance};
use envdeck::model::{Ask, Caller, Command};

use crate::common::*;

fn opened(backend: &str, count: usize) -> Vec<Command> {
    vec![Command::OpenSession {
        caller: Caller::Operator,
        asks: vec![Ask::new(backend, count)],
    }]
}

#[test]
fn the_palette_finds_tools_instances_actions_and_backends() {
    insta::assert_snapshot!(body(&full(90, 24).press("2z<ctrl+p>rf")), @r#"
    ┌ 2 Instances ─ all sessions · 6 ────────────────────────────────────────────────────────┐
    │  STATE        ID        BACKEND        UP   CPU    MEM  RST  CALLS  ERR  LAST          │
    │> ● ready      a1b2c3d4  filesystem     3m    0%    48M    0      3    2  read_file     │
    │  ◐ starting   e5f6a7b8  filesystem  initialize · 4 s · 11 s left                       │
    │ ┌ Go to, do, call ───────────────────────────────────────────────────────────────────┐ │
    │ │ > rf                                                                               │ │
    │ │                                                                                    │ │
    │ │> action    retry-failed  start all failed instances of the session again           │ │
    │ │  tool      read_file  of filesystem a1b2c3d4                                       │ │
    │ │  action    refresh-tools  list the tools again                                     │ │
    │ │  tool      write_file  of filesystem a1b2c3d4                                      │ │
    │ │  instance  memory 1f2e3d4c  ready · session 77c0de                                 │ │
    │ │                                                                                    │ │
    │ │                                                                                    │ │
    │ │                                                                                    │ │
    │ │                                                                                    │ │
    │ │                                                                                    │ │
    │ └────────────────────────────────────────────────────────────────────────────────────┘ │
    │                                                                                        │
    │                                                                                        │
    │                                                                                        │
    └────────────────────────────────────────────────────────────────────────────────────────┘
    "#);
    let tool = full(120, 36).press("<ctrl+p>wrfi<enter>");
    assert_eq!(tool.model.focus().to_string(), "Call");
    assert_eq!(selected(&tool), instance(READY));
    let other = full(120, 36).press("1j<ctrl+p>1f2e<enter>");
    assert_eq!(selected(&other), instance(BUSY));
    assert!(other.screen().contains("all sessions"));
    let opens = full(120, 36).press("<ctrl+p>open mem<enter>");
    assert_eq!(commands(&opens), opened("memory", 1));
    let logs = full(120, 36).press("<ctrl+p>show logs<enter>");
    assert_eq!(logs.model.focus().to_string(), "Logs");
}

#[test]
fn what_an_action_does_finds_it_too() {
    let harness = full(120, 36).press("<ctrl+p>death card");
    assert!(harness.screen().contains("> action    inspect"));
}

#[test]
fn arrows_choose_and_escape_leaves() {
    let harness = full(120, 36).press("<ctrl+p>focus<down>");
    assert!(harness.screen().contains("Go to, do, call"));
    let harness = harness.press("<esc>");
    assert!(!harness.screen().contains("Go to, do, call"));
    assert!(
        !full(120, 36)
            .press("<ctrl+p><ctrl+p>")
            .screen()
            .contains("Go to")
    );
}

#[test]
fn commands_are_run_by_name() {
    let empty_console = || empty(120, 36);
    assert_eq!(
        empty_console().press(":quit<enter>").effects,
        [Effect::Quit]
    );
    assert_eq!(empty_console().press(":q<enter>").effects, [Effect::Quit]);
    let theme = full(120, 36).press(":theme light<enter>");
    assert!(theme.effects.contains(&Effect::LoadTheme("light".into())));
    let open = full(120, 36).press(":open memory 3<enter>");
    assert_eq!(commands(&open), opened("memory", 3));
    let zoomed = full(120, 36).press("2:zoom<enter>");
    assert!(!zoomed.screen().contains("3 Tools"));
}

#[test]
fn a_wrong_command_is_explained_and_stays_to_be_mended() {
    for (typed, said) in [
        (":open memry", "no memry; did you mean memory?"),
        (":open memory many", "many: not a number from 1 to 999"),
        (":theme a b", "theme NAME"),
        (":xyzzy", "no command xyzzy"),
    ] {
        let harness = full(120, 36).press(typed).press("<enter>");
        assert!(
            harness.screen().contains(said),
            "{typed}\n{}",
            harness.screen()
        );
        assert_eq!(commands(&harness), []);
        assert!(!harness.press("<esc>").screen().contains(said));
    }
}

#[test]
fn tab_completes() {
    let harness = full(120, 36).press(":open mem<tab>");
    assert!(harness.screen().contains(":open memory"));
    assert_eq!(commands(&harness.press("2<enter>")), opened("memory", 2));
}
