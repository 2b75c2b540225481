//! Tool calls: as MCP to the instance itself, or passed on by the API.

use std::time::Duration;

use envdeck::model::{Command, Failure, InstanceId, Obedience, Outcome, RemoteApi};
use serde_json::{Value, json};

use crate::bench::Service;
use crate::deck::Deck;
use crate::service::{Manner, Orders};

fn by_proxy(api: &mut RemoteApi) {
    let template = "/instances/{remote_instance_id}/call";
    api.call_tool_endpoint_template = Some(template.to_owned());
}

fn calls(manners: impl IntoIterator<Item = Manner>) -> Orders {
    Orders {
        call: manners.into_iter().collect(),
        ..Orders::default()
    }
}

/// The result of a call of `echo`.
async fn result(deck: &Deck, id: &InstanceId, arguments: &str) -> Value {
    let Outcome::Done(result) = deck.call(id, "echo", arguments).await else {
        panic!("it failed")
    };
    let raw = deck.result(result).await;
    serde_json::from_slice(&raw).unwrap()
}

async fn failure(deck: &Deck, id: &InstanceId) -> Failure {
    match deck.call(id, "echo", "{}").await {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_template_calls_are_mcp() {
    let service = Service::start();
    let deck = service.deck(|_| {});
    let id = deck.open_one("remote").await;
    let result = result(&deck, &id, r#"{"a":1.50}"#).await;
    assert_eq!(result["content"][0]["text"], r#"i/1 ü: {"a":1.5}"#);
    assert!(service.heard("POST", "/call").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_template_calls_are_passed_on_and_tools_are_listed_over_mcp() {
    let service = Service::start();
    let deck = service.deck(by_proxy);
    let id = deck.open_one("remote").await;
    let instance = deck.instance(&id);
    assert_eq!(&*instance.tools.as_ref().unwrap()[0].name, "echo");
    let result = result(&deck, &id, r#"{"a":1.50}"#).await;
    let text = result["content"][0]["text"].as_str().unwrap();
    let sent: Value = serde_json::from_str(text.strip_prefix("i/1 ü by proxy: ").unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({ "tool_name": "echo", "arguments": { "a": 1.5 } })
    );
    let heard = service.heard("POST", "/call").await;
    assert_eq!(heard[0].path, "/api/instances/i%2F1%20%C3%BC/call");

    deck.request(Command::ListTools(id.clone())).await.unwrap();
    deck.orchestrator
        .shutdown(|_| {}, std::future::pending())
        .await;
    assert!(service.report().await.instances.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_may_have_arrived_is_not_repeated() {
    let service = Service::start();
    let deck = service.deck(by_proxy);
    let id = deck.open_one("remote").await;
    for (manner, kind, right) in [
        (
            Manner::Status(500),
            "http status",
            "call: SERVICE answered 500 Internal Server Error: the service is told to say this",
        ),
        (
            Manner::Drop,
            "lost",
            "call: SERVICE: connection lost before the end of the answer",
        ),
        (
            Manner::Status(401),
            "auth",
            "call: SERVICE answered 401 Unauthorized: the service is told to say this — check the credentials in `auth_details`",
        ),
        (
            Manner::Text("<p>".to_owned()),
            "protocol",
            "call: the API answered the call with no JSON: <p>",
        ),
    ] {
        let before = service.heard("POST", "/call").await.len();
        service.tell(calls([manner])).await;
        let failure = failure(&deck, &id).await;
        assert_eq!(failure.cause.kind(), kind);
        let words = crate::bench::words(&service, &failure);
        assert!(words.starts_with(right), "{words}");
        assert_eq!(service.heard("POST", "/call").await.len(), before + 1);
    }
    // What was declined for now is.
    service.tell(calls([Manner::Later(429, 0)])).await;
    result(&deck, &id, "{}").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_json_is_content_and_an_error_of_the_tool_stays_one() {
    let service = Service::start();
    let deck = service.deck(by_proxy);
    let id = deck.open_one("remote").await;
    service
        .tell(calls([Manner::Text(r#"{"rows": 2}"#.to_owned())]))
        .await;
    let plain = result(&deck, &id, "{}").await;
    assert_eq!(plain["structuredContent"], json!({ "rows": 2 }));
    let text = r#"{"content": [], "isError": true}"#.to_owned();
    service.tell(calls([Manner::Text(text)])).await;
    assert!(matches!(
        deck.call(&id, "echo", "{}").await,
        Outcome::ToolError(_)
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_ends_by_its_deadline_or_by_hand() {
    let service = Service::start();
    service.tell(calls([Manner::Hang, Manner::Hang])).await;
    let mut api = service.api();
    by_proxy(&mut api);
    let mut backend = crate::bench::backend(api);
    backend.call_timeout = Duration::from_millis(400);
    let deck = Deck::real(vec![backend]);
    let id = deck.open_one("remote").await;
    assert_eq!(
        failure(&deck, &id).await.to_string(),
        "call: no answer to tools/call within 400ms — the server has not begun to answer"
    );
    let call = deck.begin(&id, "echo", "{}").await;
    deck.handle.send(Command::Cancel(call)).unwrap();
    let ended = deck.end_of(call).await;
    assert!(
        matches!(ended.outcome(), Some(Outcome::Cancelled(Obedience::Silent))),
        "{:?}",
        ended.outcome()
    );
}
