//! Inspect: the facts, and what the world of an instance tells of it as JSON.

use envdeck::console::effect::Effect;
use envdeck::console::msg::{Done, Inspected, Msg};
use envdeck::console::testing::Harness;
use envdeck::console::testing::fleet::{BUSY, READY, instance};

use crate::common::*;

const WORLD: &str = r#"{"Id":"4f1c","State":{"Status":"running","Health":{"Status":"healthy"}},
    "NetworkSettings":{"Ports":{"8080/tcp":[{"HostPort":"49153"}]}}}"#;

/// A page on the ready instance, and the world's answer.
fn inspected(told: Result<Option<&str>, &str>) -> Harness {
    let mut harness = full(120, 24).press("2i");
    let told = told.map(|json| json.map(str::to_owned));
    let answer = Inspected {
        instance: instance(READY),
        told: told.map_err(str::to_owned),
    };
    harness.send(Msg::Done(Done::Inspected(answer)));
    harness
}

#[test]
fn the_world_is_asked_and_its_answer_is_one_key_away() {
    let harness = inspected(Ok(Some(WORLD)));
    let asked = |effect: &&Effect| **effect == Effect::Inspect(instance(READY));
    assert_eq!(harness.effects.iter().filter(asked).count(), 1);
    assert!(harness.screen().contains("secure-filesystem-server"));
    insta::assert_snapshot!(body(&harness.press("v")), @r#"
    ┌ Inspect ─ filesystem a1b2c3d4 ─ Id ──────────────────────────────────────────────────────────────────────────────────┐
    │  Id: "4f1c"                                                                                                          │
    │▾ State: {2}                                                                                                          │
    │    Status: "running"                                                                                                 │
    │  ▾ Health: {1}                                                                                                       │
    │      Status: "healthy"                                                                                               │
    │▾ NetworkSettings: {1}                                                                                                │
    │  ▾ Ports: {1}                                                                                                        │
    │    ▾ 8080/tcp: [1]                                                                                                   │
    │      ▸ 0: {"HostPort":"49153"}                                                                                       │
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
    │                                                                                                                      │
    └──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
    "#);
}

#[test]
fn the_answer_folds_is_searched_and_copied() {
    let harness = inspected(Ok(Some(WORLD))).press("v/hostport<enter>");
    let title = "Inspect ─ filesystem a1b2c3d4 ─ NetworkSettings.Ports.8080/tcp[0].HostPort";
    assert!(harness.screen().contains(title), "{}", harness.screen());
    let harness = harness.press("y");
    assert_eq!(copied(&harness), Some("49153"));
    let harness = harness.press("Y");
    assert_eq!(copied(&harness), Some(WORLD));
    let harness = harness.press("/nothing such<enter>");
    assert!(harness.screen().contains("no match"));
    let harness = harness.press("<esc>");
    assert!(!harness.screen().contains("Inspect ─"));
}

#[test]
fn a_world_that_tells_nothing_says_so() {
    let nothing = inspected(Ok(None)).press("v");
    assert!(nothing.screen().contains("nothing more is known of it"));
    let refused = inspected(Err("inspect: the engine is gone")).press("v");
    assert!(refused.screen().contains("the engine is gone"));
    // Asking again is one key.
    let asked = refused.press("r");
    assert!(asked.screen().contains("asking…"));
    let twice = Effect::Inspect(instance(READY));
    assert_eq!(asked.effects.iter().filter(|e| **e == twice).count(), 2);
}

#[test]
fn an_answer_about_another_instance_is_not_shown() {
    let mut harness = full(80, 24).press("2i");
    let answer = Inspected {
        instance: instance(BUSY),
        told: Ok(Some(WORLD.to_owned())),
    };
    harness.send(Msg::Done(Done::Inspected(answer)));
    assert!(harness.press("v").screen().contains("asking…"));
}
