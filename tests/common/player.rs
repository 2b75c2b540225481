//! Plays tapes against a shell in a real terminal.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::{
    DEADLINE,
    pty::Pty,
    tape::{Action, Scope, Step, Tape},
};

/// Stands in for cargo, so that `cargo run` in a tape starts the program that was already built for the test.
const CARGO: &str = r#"#!/bin/sh
[ "$1" = run ] || { echo "only \`cargo run\` can be played, not: cargo $*" >&2; exit 1; }
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -eq 0 ] || shift
exec envdeck "$@"
"#;

/// A shell in which a tape is played.
pub struct Player {
    pub pty: Pty,
    path: String,
    /// Holds the programs that the tape may start by name.
    _programs: TempDir,
}

impl Player {
    /// Opens a shell of the tape's size where `envdeck` and `cargo run` both start `program`.
    #[track_caller]
    pub fn new(tape: &Tape, program: &Path) -> Self {
        let programs = TempDir::with_prefix("envdeck-programs-").unwrap();
        symlink(program, programs.path().join("envdeck")).unwrap();
        let cargo = programs.path().join("cargo");
        fs::write(&cargo, CARGO).unwrap();
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!(
            "{}:{}",
            programs.path().display(),
            std::env::var("PATH").unwrap_or_default()
        );
        // VHS's prompt; without history expansion a typed `!` is a `!`.
        let mut env = vec![("PATH", path.as_str()), ("PS1", "> ")];
        env.extend(
            tape.env
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str())),
        );
        let shell = ["--noprofile", "--norc", "+o", "histexpand", "-i"];
        let pty = Pty::spawn("bash", &shell, tape.cols, tape.rows, &env);
        pty.wait_for(">", DEADLINE);
        Self {
            pty,
            path,
            _programs: programs,
        }
    }

    /// Plays every step, as fast as the waits allow.
    ///
    /// # Panics
    /// At the first wait in vain; the message names the tape's line and shows the screen.
    #[track_caller]
    pub fn play(&self, tape: &Tape) {
        for step in &tape.steps {
            self.step(step);
        }
    }

    #[track_caller]
    fn step(&self, Step { line, action }: &Step) {
        match action {
            Action::Require(program) => {
                let found = self
                    .path
                    .split(':')
                    .any(|directory| Path::new(directory).join(program).is_file());
                assert!(found, "line {line}: {program} is not on PATH");
            }
            Action::Type(text) => self.pty.type_text(text),
            Action::Key { name, times } => (0..*times).for_each(|_| self.pty.key(name)),
            Action::Wait {
                scope,
                pattern,
                timeout,
            } => {
                let what = format!("match of /{pattern}/ (line {line} of the tape)");
                // A tape's patience is a person's on an idle machine.
                self.pty
                    .wait_until(&what, (*timeout).max(DEADLINE), |terminal| {
                        let text = if *scope == Scope::Screen {
                            terminal.text()
                        } else {
                            terminal.cursor_line()
                        };
                        pattern.is_match(&text).then_some(())
                    });
            }
        }
    }
}
