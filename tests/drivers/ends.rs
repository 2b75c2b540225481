//! How processes end, and with whom.

use std::time::{Duration, Instant};

use envdeck::stores::logs::Source;
use tokio::time::timeout;

use crate::bench::{Bench, GRACE, PATIENCE, is_alive, log_of, python, shell, until};

#[tokio::test]
async fn a_kill_from_outside_is_a_signal() {
    let mut bench = Bench::start(shell("echo up >&2; exec sleep 600"))
        .await
        .unwrap();
    bench.logged("up").await;
    let pid = nix::unistd::Pid::from_raw(bench.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let exit = bench.wait().await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    assert_eq!(exit.to_string(), "killed by SIGKILL");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_exits_at_once_leaves_code_and_output() {
    let script = "echo one >&2; echo two >&2; printf unfinished >&2; exit 7";
    let mut bench = Bench::start(shell(script)).await.unwrap();
    assert_eq!(bench.wait().await.code, Some(7));
    assert_eq!(bench.log(), ["one", "two", "unfinished"]);
    assert!(bench.running.usage().await.unwrap().is_none());
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_ends_on_the_request_is_not_killed() {
    let script = "import signal, sys\n\
        say = lambda word: print(word, file=sys.stderr, flush=True)\n\
        signal.signal(signal.SIGTERM, lambda *_: (say('bye'), sys.exit(0)))\n\
        say('up')\n\
        while True: signal.pause()";
    let bench = Bench::start(python(script)).await.unwrap();
    bench.logged("up").await;
    let (logs, id, pid) = (bench.logs.clone(), bench.id.clone(), bench.pid());
    bench.stop().await.unwrap();
    assert_eq!(log_of(&logs, &id), ["up", "bye"]);
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn whoever_ends_with_its_input_gets_no_signal() {
    let script = "trap 'echo terminated >&2; exit 1' TERM; echo up >&2; read line; echo eof >&2";
    let bench = Bench::start(shell(script)).await.unwrap();
    bench.logged("up").await;
    let (logs, id) = (bench.logs.clone(), bench.id.clone());
    bench.stop().await.unwrap();
    assert_eq!(log_of(&logs, &id), ["up", "eof"]);
}

#[tokio::test]
async fn whoever_ignores_the_request_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo up >&2; while :; do sleep 0.05; done";
    let bench = Bench::start(shell(script)).await.unwrap();
    bench.logged("up").await;
    let (logs, id, pid) = (bench.logs.clone(), bench.id.clone(), bench.pid());
    let asked = Instant::now();
    bench
        .running
        .stop(Duration::from_millis(300))
        .await
        .unwrap();
    assert!(
        asked.elapsed() >= Duration::from_millis(300),
        "{:?}",
        asked.elapsed()
    );
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    assert!(!is_alive(pid));
    let last = logs.tail(&id, 1).lines.remove(0);
    assert_eq!(last.source, Source::Envdeck);
    assert!(last.line.text.contains("killed"), "{}", last.line.text);
}

/// A leader with children in its group, in a session of their own, and orphaned in one.
const BROOD: &str = r#"
import os, subprocess, sys, time
def say(word, pid): print(word, pid, file=sys.stderr, flush=True)
say("child", subprocess.Popen(["sleep", "600"]).pid)
say("apart", subprocess.Popen(["sleep", "600"], start_new_session=True).pid)
middle = 'import subprocess; print("orphan", subprocess.Popen(["sh", "-c", "trap \'\' TERM; while :; do sleep 0.1; done"], start_new_session=True).pid, flush=True)'
subprocess.run([sys.executable, "-c", middle], stdout=sys.stderr)
say("leader", os.getpid())
"#;

async fn brood(end: &str) -> (Bench, Vec<i32>) {
    let bench = Bench::start(python(&format!("{BROOD}\n{end}")))
        .await
        .unwrap();
    let mut pids = Vec::new();
    for word in ["child", "apart", "orphan", "leader"] {
        pids.push(bench.logged_pid(word).await);
    }
    assert_eq!(pids[3], bench.pid());
    (bench, pids)
}

#[tokio::test]
async fn all_descendants_end_with_the_leader() {
    let (bench, pids) = brood("time.sleep(600)").await;
    assert!(pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    bench
        .running
        .stop(Duration::from_millis(300))
        .await
        .unwrap();
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");
}

#[tokio::test]
async fn descendants_that_outlive_the_leader_end_with_the_stop() {
    let (mut bench, pids) = brood("sys.exit(5)").await;
    let asked = Instant::now();
    assert_eq!(bench.wait().await.code, Some(5));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "grandchildren hold stderr open"
    );
    assert!(pids[..3].iter().all(|pid| is_alive(*pid)), "{pids:?}");
    bench
        .running
        .stop(Duration::from_millis(300))
        .await
        .unwrap();
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");
}

#[tokio::test]
async fn a_dropped_process_takes_its_descendants_along() {
    let (bench, pids) = brood("time.sleep(600)").await;
    drop(bench);
    until("end", || {
        (!pids.iter().any(|pid| is_alive(*pid))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_stop_kills() {
    let script = "trap '' TERM; echo up >&2; while :; do sleep 0.05; done";
    let bench = Bench::start(shell(script)).await.unwrap();
    bench.logged("up").await;
    let pid = bench.pid();
    let given_up = timeout(Duration::from_millis(100), bench.running.stop(PATIENCE)).await;
    assert!(given_up.is_err());
    until("end", || (!is_alive(pid)).then_some(())).await;
}

#[tokio::test]
async fn instances_are_told_apart() {
    let (one, pids) = brood("time.sleep(600)").await;
    let (other, others) = brood("time.sleep(600)").await;
    one.running.stop(Duration::from_millis(100)).await.unwrap();
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");
    assert!(others.iter().all(|pid| is_alive(*pid)), "{others:?}");
    other
        .running
        .stop(Duration::from_millis(100))
        .await
        .unwrap();
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.chars().next().unwrap_or('?')
}

#[tokio::test]
async fn what_is_paused_stands_still_until_it_is_resumed() {
    let bench = Bench::start(shell("sleep 600 & echo $! >&2; wait"))
        .await
        .unwrap();
    let child: i32 = until("the child", || bench.log().first()?.parse().ok()).await;
    let changes = bench.running.changes().unwrap();
    for paused in [true, false, true] {
        bench.running.set_paused(paused).await.unwrap();
        let expected = if paused { 'T' } else { 'S' };
        for pid in [bench.pid(), child] {
            until("follow", || (state(pid) == expected).then_some(())).await;
        }
        assert!(changes.has_changed().unwrap());
        assert_eq!(bench.running.excuse().is_some(), paused);
        let facts = bench.running.facts();
        let says_so = facts
            .iter()
            .any(|(name, text)| (&**name, &**text) == ("status", "paused"));
        assert_eq!(says_so, paused, "{facts:?}");
    }
    // It is asked to end, hears it, and need not be killed.
    let (logs, id) = (bench.logs.clone(), bench.id.clone());
    bench.stop().await.unwrap();
    let said = logs.tail(&id, 10).lines;
    assert!(
        !said.iter().any(|line| line.line.text.contains("killed")),
        "{said:?}"
    );
    assert!(!is_alive(child));
}
