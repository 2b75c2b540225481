//! What a killed envdeck leaves, and the end of it.
#![cfg(target_os = "linux")] // elsewhere the environment of a process cannot be read

use envdeck::drivers::{Drivers, Installed, Life};
use envdeck::model::RunId;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::timeout;

use crate::bench::{PATIENCE, is_alive, shell};

/// Stands for an envdeck: it tags two children with itself as the owner, then ends as it is told.
const OWNER: &str = r#"
import os, subprocess, sys
started = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
env = dict(os.environ, ENVDECK_OWNER=f"{os.getpid()}:{started}", ENVDECK_INSTANCE="old", ENVDECK_RUN="old")
chain = ["sh", "-c", "trap '' TERM; sleep 600 & echo $! $$; wait; while :; do sleep 0.1; done"]
child = subprocess.Popen(chain, env=env, start_new_session=True, stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"#;

#[tokio::test]
async fn orphans_of_a_killed_owner_end_and_those_of_a_living_one_stay() {
    let owner = || {
        let mut command = tokio::process::Command::new("python3");
        command
            .args(["-c", OWNER])
            .stdin(std::process::Stdio::piped());
        command
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    let (mut living, mut killed) = (owner(), owner());
    let (ours, theirs) = (chain(&mut living).await, chain(&mut killed).await);
    drop(killed.stdin.take());
    killed.wait().await.unwrap();

    let driver = Installed::new(&std::env::temp_dir()).driver(&shell(""));
    let traces = driver.traces().await.unwrap();
    let life = |pid: &i32| {
        let trace = traces.iter().find(|trace| trace.id == pid.to_string());
        let trace = trace.unwrap();
        assert_eq!(trace.run, Some(RunId::new("old")));
        assert!(trace.what.contains("sleep"), "{trace:?}");
        trace.life
    };
    assert!(ours.iter().all(|pid| life(pid) == Life::Lives));
    assert!(theirs.iter().all(|pid| life(pid) == Life::Dead));
    let ended = driver.reap(&RunId::new("new")).await.unwrap();
    assert!(ended >= 2, "{ended} ended");
    assert!(!theirs.iter().any(|pid| is_alive(*pid)), "{theirs:?}");
    assert!(ours.iter().all(|pid| is_alive(*pid)), "{ours:?}");

    drop(living.stdin.take());
    living.wait().await.unwrap();
    driver.reap(&RunId::new("new")).await.unwrap();
    assert!(!ours.iter().any(|pid| is_alive(*pid)), "{ours:?}");
}

/// The process ids that an owner prints.
async fn chain(owner: &mut tokio::process::Child) -> Vec<i32> {
    let mut line = String::new();
    let stdout = owner.stdout.as_mut().unwrap();
    timeout(PATIENCE, BufReader::new(stdout).read_line(&mut line))
        .await
        .unwrap()
        .unwrap();
    line.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}
