//! What containers write: from the start, each line once, with the engine's times, and only while somebody looks.

use std::time::Duration;

use bollard::models::{HostConfig, HostConfigLogConfig};
use envdeck::drivers::docker::logs::{Logs, Output};
use envdeck::drivers::docker::watch::Watched;
use envdeck::model::InstanceId;
use envdeck::stores::logs::Source;
use jiff::Timestamp;

use crate::lab::{Lab, eventually, soon};

const BOTH: Output = Output {
    stdout: true,
    stderr: true,
    tty: false,
};

fn follow(lab: &Lab, watched: &Watched, output: Output) -> Logs {
    let log = lab.log(watched.container());
    Logs::new(lab.engine.clone(), watched, output, log)
}

fn look_at(lab: &Lab, container: &str) {
    lab.logs.watch(Some(&InstanceId::new(container)));
}

/// Waits for a line.
async fn line(lab: &Lab, container: &str, wanted: &str) {
    let found = || {
        lab.texts(container)
            .iter()
            .any(|text| text == wanted)
            .then_some(())
    };
    eventually(wanted, found).await;
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn both_streams_come_from_the_start_with_the_engines_times_once_somebody_looks() {
    let lab = Lab::new().await;
    let before = Timestamp::now();
    let watched = lab
        .running("echo out; sleep 0.2; echo err >&2; printf half; sleep 1000")
        .await;
    let id = watched.container().to_owned();
    let logs = follow(&lab, &watched, BOTH);
    eventually("its start", || watched.state().started).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(lab.texts(&id).is_empty(), "nobody looks");
    lab.log(&id).line(Source::Envdeck, "ready");
    let looked = Timestamp::now();
    look_at(&lab, &id);
    line(&lab, &id, "err").await;
    let lines = lab.lines(&id);
    let seen: Vec<_> = lines
        .iter()
        .map(|line| (line.source, &*line.line.text))
        .collect();
    assert_eq!(
        seen,
        [
            (Source::Stdout, "out"),
            (Source::Stderr, "err"),
            (Source::Envdeck, "ready")
        ],
        "each in its place by time"
    );
    assert!(before < lines[0].at && lines[0].at < lines[1].at && lines[1].at < looked);
    drop(logs);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn each_line_comes_once_however_often_one_looks_away() {
    let lab = Lab::new().await;
    let script = "i=0; while test $i -lt 400; do i=$((i+1)); echo $i; echo e$i >&2; \
                  test $((i%20)) -gt 0 || sleep 0.1; done";
    let mut watched = lab.running(script).await;
    let id = watched.container().to_owned();
    let logs = follow(&lab, &watched, BOTH);
    for turn in 0..12 {
        look_at(&lab, &id);
        tokio::time::sleep(Duration::from_millis(60 + turn * 10)).await;
        lab.logs.watch(None);
        if turn % 3 == 0 {
            soon(logs.flush()).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look_at(&lab, &id);
    soon(watched.ended()).await;
    soon(logs.flush()).await;
    // Looking away made the log smaller, but what was dropped is counted.
    let all = lab.logs.tail(&InstanceId::new(&*id), usize::MAX);
    assert_eq!(all.dropped + all.lines.len() as u64, 800);
    for (source, sign) in [(Source::Stdout, ""), (Source::Stderr, "e")] {
        let of_it = all.lines.iter().filter(|line| line.source == source);
        let texts: Vec<_> = of_it.map(|line| line.line.text.to_string()).collect();
        let rest = (401 - texts.len())..=400;
        let rest: Vec<_> = rest.map(|n| format!("{sign}{n}")).collect();
        assert_eq!(texts, rest);
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn the_last_words_of_what_nobody_looked_at_are_evidence() {
    let lab = Lab::new().await;
    let script = "i=0; while test $i -lt 5000; do i=$((i+1)); echo line $i; done; \
                  sleep 0.5; echo Traceback >&2; printf 'no end'; exit 1";
    let mut watched = lab.running(script).await;
    let id = watched.container().to_owned();
    let logs = follow(&lab, &watched, BOTH);
    soon(watched.ended()).await;
    assert!(lab.texts(&id).is_empty());
    soon(logs.flush()).await;
    let evidence = lab.log(&id).last_output(20);
    assert_eq!(evidence.len(), 20);
    assert!(evidence.contains(&"Traceback".into()), "{evidence:?}");
    assert!(evidence.contains(&"line 5000".into()), "{evidence:?}");
    assert!(evidence.contains(&"no end".into()), "{evidence:?}");
    assert!(lab.texts(&id).len() < 500, "no more than fits");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_flood_is_followed_in_bounded_memory() {
    let lab = Lab::new().await;
    let text = "a line of a flood that is about as long as the lines of real programs are";
    let mut watched = lab
        .running(&format!(
            "sleep 1; yes '{text}' | head -n 100000; echo over"
        ))
        .await;
    let id = watched.container().to_owned();
    let logs = follow(&lab, &watched, BOTH);
    look_at(&lab, &id);
    let began = std::time::Instant::now();
    soon(watched.ended()).await;
    soon(logs.flush()).await;
    println!("100 000 lines: {:?}", began.elapsed());
    let all = lab.logs.tail(&InstanceId::new(&*id), usize::MAX);
    assert_eq!(all.end, 100_001, "none lost, none twice");
    assert_eq!(&*all.lines.last().unwrap().line.text, "over");
    let kept: usize = all.lines.iter().map(|line| line.line.text.len()).sum();
    assert!(kept < 16 << 20, "{kept}");
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_terminals_output_is_one_stream_of_whole_lines() {
    let lab = Lab::new().await;
    let long = "head -c 40000 /bin/busybox | tr -c x x";
    let script = format!("echo out; echo err >&2; {long}; echo; printf 'no end'; sleep 1000");
    let mut body = lab.script(&script);
    body.tty = Some(true);
    let watched = lab.launch(body).await;
    let id = watched.container().to_owned();
    let output = Output { tty: true, ..BOTH };
    let logs = follow(&lab, &watched, output);
    look_at(&lab, &id);
    let lines = eventually("three lines", || {
        Some(lab.lines(&id)).filter(|lines| lines.len() == 3)
    })
    .await;
    let texts: Vec<_> = lines.iter().map(|line| &*line.line.text).collect();
    assert_eq!(texts[..2], ["out", "err"]);
    assert!(
        texts[2].starts_with("xxx") && !texts[2].contains('2'),
        "times inside: {}",
        texts[2]
    );
    assert!(lines.iter().all(|line| line.source == Source::Stdout));
    drop(logs);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn an_engine_that_keeps_no_log_says_so_once() {
    let lab = Lab::new().await;
    let mut body = lab.script("echo unheard; sleep 1000");
    body.host_config = Some(HostConfig {
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".into()),
            config: None,
        }),
        ..body.host_config.unwrap_or_default()
    });
    let watched = lab.launch(body).await;
    let id = watched.container().to_owned();
    let logs = follow(&lab, &watched, BOTH);
    look_at(&lab, &id);
    soon(logs.flush()).await;
    let told = eventually("a word", || lab.texts(&id).first().cloned()).await;
    assert!(told.contains("logging driver"), "{told}");
    lab.logs.watch(None);
    look_at(&lab, &id);
    soon(logs.flush()).await;
    assert_eq!(lab.texts(&id).len(), 1);
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_stream_that_belongs_to_others_is_left_alone() {
    let lab = Lab::new().await;
    let mut watched = lab.running("echo '{}'; echo warning >&2").await;
    let id = watched.container().to_owned();
    let output = Output {
        stdout: false,
        ..BOTH
    };
    let logs = follow(&lab, &watched, output);
    soon(watched.ended()).await;
    soon(logs.flush()).await;
    assert_eq!(lab.texts(&id), ["warning"]);
}
