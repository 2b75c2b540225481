//! `envdeck ps` and `envdeck gc`: what runs, and what killed runs left.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{DEADLINE, eventually, processes};
use crate::shell::{Run, Said, Shell};

/// A call that waits for a stubborn server, known to `ps` as ready.
#[track_caller]
fn waiting(shell: &Shell) -> (Run, Value) {
    let run = shell.start(&["call", "silent", "--", "python3", &shell.stubborn()]);
    let mut seen = Value::Null;
    let is_ready = eventually(DEADLINE, || {
        seen = the_run(&shell.run(&["ps", "--json"]), run.pid());
        seen["sessions"][0]["instances"][0]["phase"] == "ready" && seen["things"][0].is_object()
    });
    assert!(is_ready, "{seen:#}");
    (run, seen)
}

fn the_run(said: &Said, pid: i32) -> Value {
    let told = said.code(0).json();
    let mut runs = told["runs"].as_array().unwrap().iter();
    runs.find(|run| run["pid"] == pid)
        .cloned()
        .unwrap_or_default()
}

#[test]
fn a_living_run_is_shown_with_all_that_it_made() {
    let shell = Shell::new();
    let (run, seen) = waiting(&shell);
    assert_eq!(
        (&seen["front_end"], &seen["origin"]),
        (&"call".into(), &"server".into())
    );
    assert_eq!(seen["sessions"][0]["caller"], "command line");
    let instance = &seen["sessions"][0]["instances"][0];
    assert_eq!(instance["backend"], "server");
    let thing = &seen["things"][0];
    assert_eq!(
        (&thing["kind"], &thing["instance"]),
        (&"process".into(), &instance["instance"])
    );
    let pid: i32 = thing["id"].as_str().unwrap().parse().unwrap();
    assert!(processes::alive(pid));

    let table = shell.run(&["ps"]).code(0).stdout.clone();
    let has = |words: &[&str]| {
        table
            .lines()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    assert!(
        has(&["PID", "FRONT END"]) && has(&["call", &run.pid().to_string()]),
        "{table}"
    );
    assert!(
        has(&["server", "process", "ready", &format!("process {pid}")]),
        "{table}"
    );
    run.signal(Signal::SIGTERM);
    run.end();
    assert_eq!(the_run(&shell.run(&["ps", "--json"]), 0), Value::Null);
    shell.assert_clean();
}

#[test]
fn what_a_killed_run_left_is_told_and_removed() {
    let shell = Shell::new();
    let (run, seen) = waiting(&shell);
    let (living, _) = waiting(&shell);
    run.signal(Signal::SIGKILL);
    run.end();
    let pid = seen["things"][0]["id"].as_str().unwrap().to_owned();
    let directory = format!("run-{}", seen["run"].as_str().unwrap());
    let left = shell.run(&["ps", "--json"]).code(0).json()["left"].clone();
    for (kind, id) in [("process", &pid), ("directory", &directory)] {
        let mut left = left.as_array().unwrap().iter();
        let found = left.find(|left| left["kind"] == kind && left["id"] == **id);
        assert_eq!(found.unwrap()["run"], seen["run"]);
    }

    let dry = shell.run(&["gc", "--dry-run"]);
    assert!(
        dry.code(0).stdout.starts_with("would remove:\n"),
        "{dry:#?}"
    );
    assert!(
        dry.stdout.contains(&pid) && dry.stdout.contains(&directory),
        "{dry:#?}"
    );
    assert!(processes::alive(pid.parse().unwrap()));
    let said = shell.run(&["gc"]);
    assert!(said.code(0).stdout.starts_with("removed:\n"), "{said:#?}");
    assert!(
        said.stdout.contains(&pid) && said.stdout.contains(&directory),
        "{said:#?}"
    );
    processes::assert_gone(&[pid.parse().unwrap()], DEADLINE);
    assert_eq!(shell.runs().len(), 1, "that of the living one");
    living.signal(Signal::SIGINT);
    living.end();
    shell.assert_clean();
}

#[test]
fn a_directory_without_a_lock_is_a_leftover_too() {
    let shell = Shell::new();
    let cache = shell.home().join(".cache/envdeck");
    fs::create_dir_all(cache.join("run-early")).unwrap();
    let said = shell.run(&["gc"]);
    assert!(said.code(0).stdout.contains("run-early"), "{said:#?}");
    assert!(shell.runs().is_empty());
}

#[test]
fn nothing_at_all_is_no_error() {
    let shell = Shell::new();
    let said = shell.run(&["ps"]);
    assert!(
        said.code(0).stdout.starts_with("no envdeck is running\n"),
        "{said:#?}"
    );
    assert!(
        !shell.home().join(".cache").exists(),
        "looking makes nothing"
    );
}

#[test]
fn an_engine_that_is_not_there_is_told_once() {
    let shell = Shell::new();
    let mut command = shell.command(&["gc"]);
    command.env("DOCKER_HOST", "unix:///no/such.sock");
    let said = Run::of(command.spawn().unwrap()).end();
    let lines: Vec<_> = said.code(3).stderr.lines().collect();
    let told = "envdeck: local_docker: check: there is no Docker engine";
    assert_eq!(lines.len(), 1, "{said:#?}");
    assert!(lines[0].starts_with(told), "{said:#?}");
}
