//! Starts that fail, and starts that are given up.

use envdeck::drivers::{Driver, Running};
use envdeck::model::{Cause, Failure, LocalDocker, Stage};
use futures::FutureExt;

use crate::lab::{Lab, mode, script, server};

async fn refusal(lab: &Lab, spec: LocalDocker) -> Failure {
    let (order, _) = lab.order(mode(spec));
    let id = order.instance.clone();
    let failure = lab
        .driver
        .start(order)
        .await
        .err()
        .expect("it cannot start");
    lab.driver.settle().await.unwrap();
    lab.is_clean_of(&id).await;
    failure
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_missing_image_is_named() {
    let lab = Lab::new().await;
    let mut spec = script("");
    spec.image = "envdeck-test/there-is-none:1".into();
    let failure = refusal(&lab, spec).await;
    assert!(
        failure.to_string().contains("envdeck-test/there-is-none:1"),
        "{failure}"
    );
    assert!(failure.hint.is_some());
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_missing_program_is_named() {
    let lab = Lab::new().await;
    let mut spec = script("");
    spec.command = Some(vec!["no-such-program".into()]);
    let mut bench = lab.start(mode(spec)).await;
    let failure = bench.running.wait().await.unwrap_err();
    assert_eq!(failure.stage, Stage::Start);
    assert!(
        matches!(&failure.cause, Cause::CommandNotFound(name) if name == "no-such-program"),
        "{failure}"
    );
    let id = bench.id.clone();
    bench.stop().await.unwrap();
    lab.is_clean_of(&id).await;
}

/// Polled `polls` times and dropped: every phase of a start is interrupted by one of these.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn a_start_given_up_anywhere_leaves_nothing() {
    let lab = Lab::new().await;
    let mut ids = Vec::new();
    let mut finished = 0;
    for polls in 1.. {
        let (order, _) = lab.order(server());
        ids.push(order.instance.clone());
        let mut start = lab.driver.start(order);
        let mut started: Option<Box<dyn Running>> = None;
        for _ in 0..polls {
            // Each wake-up is one step further into the start.
            let woken = std::future::poll_fn(|cx| start.poll_unpin(cx).map(Some)).now_or_never();
            if let Some(Some(result)) = woken {
                started = Some(result.unwrap());
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        drop(start);
        finished += usize::from(started.is_some());
        drop(started);
        if finished == 2 {
            break;
        }
    }
    lab.driver.settle().await.unwrap();
    for id in ids {
        lab.is_clean_of(&id).await;
    }
}
