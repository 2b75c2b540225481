//! An engine that goes away and comes back: no false death, no lost or doubled line, and real deaths are found.

use std::time::{Duration, Instant};

use envdeck::drivers::docker::logs::{Logs, Output};
use envdeck::drivers::docker::stats::Stats;
use envdeck::drivers::docker::watch::{Life, Watched};
use envdeck::model::{InstanceId, fact};
use envdeck::stores::logs::Source;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::daemon::Daemon;
use crate::lab::{Lab, eventually, facts, soon, until};

const COUNT: &str = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done";

/// What our own lines say, without numbers.
fn told(lab: &Lab, watched: &Watched) -> Vec<String> {
    let lines = lab.lines(watched.container());
    let ours = lines.iter().filter(|line| line.source == Source::Envdeck);
    let texts = ours.map(|line| {
        line.line
            .text
            .split(" after")
            .next()
            .unwrap_or_default()
            .to_owned()
    });
    texts
        .map(|text| text.split(':').next().unwrap_or_default().to_owned())
        .collect()
}

fn numbers(lab: &Lab, watched: &Watched) -> Vec<u64> {
    let lines = lab.lines(watched.container());
    let output = lines.iter().filter(|line| line.source == Source::Stdout);
    output.map(|line| line.line.text.parse().unwrap()).collect()
}

async fn is_running(watched: &mut Watched) {
    until(watched, |state| state.life == Life::Running).await;
}

#[tokio::test]
#[ignore = "needs root and dockerd"]
async fn containers_that_outlive_their_engine_are_found_again() {
    let mut daemon = Daemon::new(true).await;
    let lab = Lab::at(daemon.address()).await;
    let mut lives = lab.running(COUNT).await;
    let mut dies = lab.running("exec sleep 1000").await;
    is_running(&mut lives).await;
    is_running(&mut dies).await;
    let output = Output {
        stdout: true,
        stderr: true,
        tty: false,
    };
    let log = lab.log(lives.container());
    let logs = Logs::new(lab.engine.clone(), &lives, output, log);
    lab.logs.watch(Some(&InstanceId::new(lives.container())));
    let mut meter = Stats::new(lab.engine.clone(), &lives);
    eventually("output", || (numbers(&lab, &lives).len() > 5).then_some(())).await;
    let inspected = lab
        .docker
        .inspect_container(dies.container(), None)
        .await
        .unwrap();
    let pid = inspected.state.unwrap().pid.unwrap();

    daemon.end(Signal::SIGTERM).await;
    let began = Instant::now();
    let state = until(&mut lives, |state| state.engine_lost.is_some()).await;
    println!("the outage was noticed after {:?}", began.elapsed());
    assert_eq!((state.life, state.exit), (Life::Running, None));
    assert!(facts(&lives)[fact::ENGINE].starts_with("unreachable since"));
    assert_eq!(soon(meter.usage()).await.unwrap(), None);
    signal::kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(dies.state().exit, None, "nobody can know yet");

    daemon.start().await;
    let began = Instant::now();
    let state = until(&mut lives, |state| state.engine_lost.is_none()).await;
    assert_eq!((state.life, state.exit), (Life::Running, None));
    let exit = soon(dies.ended()).await;
    println!("the dead one was found after {:?}: {exit}", began.elapsed());
    assert_eq!(exit.signal, Some(9));
    assert_eq!(dies.state().engine_lost, None);

    let before = numbers(&lab, &lives).len();
    eventually("more output", || {
        (numbers(&lab, &lives).len() > before + 60).then_some(())
    })
    .await;
    let seen = numbers(&lab, &lives);
    let whole: Vec<_> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, whole, "each line once");
    assert!(soon(meter.usage()).await.unwrap().is_some());
    assert_eq!(
        told(&lab, &lives),
        ["the engine cannot be reached", "the engine answers again"]
    );
    drop(logs);
}

#[tokio::test]
#[ignore = "needs root and dockerd"]
async fn containers_that_die_with_their_engine_are_dead() {
    let mut daemon = Daemon::new(false).await;
    let lab = Lab::at(daemon.address()).await;
    let mut polite = lab.running("trap 'exit 7' TERM; sleep 1000 & wait").await;
    is_running(&mut polite).await;
    daemon.end(Signal::SIGTERM).await;
    daemon.start().await;
    let exit = soon(polite.ended()).await;
    assert_eq!(exit.code, Some(7));
    until(&mut polite, |state| state.engine_lost.is_none()).await;

    let mut orphan = lab.running("exec sleep 1000").await;
    is_running(&mut orphan).await;
    daemon.end(Signal::SIGKILL).await;
    let state = until(&mut orphan, |state| state.engine_lost.is_some()).await;
    assert_eq!(state.exit, None, "it outlives the engine");
    daemon.start().await;
    let exit = soon(orphan.ended()).await;
    println!("an engine that finds an orphan ends it: {exit}");
    assert_eq!(orphan.state().life, Life::Exited);
}

#[tokio::test]
#[ignore = "needs root and dockerd"]
async fn an_engine_that_hangs_is_out_of_reach_until_it_answers() {
    let daemon = Daemon::new(false).await;
    let lab = Lab::at(daemon.address()).await;
    let mut watched = lab.running("exec sleep 1000").await;
    is_running(&mut watched).await;
    daemon.signal(Signal::SIGSTOP);
    let began = Instant::now();
    let state = until(&mut watched, |state| state.engine_lost.is_some()).await;
    println!("silence was noticed after {:?}", began.elapsed());
    assert_eq!(state.exit, None);
    daemon.signal(Signal::SIGCONT);
    let state = until(&mut watched, |state| state.engine_lost.is_none()).await;
    assert_eq!((state.life, state.exit), (Life::Running, None));
}

#[tokio::test]
#[ignore = "needs root and dockerd"]
async fn one_may_begin_to_watch_while_the_engine_is_away() {
    let mut daemon = Daemon::new(true).await;
    let lab = Lab::at(daemon.address()).await;
    let mut first = lab.running("exec sleep 1000").await;
    is_running(&mut first).await;
    let id = lab.create(lab.script("exit 9")).await;
    lab.start(&id).await;
    // An engine that goes before it has seen an end never learns of its status.
    let mut ending = lab.watcher.watch(&id, lab.log(&id));
    soon(ending.ended()).await;
    drop(ending);
    daemon.end(Signal::SIGTERM).await;
    until(&mut first, |state| state.engine_lost.is_some()).await;
    let mut late = lab.watcher.watch(&id, lab.log(&id));
    assert!(late.state().engine_lost.is_some());
    daemon.start().await;
    assert_eq!(soon(late.ended()).await.code, Some(9));
}
