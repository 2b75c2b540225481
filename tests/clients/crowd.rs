//! A crowd of real processes with environments on Docker: half of them are killed wherever they are, and some that are
//! not leave without a word. Afterwards nothing is left of any.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::{DEADLINE, eventually};
use crate::serve::{Serve, client, clients};

const CLIENTS: u64 = 64;
/// What those that are killed say before they hang.
const STEPS: usize = 7;
/// No client that lives pauses for so long between two calls, however busy the machine is.
const IDLE: Duration = Duration::from_secs(20);
/// All memory that may be kept for reuse after such a crowd, KiB, and all files: connections to the engine.
const KEPT: u64 = 32 << 10;
const KEPT_FILES: usize = 8;

/// A server that is there at once, as a container, for clients that may vanish.
fn tiny() -> String {
    let idle = IDLE.as_secs();
    format!(
        "  - backend_name_ref: tiny
    backend_type: everything
    orchestration_mode: local_docker
    mcp_transport: stdio
    docker_image: envdeck-tests/tiny
    stop_grace: 0s
gateway:
  session_idle_timeout: {idle}s
"
    )
}

fn member(serve: &Serve, seed: u64, end: &str) -> Child {
    // Each of the two among those that live and those that die.
    let version = if (seed / 2).is_multiple_of(2) {
        "v1"
    } else {
        "v2"
    };
    let mut member = client("node/node_modules/node/bin/node");
    member
        .arg("tests/clients/crowd.mjs")
        .args([&serve.url, version, &seed.to_string(), end])
        .arg(clients().join("node/node_modules"))
        .stdout(Stdio::piped());
    member.spawn().unwrap()
}

/// Goes its way to the end.
fn lives(mut member: Child, seed: u64) {
    let lines = BufReader::new(member.stdout.take().unwrap()).lines();
    let said: Vec<_> = lines.map_while(Result::ok).collect();
    let status = member.wait().unwrap();
    assert!(status.success(), "client {seed}: {status} after {said:?}");
    assert_eq!(said.last().map(String::as_str), Some("passed"));
}

/// Is killed at some step, a moment before, in or after it. Returns the step.
fn dies(mut member: Child, seed: u64) -> String {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut lines = BufReader::new(member.stdout.take().unwrap()).lines();
    let step = dice.random_range(0..STEPS);
    let last = lines.by_ref().map_while(Result::ok).nth(step);
    let last = last.unwrap_or_else(|| panic!("client {seed} ended by itself"));
    thread::sleep(Duration::from_millis(dice.random_range(0..200)));
    // SIGKILL. Its pipe is open until then: it does not end by itself.
    member.kill().unwrap();
    member.wait().unwrap();
    drop(lines);
    last
}

/// What a process keeps: open files, and resident memory in KiB.
fn kept(pid: u32) -> (usize, u64) {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.unwrap().trim().trim_end_matches(" kB");
    (files, resident.parse().unwrap())
}

/// The containers of a run, as the engine knows them.
fn containers(run: &str) -> Vec<String> {
    let mut list = Command::new("docker");
    list.args(["ps", "--all", "--quiet", "--filter"])
        .arg(format!("label=envdeck.run={run}"));
    let said = crate::serve::said(list);
    said.lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "needs Docker, tests/clients/install and the images of tests/images/build"]
fn nothing_is_left_of_a_crowd_of_processes_half_of_which_are_killed() {
    let serve = Serve::start(&tiny());
    // What is made once is made now.
    lives(member(&serve, 0, "leaves"), 0);
    let run = serve.ps()["run"].as_str().unwrap().to_owned();
    assert!(eventually(DEADLINE, || containers(&run).is_empty()));
    let (files, resident) = kept(serve.pid());

    let mut crowd = vec![];
    for seed in 1..=CLIENTS {
        let is_victim = seed.is_multiple_of(2);
        let end = if is_victim { "hangs" } else { "leaves" };
        let member = member(&serve, seed, end);
        crowd.push(thread::spawn(move || {
            if is_victim {
                return Some(dies(member, seed));
            }
            lives(member, seed);
            None
        }));
    }
    let killed: Vec<_> = crowd
        .into_iter()
        .filter_map(|member| member.join().unwrap())
        .collect();
    assert_eq!(killed.len() as u64, CLIENTS / 2);
    for step in ["connect", "open", "call", "hang"] {
        assert!(killed.iter().any(|at| at == step), "none in {step}");
    }

    let is_over = || serve.ps()["sessions"].as_array().unwrap().is_empty();
    assert!(eventually(IDLE + DEADLINE, is_over), "{:#}", serve.ps());
    assert!(eventually(DEADLINE, || containers(&run).is_empty()));
    let mut now = (0, 0);
    let is_back = eventually(DEADLINE, || {
        now = kept(serve.pid());
        now.0 <= files + KEPT_FILES && now.1 <= resident + KEPT
    });
    eprintln!(
        "(files, KiB): {:?} before, {now:?} after",
        (files, resident)
    );
    assert!(
        is_back,
        "(files, KiB): {:?} before, {now:?} after",
        (files, resident)
    );
    serve.end();
}
