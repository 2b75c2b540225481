//! The pipeline of tool calls: deadlines, progress, cancellation, concurrency, records.

use std::sync::Arc;
use std::time::Duration;

use envdeck::model::{
    Backend, CallId, CallState, Cause, Command, Event, Happening, InstanceId, Obedience, Outcome,
    ToolCall,
};
use envdeck::orchestrator::Busy;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use crate::deck::{Deck, backend, call, seconds};
use crate::fake::Script;
use crate::server::Manners;

/// Calls wait 10 s for an answer or progress, and 60 s in all.
async fn deck() -> (Deck, InstanceId) {
    let quick = Backend {
        call_timeout: seconds(10),
        call_max_timeout: seconds(60),
        ..backend("one")
    };
    let deck = Deck::new(vec![quick], &[]);
    let id = deck.open_one("one").await;
    (deck, id)
}

/// Passed since `began`, to the tenth of a second.
fn tenths(began: Instant) -> u128 {
    began.elapsed().as_millis() / 100
}

fn is_deadline(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if matches!(failure.cause, Cause::Deadline { .. }))
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_and_recorded_without_its_arguments() {
    let (deck, id) = deck().await;
    let number = deck.begin(&id, "echo", r#"{"token":"hush"}"#).await;
    let ended = deck.end_of(number).await;
    let CallState::Ended {
        outcome,
        took,
        size,
        ..
    } = &ended.state
    else {
        unreachable!()
    };
    let Outcome::Done(result) = outcome else {
        panic!("{outcome:?}")
    };
    let raw = deck.result(*result).await;
    assert!(raw.windows(4).any(|bytes| bytes == b"hush"));
    assert_eq!(*size, raw.len() as u64);
    assert!(*took < seconds(1));
    let log = deck.log(&id);
    assert!(log.contains(&format!("call {number} echo → ok")), "{log}");
    assert!(!log.contains("hush"), "{log}");
    let instance = deck.instance(&id);
    assert_eq!(
        (instance.calls, instance.errors, instance.latencies.len()),
        (1, 0, 1)
    );
    let records = deck.handle.history().unwrap().records();
    let record = records.back().unwrap();
    assert_eq!(
        (&*record.tool, &*record.outcome, record.size),
        ("echo", "ok", *size)
    );
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_says_it_failed_has_answered() {
    let (deck, id) = deck().await;
    let outcome = deck.call(&id, "fail", "{}").await;
    let Outcome::ToolError(result) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        &*deck.handle.results().meta(result).unwrap().preview,
        "it did not work"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hung_call_ends_at_its_deadline_and_the_others_go_on() {
    let (deck, id) = deck().await;
    let began = Instant::now();
    let hanging = deck.asking(call(&id, "hang", "{}"));
    assert_eq!(deck.call(&id, "echo", "{}").await.word(), "ok");
    let outcome = match hanging.await.unwrap() {
        Ok(envdeck::orchestrator::Reply::Called(outcome, _)) => outcome,
        other => panic!("{other:?}"),
    };
    assert!(is_deadline(&outcome), "{outcome:?}");
    assert_eq!(tenths(began), 100);
}

#[tokio::test(start_paused = true)]
async fn a_call_may_bring_its_own_deadline() {
    let (deck, id) = deck().await;
    let Command::Call(wish) = call(&id, "hang", "{}") else {
        unreachable!()
    };
    let began = Instant::now();
    let wish = ToolCall {
        timeout: Some(seconds(3)),
        ..wish
    };
    deck.request(Command::Call(wish)).await.unwrap();
    assert_eq!(tenths(began), 30);
}

#[tokio::test(start_paused = true)]
async fn progress_extends_the_deadline() {
    let (deck, id) = deck().await;
    let began = Instant::now();
    // Five beats, 9 s apart: each comes within the 10 s of the last.
    let outcome = deck.call(&id, "progress", r#"{"ms":9000,"times":5}"#).await;
    assert_eq!(outcome.word(), "ok");
    assert_eq!(tenths(began), 450);
}

#[tokio::test(start_paused = true)]
async fn no_progress_moves_the_deadline_beyond_the_hard_maximum() {
    let (deck, id) = deck().await;
    let began = Instant::now();
    let outcome = deck
        .call(&id, "progress", r#"{"ms":9000,"times":100}"#)
        .await;
    assert!(is_deadline(&outcome), "{outcome:?}");
    assert_eq!(tenths(began), 600);
}

#[tokio::test(start_paused = true)]
async fn the_operator_can_extend_a_call_beyond_every_limit() {
    let (deck, id) = deck().await;
    let began = Instant::now();
    let number = deck.begin(&id, "hang", "{}").await;
    let before = deck.fleet().calls[&number].deadline;
    deck.request(Command::Extend(number, seconds(100)))
        .await
        .unwrap();
    let fleet = deck
        .wait_until("the deadline moves", |fleet| {
            fleet.calls[&number].deadline > before
        })
        .await;
    let moved = fleet.calls[&number]
        .deadline
        .duration_since(before)
        .as_secs_f64();
    // Wall-clock time hardly passes in a test: the distance is that of the clock of the core.
    assert!((moved - 100.0).abs() < 2.0, "{moved}");
    assert!(is_deadline(deck.end_of(number).await.outcome().unwrap()));
    assert_eq!(tenths(began), 1_100);
    let late = deck.refusal(Command::Extend(number, seconds(1))).await;
    assert!(late.contains("is not running"), "{late}");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_tells_what_the_server_did() {
    let (deck, id) = deck().await;
    for (tool, truth) in [
        ("obey", Obedience::Confirmed),
        ("hang", Obedience::Silent),
        ("ignore", Obedience::Ignored),
    ] {
        let number = deck.begin(&id, tool, "{}").await;
        deck.request(Command::Cancel(number)).await.unwrap();
        let ended = deck.end_of(number).await;
        let outcome = ended.outcome().unwrap();
        assert!(
            matches!(outcome, Outcome::Cancelled(told) if *told == truth),
            "{tool}: {outcome:?}"
        );
    }
    assert_eq!(deck.instance(&id).errors, 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_shown_as_cancelling_until_the_server_reacts() {
    let (deck, id) = deck().await;
    let number = deck.begin(&id, "hang", "{}").await;
    deck.request(Command::Cancel(number)).await.unwrap();
    deck.wait_until("it is cancelling", |fleet| {
        matches!(fleet.calls[&number].state, CallState::Cancelling { .. })
    })
    .await;
    deck.end_of(number).await;
    assert!(
        deck.refusal(Command::Cancel(CallId(99)))
            .await
            .contains("is not running")
    );
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_instance_run_at_the_same_time() {
    let (deck, id) = deck().await;
    let began = Instant::now();
    let calls: Vec<_> = (0..50)
        .map(|_| deck.asking(call(&id, "sleep", r#"{"ms":5000}"#)))
        .collect();
    let fleet = deck
        .wait_until("all are in flight", |fleet| {
            fleet
                .instance(&id)
                .is_some_and(|instance| instance.in_flight == 50)
        })
        .await;
    assert_eq!(
        fleet
            .calls
            .values()
            .filter(|call| call.is_running())
            .count(),
        50
    );
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(tenths(began), 50);
    deck.wait_for(&id, "none is in flight", |instance| instance.in_flight == 0)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_progress_becomes_a_trickle_that_ends_with_the_last() {
    let (deck, id) = deck().await;
    let mut events = deck.handle.events();
    // 2 000 notifications in two seconds.
    let outcome = deck.call(&id, "progress", r#"{"ms":1,"times":2000}"#).await;
    assert_eq!(outcome.word(), "ok");
    let seen = progress_until_end(&mut events).await;
    assert!(seen.len() > 10 && seen.len() <= 45, "{} events", seen.len());
    assert!((seen.last().unwrap() - 2000.0).abs() < f64::EPSILON);
    assert!(seen.is_sorted());
}

async fn progress_until_end(events: &mut Receiver<Arc<Event>>) -> Vec<f64> {
    let mut seen = vec![];
    loop {
        match &events.recv().await.expect("few enough events").what {
            Happening::CallProgressed { progress, .. } => seen.push(progress.done),
            Happening::CallEnded { .. } => return seen,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_progress_before_the_answer_still_shows_the_last() {
    let (deck, id) = deck().await;
    let number = deck.begin(&id, "progress", r#"{"ms":0,"times":500}"#).await;
    let ended = deck.end_of(number).await;
    let last = ended.progress.as_ref().unwrap();
    assert_eq!(Some(last.done), last.total);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_called_is_refused_before_it_is_sent() {
    let (deck, id) = deck().await;
    let refused = deck.refusal(call(&id, "echo", "[1]")).await;
    assert!(refused.contains("not a JSON object"), "{refused}");
    let stranger = InstanceId::new("00000000");
    assert!(
        deck.refusal(call(&stranger, "echo", "{}"))
            .await
            .contains("there is no instance")
    );
    deck.request(Command::Stop(id.clone())).await.unwrap();
    deck.wait_for(&id, "it stopped", |instance| instance.phase.is_settled())
        .await;
    let refused = deck.refusal(call(&id, "echo", "{}")).await;
    assert!(
        refused.contains("is stopped — start it again first"),
        "{refused}"
    );
    assert!(deck.fleet().calls.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_listed_is_called_all_the_same() {
    let (deck, id) = deck().await;
    let outcome = deck.call(&id, "hidden", "{}").await;
    assert!(is_deadline(&outcome), "the fake hangs on it: {outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once() {
    let (deck, id) = deck().await;
    // Nobody else runs until this test waits for something.
    let sent = (0..1_000)
        .take_while(|_| deck.handle.send(call(&id, "echo", "{}")).is_ok())
        .count();
    assert_eq!(sent, 64);
    assert_eq!(deck.handle.send(Command::Watch(None)), Err(Busy));
    deck.wait_until("the queue was worked off", |fleet| {
        fleet.calls.len() == 64 && fleet.calls.values().all(|call| !call.is_running())
    })
    .await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(deck.handle.send(Command::Watch(None)), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_changing_its_tools_is_asked_once_at_a_time_and_for_the_last_word() {
    let slow = Script {
        server: Manners {
            slow_to_relist: seconds(5),
            ..Manners::default()
        },
        ..Script::default()
    };
    let deck = Deck::new(vec![backend("one")], &[("one", slow)]);
    let id = deck.open_one("one").await;
    let before = deck.instance(&id).tools.as_ref().unwrap().len();
    for _ in 0..20 {
        deck.call(&id, "grow", "{}").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let all = |instance: &envdeck::model::Instance| {
        instance
            .tools
            .as_ref()
            .is_some_and(|tools| tools.len() == before + 20)
    };
    deck.wait_for(&id, "all tools are listed", all).await;
    let Outcome::Done(asked) = deck.call(&id, "listings", "{}").await else {
        panic!("not answered")
    };
    let said = deck.handle.results().meta(asked).unwrap().preview;
    // At the start, for the first change, and for all that came while that was answered.
    assert_eq!(&*said, "3");
}
