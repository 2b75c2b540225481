//! Starts that fail, and starts that are given up.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use envdeck::drivers::{Driver, Order, Running};
use envdeck::model::{
    Backend, Cause, Failure, LocalDocker, Stage, Template, TemplateWay, Transport,
};
use futures::FutureExt;
use tokio::time::timeout;

use crate::lab::{IMAGE, Lab, mode, script, server};

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

/// One that listens late or never, with a copy of a template.
fn deaf(lab: &Lab) -> Order {
    let template = lab.directory.path().join("template");
    fs::create_dir_all(&template).unwrap();
    fs::write(template.join("file"), "data").unwrap();
    let spec = LocalDocker {
        container_port: Some(3001),
        template: Some(Template {
            source: template,
            target: "/data".into(),
            way: TemplateWay::Copy,
        }),
        ..script("exec sleep 600")
    };
    let (order, _) = lab.order(mode(spec));
    let backend = Backend {
        transport: Transport::Http,
        ..Backend::clone(&order.backend)
    };
    Order {
        backend: Arc::new(backend),
        ..order
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a Docker engine"]
async fn a_start_that_waits_for_its_port_given_up_anywhere_leaves_nothing() {
    let lab = Lab::new().await;
    for millis in [0, 5, 10, 20, 40, 80, 160, 320, 640, 1280] {
        let order = deaf(&lab);
        let id = order.instance.clone();
        let start = lab.driver.start(order);
        let given_up = timeout(Duration::from_millis(millis), start).await;
        assert!(given_up.is_err(), "nobody listens");
        lab.driver.settle().await.unwrap();
        lab.is_clean_of(&id).await;
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine"]
async fn a_name_that_is_taken_is_told_and_whoever_has_it_stays() {
    let lab = Lab::new().await;
    let (order, _) = lab.order(server());
    let id = order.instance.clone();
    let name = format!("envdeck-{}-{id}", order.backend.name);
    let theirs = ContainerCreateBody {
        image: Some(IMAGE.into()),
        ..ContainerCreateBody::default()
    };
    let options = CreateContainerOptionsBuilder::new().name(&name).build();
    let created = lab.docker.create_container(Some(options), theirs).await;
    let theirs = created.unwrap().id;
    let failure = lab.driver.start(order).await.err().expect("a refusal");
    lab.driver.settle().await.unwrap();
    let found = lab.docker.inspect_container(&theirs, None).await;
    let force = RemoveContainerOptionsBuilder::new().force(true).build();
    let removed = lab.docker.remove_container(&theirs, Some(force)).await;
    removed.unwrap();
    assert!(found.is_ok(), "it is not ours");
    assert_eq!(failure.stage, Stage::Create);
    assert!(failure.to_string().contains(&name), "{failure}");
    assert!(failure.hint.is_some());
    lab.is_clean_of(&id).await;
}
