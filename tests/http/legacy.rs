//! The transport of 2024-11-05, scripted: its address, its loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use envdeck::mcp::ServerNews;
use serde_json::Value;
use tokio::sync::broadcast;

use crate::peer::{Desk, PATIENCE, RunningCall, eventually, initialized};
use crate::remote::connect;
use crate::scripted::{Heard, Out, Scripted};

/// A server of the old kind; `endpoint` is the address it names, and `None` ends its streams.
async fn old(endpoint: &'static str) -> (Scripted, broadcast::Sender<Option<Value>>) {
    let (sender, _) = broadcast::channel::<Option<Value>>(16);
    let (says, streams) = (sender.clone(), Arc::new(AtomicUsize::new(0)));
    let server = Scripted::start(move |heard: Heard, mut out: Out| {
        let (says, streams) = (says.clone(), streams.clone());
        async move {
            if heard.method == "GET" {
                let mut said = says.subscribe();
                let number = streams.fetch_add(1, Ordering::SeqCst);
                out.events().await;
                out.raw(format!(
                    "event: endpoint\ndata: {endpoint}?stream={number}\n\n"
                ))
                .await;
                loop {
                    let message = tokio::select! {
                        message = said.recv() => message,
                        () = out.hang() => return,
                    };
                    let Ok(Some(message)) = message else { return };
                    out.raw(format!("event: message\ndata: {message}\n\n"))
                        .await;
                }
            }
            if !heard.path.starts_with("/message?stream=") {
                return out.answer("405 Method Not Allowed", "", "").await;
            }
            let reply = match heard.what() {
                "initialize" => Some(heard.result(initialized("2024-11-05"))),
                "tools/call" => Some(heard.text(&heard.path)),
                _ => None,
            };
            out.answer("202 Accepted", "", "Accepted").await;
            if let Some(reply) = reply {
                says.send(Some(reply)).unwrap();
            }
        }
    })
    .await;
    (server, sender)
}

#[tokio::test]
async fn a_stream_that_is_lost_is_opened_again() {
    let (server, says) = old("/message").await;
    let mut desk = Desk::new();
    let (client, contact) = connect(&desk, server.server()).await;
    let client = client.unwrap();
    assert_eq!(contact.standing().transport, "HTTP+SSE");
    assert_eq!(&*client.server().protocol, "2024-11-05");
    let answer = RunningCall::start(&client, "t", "{}").answer().await;
    assert_eq!(answer["content"][0]["text"], "/message?stream=0");

    says.send(None).unwrap();
    assert!(matches!(desk.news().await, ServerNews::ToolsChanged));
    assert_eq!(contact.standing().reconnects, 1);
    let answer = RunningCall::start(&client, "t", "{}").answer().await;
    assert_eq!(answer["content"][0]["text"], "/message?stream=1");
    client.close(PATIENCE).await;
    let closed = || says.receiver_count() == 0;
    eventually("the stream is closed", closed).await;
}

#[tokio::test]
async fn an_address_at_another_server_is_not_used() {
    let (server, _says) = old("http://127.0.0.2:1/message").await;
    let desk = Desk::new();
    let failure = connect(&desk, server.server()).await.0.err().unwrap();
    // It is no server of either kind, then.
    assert!(
        failure
            .to_string()
            .contains("answered 405 Method Not Allowed"),
        "{failure}"
    );
}

#[tokio::test]
async fn the_old_transport_can_be_forbidden() {
    let (server, _says) = old("/message").await;
    let mut strict = server.server();
    strict.legacy_sse = false;
    let desk = Desk::new();
    assert!(connect(&desk, strict).await.0.is_err());
    assert!(server.of("GET").is_empty());
}
