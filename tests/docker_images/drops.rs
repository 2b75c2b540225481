//! Whoever stops waiting, at whatever stage, leaves nothing.

use std::time::Duration;

use envdeck::drivers::docker::template::Applied;
use envdeck::model::{Failure, LocalDocker, StartupCheck, TemplateWay};
use futures::FutureExt;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::lab::{Lab, PATIENCE, backend, fill, inside, tiny_with};

/// Gives up applying the template after each of its steps, and a while later.
async fn dropped_after_each_step(lab: &Lab, spec: &LocalDocker, expected: &[&str]) {
    let mut seen = Vec::new();
    for stop_after in 0.. {
        let image = lab.tiny().await;
        let mut backend = backend(spec.clone());
        if spec.commit_delay.is_some() {
            backend.startup_check = Some(StartupCheck {
                tool: "list".into(),
                arguments: json!({ "path": "/" }),
            });
        }
        let (order, mut told) = lab.order_of(backend);
        let template = spec.template.as_ref().unwrap();
        let mut applying = Box::pin(lab.templates.apply(template, spec, &image, &order));
        let steps = async {
            for _ in 0..stop_after {
                if told.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                seen.push(told.borrow_and_update().to_string());
            }
        };
        let done: Option<Result<Applied, Failure>> = timeout(PATIENCE, async {
            tokio::select! {
                biased;
                () = steps => None,
                done = &mut applying => Some(done),
            }
        })
        .await
        .expect("it goes on");
        drop(applying);
        if let Some(done) = done {
            drop(done.unwrap());
            lab.is_clean().await;
            break;
        }
        lab.is_clean().await;
    }
    for step in expected {
        assert!(
            seen.iter().any(|seen| seen.starts_with(step)),
            "{step:?} is not in {seen:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_copy_that_is_given_up() {
    let lab = Lab::new();
    fill(&lab.template(), 300);
    let spec = tiny_with(&lab, TemplateWay::Copy);
    dropped_after_each_step(&lab, &spec, &["copy template", "copy template: "]).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_commit_that_is_given_up() {
    let lab = Lab::new();
    fill(&lab.template(), 30);
    let spec = LocalDocker {
        commit_delay: Some(Duration::from_millis(500)),
        ..tiny_with(&lab, TemplateWay::Image)
    };
    let steps = [
        "read template",
        "create template container",
        "upload template",
        "run template",
        "commit template",
    ];
    dropped_after_each_step(&lab, &spec, &steps).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn commits_that_are_given_up_at_any_time() {
    let lab = Lab::new();
    fill(&lab.template(), 30);
    let spec = tiny_with(&lab, TemplateWay::Image);
    let began = Instant::now();
    drop(lab.apply(&spec).await.unwrap());
    let whole = began.elapsed();
    for part in 0..12 {
        let applying = lab.apply(&spec);
        let given_up = timeout(whole * part / 10, applying).await;
        drop(given_up);
    }
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn whoever_leaves_does_not_spoil_it_for_those_who_stay() {
    let lab = Lab::new();
    fill(&lab.template(), 30);
    let spec = tiny_with(&lab, TemplateWay::Image);
    let mut first = Box::pin(lab.apply(&spec));
    let mut second = Box::pin(lab.apply(&spec));
    while lab.left().is_empty() {
        assert!((&mut first).now_or_never().is_none());
        assert!((&mut second).now_or_never().is_none());
        sleep(Duration::from_millis(5)).await;
    }
    drop(first);
    let applied = second.await.unwrap();
    assert_eq!(
        inside(&lab, &applied, "cat /srv/data/d3/f3"),
        "content of 3"
    );
    drop(applied);
    lab.is_clean().await;
}
