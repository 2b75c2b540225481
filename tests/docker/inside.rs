//! Looking into a container: shells and inspections.

use std::time::Duration;

use envdeck::drivers::{Shell, WindowSize};
use envdeck::model::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::bench::{Bench, PATIENCE};
use crate::lab::{Lab, mode, script, server};

const SIZE: WindowSize = WindowSize {
    columns: 91,
    rows: 37,
};

async fn shell(bench: &Bench) -> Shell {
    bench.running.shell(SIZE).await.unwrap()
}

/// Types, and reads until it shows `word` or ends; returns what it has shown.
async fn enter(shell: &mut Shell, line: &str, word: &str) -> String {
    shell.write.write_all(line.as_bytes()).await.unwrap();
    shell.write.flush().await.unwrap();
    let mut shown = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&shown).contains(word) {
            if shell.read.read_buf(&mut shown).await.unwrap() == 0 {
                break;
            }
        }
    };
    let read = timeout(PATIENCE, reading).await;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(read.is_ok(), "no {word:?} in {shown:?}");
    shown
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_shell_has_a_terminal_of_the_right_size_and_a_status() {
    let lab = Lab::new().await;
    let bench = lab.start(server()).await;
    let mut shell = shell(&bench).await;
    // The size is set when the shell is there: asked for until it is.
    enter(
        &mut shell,
        "while [ \"$(stty size)\" != '37 91' ]; do sleep 0.02; done; echo fi''rst\r",
        "first",
    )
    .await;
    (shell.resize)(WindowSize {
        columns: 40,
        rows: 10,
    });
    enter(
        &mut shell,
        "while [ \"$(stty size)\" != '10 40' ]; do sleep 0.02; done; echo ag''ain\r",
        "again",
    )
    .await;
    // A screen may begin with any byte.
    let shown = enter(
        &mut shell,
        "printf '\\001\\000\\002\\033[1m'; echo do''ne\r",
        "done",
    )
    .await;
    assert!(shown.contains("\u{1}\0\u{2}\u{1b}[1m"), "{shown:?}");
    enter(&mut shell, "exit 5\r", "nothing that it says").await;
    let exit = timeout(PATIENCE, shell.ended).await.unwrap().unwrap();
    assert_eq!(exit.code, Some(5));
    bench.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_dropped_shell_ends_with_what_runs_in_it() {
    let lab = Lab::new().await;
    let bench = lab.start(server()).await;
    let mut one = shell(&bench).await;
    enter(
        &mut one,
        "sleep 4321 & sleep 1234; echo st''opped\r",
        "sleep 1234",
    )
    .await;
    let mut other = shell(&bench).await;
    let running = "ps | grep -c '[s]leep .[0-9][0-9][0-9]'; echo co''unted\r";
    while !enter(&mut other, running, "counted")
        .await
        .contains("2\r\n")
    {
        sleep(Duration::from_millis(50)).await;
    }
    drop(one);
    while !enter(&mut other, running, "counted")
        .await
        .contains("0\r\n")
    {
        sleep(Duration::from_millis(50)).await;
    }
    bench.stop().await.unwrap();
    // The container is gone, and its shells with it.
    let mut rest = Vec::new();
    timeout(PATIENCE, other.read.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    timeout(PATIENCE, other.ended).await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn there_is_no_shell_in_what_has_ended() {
    let lab = Lab::new().await;
    let mut bench = lab.start(mode(script("exit 0"))).await;
    bench.wait().await;
    let failure = bench.running.shell(SIZE).await.err().unwrap();
    assert!(failure.to_string().contains("is not running"), "{failure}");
    bench.stop().await.unwrap();
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn an_inspection_shows_all_but_secrets() {
    let lab = Lab::new().await;
    let mut spec = script("exec serve");
    let secret = Secret::new("hunter2-hunter2");
    spec.options.environment.insert("TOKEN".into(), secret);
    let bench = lab.start(mode(spec)).await;
    let told = bench.running.inspect().await.unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(value["State"]["Status"], "running");
    let env = value["Config"]["Env"].as_array().unwrap();
    assert!(env.contains(&"TOKEN=•••".into()), "{env:?}");
    assert!(
        env.iter()
            .any(|one| one.as_str().unwrap().starts_with("PATH=/")),
        "{env:?}"
    );
    assert!(!told.contains("hunter2"), "{told}");
    let facts = format!("{:?}", bench.running.facts());
    assert!(!facts.contains("hunter2"), "{facts}");
    bench.stop().await.unwrap();
}
