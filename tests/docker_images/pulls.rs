//! Images that are here, that come from a registry, and that do not come.

use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::Steps;
use envdeck::drivers::docker::image::{Image, Images, Logins, Wanted};
use envdeck::drivers::docker::{Address, Engine};
use envdeck::model::{Cause, Failure, Pull, Stage};
use futures::future::join_all;
use tokio::time::timeout;

use crate::lab::{Lab, PATIENCE, TINY, docker, until, wanted};
use crate::registry::{Registry, free_port};
use crate::relay::{Relay, Then};

async fn ensure(lab: &Lab, reference: &str, pull: Pull) -> Result<Image, Failure> {
    ensure_wanted(lab, &wanted(reference, pull)).await
}

async fn ensure_wanted(lab: &Lab, wanted: &Wanted) -> Result<Image, Failure> {
    let steps = Steps::new().0;
    timeout(PATIENCE, lab.images.ensure(wanted, &steps))
        .await
        .expect("it ends")
}

fn assert_says(failure: &Failure, words: &[&str]) {
    let text = failure.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_image_that_is_here_is_found_by_name_and_by_id() {
    let lab = Lab::new();
    let found = ensure(&lab, TINY, Pull::Missing).await.unwrap();
    assert_eq!(
        *found.id,
        docker(&["image", "inspect", "--format", "{{.Id}}", TINY])
    );
    assert!(found.platform.starts_with("linux/"), "{}", found.platform);
    for id in [&*found.id, found.id.strip_prefix("sha256:").unwrap()] {
        assert_eq!(ensure(&lab, id, Pull::Always).await.unwrap().id, found.id);
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_is_missing_and_not_to_be_pulled_is_named_with_the_way_to_get_it() {
    let lab = Lab::new();
    let failure = ensure(&lab, "envdeck-tests/nowhere:1", Pull::Never)
        .await
        .unwrap_err();
    assert_eq!(failure.stage, Stage::Create);
    assert_says(
        &failure,
        &[
            "there is no image envdeck-tests/nowhere:1",
            "docker pull",
            "docker build",
        ],
    );
    let id = format!("sha256:{}", "ab".repeat(32));
    let failure = ensure(&lab, &id, Pull::Missing).await.unwrap_err();
    assert_says(
        &failure,
        &["there is no image sha256:abab", "docker image ls"],
    );
    let failure = ensure(&lab, "Not A Name", Pull::Missing).await.unwrap_err();
    assert_says(&failure, &["Not A Name", "lower case"]);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn another_platform_than_wanted_is_named() {
    let lab = Lab::new();
    let wanted = Wanted {
        platform: Some("linux/s390x".into()),
        ..wanted(TINY, Pull::Never)
    };
    let failure = ensure_wanted(&lab, &wanted).await.unwrap_err();
    assert_says(
        &failure,
        &[
            "is here for linux/",
            "not for linux/s390x",
            "docker pull --platform",
        ],
    );
    let registry = Registry::start();
    let pushed = registry.push("other/platform", 100);
    let wanted = Wanted {
        reference: pushed.name.as_str().into(),
        pull: Pull::Missing,
        ..wanted
    };
    let failure = ensure_wanted(&lab, &wanted).await.unwrap_err();
    assert_says(&failure, &[&pushed.name, "linux/s390x", "--platform"]);
}

#[tokio::test]
#[ignore = "needs an engine and docker-registry"]
async fn eight_who_wait_share_one_pull_and_its_progress() {
    let (lab, registry) = (Lab::new(), Registry::start());
    let pushed = registry.push("shared/image", 30_000_000);
    let pulls = (0..8).map(async |_| {
        let (steps, mut told) = Steps::new();
        let wanted = wanted(&pushed.name, Pull::Missing);
        let ensured = timeout(PATIENCE, lab.images.ensure(&wanted, &steps));
        let listening = async {
            let mut all: Vec<Arc<str>> = Vec::new();
            while told.changed().await.is_ok() {
                all.push(told.borrow_and_update().clone());
            }
            all
        };
        tokio::pin!(listening);
        let image = tokio::select! {
            image = ensured => image.expect("it ends").unwrap(),
            _ = &mut listening => unreachable!(),
        };
        drop(steps);
        (image, listening.await)
    });
    for (image, steps) in join_all(pulls).await {
        assert_eq!(*image.id, pushed.id);
        let last = steps.last().expect("steps").clone();
        assert!(last.contains("image"), "{last}");
    }
    assert_eq!(
        registry.requests("HEAD /v2/shared/image/manifests/latest"),
        1
    );
}

#[tokio::test]
#[ignore = "needs an engine and docker-registry"]
async fn the_progress_of_a_download_is_told_in_bytes_and_layers() {
    let registry = Registry::start();
    let pushed = registry.push("slow/image", 30_000_000);
    // The wire passes the manifest and a part of the layer, and so holds the download where it can be looked at.
    let relay = Relay::start(registry.port, 20_000_000, Then::Silence).await;
    let name = format!("{}/slow/image", relay.address);
    let lab = Lab::with(Logins::at("/nonexistent", ""), Duration::from_secs(3));
    let (steps, mut told) = Steps::new();
    let wanted = wanted(&name, Pull::Missing);
    let (failure, ()) = tokio::join!(lab.images.ensure(&wanted, &steps), async {
        let step = told.wait_for(|step| step.contains("/30 MB, layers"));
        let step = timeout(PATIENCE, step)
            .await
            .expect("told")
            .unwrap()
            .clone();
        assert!(step.starts_with("pull image "), "{step}");
    });
    let failure = failure.unwrap_err();
    assert!(matches!(failure.cause, Cause::Deadline { .. }), "{failure}");
    assert_says(
        &failure,
        &[
            "the pull of",
            pushed.name.split_once('/').unwrap().1,
            "3s",
            "check the network",
        ],
    );
}

#[tokio::test]
#[ignore = "needs an engine and docker-registry"]
async fn a_pull_ends_when_the_last_one_who_waits_leaves() {
    let registry = Registry::start();
    let _pushed = registry.push("left/image", 10_000_000);
    let relay = Relay::start(registry.port, 1_000_000, Then::Trickle).await;
    let name = format!("{}/left/image", relay.address);
    let lab = Lab::new();
    let wanted = wanted(&name, Pull::Missing);
    let steps = Steps::new().0;
    let mut stays = Box::pin(lab.images.ensure(&wanted, &steps));
    let mut leaves = Box::pin(lab.images.ensure(&wanted, &steps));
    let mut both = true;
    until("download", || {
        let _ = futures::FutureExt::now_or_never(&mut stays);
        if both {
            let _ = futures::FutureExt::now_or_never(&mut leaves);
            both = relay.slow() == 0;
        }
        (relay.slow() > 0).then_some(())
    })
    .await;
    drop(leaves);
    assert!(
        timeout(Duration::from_secs(1), &mut stays).await.is_err(),
        "it goes on for the other"
    );
    assert!(relay.slow() > 0);
    drop(stays);
    until("end of the pull", || (relay.slow() == 0).then_some(())).await;
    timeout(PATIENCE, lab.images.settle())
        .await
        .expect("it ends");
}

#[tokio::test]
#[ignore = "needs an engine and docker-registry"]
async fn always_pulls_what_is_new_and_missing_keeps_what_is_here() {
    let (lab, registry) = (Lab::new(), Registry::start());
    let old = registry.push("moving/image:1", 100);
    assert_eq!(
        *ensure(&lab, &old.name, Pull::Missing).await.unwrap().id,
        old.id
    );
    // As somebody else would push it: the engine here keeps the old one under the name.
    docker(&["tag", &old.id, "envdeck-tests/moved"]);
    let new = registry.push("moving/image:1", 100);
    docker(&["tag", "envdeck-tests/moved", &old.name]);
    docker(&["rmi", "envdeck-tests/moved"]);
    assert_eq!(
        *ensure(&lab, &old.name, Pull::Missing).await.unwrap().id,
        old.id
    );
    assert_eq!(
        *ensure(&lab, &new.name, Pull::Always).await.unwrap().id,
        new.id
    );
    assert_eq!(
        *ensure(&lab, &new.name, Pull::Always).await.unwrap().id,
        new.id
    );
    docker(&["rmi", &old.id]);
}

#[tokio::test]
#[ignore = "needs an engine and docker-registry"]
async fn what_the_registry_lacks_is_told_apart() {
    let (lab, registry) = (Lab::new(), Registry::start());
    let pushed = registry.push("known/image:1", 100);
    let unknown_tag = pushed
        .name
        .replace(":1", ":2")
        .replace("127.0.0.2", "127.0.0.1");
    let unknown_tag = format!("{}:2", unknown_tag.rsplit_once(':').unwrap().0);
    let failure = ensure(&lab, &unknown_tag, Pull::Missing).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Create);
    assert_says(
        &failure,
        &[
            "cannot pull",
            &unknown_tag,
            "no such version of it: correct the tag",
        ],
    );
    let failure = ensure(&lab, &registry.name("unknown/image"), Pull::Missing)
        .await
        .unwrap_err();
    assert_says(&failure, &["cannot pull", "unknown/image", "correct the "]);
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_registry_that_is_not_there_is_named() {
    let lab = Lab::new();
    let name = format!("127.0.0.1:{}/some/image:1", free_port());
    let failure = ensure(&lab, &name, Pull::Missing).await.unwrap_err();
    let registry = name.split_once('/').unwrap().0;
    assert_says(
        &failure,
        &[
            &format!("cannot pull {name}"),
            &format!("cannot reach {registry}"),
            "docker load",
        ],
    );
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named() {
    let address = Address::parse("unix:///nonexistent/engine.sock").unwrap();
    let images = Images::new(Engine::at(address));
    let steps = Steps::new().0;
    let failure = images
        .ensure(&wanted(TINY, Pull::Missing), &steps)
        .await
        .unwrap_err();
    assert_says(&failure, &["no Docker engine at unix:///nonexistent"]);
}
