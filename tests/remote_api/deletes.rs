//! Giving instances back: as often as it takes, and told where it does not work.

use envdeck::model::Phase;

use crate::bench::{Service, words};
use crate::service::{Manner, Orders};

fn deletes(manners: impl IntoIterator<Item = Manner>) -> Orders {
    Orders {
        delete: manners.into_iter().collect(),
        ..Orders::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_is_repeated_until_it_succeeds() {
    let service = Service::start();
    let manners = [Manner::Status(500), Manner::Later(503, 1), Manner::Drop];
    service.tell(deletes(manners)).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 1)]).await;
    // The last one was deleted before the answer broke, and then is not there any more.
    assert!(deck.close(session).await.is_empty());
    assert!(service.report().await.instances.is_empty());
    assert!(service.deletes().await.len() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_deleted_is_told_and_tried_once_more_at_the_end() {
    let service = Service::start();
    service.tell(deletes([Manner::Status(403)])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 2)]).await;
    let left = deck.close(session).await;
    assert_eq!(left.len(), 1);
    let text = words(&service, &left[0]);
    assert!(
        text.contains("SERVICE answered 403 Forbidden: the service is told"),
        "{text}"
    );
    assert!(
        text.ends_with("check the credentials in `auth_details`"),
        "{text}"
    );
    assert_eq!(service.report().await.instances.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_gone_already_is_deleted() {
    let service = Service::start();
    service.tell(deletes([Manner::Status(410)])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 1)]).await;
    assert!(deck.close(session).await.is_empty());
    assert_eq!(service.deletes().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_id_of_an_instance_is_one_segment_of_the_path() {
    let service = Service::start();
    let deck = service.deck(|_| {});
    let id = deck.open_one("remote").await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;
    let deletes = service.deletes().await;
    assert_eq!(deletes[0].path, "/api/instances/i%2F1%20%C3%BC");
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_dies_is_given_back_and_replaced() {
    use envdeck::model::{HealthPolicy, RestartPolicy};
    use std::time::Duration;

    let service = Service::start();
    let mut backend = crate::bench::backend(service.api());
    backend.restart = RestartPolicy::default();
    backend.health = HealthPolicy {
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(5),
        failures: 2,
    };
    let deck = crate::deck::Deck::real(vec![backend]);
    let id = deck.open_one("remote").await;
    // Behind our back.
    let gone = reqwest_delete(&service).await;
    assert!(gone);
    deck.wait_for(&id, "it is another one", |instance| {
        instance.phase == Phase::Ready
            && instance.facts.iter().any(|(_, value)| **value == *"i/2 ü")
    })
    .await;
    assert_eq!(service.report().await.instances, ["i/2 ü"]);
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;
    assert!(service.report().await.instances.is_empty());
}

/// Deletes the first instance as somebody else would.
async fn reqwest_delete(service: &Service) -> bool {
    let url = format!("{}/instances/i%2F1%20%C3%BC", service.url);
    let answer = crate::bench::client().delete(url).send().await.unwrap();
    answer.status().is_success()
}
