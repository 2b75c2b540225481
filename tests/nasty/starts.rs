//! Servers that never get as far as a tool list, as the operator sees them.

use std::time::{Duration, Instant};

use envdeck::model::{Backend, Phase};

use crate::common::DEADLINE;
use crate::common::operator::Operator;
use crate::common::pty::regex;
use crate::deck::Deck;
use crate::host::{SCRIPT, nasty, within};

/// Opens the console on a command that fails, and its death card; returns the screen with `cause` on it.
#[track_caller]
fn death_card(command: &[&str], cause: &str) -> String {
    let console = Operator::run(&[&["--"], command].concat(), &[]);
    console.pty.wait_for("✖ failed", DEADLINE);
    console.pty.key("2");
    console.pty.key("Enter");
    console.pty.wait_for("Death card", DEADLINE);
    let screen = console.pty.wait_for(cause, DEADLINE);
    console.pty.key("Escape");
    console.pty.wait_gone("Death card", DEADLINE);
    console.quit();
    screen
}

#[test]
fn half_a_first_message_and_the_end_are_shown() {
    let screen = death_card(
        &["python3", SCRIPT, "--start", "half"],
        "exited with status 5",
    );
    assert!(
        screen.contains(r#"{"jsonrpc": "2.0", "id": 1, "resu"#),
        "{screen}"
    );
}

#[test]
fn whoever_floods_and_dies_keeps_the_last_lines() {
    let screen = death_card(
        &["python3", SCRIPT, "--start", "flood"],
        "exited with status 6",
    );
    assert!(screen.contains("flood line 00099999"), "{screen}");
}

#[test]
fn an_unknown_revision_names_both_sides() {
    let screen = death_card(
        &["python3", SCRIPT, "--version", "2099-01-01"],
        "MCP 2099-01-01",
    );
    assert!(screen.contains("envdeck speaks"), "{screen}");
}

#[test]
fn a_slow_initialize_shows_its_step_and_gets_there() {
    let args = ["--", "python3", SCRIPT, "--answer-initialize-after", "5"];
    let began = Instant::now();
    let console = Operator::run(&args, &[]);
    console
        .pty
        .wait_for(regex("starting.*initialize"), DEADLINE);
    console.pty.wait_for("● ready", DEADLINE);
    assert!(began.elapsed() >= Duration::from_secs(5));
    console.quit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_silence_end_at_the_start_time_out() {
    for (how, noise) in [("garbage", 1), ("silent", 0)] {
        let deck = Deck::real(vec![Backend {
            start_timeout: Duration::from_secs(1),
            ..nasty(&["--start", how])
        }]);
        let id = within(deck.open_one("nasty")).await;
        let instance = deck.instance(&id);
        assert_eq!(
            (instance.phase, instance.stdout_noise),
            (Phase::Failed, noise)
        );
        let failure = &instance.death.as_ref().unwrap().failure;
        let text = failure.to_string();
        assert!(
            text.contains("initialize") && text.contains("within"),
            "{text}"
        );
        if noise > 0 {
            assert_eq!(&*failure.output[0], "Welcome to nasty 1.0, type help");
        }
    }
}
