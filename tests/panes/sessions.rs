//! The tree of sessions.

use envdeck::console::effect::Effect;
use envdeck::console::testing::fleet::{
    AGENT, BUSY, FAILED, OWN, READY, backend, instance, session,
};
use envdeck::model::{Caller, Command, Fleet, Happening, Phase, fact};

use crate::common::*;

#[test]
fn sessions_show_who_opened_them_and_how_they_are() {
    insta::assert_snapshot!(body(&full(60, 15).press("1z")), @r#"
    ┌ 1 Sessions ─ 3 ──────────────────────────────────────────┐
    │  all sessions                                       1✖/6 │
    │▾ 3f9a21 operator                   1✖ ▰▰▱▱▱▱▱▱ 1/3 ready │
    │    filesystem ×2                                   1◐ 1● │
    │    memory ×1                                           ✖ │
    │▸ 77c0de trainer                                     1◌/2 │
    │▸ shared                                              1 ● │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    │                                                          │
    └──────────────────────────────────────────────────────────┘
    "#);
    insta::assert_snapshot!(columns(&full(80, 24).press("1"), 24, 8), @r#"
     envdeck  test          
    ┌ 3 Tools  1 Sessions ─┬
    │  all sessions   1✖/6 │
    │▾ 3f9a21 oper… 1✖ 1/3 │
    │    filesys… ×2 1◐ 1● │
    │    memory ×1       ✖ ├
    │▸ 77c0de trainer 1◌/2 │
    │▸ shared          1 ● │
    "#);
}

#[test]
fn those_who_share_a_sandbox_are_a_group() {
    let shares = |one| Happening::Described {
        instance: instance(one),
        facts: vec![(fact::SANDBOX.into(), "box-1a2b".into())].into(),
    };
    let harness = full(60, 15)
        .happening(shares(READY))
        .happening(shares(FAILED));
    insta::assert_snapshot!(body(&harness.press("1z")), @r#"
    ┌ 1 Sessions ─ 3 ──────────────────────────────────────────┐
    │  all sessions                                       1✖/6 │
    │▾ 3f9a21 operator                   1✖ ▰▰▱▱▱▱▱▱ 1/3 ready │
    │    filesystem ×1                                       ◐ │
    │    box-1a2b                                        1✖ 1● │
    │      filesystem ×1                                     ● │
    │      memory ×1                                         ✖ │
    │▸ 77c0de trainer                                     1◌/2 │
    │▸ shared                                              1 ● │
    │                                                          │
    │                                                          │
    │                                                          │
    └──────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn without_a_session_it_says_how_to_open_one() {
    insta::assert_snapshot!(text(&empty(80, 15).press("1z")), @"no sessions yet — n opens one");
}

#[test]
fn the_empty_shared_session_is_not_shown() {
    let harness = empty(80, 15).happening(Happening::SessionOpened {
        session: session("shared"),
        caller: Caller::Orchestrator,
    });
    assert!(harness.press("1z").screen().contains("no sessions yet"));
}

#[test]
fn moving_onto_a_session_narrows_the_instances() {
    let harness = full(120, 36).press("1j");
    assert!(harness.screen().contains("Instances ─ 3f9a21 · 3"));
    let harness = harness.press("jjj");
    assert!(harness.screen().contains("Instances ─ 77c0de · 2"));
    assert_eq!(selected(&harness), instance(BUSY));
    assert!(harness.press("g").screen().contains("all sessions · 6"));
}

#[test]
fn sessions_fold_and_unfold() {
    let harness = full(120, 36).press("1j<enter>");
    assert!(harness.screen().contains("▸ 3f9a21"));
    assert!(!harness.screen().contains("memory ×1"));
    let harness = harness.press("<right>");
    assert!(harness.screen().contains("memory ×1"));
    let harness = harness.press("jj<left>");
    assert!(harness.screen().contains("▸ 3f9a21"));
    assert_eq!(copied(&harness.press("y")), Some(OWN));
}

#[test]
fn closing_a_session_asks_and_names_what_is_lost() {
    let asked = full(120, 36).press("1jjjjD");
    assert_eq!(commands(&asked), []);
    let screen = asked.screen();
    for expected in [
        "Close session 77c0de?",
        "2 instances with their state: filesystem ×1, memory ×1",
        "2 running calls",
        "trainer may still be using it",
    ] {
        assert!(screen.contains(expected), "{expected}\n{screen}");
    }
    assert_eq!(
        commands(&asked.press("y")),
        [Command::CloseSession(session(AGENT))]
    );
}

#[test]
fn the_shared_session_cannot_be_closed() {
    let harness = full(120, 36).press("1GDy");
    assert_eq!(commands(&harness), []);
    assert!(
        harness
            .screen()
            .contains("shared instances live as long as envdeck")
    );
}

#[test]
fn when_the_selected_session_is_gone_its_neighbour_is_selected() {
    let harness = full(120, 36)
        .press("1j")
        .happening(Happening::SessionClosed {
            session: session(OWN),
        });
    assert!(harness.screen().contains("Instances ─ 77c0de · 2"));
}

#[test]
fn a_session_the_operator_opens_is_shown_though_another_was_selected() {
    let new = session("ffffff000000");
    let harness = full(120, 36)
        .press("1j")
        .happening(Happening::SessionOpened {
            session: new.clone(),
            caller: Caller::Operator,
        })
        .happening(Happening::InstanceAdded {
            session: new,
            instance: instance("new"),
            backend: backend("memory"),
        });
    assert!(harness.screen().contains("Instances ─ ffffff · 1"));
    assert_eq!(selected(&harness), instance("new"));
}

#[test]
fn closing_one_session_does_not_jump_to_an_older_one_of_the_operator() {
    let newer = session("ffffff000000");
    let harness = full(120, 36)
        .happening(Happening::SessionOpened {
            session: newer.clone(),
            caller: Caller::Operator,
        })
        .press("1jjjj");
    assert!(harness.screen().contains("Instances ─ 77c0de · 2"));
    let harness = harness.happening(Happening::SessionClosed { session: newer });
    assert!(harness.screen().contains("Instances ─ 77c0de · 2"));
}

#[test]
fn progress_counts_what_is_ready() {
    let mut harness = empty(160, 45)
        .given(Fleet::new([backend("files")].into()))
        .happening(opened());
    for id in ["1", "2", "3", "4"] {
        harness = harness
            .happening(added(id))
            .happening(phase(id, Phase::Starting));
    }
    for id in ["1", "2", "3"] {
        harness = harness.happening(phase(id, Phase::Ready));
    }
    assert!(harness.screen().contains("▰▰▱ 3/4"));
    assert!(harness.press("1z").screen().contains("▰▰▰▰▰▰▱▱ 3/4 ready"));
}

#[test]
fn the_wheel_and_clicks_reach_the_tree() {
    let harness = full(120, 36).click(5, 6);
    assert!(harness.screen().contains("Instances ─ 77c0de"));
    let harness = harness.click(1, 6);
    assert!(harness.screen().contains("▾ 77c0de"));
    let watched = Effect::WatchLog(Some(instance(READY)));
    assert!(harness.effects.contains(&watched));
}
