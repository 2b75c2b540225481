//! Nothing that a server says has any power over the terminal: checked on every byte written to it.

use crate::common::{
    DEADLINE,
    pty::{Pty, regex},
};
use crate::desk::{Script, demo, open_form, quit_clean};

/// Asserts that all the program wrote is text and the few sequences that drawing needs.
#[track_caller]
fn assert_harmless(pty: &Pty) {
    let raw = String::from_utf8(pty.raw_bytes()).expect("only UTF-8 is written");
    // Cursor, style, erase, modes; BEL, OSC, DCS and 8-bit controls have no place in it.
    let own = regex(r"\x1b\[\??[0-9;]*[HmJhl]");
    let text = own.replace_all(&raw, "");
    let stray: Vec<_> = text
        .char_indices()
        .filter(|(_, c)| c.is_control() || is_override(*c))
        .map(|(at, c)| (c, text[at..].chars().take(20).collect::<String>()))
        .collect();
    assert!(stray.is_empty(), "{stray:?}");
    // The screen is cleared before the first frame, and then no more.
    let (_, drawn) = raw.split_once("\x1b[?2026h").expect("a frame");
    assert!(!drawn.contains("\x1b[2J"), "the screen was cleared");
    pty.host(|host| {
        assert_eq!(host.titles, Vec::<String>::new());
        assert_eq!(host.clipboard, Vec::<String>::new());
        assert_eq!(host.bells, 0);
    });
}

/// Characters that reverse the text after them (UAX #9).
fn is_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn a_result_full_of_escape_sequences_moves_nothing() {
    let pty = demo();
    open_form(&pty, "ansi");
    pty.key("Ctrl+S");
    pty.wait_for(regex("5 Result ─ ansi  ok"), DEADLINE);
    // As a tree, as text, over the whole screen, wrapped and at its end.
    for keys in ["5z", "v", "w", "G", "*", "v", "w"] {
        pty.type_text(keys);
        pty.wait_for("not yours", DEADLINE);
    }
    assert_harmless(&pty);
    pty.type_text("z");
    pty.wait_for("2 Instances", DEADLINE);
    assert_harmless(&pty);
    quit_clean(&pty);
}

#[test]
fn names_and_words_of_a_hostile_server_move_nothing() {
    let script = Script::hostile();
    let (pty, _) = script.open();
    pty.wait_for("hostile words", DEADLINE);
    pty.type_text("c");
    pty.wait_for("4 Call ─", DEADLINE);
    pty.key("Escape");
    for keys in ["2i", "7z", "z9z", "z?"] {
        pty.type_text(keys);
        pty.wait_quiet(std::time::Duration::from_millis(200), DEADLINE);
        assert_harmless(&pty);
        pty.key("Escape");
    }
    pty.key("Escape");
    pty.wait_for("2 Instances", DEADLINE);
    quit_clean(&pty);
}
