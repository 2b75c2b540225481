//! What an operator asks of an instance beside calls: a shell inside, everything known of it.

use envdeck::model::{Command, InstanceId, Phase, WindowSize};
use envdeck::orchestrator::{Reply, Shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::deck::{Deck, backend};
use crate::fake::{Inside, Script};

const SIZE: WindowSize = WindowSize {
    columns: 80,
    rows: 24,
};

fn deck(inside: Inside) -> Deck {
    let script = Script {
        inside,
        inspect: Some(r#"{"Id":"1"}"#),
        ..Script::default()
    };
    Deck::new(vec![backend("files")], &[("files", script)])
}

fn open_shell(instance: &InstanceId) -> Command {
    Command::OpenShell {
        instance: instance.clone(),
        size: SIZE,
    }
}

async fn shell(deck: &Deck, instance: &InstanceId) -> Shell {
    match deck.request(open_shell(instance)).await {
        Ok(Reply::Shell(shell)) => shell,
        other => panic!("no shell: {other:?}"),
    }
}

async fn read(shell: &mut Shell, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    shell.read.read_exact(&mut bytes).await.unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_shell_gets_what_is_typed_and_the_size_and_tells_its_end() {
    let deck = deck(Inside::Echo);
    let instance = deck.open_one("files").await;
    let mut shell = shell(&deck, &instance).await;
    read(&mut shell, "[80x24]").await;
    shell.write.write_all(b"ls").await.unwrap();
    read(&mut shell, "ls").await;
    (shell.resize)(WindowSize {
        columns: 100,
        rows: 30,
    });
    read(&mut shell, "[100x30]").await;
    shell.write.write_all(b".").await.unwrap();
    read(&mut shell, ".").await;
    assert_eq!(shell.ended.await.unwrap().code, Some(0));
    assert!(deck.log(&instance).contains("opens a shell"));
    assert_eq!(deck.world.shells(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_shell_ends_and_the_instance_does_not() {
    let deck = deck(Inside::Echo);
    let instance = deck.open_one("files").await;
    let shell = shell(&deck, &instance).await;
    assert_eq!(deck.world.shells(), 1);
    drop(shell);
    assert_eq!(deck.world.shells(), 0);
    deck.wait_for_phase(&instance, Phase::Ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_shell_that_nobody_waits_for_any_more_is_closed() {
    let deck = deck(Inside::Echo);
    let instance = deck.open_one("files").await;
    deck.handle.send(open_shell(&instance)).unwrap();
    let asked = deck.asking(open_shell(&instance));
    asked.abort();
    // Whatever has been asked before is answered before this.
    drop(shell(&deck, &instance).await);
    assert_eq!(deck.world.shells(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_shell_is_refused_with_the_reason() {
    let nothing = deck(Inside::Nothing);
    let instance = nothing.open_one("files").await;
    let why = nothing.refusal(open_shell(&instance)).await;
    assert!(why.contains("no shell in here"), "{why}");
    nothing
        .request(Command::Stop(instance.clone()))
        .await
        .unwrap();
    nothing.wait_for_phase(&instance, Phase::Stopped).await;
    let why = nothing.refusal(open_shell(&instance)).await;
    assert!(why.contains("is stopped"), "{why}");
    let hangs = deck(Inside::Hangs);
    let instance = hangs.open_one("files").await;
    let why = hangs.refusal(open_shell(&instance)).await;
    assert!(
        why.contains("no answer to open a shell within 10s"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shell_that_does_not_open_does_not_outlive_the_instance() {
    let deck = deck(Inside::Hangs);
    let instance = deck.open_one("files").await;
    let asked = deck.asking(open_shell(&instance));
    deck.call(&instance, "echo", "{}").await;
    deck.world.crash(&instance, 3);
    let why = asked.await.unwrap().unwrap_err().to_string();
    assert!(why.contains("exited with status 3"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn inspecting_tells_what_the_driver_knows() {
    let deck = deck(Inside::Nothing);
    let instance = deck.open_one("files").await;
    match deck.request(Command::Inspect(instance)).await {
        Ok(Reply::Inspected(Some(text))) => assert_eq!(text, r#"{"Id":"1"}"#),
        other => panic!("not inspected: {other:?}"),
    }
}
