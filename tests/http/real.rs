//! A real rmcp server on a port, in both eras, with JSON and with streams of events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use envdeck::drivers::Endpoint;
use envdeck::mcp::{NoAnswer, ServerNews, ToolClient};
use envdeck::model::{Era, Obedience};

use crate::peer::{Desk, MAX_MESSAGE, PATIENCE, RunningCall, eventually};
use crate::remote::{Remote, connect};

async fn tools_can_be_listed_and_called(client: &ToolClient) {
    let tools = client.list_tools(PATIENCE).await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(names, ["echo", "slow"]);
    let answers = (0..20).map(|n| {
        let call = RunningCall::start(client, "echo", &format!(r#"{{"n":{n}}}"#));
        async move { (n, call.answer().await) }
    });
    for (n, answer) in futures::future::join_all(answers).await {
        assert_eq!(answer["content"][0]["text"], format!(r#"{{"n":{n}}}"#));
    }
}

#[tokio::test]
async fn a_server_with_sessions() {
    let (remote, desk) = (Remote::start(|_| {}).await, Desk::new());
    let (client, contact) = connect(&desk, remote.server()).await;
    let client = client.unwrap();
    assert_eq!(client.server().era, Era::Sessions);
    assert!(client.ping(PATIENCE).await.unwrap().is_ok());
    tools_can_be_listed_and_called(&client).await;

    let mut slow = RunningCall::start(&client, "slow", "{}");
    assert_eq!(slow.progress().await.message.as_deref(), Some("half way"));
    slow.cancel.cancel();
    match slow.end().await {
        // It may fall silent or still answer; both are the truth about a server.
        Err(NoAnswer::Cancelled(Obedience::Silent | Obedience::Ignored)) => {}
        other => panic!("{other:?}"),
    }
    let heard = || remote.cancelled.load(Ordering::SeqCst) == 1;
    eventually("the server hears of the cancellation", heard).await;
    client.close(PATIENCE).await;
    assert_eq!(contact.standing().transport, "streamable HTTP");
    assert_eq!(desk.remarks(), "");
}

#[tokio::test]
async fn a_server_that_answers_with_json() {
    let json = |config: &mut rmcp::transport::StreamableHttpServerConfig| {
        config.legacy_session_mode = false;
        config.json_response = true;
    };
    let (remote, desk) = (Remote::start(json).await, Desk::new());
    let client = connect(&desk, remote.server()).await.0.unwrap();
    tools_can_be_listed_and_called(&client).await;
    client.close(PATIENCE).await;
}

#[tokio::test]
async fn a_server_without_sessions() {
    let (remote, mut desk) = (Remote::start(|_| {}).await, Desk::new());
    let endpoint = Endpoint::Http(remote.server().into());
    let client = ToolClient::connect(endpoint, desk.how(MAX_MESSAGE, true)).await;
    let client = client.unwrap();
    assert_eq!(client.server().era, Era::Stateless);
    assert_eq!(&*client.server().protocol, "2026-07-28");
    tools_can_be_listed_and_called(&client).await;
    assert!(matches!(desk.news().await, ServerNews::ToolsChanged));

    let mut slow = RunningCall::start(&client, "slow", "{}");
    assert_eq!(slow.progress().await.message.as_deref(), Some("half way"));
    slow.cancel.cancel();
    match slow.end().await {
        Err(NoAnswer::Cancelled(Obedience::Silent)) => {}
        other => panic!("{other:?}"),
    }
    let heard = || remote.cancelled.load(Ordering::SeqCst) == 1;
    eventually("the end of the stream is a cancellation", heard).await;

    // A deadline ends the stream, too.
    let mut slow = RunningCall::start(&client, "slow", "{}");
    slow.progress().await;
    slow.deadline.send_replace(tokio::time::Instant::now());
    assert!(
        slow.failure()
            .await
            .to_string()
            .contains("no answer to tools/call")
    );
    let heard = || remote.cancelled.load(Ordering::SeqCst) == 2;
    eventually("the end of the stream is a cancellation", heard).await;
    client.close(Duration::from_secs(10)).await;
}
