//! What has failed in a session, why, and another try.

use envdeck::console::testing::fleet::{AGENT, FAILED, OWN, STARTING, WAITING, session};
use envdeck::model::{Command, Phase};

use crate::common::*;

fn retried(sessions: &[&str]) -> Vec<Command> {
    let retry = |id: &&str| Command::RetryFailed(session(id));
    sessions.iter().map(retry).collect()
}

#[test]
fn one_key_on_a_session_tries_all_that_failed_in_it_again() {
    for keys in ["1jR", "1jr", "1jjR", "2R", "1j:retry-failed<enter>"] {
        assert_eq!(
            commands(&full(120, 36).press(keys)),
            retried(&[OWN]),
            "{keys}"
        );
    }
    let both = full(120, 36)
        .happening(phase(WAITING, Phase::Failed))
        .press("1R");
    assert_eq!(commands(&both), retried(&[OWN, AGENT]));
}

#[test]
fn where_nothing_failed_it_says_so() {
    for keys in ["1jjjjR", "1jjjji"] {
        let harness = full(120, 36).press(keys);
        assert_eq!(commands(&harness), []);
        assert!(harness.screen().contains("nothing has failed"), "{keys}");
    }
}

#[test]
fn the_row_of_a_session_says_how_many_failed_and_why_is_a_key_away() {
    let harness = full(120, 36)
        .happening(phase(STARTING, Phase::Failed))
        .press("1j");
    assert!(
        harness.screen().contains("3f9a21 operator    2✖/3"),
        "{}",
        harness.screen()
    );
    insta::assert_snapshot!(body(&harness.press("zi")), @r#"
    ┌ 1 Sessions ─ 3 ──────────────────────────────────────────────────────────────────────────────────────────────────────┐
    │  all sessions                                                                                                   2✖/6 │
    │▾ 3f9a21 operator                                                                                                2✖/3 │
    │    filesystem ×2                                                                                               1✖ 1● │
    │    memory ×1                                                                                                       ✖ │
    │▸ 77c0de trainer                                                                                                 1◌/2 │
    │▸ shared                                                                                                          1 ● │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │ ┌ 2 failures in session 3f9a21 ────────────────────────────────────────────────────────────────────────────────────┐ │
    │ │> ✖ memory 99aabbcc  start: exited with status 137 — raise the memory limit                                       │ │
    │ │  ✖ filesystem e5f6a7b8                                                                                           │ │
    │ │──────────────────────────────────────────────────────────────────────────────────────────────────────────────────│ │
    │ │  start: exited with status 137 — raise the memory limit                                                          │ │
    │ │  loading the graph                                                                                               │ │
    │ │  Traceback (most recent call last):                                                                              │ │
    │ │    File "server.py", line 7, in <module>                                                                         │ │
    │ │      graph = load(path)                                                                                          │ │
    │ │  MemoryError                                                                                                     │ │
    │ │                                                                                                                  │ │
    │ │                                                                                                                  │ │
    │ └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘ │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    │                                                                                                                      │
    └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn a_bar_of_starts_does_not_hide_what_failed() {
    let screen = full(120, 36).screen();
    assert!(screen.contains("operator  1✖ 1/3"), "{screen}");
}

#[test]
fn the_evidence_is_a_key_further_and_all_is_tried_again_from_there() {
    let page = full(120, 36).press("1ji");
    assert!(page.screen().contains("1 failure in session 3f9a21"));
    let card = full(120, 36).press("1ji<enter>");
    assert!(card.screen().contains("Death card ─ memory 99aabbcc"));
    assert!(
        card.press("<esc>")
            .screen()
            .contains("1 failure in session")
    );
    assert_eq!(commands(&page.press("R")), retried(&[OWN]));
    let copied_text = full(120, 36).press("1jiy");
    let line = "✖ memory 99aabbcc  start: exited with status 137 — raise the memory limit\n";
    assert_eq!(copied(&copied_text), Some(line));
}

#[test]
fn it_goes_on_living_while_it_is_looked_at() {
    let page = full(120, 36)
        .press("1ji")
        .happening(phase(FAILED, Phase::Pending));
    assert!(page.screen().contains("nothing has failed any more"));
}
