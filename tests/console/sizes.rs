//! Small, large, and changing while something is open.

use crate::common::{DEADLINE, pty::Pty};
use crate::desk::{ENVDECK, demo, open_form, quit_clean, wait_ready};

#[test]
fn a_tiny_terminal_says_so_and_survives() {
    let pty = Pty::spawn(ENVDECK, &[], 20, 5, &[]);
    pty.wait_for("60×15", DEADLINE);
    // Keys work blindly, and nothing can be broken by them.
    pty.type_text("3jjn+");
    pty.key("Escape");
    pty.click(2, 2);
    pty.resize(120, 36);
    wait_ready(&pty);
    pty.wait_for("2 Instances", DEADLINE);
    pty.resize(1, 1);
    pty.resize(20, 5);
    pty.wait_for("60×15", DEADLINE);
    pty.resize(120, 36);
    pty.wait_for("2 Instances", DEADLINE);
    quit_clean(&pty);
}

#[test]
fn a_resize_in_the_middle_of_typing_is_not_lost() {
    let pty = demo();
    open_form(&pty, "echo");
    for step in 0..20 {
        let (cols, rows) = if step % 2 == 0 { (100, 30) } else { (120, 36) };
        pty.type_text("typing");
        pty.resize(cols, rows);
        pty.type_text("typing");
        // The frame of the last pane ends in the lower right corner of a screen that fits.
        pty.wait_until("frame that fits", DEADLINE, |terminal| {
            let corner = terminal.screen().cell(rows - 2, cols - 1)?;
            (corner.contents() == "┘").then_some(())
        });
    }
    pty.key("Escape");
    quit_clean(&pty);
}

#[test]
fn at_80_columns_every_pane_is_in_reach() {
    let pty = Pty::spawn(ENVDECK, &[], 80, 24, &[]);
    wait_ready(&pty);
    for (key, title) in [
        ("1", "1 Sessions ─"),
        ("2", "2 Instances ─"),
        ("3", "3 Tools"),
        ("4", "4 Call"),
        ("5", "5 Result"),
        ("6", "6 Health"),
        ("7", "7 Logs"),
        ("8", "8 Calls"),
        ("9", "9 Events"),
    ] {
        pty.type_text(key);
        pty.wait_for(title, DEADLINE);
    }
    quit_clean(&pty);
}

#[test]
fn a_resize_while_a_dialog_is_open_keeps_it_open() {
    let pty = demo();
    pty.type_text("n");
    pty.wait_for("Enter opens a session with 1 instance", DEADLINE);
    for (cols, rows) in [(80, 24), (61, 15), (20, 5), (200, 60), (120, 36)] {
        pty.resize(cols, rows);
    }
    pty.wait_for("Enter opens a session with 1 instance", DEADLINE);
    pty.key("Enter");
    pty.wait_for("2 inst", DEADLINE);
    pty.wait_for("2●", DEADLINE);
    quit_clean(&pty);
}
