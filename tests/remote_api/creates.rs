//! Asking for instances: in one request what is wanted at once, whatever number comes back.

use std::time::Duration;

use envdeck::model::{Ask, Caller, Command, Phase, RemoteAuth, Secret};
use envdeck::orchestrator::Reply;
use serde_json::json;

use crate::bench::{Service, backend, creates, failure_of};
use crate::common::DEADLINE;
use crate::deck::{Deck, count};
use crate::service::{Manner, Orders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_at_once_is_one_request_by_the_contract() {
    let service = Service::start();
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 5)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 5);

    let asked = service.creates().await;
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].body,
        json!({
            "resource_type_identifier": "everything-v1",
            "num_instances": 5,
            "session_id": session.as_str(),
            "instance_scoping": "session",
            "template_details": null,
        })
    );
    assert_eq!(asked[0].headers["content-type"], "application/json");

    // Each is another one, with its own facts.
    let fleet = deck.fleet();
    let mut ids = vec![];
    for instance in fleet.sessions[&session].instances.values() {
        let fact = |name: &str| {
            let found = instance.facts.iter().find(|(known, _)| **known == *name);
            found
                .map(|(_, value)| value.to_string())
                .unwrap_or_default()
        };
        assert_eq!(fact("api"), service.url);
        assert_eq!(
            (fact("zone"), fact("api_token")),
            ("north".into(), "•••".into())
        );
        ids.push(fact("remote id"));
    }
    ids.sort();
    assert_eq!(ids, service.report().await.instances);

    assert!(deck.close(session).await.is_empty());
    assert_eq!(service.deletes().await.len(), 5);
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn details_of_a_template_are_passed_on_as_they_are() {
    let service = Service::start();
    let deck = service.deck(|_| {});
    let details = r#"{"seed": [1, "two"]}"#;
    let asks = vec![Ask {
        details: Some(details.into()),
        ..Ask::new("remote", 1)
    }];
    let caller = Caller::Operator;
    let reply = deck.request(Command::OpenSession { caller, asks }).await;
    let Ok(Reply::Opened(session, _)) = reply else {
        panic!("{reply:?}")
    };
    let asked = service.creates().await;
    assert_eq!(
        asked[0].body["template_details"],
        json!({ "seed": [1, "two"] })
    );
    deck.close(session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_than_asked_for_are_used_and_the_rest_is_told() {
    let service = Service::start();
    service.tell(creates([Manner::Count(-2)])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 3)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 1);
    let mut instances = fleet.sessions[&session].instances.values();
    let failed = instances
        .find(|instance| instance.phase == Phase::Failed)
        .unwrap();
    assert_eq!(
        failure_of(&deck, &failed.id).to_string(),
        format!(
            "create: {} made 1 of the 3 instances asked for — start it again to ask once more",
            service.place()
        )
    );
    // Which it does.
    deck.request(Command::RetryFailed(session.clone()))
        .await
        .unwrap();
    deck.wait_until("all are ready", |fleet| {
        count(fleet, &session, Phase::Ready) == 3
    })
    .await;
    assert_eq!(service.creates().await[1].body["num_instances"], 2);
    deck.close(session).await;
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_asked_for_are_deleted_at_once() {
    let service = Service::start();
    service.tell(creates([Manner::Count(3)])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 2)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 2);
    while service.report().await.instances.len() > 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let fleet = deck.fleet();
    for id in fleet.sessions[&session].instances.keys() {
        deck.call(id, "echo", "{}").await;
    }
    deck.close(session).await;
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_given_twice_is_one() {
    let service = Service::start();
    service.tell(creates([Manner::Twice])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 2)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 2);
    assert_eq!(service.report().await.instances.len(), 2);
    deck.close(session).await;
    assert_eq!(service.deletes().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_is_asked_for_again_with_the_same_key() {
    let service = Service::start();
    service.tell(creates([Manner::Drop])).await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 2)]).await;
    assert_eq!(count(&deck.fleet(), &session, Phase::Ready), 2);
    let keys: Vec<_> = service.creates().await;
    let keys: Vec<_> = keys
        .iter()
        .map(|heard| &heard.headers["idempotency-key"])
        .collect();
    assert!(keys.len() >= 2);
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(service.report().await.instances.len(), 2);
    deck.close(session).await;
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_that_does_not_know_keys_is_found_out_and_what_it_may_have_made_is_told() {
    let service = Service::start();
    service
        .tell(Orders {
            forgets_keys: true,
            ..creates([Manner::Drop])
        })
        .await;
    let deck = service.deck(|_| {});
    let session = deck.open(&[("remote", 2)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 2);
    let id = fleet.sessions[&session].instances.keys().next().unwrap();
    let told = "may have made instances that envdeck cannot find";
    let all_told = async {
        while !deck.log(id).contains(told) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        deck.close(session).await;
        // Those of the lost answer stay; what was made to find it out goes.
        while service.report().await.instances != ["i/1 ü", "i/2 ü"] {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, all_told).await;
    in_time.expect("it is told, and what was made in vain goes");
    assert_eq!(service.creates().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_that_pass_are_waited_for_and_shown() {
    let service = Service::start();
    let troubles = [
        Manner::Status(500),
        Manner::Later(429, 1),
        Manner::Slow(300),
    ];
    service.tell(creates(troubles)).await;
    let deck = service.deck(|_| {});
    let id = deck.open_one("remote").await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    let log = deck.log(&id);
    assert!(
        log.contains("answered 500 Internal Server Error: the service"),
        "{log}"
    );
    assert!(log.contains("create again in 1.0 s: "), "{log}");
    assert!(
        log.contains("answered 429 Too Many Requests: come back"),
        "{log}"
    );
    assert_eq!(service.creates().await.len(), 3);
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_for_somebody_who_has_gone_is_deleted() {
    let service = Service::start();
    service.tell(creates([Manner::Slow(500)])).await;
    let deck = service.deck(|_| {});
    let opening = deck.asking(crate::deck::open(&[("remote", 2)]));
    while service.creates().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let fleet = deck.fleet();
    let session = fleet.sessions.keys().next().unwrap().clone();
    deck.close(session).await;
    let _ = opening.await;
    // Only now it answers.
    while service.report().await.instances.is_empty() && service.deletes().await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    service.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_go_to_the_api_and_its_own_origin_only() {
    let service = Service::start();
    let orders = Orders {
        authorization: Some("Bearer hush".to_owned()),
        ..Orders::default()
    };
    service.tell(orders.clone()).await;
    let auth = RemoteAuth::Bearer(Secret::new("hush"));
    let deck = service.deck(|api| api.auth = auth.clone());
    let near = deck.open_one("remote").await;
    assert_eq!(deck.instance(&near).phase, Phase::Ready);
    let to_near = service.report().await.heard;
    assert!(
        to_near
            .iter()
            .all(|heard| heard.headers["authorization"] == "Bearer hush")
    );

    service
        .tell(Orders {
            elsewhere: true,
            ..orders
        })
        .await;
    let before = to_near.len();
    let far = deck.open_one("remote").await;
    assert_eq!(deck.instance(&far).phase, Phase::Ready);
    let heard = service.report().await.heard.split_off(before);
    for heard in heard {
        let is_of_api = heard.path.starts_with("/api");
        let is_known = heard.path.ends_with("/i1");
        assert_eq!(
            heard.headers.contains_key("authorization"),
            is_of_api || is_known,
            "{heard:?}"
        );
    }
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;

    let auth = RemoteAuth::Header {
        name: "Authorization".to_owned(),
        value: Secret::new("Bearer hush"),
    };
    let mut api = service.api();
    api.auth = auth;
    let deck = Deck::real(vec![backend(api)]);
    let id = deck.open_one("remote").await;
    assert_eq!(deck.instance(&id).phase, Phase::Ready);
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;
    assert!(service.report().await.instances.is_empty());
}
