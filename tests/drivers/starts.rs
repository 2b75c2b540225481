//! Commands that cannot be started, and what is said about them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use envdeck::model::{Cause, Failure, LocalProcess, Mode, Stage};

use crate::bench::{Bench, program};

async fn refusal(spec: LocalProcess) -> Failure {
    let failure = Bench::start(Mode::LocalProcess(spec))
        .await
        .err()
        .expect("it cannot start");
    assert_eq!(failure.stage, Stage::Start);
    failure
}

#[tokio::test]
async fn an_unknown_command_names_its_nearest_neighbour() {
    let failure = refusal(program("pytohn3", &[])).await;
    assert!(
        matches!(&failure.cause, Cause::CommandNotFound(name) if name == "pytohn3"),
        "{failure}"
    );
    assert!(
        failure
            .hint
            .as_ref()
            .unwrap()
            .starts_with("did you mean pyth"),
        "{failure}"
    );

    let failure = refusal(program("quite-unlike-anything-installed", &[])).await;
    assert_eq!(failure.hint.unwrap(), "is it installed and on PATH?");
    let failure = refusal(program("./no/such/file", &[])).await;
    assert!(
        matches!(failure.cause, Cause::CommandNotFound(_)),
        "{failure}"
    );
}

fn file(directory: &tempfile::TempDir, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[tokio::test]
async fn a_file_that_is_no_program_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let plain = file(&directory, "plain", "#!/bin/sh\n", 0o644);
    let orphan = file(&directory, "orphan", "#!/no/such/interpreter -x\n", 0o755);
    let noise = file(&directory, "noise", "\u{7f}\u{1}\u{2}", 0o755);
    let cases = [
        (plain, "is not executable", "chmod +x"),
        (
            orphan,
            "/no/such/interpreter, the interpreter of",
            "first line",
        ),
        (noise, "is not a program for this system", "#!/bin/sh"),
        (
            directory.path().to_owned(),
            "is a directory",
            "the program in it",
        ),
    ];
    for (path, text, hint) in cases {
        let failure = refusal(program(path.to_str().unwrap(), &[])).await;
        assert!(failure.to_string().contains(text), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{failure}");
    }
}

#[tokio::test]
async fn a_missing_working_directory_is_not_a_missing_command() {
    let directory = tempfile::tempdir().unwrap();
    let spec = |cwd: PathBuf| LocalProcess {
        cwd: Some(cwd),
        ..program("sh", &[])
    };
    let failure = refusal(spec(directory.path().join("gone"))).await;
    assert!(
        failure.to_string().contains("gone does not exist"),
        "{failure}"
    );
    let failure = refusal(spec(file(&directory, "plain", "", 0o644))).await;
    assert!(
        failure.to_string().contains("is not a directory"),
        "{failure}"
    );
}
