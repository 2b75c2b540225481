//! Sessions of servers that have them: begun, used, forgotten, begun again, ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use envdeck::mcp::ServerNews;
use serde_json::json;
use tokio::sync::Barrier;

use crate::peer::{Desk, PATIENCE, RunningCall, eventually, initialized};
use crate::remote::connect;
use crate::scripted::{Heard, JSON, Out, Scripted, behave};

/// Begins session `s1`, then `s2`, …; knows only the latest, and none at all while `forgets` says so.
async fn server_with_sessions(
    refusal: impl Fn(&Heard) -> (&'static str, String) + Send + Sync + 'static,
) -> (Scripted, Arc<AtomicUsize>) {
    let current = Arc::new(AtomicUsize::new(0));
    let (shared, refusal) = (current.clone(), Arc::new(refusal));
    let server = Scripted::start(move |heard, mut out| {
        let (current, refusal) = (shared.clone(), refusal.clone());
        async move {
            if heard.what() == "initialize" {
                let number = current.fetch_add(1, Ordering::SeqCst) + 1;
                let headers = format!("{JSON}Mcp-Session-Id: s{number}\r\n");
                let hello = heard.result(initialized("2025-11-25")).to_string();
                return out.answer("200 OK", &headers, hello).await;
            }
            let right = format!("s{}", current.load(Ordering::SeqCst));
            if heard.headers.get("mcp-session-id") != Some(&right) {
                let (status, body) = refusal(&heard);
                return out.answer(status, JSON, body).await;
            }
            behave(heard, out).await;
        }
    })
    .await;
    (server, current)
}

fn not_found(_: &Heard) -> (&'static str, String) {
    ("404 Not Found", "{}".to_owned())
}

#[tokio::test]
async fn every_message_says_its_session_and_revision_and_the_end_is_told() {
    let (server, _) = server_with_sessions(not_found).await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    client.list_tools(PATIENCE).await.unwrap();
    RunningCall::start(&client, "t", "{}").answer().await;
    client.close(PATIENCE).await;
    let mut heard = server.heard();
    // A question that servers without sessions answer comes first.
    assert_eq!(heard.remove(0).what(), "server/discover");
    let whats: Vec<_> = heard.iter().map(Heard::what).collect();
    for what in [
        "notifications/initialized",
        "GET",
        "tools/list",
        "tools/call",
        "DELETE",
    ] {
        assert!(whats.contains(&what), "{what}: {whats:?}");
    }
    assert!(!heard[0].headers.contains_key("mcp-session-id"));
    assert!(!heard[0].headers.contains_key("mcp-protocol-version"));
    for one in &heard[1..] {
        assert_eq!(one.headers["mcp-session-id"], "s1", "{one:?}");
        assert_eq!(one.headers["mcp-protocol-version"], "2025-11-25");
    }
    let posts = heard.iter().filter(|one| one.method == "POST");
    for one in posts {
        assert_eq!(one.headers["accept"], "application/json, text/event-stream");
        assert_eq!(one.headers["content-type"], "application/json");
    }
    assert_eq!(whats.last(), Some(&"DELETE"));
}

#[tokio::test]
async fn a_client_that_is_dropped_ends_its_session_too() {
    let (server, _) = server_with_sessions(not_found).await;
    let desk = Desk::new();
    drop(connect(&desk, server.server()).await.0.unwrap());
    eventually("the session is ended", || server.of("DELETE").len() == 1).await;
}

#[tokio::test]
async fn a_forgotten_session_is_begun_again_once_for_all_calls() {
    type Refusal = fn(&Heard) -> (&'static str, String);
    let spoken: Refusal = |heard| {
        // What servers built on the TypeScript SDK say.
        let text = "Bad Request: No valid session ID provided";
        ("400 Bad Request", heard.error(-32000, text).to_string())
    };
    for refusal in [not_found as Refusal, spoken] {
        let (server, current) = server_with_sessions(refusal).await;
        let mut desk = Desk::new();
        let (client, contact) = connect(&desk, server.server()).await;
        let client = client.unwrap();
        current.store(100, Ordering::SeqCst);
        let calls: Vec<_> = (0..8)
            .map(|_| RunningCall::start(&client, "t", "{}"))
            .collect();
        for call in calls {
            call.answer().await;
        }
        assert_eq!(server.of("initialize").len(), 2);
        let in_new = |one: &Heard| one.headers["mcp-session-id"] == "s101";
        let calls = server.of("tools/call");
        assert_eq!(calls.iter().filter(|one| in_new(one)).count(), 8);
        assert_eq!(server.of("notifications/initialized").len(), 2);
        assert_eq!(contact.standing().reconnects, 1);
        // It may be another version by now.
        assert!(matches!(desk.news().await, ServerNews::ToolsChanged));
        client.close(PATIENCE).await;
        assert!(server.of("DELETE").iter().all(in_new));
    }
}

#[tokio::test]
async fn a_server_that_begins_no_new_session_is_asked_once_for_all_calls() {
    const CALLS: usize = 6;
    let barrier = Arc::new(Barrier::new(CALLS));
    let server = Scripted::start(move |heard: Heard, mut out: Out| {
        let barrier = barrier.clone();
        async move {
            match heard.what() {
                "initialize" if heard.earlier == 0 => {
                    let headers = format!("{JSON}Mcp-Session-Id: s\r\n");
                    let hello = heard.result(initialized("2025-11-25")).to_string();
                    out.answer("200 OK", &headers, hello).await;
                }
                "initialize" => out.answer("403 Forbidden", "", "go away").await,
                "tools/call" => {
                    barrier.wait().await;
                    out.answer("404 Not Found", "", "").await;
                }
                _ => behave(heard, out).await,
            }
        }
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    let calls: Vec<_> = (0..CALLS)
        .map(|_| RunningCall::start(&client, "t", "{}"))
        .collect();
    for call in calls {
        let text = call.failure().await.to_string();
        assert!(text.contains("answered 403 Forbidden: go away"), "{text}");
    }
    // The calls were refused together, so most share one attempt; one that came late may make another.
    assert!(
        server.of("initialize").len() <= 3,
        "{}",
        server.of("initialize").len()
    );
}

#[tokio::test]
async fn a_session_that_stays_unknown_is_not_begun_without_end() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        match heard.what() {
            "initialize" => {
                let headers = format!("{JSON}Mcp-Session-Id: s{}\r\n", heard.earlier);
                let hello = heard.result(initialized("2025-11-25")).to_string();
                out.answer("200 OK", &headers, hello).await;
            }
            "tools/call" => out.answer("404 Not Found", "", "no such session").await,
            _ => behave(heard, out).await,
        }
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    let failure = RunningCall::start(&client, "t", "{}").failure().await;
    assert!(
        failure
            .to_string()
            .contains("404 Not Found: no such session"),
        "{failure}"
    );
    assert_eq!(
        (server.of("initialize").len(), server.of("tools/call").len()),
        (2, 2)
    );
}

#[tokio::test]
async fn what_the_server_says_by_itself_is_heard_and_answered() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        match heard.what() {
            "GET" if heard.earlier == 0 => {
                out.events().await;
                out.raw("retry: 10\n\nid: e1\n").await;
                out.event(&json!({ "jsonrpc": "2.0", "id": "r", "method": "roots/list" }))
                    .await;
            }
            "GET" if heard.earlier == 1 => {
                out.events().await;
                let changed =
                    json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                out.event(&changed).await;
                out.hang().await;
            }
            _ => behave(heard, out).await,
        }
    })
    .await;
    let mut desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    assert!(matches!(desk.news().await, ServerNews::ToolsChanged));
    let answered = || {
        server
            .heard()
            .iter()
            .any(|one| one.body["result"]["roots"].is_array())
    };
    eventually("the question is answered", answered).await;
    let listens = server.of("GET");
    assert!(!listens[0].headers.contains_key("last-event-id"));
    assert_eq!(listens[1].headers["last-event-id"], "e1");
    assert_eq!(listens[0].headers["accept"], "text/event-stream");
    client.close(PATIENCE).await;
}

#[tokio::test]
async fn an_old_server_gets_no_header_that_it_does_not_know() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        match heard.what() {
            "initialize" => out.json(&heard.result(initialized("2025-03-26"))).await,
            _ => behave(heard, out).await,
        }
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    RunningCall::start(&client, "t", "{}").answer().await;
    let with = |one: &&Heard| one.headers.contains_key("mcp-protocol-version");
    // But for the question whether it is a new one.
    assert_eq!(server.heard().iter().skip(1).filter(with).count(), 0);
}
