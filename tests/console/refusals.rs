//! What is wrong is told before the screen opens: every problem, on stderr, with exit code 2.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::common::{DEADLINE, pty::Pty};
use crate::desk::{ENVDECK, stderr, without_terminal};

const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/configs");

/// Asserts that the program ends with status 2, telling all of `words`, and never touched the screen.
#[track_caller]
fn assert_refused(args: &[&str], env: &[(&str, &str)], words: &[&str]) {
    let pty = Pty::spawn(ENVDECK, args, 200, 40, env);
    pty.assert_clean_exit(2);
    let screen = pty.screen();
    for word in words {
        assert!(screen.contains(word), "{word} is missing in:\n{screen}");
    }
    let raw = pty.raw_bytes();
    assert!(!raw.contains(&0x1b), "{}", String::from_utf8_lossy(&raw));
}

fn home() -> TempDir {
    TempDir::with_prefix("envdeck-home-").unwrap()
}

#[test]
fn a_dumb_terminal_is_refused() {
    assert_refused(&[], &[("TERM", "dumb")], &["TERM=dumb", "set TERM"]);
}

#[test]
fn no_terminal_is_refused() {
    let home = home();
    let output = without_terminal(&[], home.path());
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "envdeck: the console needs a terminal on stdin and stdout\n"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn an_unknown_theme_is_refused_with_the_known_ones() {
    assert_refused(&["--theme", "drak"], &[], &["drak", "dark"]);
}

#[test]
fn a_broken_settings_file_is_refused_with_all_of_its_problems() {
    let settings = home();
    fs::create_dir(settings.path().join("envdeck")).unwrap();
    let file = settings.path().join("envdeck/console.yaml");
    fs::write(
        &file,
        "keys: { global: { f9: halp, zz: help }, logz: {} }\n",
    )
    .unwrap();
    let env = [("XDG_CONFIG_HOME", settings.path().to_str().unwrap())];
    let words = [
        "console.yaml",
        "did you mean help?",
        "keys.global.zz: no key",
        "keys.logz",
    ];
    assert_refused(&[], &env, &words);
}

#[test]
fn a_configuration_with_problems_is_refused_with_all_of_them() {
    let file = format!("{CONFIGS}/invalid/duplicates.yaml");
    let expected = fs::read_to_string(Path::new(&file).with_extension("txt")).unwrap();
    let places: Vec<_> = expected
        .lines()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    assert_refused(&["--config", &file], &[], &places);
    assert_refused(&["--config", "missing.yaml"], &[], &["missing.yaml"]);
}

#[test]
fn check_tells_all_problems_of_every_broken_fixture() {
    let home = home();
    for entry in fs::read_dir(format!("{CONFIGS}/invalid")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let output = without_terminal(&["check", "--config", path.to_str().unwrap()], home.path());
        assert_eq!(output.status.code(), Some(2), "{}", path.display());
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let told = stderr(&output);
        assert_eq!(told.lines().count(), expected.lines().count(), "{told}");
    }
}

#[test]
fn check_summarises_a_valid_file() {
    let home = home();
    let file = format!("{CONFIGS}/valid/local_process.yaml");
    let output = without_terminal(&["check", "--config", &file], home.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("ok: ") && told.contains("local_process"),
        "{told}"
    );
}

#[test]
fn help_names_the_log_file_of_this_user() {
    let home = home();
    let output = without_terminal(&["--help"], home.path());
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stdout).unwrap();
    let log = home.path().join(".local/state/envdeck/envdeck.log");
    assert!(told.contains(log.to_str().unwrap()), "{told}");
}

#[test]
fn the_console_names_the_same_log_file_and_writes_it() {
    let pty = Pty::spawn(ENVDECK, &[], 120, 36, &[]);
    crate::desk::wait_ready(&pty);
    let log = pty.home().join(".local/state/envdeck/envdeck.log");
    pty.type_text("?");
    pty.wait_for("everywhere", DEADLINE);
    pty.key("End");
    pty.wait_for("envdeck.log", DEADLINE);
    assert!(log.is_file());
    pty.key("Escape");
    crate::desk::quit_clean(&pty);
}

#[test]
fn broken_settings_are_not_blamed_on_the_theme() {
    let settings = home();
    fs::create_dir(settings.path().join("envdeck")).unwrap();
    fs::write(
        settings.path().join("envdeck/console.yaml"),
        "them: light\n",
    )
    .unwrap();
    let env = [("XDG_CONFIG_HOME", settings.path().to_str().unwrap())];
    let pty = Pty::spawn(ENVDECK, &[], 200, 40, &env);
    pty.assert_clean_exit(2);
    let screen = pty.screen();
    assert!(
        screen.contains("unknown field") && !screen.contains("no theme"),
        "{screen}"
    );
}
