//! The mouse: a click focuses and selects, the wheel scrolls what is under it.

use crate::common::{DEADLINE, pty::Pty};
use crate::desk::{ENVDECK, demo, envdeck, quit_clean, wait_ready};

#[track_caller]
fn click(pty: &Pty, text: &str) {
    let (row, col) = pty
        .find(text)
        .unwrap_or_else(|| panic!("no {text}:\n{}", pty.screen()));
    pty.click(row, col);
}

#[test]
fn a_click_focuses_a_pane_and_selects_a_row() {
    let pty = demo();
    click(&pty, "weather");
    pty.wait_for("> weather", DEADLINE);
    pty.wait_for("4 Call ─ weather", DEADLINE);
    pty.wait_for("ctrl+r list again", DEADLINE);
    click(&pty, "8 Calls");
    pty.wait_for("no calls", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn the_wheel_scrolls_the_pane_under_it_and_leaves_the_focus() {
    let pty = Pty::spawn(ENVDECK, &[], 120, 36, &[]);
    wait_ready(&pty);
    let (row, col) = pty.find("weather").unwrap();
    assert_eq!(pty.find("refuse"), None, "the list is longer than its pane");
    for _ in 0..5 {
        pty.wheel(row, col, false);
    }
    pty.wait_for("refuse", DEADLINE);
    assert!(pty.screen().contains("s stop/start"), "{}", pty.screen());
    for _ in 0..5 {
        pty.wheel(row, col, true);
    }
    pty.wait_for("  weather", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn no_mouse_leaves_it_to_the_terminal() {
    let pty = envdeck(&["--no-mouse"]);
    wait_ready(&pty);
    let raw = String::from_utf8(pty.raw_bytes()).unwrap();
    assert!(!raw.contains("\x1b[?1000h") && !raw.contains("\x1b[?1003h"));
    pty.type_text("m");
    pty.wait_for("mouse: on", DEADLINE);
    assert!(
        String::from_utf8(pty.raw_bytes())
            .unwrap()
            .contains("\x1b[?1000h")
    );
    quit_clean(&pty);
}
