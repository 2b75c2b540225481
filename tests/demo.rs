//! The tape that the README's picture is made of: what it waits for comes, and nothing stays behind.
#![allow(clippy::unwrap_used)] // tests may

mod common;

use std::path::Path;

use common::{player::Player, pty::regex, tape::Tape};

#[test]
fn the_first_five_minutes_go_as_the_tape_says() {
    let tape = Tape::parse(include_str!("../demo.tape")).unwrap();
    let player = Player::new(&tape, Path::new(env!("CARGO_BIN_EXE_envdeck")));
    player.play(&tape);
    let left = player.pty.screen();
    assert!(
        regex(r"^stopped 3 of 3 instances\n>$").is_match(&left),
        "{left}"
    );
    player.pty.type_text("exit\r");
    player.pty.assert_clean_exit(0);
}
