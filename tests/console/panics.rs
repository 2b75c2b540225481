//! A panic of the console's own thread: the terminal is restored first, then the report names the log.
//!
//! Nothing in the program panics on demand, so the terminal and the hook are tried by this test binary itself.

use envdeck::console::terminal::{Terminal, install_panic_hook};
use ratatui::style::Style;

use crate::common::{DEADLINE, pty::Pty};

/// Set by the terminal in which the test below starts this binary.
const IN_TERMINAL: &str = "ENVDECK_TEST_TERMINAL";

#[test]
fn a_panic_restores_the_terminal_and_names_the_log() {
    let program = std::env::current_exe().unwrap();
    let inner = ["--exact", "panics::breaks", "--ignored", "--nocapture"];
    let env = [("RUST_BACKTRACE", "0")];
    let pty = Pty::spawn(program, &inner, 100, 20, &env);
    let status = pty.wait_exit(DEADLINE);
    assert_ne!(status, 0);
    pty.assert_clean_exit(status);
    let screen = pty.screen();
    assert!(!screen.contains("a frame"), "{screen}");
    let report = screen.find("it is all over");
    let advice = screen.find("please report it with /state/envdeck.log");
    assert!(report.is_some() && report < advice, "{screen}");
    // Left a second time, a terminal puts its cursor back and the report is written over.
    let raw = String::from_utf8(pty.raw_bytes()).unwrap();
    assert_eq!(raw.matches("\x1b[?1049l").count(), 1);
}

#[test]
#[ignore = "is run in a terminal by the test above"]
fn breaks() {
    if std::env::var_os(IN_TERMINAL).is_none() {
        return;
    }
    install_panic_hook("/state/envdeck.log".to_owned());
    let mut terminal = Terminal::enter(true).unwrap();
    let frame = terminal.draw(|buf| {
        buf.set_string(0, 0, "a frame", Style::new());
        None
    });
    frame.unwrap();
    panic!("it is all over");
}
