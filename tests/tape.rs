//! The tape reader and player themselves, on tapes of a few lines and a plain shell.
#![allow(clippy::unwrap_used)] // tests may

mod common;

use std::{path::Path, time::Duration};

use common::{
    player::Player,
    tape::{Action, Scope, Tape, TapeError},
};

fn problem(tape: &str) -> TapeError {
    Tape::parse(tape).expect_err(tape)
}

#[test]
fn every_command_is_read() {
    let tape = Tape::parse(
        r##"
# a comment
Output demo.gif
Require sh
Set Shell "bash"
Set FontSize 10
Set Width 600
Set Height 240
Set Theme { "name": "x", "black": "#000000" }
Set WaitTimeout 3s
Env NAME "a value"
Hide
Type@10ms "it's" `a "test"`
Enter
Show   # to the end
Down@100ms 3
Sleep 1.5s
Ctrl+C
Shift+Tab
Wait
Wait+Screen@500ms /two words$/
Screenshot x.png
"##,
    )
    .unwrap();
    assert_eq!((tape.cols, tape.rows), (100, 20));
    assert_eq!(tape.env, [("NAME".to_owned(), "a value".to_owned())]);
    let steps: Vec<_> = tape
        .steps
        .iter()
        .map(|step| (step.line, format!("{:?}", step.action)))
        .collect();
    let key = |name: &str, times: usize| {
        format!(
            "{:?}",
            Action::Key {
                name: name.to_owned(),
                times
            }
        )
    };
    assert_eq!(steps[0], (4, r#"Require("sh")"#.to_owned()));
    assert_eq!(
        steps[1],
        (
            13,
            format!("{:?}", Action::Type(r#"it's a "test""#.to_owned()))
        )
    );
    assert_eq!(
        steps[2..6],
        [
            (14, key("Enter", 1)),
            (16, key("Down", 3)),
            (18, key("Ctrl+C", 1)),
            (19, key("Shift+Tab", 1))
        ]
    );
    let waits: Vec<_> = tape
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Wait {
                scope,
                pattern,
                timeout,
            } => Some((*scope, pattern.as_str(), *timeout)),
            _ => None,
        })
        .collect();
    assert_eq!(
        waits,
        [
            (Scope::Line, ">$", Duration::from_secs(3)),
            (Scope::Screen, "two words$", Duration::from_millis(500))
        ]
    );
}

#[test]
fn sizes_in_cells_win_over_pixels() {
    let tape = Tape::parse("Set Cols 120\nSet Rows 40\nSet Width 100").unwrap();
    assert_eq!((tape.cols, tape.rows), (120, 40));
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line() {
    let cases = [
        ("\n\nTpye \"x\"", 3, "unknown command `Tpye`"),
        ("Source other.tape", 1, "unknown command `Source`"),
        ("Type x", 1, "Type takes quoted texts"),
        ("Type \"open", 1, "\" is not closed"),
        ("Enter twice", 1, "`twice` is not a number of times"),
        ("Enter 1 2", 1, "Enter takes a number of times"),
        ("j", 1, "unknown command `j`"),
        ("Sleep soon", 1, "`soon` is not a time"),
        ("Sleep", 1, "wrong arguments for Sleep"),
        ("Wait+Screen /(/", 1, "unclosed group"),
        ("Wait ready", 1, "Wait takes one /regex/"),
        ("Wait+Window /x/", 1, "unknown command `Wait+Window`"),
        ("Set Colour 3", 1, "unknown setting `Colour`"),
        ("Set Width wide", 1, "`wide` is not a size"),
        ("Set Cols 0", 1, "`0` is not a number of cells"),
    ];
    for (tape, line, words) in cases {
        let error = problem(tape);
        assert_eq!(error.line, line, "{tape}");
        assert!(error.problem.contains(words), "{tape}: {error}");
    }
}

#[test]
fn a_tape_is_played_in_a_shell() {
    let tape = Tape::parse(
        r#"
Set Cols 60
Set Rows 12
Env GREETING "hello"
Require sh
Type "echo $GREETING ! `stty size`" Enter
"#,
    );
    assert_eq!(tape.unwrap_err().line, 6, "one command a line");
    let tape = Tape::parse(
        r#"
Set Cols 60
Set Rows 12
Env GREETING "hello"
Require sh
Type 'echo "$GREETING ! $(stty size)"'
Enter
Wait+Screen /^hello ! 12 60$/
Type "envdeck one two"
Enter
Wait+Screen /^one two$/
Type "cargo run --release -- three"
Enter
Wait+Screen /^three$/
Type "echo no"
Ctrl+U
Type "sh -c 'echo reading; exec cat'"
Enter
Wait+Screen /^reading$/
Type "mirrored"
Enter
Wait+Screen /^mirrored\nmirrored$/
Ctrl+C
Wait
Type "exit 5"
Enter
"#,
    )
    .unwrap();
    let player = Player::new(&tape, Path::new("/bin/echo"));
    player.play(&tape);
    player.pty.assert_clean_exit(5);
}

#[test]
#[should_panic(expected = "match of /never/ (line 2 of the tape)")]
fn a_wait_in_vain_names_its_line() {
    let tape = Tape::parse("Type \"exit\"\nWait+Screen /never/").unwrap();
    let player = Player::new(&tape, Path::new("/bin/echo"));
    player.pty.type_text("exit\r");
    player.play(&tape);
}

#[test]
#[should_panic(expected = "line 1: no-such-program is not on PATH")]
fn a_required_program_must_be_there() {
    let tape = Tape::parse("Require no-such-program").unwrap();
    Player::new(&tape, Path::new("/bin/echo")).play(&tape);
}
