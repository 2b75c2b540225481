//! Closing sessions and shutting down: nothing stays, and what may have stayed is named.

use std::future::{pending, ready};

use envdeck::model::{Ask, Backend, Caller, Command, GatewayOptions, Outcome, Phase, SessionId};
use envdeck::orchestrator::{Progress, Reply};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::deck::{Deck, backend, call, open, seconds};
use crate::fake::Script;

fn stubborn() -> Script {
    Script {
        stubborn: true,
        ..Script::default()
    }
}

fn slow() -> Script {
    Script {
        start_delay: seconds(20),
        ..Script::default()
    }
}

#[tokio::test(start_paused = true)]
async fn closing_a_session_ends_its_calls_and_its_instances_in_parallel() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let session = deck.open(&[("one", 5)]).await;
    let id = deck.fleet().instances().next().unwrap().id.clone();
    let hanging = deck.begin(&id, "hang", "{}").await;
    let began = Instant::now();
    assert!(deck.close(session.clone()).await.is_empty());
    // One connection takes half a second to close on a server that ignores the end of its input.
    assert!(began.elapsed() < seconds(1), "{:?}", began.elapsed());
    assert_eq!(deck.world.alive(), 0);
    let fleet = deck.fleet();
    assert!(fleet.sessions.is_empty());
    let ended = fleet.calls[&hanging].outcome().unwrap();
    assert!(
        matches!(ended, Outcome::Failed(why) if why.to_string() == "call: the instance was stopped")
    );
    assert!(
        deck.refusal(Command::CloseSession(session))
            .await
            .contains("there is no session")
    );
}

#[tokio::test(start_paused = true)]
async fn closing_while_starting_leaves_nothing() {
    let deck = Deck::new(vec![backend("slow")], &[("slow", slow())]);
    let opening = deck.asking(open(&[("slow", 20)]));
    let fleet = deck
        .wait_until("some start and some wait", |fleet| {
            let starting = fleet.instances().filter(|one| one.phase == Phase::Starting);
            starting.count() == 8 && fleet.instances().count() == 20
        })
        .await;
    let session = fleet.sessions.keys().next().unwrap().clone();
    let began = Instant::now();
    assert!(deck.close(session).await.is_empty());
    assert!(began.elapsed() < seconds(1), "{:?}", began.elapsed());
    let refused = opening.await.unwrap().unwrap_err().to_string();
    assert!(
        refused.contains("closed while it was starting"),
        "{refused}"
    );
    assert_eq!((deck.world.alive(), deck.world.most_starting()), (0, 8));
    // The start slots are free again.
    deck.world.script("slow", Script::default());
    deck.open(&[("slow", 20)]).await;
    assert_eq!(deck.world.alive(), 20);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_left_behind_is_closed_when_nobody_uses_it() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let open = async |id: &str, client: Option<&CancellationToken>| {
        let (agent, asks) = (
            Caller::Agent("agent".into()),
            vec![Ask::new(backend("one").name, 1)],
        );
        let opening = deck
            .handle
            .open(SessionId::new(id), agent, asks, client.cloned());
        opening.await.unwrap();
    };
    let (client, other) = (CancellationToken::new(), CancellationToken::new());
    open("left", Some(&client)).await;
    open("kept", Some(&other)).await;
    open("unknown", None).await;
    let ours = deck.open(&[("one", 1)]).await;
    let hour = GatewayOptions::default().client_idle_timeout;
    let open = || {
        let fleet = deck.fleet();
        let ids = ["left", "kept", "unknown", ours.as_str()];
        ids.map(|id| fleet.sessions.contains_key(&SessionId::new(id)))
    };
    client.cancel();
    sleep(seconds(59 * 60 + 59)).await;
    assert_eq!(open(), [true; 4]);
    // Somebody else still uses it.
    let left = SessionId::new("left");
    let instance = deck.fleet().sessions[&left]
        .instances
        .keys()
        .next()
        .cloned();
    let listed = deck.handle.list_tools(instance.unwrap(), left).await;
    assert!(matches!(listed, Ok(Reply::Listed(_))), "{listed:?}");
    sleep(seconds(2)).await;
    assert_eq!(open(), [true, true, false, true]);
    sleep(hour).await;
    assert_eq!(open(), [false, true, false, true]);
    assert_eq!(deck.world.alive(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_names_what_could_not_be_stopped() {
    let backends = vec![backend("good"), backend("stubborn")];
    let deck = Deck::new(backends, &[("stubborn", stubborn())]);
    let session = deck.open(&[("good", 2), ("stubborn", 1)]).await;
    let began = Instant::now();
    let failures = deck.close(session).await;
    // The grace of 5 s and 10 s on top.
    assert_eq!(began.elapsed().as_secs(), 15);
    let texts: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 1);
    assert!(texts[0].starts_with("stop: stubborn "), "{texts:?}");
    assert!(
        texts[0].contains("no answer to stop within 15s"),
        "{texts:?}"
    );
    assert_eq!(
        deck.world.alive(),
        0,
        "what is given up is dropped, and so killed"
    );
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_cannot_be_stopped_is_not_forgotten_by_a_removal() {
    let deck = Deck::new(vec![backend("stubborn")], &[("stubborn", stubborn())]);
    let id = deck.open_one("stubborn").await;
    deck.request(Command::Remove(id.clone())).await.unwrap();
    let stopping = deck.wait_for_phase(&id, Phase::Stopping).await;
    assert!(
        deck.refusal(Command::Restart(id.clone()))
            .await
            .contains("is being removed")
    );
    assert!(
        deck.refusal(call(&id, "echo", "{}"))
            .await
            .contains("is stopping")
    );
    assert!(stopping.death.is_none());
    let failed = deck.wait_for_phase(&id, Phase::Failed).await;
    assert!(failed.death.is_some());
    deck.request(Command::Remove(id.clone())).await.unwrap();
    deck.wait_until("it is gone", |fleet| fleet.instance(&id).is_none())
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_can_be_started_again() {
    let deck = Deck::new(vec![backend("one")], &[]);
    let id = deck.open_one("one").await;
    for restarts in 1..=2 {
        deck.request(Command::Stop(id.clone())).await.unwrap();
        deck.wait_for_phase(&id, Phase::Stopped).await;
        assert_eq!(deck.world.alive(), 0);
        assert!(
            deck.refusal(Command::Stop(id.clone()))
                .await
                .contains("already stopped")
        );
        deck.request(Command::Start(id.clone())).await.unwrap();
        let ready = deck.wait_for_phase(&id, Phase::Ready).await;
        assert_eq!(ready.restarts, restarts);
    }
    // Asked to restart while it stops: it comes back.
    deck.request(Command::Stop(id.clone())).await.unwrap();
    deck.request(Command::Start(id.clone())).await.unwrap();
    deck.wait_for(&id, "it is back", |one| {
        one.phase == Phase::Ready && one.restarts == 3
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_takes_everything_down_and_counts_along() {
    let shared = Backend {
        scope: envdeck::model::Scope::SharedGlobal,
        ..backend("shared")
    };
    let deck = Deck::new(
        vec![shared, backend("one"), backend("slow")],
        &[("slow", slow())],
    );
    deck.open(&[("shared", 1), ("one", 3)]).await;
    let opening = deck.asking(open(&[("slow", 2)]));
    deck.wait_until("six exist", |fleet| fleet.instances().count() == 6)
        .await;
    let (handle, world) = (deck.handle.clone(), deck.world.clone());
    let mut seen = vec![];
    let began = Instant::now();
    let failures = deck
        .orchestrator
        .shutdown(|progress| seen.push(progress), pending())
        .await;
    assert!(failures.is_empty(), "{failures:?}");
    assert!(began.elapsed() < seconds(1), "{:?}", began.elapsed());
    assert_eq!(world.alive(), 0);
    assert_eq!(seen.first(), Some(&Progress { gone: 0, of: 6 }));
    assert_eq!(seen.last(), Some(&Progress { gone: 6, of: 6 }));
    // Each count is told once.
    assert!(seen.is_sorted_by(|a, b| a.gone < b.gone), "{seen:?}");
    assert!(opening.await.unwrap().is_err());
    assert!(handle.fleet().borrow().sessions.is_empty());
    let refused = handle.request(open(&[("one", 1)])).await.unwrap_err();
    assert!(refused.to_string().contains("has shut down"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_no_longer_than_the_longest_grace_and_reports() {
    let deck = Deck::new(vec![backend("stubborn")], &[("stubborn", stubborn())]);
    deck.open(&[("stubborn", 10)]).await;
    let world = deck.world.clone();
    let began = Instant::now();
    let failures = deck.orchestrator.shutdown(|_| {}, pending()).await;
    assert_eq!(began.elapsed().as_secs(), 15);
    assert_eq!(failures.len(), 10);
    assert_eq!(world.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_kills_at_once_and_what_is_seen_to_end_is_not_reported() {
    let deck = Deck::new(vec![backend("stubborn")], &[("stubborn", stubborn())]);
    deck.open(&[("stubborn", 3)]).await;
    let world = deck.world.clone();
    let began = Instant::now();
    let failures = deck.orchestrator.shutdown(|_| {}, sleep(seconds(1))).await;
    assert_eq!(began.elapsed().as_secs(), 1);
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(world.alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_killed_and_not_seen_to_end_is_reported_soon() {
    let script = Script {
        undead: true,
        ..stubborn()
    };
    let deck = Deck::new(vec![backend("undead")], &[("undead", script)]);
    deck.open(&[("undead", 3)]).await;
    let began = Instant::now();
    let failures = deck.orchestrator.shutdown(|_| {}, sleep(seconds(1))).await;
    assert_eq!(began.elapsed().as_secs(), 6);
    assert_eq!(failures.len(), 3);
    let text = failures[0].to_string();
    assert!(text.contains("its end was not seen"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn insisting_from_the_start_still_ends() {
    let deck = Deck::new(vec![backend("stubborn")], &[("stubborn", stubborn())]);
    deck.open(&[("stubborn", 3)]).await;
    let world = deck.world.clone();
    let began = Instant::now();
    let failures = deck.orchestrator.shutdown(|_| {}, ready(())).await;
    assert!(began.elapsed() <= seconds(3), "{:?}", began.elapsed());
    assert_eq!((failures.len(), world.alive()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_orchestrator_kills_what_runs() {
    let deck = Deck::new(vec![backend("one"), backend("slow")], &[("slow", slow())]);
    deck.open(&[("one", 3)]).await;
    deck.handle.send(open(&[("slow", 1)])).unwrap();
    deck.wait_until("four exist", |fleet| fleet.instances().count() == 4)
        .await;
    let world = deck.world.clone();
    drop(deck);
    let limit = Instant::now() + seconds(1);
    while world.alive() > 0 && Instant::now() < limit {
        sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(world.alive(), 0);
}
