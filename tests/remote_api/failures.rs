//! What an operator reads when an API misbehaves, kind by kind.

use std::time::Duration;

use envdeck::model::{Failure, Mode, RemoteApi, RemoteAuth, Secret};

use crate::bench::{Service, creates, failure, words};
use crate::deck::Deck;
use crate::service::{Manner, Orders};

/// How the only instance fails with a service that behaves so, and the words for it.
async fn refusal(
    manners: impl IntoIterator<Item = Manner>,
    tune: impl FnOnce(&mut RemoteApi),
) -> (Service, Deck, Failure, String) {
    let service = Service::start();
    service.tell(creates(manners)).await;
    let deck = service.deck(tune);
    let failure = failure(&deck).await;
    let words = words(&service, &failure);
    (service, deck, failure, words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_without_an_address() {
    let service = Service::start();
    let deck = service.deck(|api| api.base_url = Secret::new("http://nowhere.invalid/api"));
    let failure = failure(&deck).await;
    assert_eq!(failure.cause.kind(), "dns");
    let text = failure.to_string();
    assert!(
        text.starts_with("create: nowhere.invalid:80: no such host ("),
        "{text}"
    );
    assert!(text.ends_with("— check the host in the URL"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let mut service = Service::start();
    service.end();
    let deck = service.deck(|_| {});
    let failure = failure(&deck).await;
    assert_eq!(failure.cause.kind(), "refused");
    assert_eq!(
        words(&service, &failure),
        "create: SERVICE: connection refused — is the server running?"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_nobody_we_know() {
    let service = Service::start_tls();
    let deck = service.deck(|_| {});
    let refused = failure(&deck).await;
    assert_eq!(refused.cause.kind(), "tls");
    assert_eq!(
        words(&service, &refused),
        "create: SERVICE: no TLS connection (its certificate is of an authority that is not trusted here) \
         — name the file with its authority's certificate as `ca_file`"
    );
    let trusting = service.deck(|api| api.ca_file = Some(service.ca_file()));
    let session = trusting.open(&[("remote", 1)]).await;
    let fleet = trusting.fleet();
    assert_eq!(
        crate::deck::count(&fleet, &session, envdeck::model::Phase::Ready),
        1
    );
    assert!(trusting.close(session).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_refused_are_not_repeated() {
    let service = Service::start();
    let authorization = Some("Bearer other".to_owned());
    service
        .tell(Orders {
            authorization,
            ..Orders::default()
        })
        .await;
    let deck = service.deck(|api| api.auth = RemoteAuth::Bearer(Secret::new("hush")));
    let failure = failure(&deck).await;
    assert_eq!(failure.cause.kind(), "auth");
    assert_eq!(
        words(&service, &failure),
        "create: SERVICE answered 401 Unauthorized: you sent ••• \
         — check the credentials in `auth_details`"
    );
    assert_eq!(service.creates().await.len(), 1, "not asked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_lets_nobody_in() {
    for (elsewhere, auth, hint) in [
        (
            false,
            RemoteAuth::Bearer(Secret::new("hush")),
            "it gets the credentials in `auth_details`: check them",
        ),
        (
            false,
            RemoteAuth::None,
            "it gets the credentials in `auth_details`, and there are none",
        ),
        (
            true,
            RemoteAuth::Bearer(Secret::new("hush")),
            "the credentials in `auth_details` go to the API's own origin only, and this is another",
        ),
    ] {
        let service = Service::start();
        let orders = Orders {
            locked: true,
            elsewhere,
            ..Orders::default()
        };
        service.tell(orders).await;
        let deck = service.deck(|api| api.auth = auth);
        let failure = failure(&deck).await;
        assert_eq!(failure.cause.kind(), "auth");
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_does_not_pass() {
    let errors = vec![Manner::Status(500); 9];
    let (service, _deck, failure, words) = refusal(errors, |_| {}).await;
    assert_eq!(failure.cause.kind(), "http status");
    assert_eq!(
        words,
        "create: SERVICE answered 500 Internal Server Error: the service is told to say this"
    );
    assert_eq!(service.creates().await.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_that_will_not_pass_is_not_repeated() {
    let (service, _deck, _, words) = refusal([Manner::Status(404)], |_| {}).await;
    assert_eq!(
        words,
        "create: SERVICE answered 404 Not Found: the service is told to say this \
         — check `base_url` and the endpoints of the API"
    );
    assert_eq!(service.creates().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wish_to_wait_longer_than_anybody_would() {
    let (service, _deck, _, words) = refusal([Manner::Later(429, 3_600)], |_| {}).await;
    assert_eq!(
        words,
        "create: SERVICE answered 429 Too Many Requests: come back — it asks to wait 3600s"
    );
    assert_eq!(service.creates().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_in_time() {
    let timeout = Duration::from_millis(400);
    let (_service, _deck, failure, words) =
        refusal([Manner::Hang], |api| api.timeout = timeout).await;
    assert_eq!(failure.cause.kind(), "deadline");
    assert_eq!(
        words,
        "create: no answer to POST /api/instances of SERVICE within 400ms \
         — raise the `timeout` of the API if it needs longer"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_another_shape() {
    for (text, right) in [
        ("<h1>Welcome</h1>", "not with JSON: <h1>Welcome</h1>"),
        (
            r#"{"ok": true}"#,
            r#"not with a list of instances: {"ok":true}"#,
        ),
    ] {
        let (_service, _deck, failure, words) =
            refusal([Manner::Text(text.to_owned())], |_| {}).await;
        assert_eq!(failure.cause.kind(), "protocol");
        assert_eq!(
            words,
            format!(
                "create: SERVICE answered, but {right} \
                 — check `base_url` and the endpoints of the API"
            )
        );
    }
    let text = r#"[{"mcp_endpoint_url": "http://h"}, 7]"#.to_owned();
    let (_service, _deck, _, words) = refusal([Manner::Text(text)], |_| {}).await;
    assert_eq!(
        words,
        "create: SERVICE made 0 of the 1 instances asked for: one of them has no remote_instance_id: \
         one of them has no remote_instance_id — start it again to ask once more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_end_costs_nothing() {
    let (_service, _deck, failure, words) = refusal([Manner::Bomb], |_| {}).await;
    assert_eq!(failure.cause.kind(), "size");
    assert!(words.ends_with("is over the limit of 4194304"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_somebody_else_is_not_followed() {
    let other = Service::start();
    let to = format!("{}/instances", other.url);
    let (_service, _deck, failure, words) = refusal([Manner::Redirect(to)], |_| {}).await;
    assert_eq!(failure.cause.kind(), "http status");
    let right = format!(
        "create: SERVICE answered 307 Temporary Redirect: it redirects to {}/instances, \
         which is another origin",
        other.url
    );
    assert_eq!(words, right);
    assert!(other.creates().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_without_a_place_is_deleted() {
    let (service, _deck, failure, words) = refusal([Manner::Nowhere], |_| {}).await;
    assert_eq!(failure.cause.kind(), "protocol");
    assert_eq!(
        words,
        "create: SERVICE made 0 of the 1 instances asked for: i/1 ü has no usable mcp_endpoint_url \
         — start it again to ask once more"
    );
    service.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_nobody_answers_for_is_deleted() {
    let service = Service::start();
    service.tell(creates([Manner::Dead])).await;
    let mut backend = crate::bench::backend(service.api());
    backend.start_timeout = Duration::from_secs(2);
    let deck = Deck::real(vec![backend]);
    let failure = failure(&deck).await;
    assert_eq!(failure.cause.kind(), "refused");
    let text = failure.to_string();
    assert!(
        text.starts_with("connect: 127.0.0.1:9: connection refused — nothing answered"),
        "{text}"
    );
    service.wait_until_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_fail_together_are_no_storm() {
    let service = Service::start();
    service
        .tell(creates(vec![Manner::Status(503); 1_000]))
        .await;
    // Eight backends, so eight requests, of one API.
    let api = service.api();
    let backends = (0..8).map(|number| {
        let mut backend = crate::bench::backend(api.clone());
        backend.name = format!("remote{number}").into();
        if let Mode::RemoteHttpApi(remote) = &mut backend.mode {
            remote.resource_type = format!("kind {number}");
        }
        backend.start_timeout = Duration::from_secs(4);
        backend
    });
    let backends: Vec<_> = backends.collect();
    let names: Vec<_> = backends
        .iter()
        .map(|backend| backend.name.to_string())
        .collect();
    let asks: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let deck = Deck::real(backends);
    deck.open(&asks).await;
    let sent = service.creates().await.len();
    // A burst of 10, and 2 a second for 4 seconds.
    assert!((8..=8 + 10 + 8).contains(&sent), "{sent}");
}
