//! What an operator reads when a server, or the way to it, misbehaves.

use std::io::Write;
use std::time::Duration;

use envdeck::mcp::ToolClient;
use envdeck::model::{Cause, Failure, HttpServer, Reach, Secret};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::time::Instant;

use crate::peer::{Desk, MAX_MESSAGE, PATIENCE, RunningCall};
use crate::remote::{connect, free_port};
use crate::scripted::{Heard, JSON, Out, Scripted, behave};

/// Why no connection came about.
async fn refusal(server: HttpServer) -> Failure {
    let desk = Desk::new();
    connect(&desk, server).await.0.err().expect("a failure")
}

/// A client of a server that behaves but for the calls of tools.
async fn with_calls<F, W>(act: F) -> (Scripted, ToolClient, Desk)
where
    F: Fn(Heard, Out) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let server = Scripted::start(move |heard, out| {
        let act = act.clone();
        async move {
            match heard.what() {
                "tools/call" => act(heard, out).await,
                _ => behave(heard, out).await,
            }
        }
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    (server, client, desk)
}

/// How a call of such a server fails.
async fn call_failure<F, W>(act: F) -> (Scripted, Failure)
where
    F: Fn(Heard, Out) -> W + Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let (server, client, _desk) = with_calls(act).await;
    let failure = RunningCall::start(&client, "t", "{}").failure().await;
    (server, failure)
}

/// The words behind `host:port`.
fn words(failure: &Failure) -> String {
    let text = failure.to_string();
    let port = regex::Regex::new(r"(127\.0\.0\.1|localhost):\d+").unwrap();
    port.replace_all(&text, "SERVER").into_owned()
}

#[tokio::test]
async fn a_name_without_an_address() {
    let failure = refusal(HttpServer::at("http://nowhere.invalid/mcp")).await;
    assert!(matches!(
        failure.cause,
        Cause::Unreachable {
            reach: Reach::Dns,
            ..
        }
    ));
    assert_eq!(failure.cause.kind(), "dns");
    let text = failure.to_string();
    assert!(
        text.starts_with("connect: nowhere.invalid:80: no such host ("),
        "{text}"
    );
    assert!(text.ends_with("— check the host in the URL"), "{text}");
}

#[tokio::test]
async fn nobody_listens() {
    let url = format!("http://127.0.0.1:{}/mcp", free_port());
    let failure = refusal(HttpServer::at(url)).await;
    assert_eq!(
        words(&failure),
        "connect: SERVER: connection refused — is the server running?"
    );
    assert_eq!(failure.cause.kind(), "refused");
}

#[tokio::test]
async fn no_connection_in_time() {
    // A listener whose queue is full takes no more connections.
    let listener = socket_with_a_full_queue();
    let mut server = HttpServer::at(format!("http://{}/mcp", listener.0));
    server.connect_timeout = Duration::from_millis(300);
    let failure = refusal(server).await;
    assert_eq!(
        words(&failure),
        "connect: SERVER: no connection in time (300ms)"
    );
}

fn socket_with_a_full_queue() -> (
    std::net::SocketAddr,
    Vec<std::net::TcpStream>,
    tokio::net::TcpListener,
) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let brief = Duration::from_millis(200);
    let filled = (0..8).map_while(|_| std::net::TcpStream::connect_timeout(&address, brief).ok());
    (address, filled.collect(), listener)
}

#[tokio::test]
async fn a_certificate_of_nobody_we_know() {
    let server = Scripted::start_tls(behave).await;
    let failure = refusal(server.server()).await;
    assert_eq!(
        words(&failure),
        "connect: SERVER: no TLS connection (its certificate is of an authority that is not trusted here) \
         — name the file with its authority's certificate as `ca_file`"
    );
    assert_eq!(failure.cause.kind(), "tls");

    let mut trusted = server.server();
    trusted.ca_file = Some(server.ca_file.clone());
    let desk = Desk::new();
    let client = connect(&desk, trusted).await.0.unwrap();
    assert_eq!(client.list_tools(PATIENCE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_for_another_host() {
    let server = Scripted::start_tls(behave).await;
    let mut other = HttpServer::at(server.url.replace("localhost", "127.0.0.1"));
    other.ca_file = Some(server.ca_file.clone());
    assert_eq!(
        words(&refusal(other).await),
        "connect: SERVER: no TLS connection (its certificate is for another host)"
    );
}

#[tokio::test]
async fn encryption_where_there_is_none_and_none_where_there_is() {
    let plain = Scripted::start(behave).await;
    let failure = refusal(HttpServer::at(plain.url.replace("http:", "https:"))).await;
    assert_eq!(
        words(&failure),
        "connect: SERVER: no TLS connection (it does not speak TLS) — should the URL begin with http://?"
    );
    let encrypted = Scripted::start_tls(behave).await;
    let failure = refusal(HttpServer::at(encrypted.url.replace("https:", "http:"))).await;
    let text = words(&failure);
    assert!(
        text.contains("should the URL begin with https://?"),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_of_authorities_that_holds_none() {
    let mut server = HttpServer::at("https://localhost:1/mcp");
    server.ca_file = Some("/nowhere/ca.pem".into());
    let text = refusal(server.clone()).await.to_string();
    assert!(text.contains("ca_file /nowhere/ca.pem: "), "{text}");
    let file = tempfile::NamedTempFile::new().unwrap();
    server.ca_file = Some(file.path().to_owned());
    let text = refusal(server).await.to_string();
    assert!(text.contains("there is no certificate in it"), "{text}");
}

#[tokio::test]
async fn a_key_is_needed() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        if heard
            .headers
            .get("authorization")
            .is_some_and(|key| key == "Bearer right")
        {
            return behave(heard, out).await;
        }
        let echo = heard
            .headers
            .get("authorization")
            .cloned()
            .unwrap_or_default();
        let body =
            json!({ "error": "invalid_token", "error_description": format!("{echo} is unknown") });
        out.answer("401 Unauthorized", JSON, body.to_string()).await;
    })
    .await;
    let with = |key: &str| {
        let mut with = server.server();
        with.headers
            .push(("Authorization".to_owned(), Secret::new(key)));
        with
    };
    let failure = refusal(with("Bearer hush")).await;
    assert_eq!(
        words(&failure),
        "connect: SERVER answered 401 Unauthorized: ••• is unknown — check the credentials in `headers`"
    );
    assert_eq!(failure.cause.kind(), "auth");
    // Refused for good: neither the other transport nor a second attempt is tried.
    assert_eq!(server.heard().len(), 1);
    let desk = Desk::new();
    let client = connect(&desk, with("Bearer right")).await.0.unwrap();
    RunningCall::start(&client, "t", "{}").answer().await;
}

#[tokio::test]
async fn what_a_server_repeats_of_our_secrets_is_not_shown() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        let sent = heard.headers.get("authorization").cloned();
        let sent = sent.unwrap_or_default();
        let said = match heard.path.split('?').next().unwrap() {
            "/page" => format!("no {} for {sent} here", heard.path),
            "/cut" => format!("{}{sent}", "x".repeat(190)),
            _ => {
                let error =
                    json!({ "code": -32000, "message": format!("bad {sent}"), "data": sent });
                let error = json!({ "jsonrpc": "2.0", "id": null, "error": error });
                return out.answer("400 Bad Request", JSON, error.to_string()).await;
            }
        };
        out.answer("404 Not Found", "", said).await;
    })
    .await;
    let base = server.url.replace("http://", "http://user:hu%73h-hush@");
    let url = base.replace("/mcp", "/page?token=hush%2Dquery&plain=hush-more");
    let text = words(&refusal(HttpServer::at(url)).await);
    assert!(
        text.starts_with(
            "connect: SERVER answered 404 Not Found: no /page?token=•••&plain=••• for Basic ••• here"
        ),
        "{text}"
    );
    for path in ["/cut", "/rpc"] {
        let mut with = HttpServer::at(server.url.replace("/mcp", path));
        let key = format!("Bearer hush-{}", "z".repeat(40));
        with.headers
            .push(("Authorization".into(), Secret::new(key)));
        let failure = refusal(with).await;
        let text = format!("{failure} {failure:?}");
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("•••"), "{text}");
    }
}

#[tokio::test]
async fn a_page_instead_of_a_server() {
    let page = |status: &'static str, length: usize| {
        move |_: Heard, mut out: Out| async move {
            let page = format!(
                "<!DOCTYPE html><html><head><title>T</title></head><body>\n<h1>It works!</h1>{}</body></html>",
                "x ".repeat(length)
            );
            out.answer(status, "Content-Type: text/html\r\n", page)
                .await;
        }
    };
    let server = Scripted::start(page("200 OK", 0)).await;
    let failure = refusal(server.server()).await;
    assert_eq!(
        words(&failure),
        "initialize: SERVER answered 200 with text/html instead of JSON or events: It works! \
         — is this the URL of an MCP server? Many have it at /mcp"
    );
    assert_eq!(failure.cause.kind(), "protocol");

    let server = Scripted::start(page("404 Not Found", 1_000_000)).await;
    let failure = refusal(server.server()).await;
    let text = words(&failure);
    assert!(
        text.starts_with("connect: SERVER answered 404 Not Found: It works! x x x"),
        "{text}"
    );
    assert!(
        text.ends_with("… — is this the URL of an MCP server? Many have it at /mcp"),
        "{text}"
    );
    assert!(text.len() < 400, "{text}");
    // The old transport was tried, once.
    let methods: Vec<_> = server
        .heard()
        .into_iter()
        .map(|heard| heard.method)
        .collect();
    assert_eq!(methods, ["POST", "POST", "GET"]);
}

#[tokio::test]
async fn neither_the_old_transport_nor_another_attempt_for_statuses_that_mean_it() {
    for (status, posts) in [("403 Forbidden", 1), ("503 Service Unavailable", 2)] {
        let server = Scripted::start(move |_: Heard, mut out: Out| async move {
            out.answer(status, "", "no").await;
        })
        .await;
        let failure = refusal(server.server()).await;
        assert!(
            words(&failure).contains(&format!("SERVER answered {status}: no")),
            "{failure}"
        );
        let methods: Vec<_> = server
            .heard()
            .into_iter()
            .map(|heard| heard.method)
            .collect();
        assert_eq!(methods, vec!["POST"; posts], "{status}");
    }
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_not_followed() {
    let other = Scripted::start(behave).await;
    let place = other.url.clone();
    let server = Scripted::start(move |_: Heard, mut out: Out| {
        let place = format!("Location: {place}?key=1\r\n");
        async move { out.answer("307 Temporary Redirect", &place, "").await }
    })
    .await;
    let mut with = server.server();
    with.headers.push(("X-Key".to_owned(), Secret::new("hush")));
    assert_eq!(
        words(&refusal(with).await),
        "connect: SERVER answered 307 Temporary Redirect: it redirects to http://SERVER/mcp, \
         which is another origin — if that is right, configure that URL"
    );
    assert!(other.heard().is_empty());
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_message() {
    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        if heard.path == "/mcp" {
            return out
                .answer("307 Temporary Redirect", "Location: /mcp/\r\n", "")
                .await;
        }
        behave(heard, out).await;
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    let answer = RunningCall::start(&client, "t", "{}").answer().await;
    assert_eq!(answer["content"][0]["text"], "done");

    let circle = Scripted::start(|_: Heard, mut out: Out| async move {
        out.answer("308 Permanent Redirect", "Location: /mcp\r\n", "")
            .await;
    })
    .await;
    let text = words(&refusal(circle.server()).await);
    assert!(text.contains("SERVER redirects in a circle"), "{text}");
}

#[tokio::test]
async fn a_connection_that_drops_before_the_answer_or_in_the_middle_of_it() {
    let (server, failure) = call_failure(|_, _| async {}).await;
    let text = words(&failure);
    assert!(
        text.starts_with("call: SERVER: connection lost before the end of the answer ("),
        "{text}"
    );
    assert_eq!(failure.cause.kind(), "lost");
    // The server may have acted on it.
    assert_eq!(server.of("tools/call").len(), 1);

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.raw(format!(
            "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 1000\r\n\r\n{{\"jsonrpc\""
        ))
        .await;
    })
    .await;
    assert!(
        words(&failure).starts_with("call: SERVER: connection lost"),
        "{failure}"
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.events().await;
        out.raw("data: {\"jsonrpc\":").await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: SERVER: connection lost before the end of the answer (the stream ended)"
    );
}

#[tokio::test]
async fn silence_before_the_answer_and_after_its_head() {
    let (_server, client, _desk) =
        with_calls(|_, mut out: Out| async move { out.hang().await }).await;
    let call = RunningCall::start(&client, "t", "{}");
    call.deadline
        .send_replace(Instant::now() + Duration::from_millis(300));
    let text = call.failure().await.to_string();
    assert!(text.contains("no answer to tools/call within"), "{text}");
    assert!(
        text.ends_with("— the server has not begun to answer"),
        "{text}"
    );

    let (_server, client, _desk) = with_calls(|_, mut out: Out| async move {
        out.events().await;
        out.hang().await;
    })
    .await;
    let call = RunningCall::start(&client, "t", "{}");
    call.deadline
        .send_replace(Instant::now() + Duration::from_millis(300));
    let text = call.failure().await.to_string();
    assert!(
        text.ends_with("— the server began to answer and fell silent"),
        "{text}"
    );
}

#[tokio::test]
async fn a_call_is_not_repeated_after_an_error_of_the_server_but_a_question_is() {
    let (server, failure) = call_failure(|_, mut out: Out| async move {
        out.answer("500 Internal Server Error", "", "oops").await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: SERVER answered 500 Internal Server Error: oops"
    );
    assert_eq!(failure.cause.kind(), "http status");
    assert_eq!(server.of("tools/call").len(), 1);

    let server = Scripted::start(|heard: Heard, mut out: Out| async move {
        if matches!(heard.what(), "initialize" | "tools/list") && heard.earlier == 0 {
            return out.answer("500 Internal Server Error", "", "oops").await;
        }
        behave(heard, out).await;
    })
    .await;
    let desk = Desk::new();
    let client = connect(&desk, server.server()).await.0.unwrap();
    assert_eq!(client.list_tools(PATIENCE).await.unwrap().len(), 1);
    assert!(
        desk.remarks().contains("sent tools/list again"),
        "{}",
        desk.remarks()
    );
}

#[tokio::test]
async fn too_many_requests_are_repeated_after_the_time_the_server_names() {
    let (server, client, _desk) = with_calls(|heard, mut out: Out| async move {
        if heard.earlier == 0 {
            return out
                .answer("429 Too Many Requests", "Retry-After: 1\r\n", "")
                .await;
        }
        behave(heard, out).await;
    })
    .await;
    let began = Instant::now();
    RunningCall::start(&client, "t", "{}").answer().await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.of("tools/call").len(), 2);

    let (server, failure) = call_failure(|_, mut out: Out| async move {
        out.answer("429 Too Many Requests", "Retry-After: 3600\r\n", "")
            .await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: SERVER answered 429 Too Many Requests — it asks to wait 3600s"
    );
    assert_eq!(server.of("tools/call").len(), 1);
}

#[tokio::test]
async fn answers_that_are_none() {
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.answer("200 OK", JSON, "{\"jsonrpc\": \"2.0\", oops")
            .await;
    })
    .await;
    let text = words(&failure);
    assert!(
        text.starts_with("call: SERVER gave an unreadable answer: key must be a string"),
        "{text}"
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.answer("200 OK", JSON, r#"{"fine": true}"#).await;
    })
    .await;
    assert_eq!(
        words(&failure),
        r#"call: SERVER gave an unreadable answer: it is not JSON-RPC: {"fine": true}"#
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.answer("202 Accepted", "", "").await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: SERVER answered 202 with nothing instead of JSON or events"
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        let stray = json!({ "jsonrpc": "2.0", "id": 999_999, "result": {} });
        out.json(&stray).await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: SERVER answered something else than it was asked"
    );

    // An error without an id is the answer to what was posted.
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        let error =
            json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32602, "message": "bad" } });
        out.answer("400 Bad Request", JSON, error.to_string()).await;
    })
    .await;
    assert_eq!(words(&failure), "call: bad (JSON-RPC -32602)");
}

#[tokio::test]
async fn an_event_without_an_end() {
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.events().await;
        out.raw("data: ").await;
        for _ in 0..2 * MAX_MESSAGE / 1024 {
            out.raw([b'x'; 1024]).await;
        }
        out.hang().await;
    })
    .await;
    assert!(matches!(failure.cause, Cause::TooLarge { .. }), "{failure}");
    assert!(
        words(&failure).ends_with("is over the limit of 65536 — raise limits.max_message"),
        "{failure}"
    );

    // Nor one of many short lines.
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.events().await;
        for _ in 0..2 * MAX_MESSAGE / 64 {
            out.raw(format!("data: {}\n", "x".repeat(64))).await;
        }
        out.hang().await;
    })
    .await;
    assert!(matches!(failure.cause, Cause::TooLarge { .. }), "{failure}");
}

/// A few kilobytes that become many megabytes.
fn bomb() -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let blank = vec![b' '; 1 << 20];
    for _ in 0..64 {
        gzip.write_all(&blank).unwrap();
    }
    gzip.finish().unwrap()
}

#[tokio::test]
async fn what_is_small_only_while_it_is_compressed() {
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        let headers = format!("{JSON}Content-Encoding: gzip\r\n");
        out.answer("200 OK", &headers, bomb()).await;
    })
    .await;
    assert!(
        matches!(failure.cause, Cause::TooLarge { limit: 65_536, .. }),
        "{failure}"
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        let headers = "Content-Type: text/event-stream\r\nContent-Encoding: gzip\r\n";
        out.answer("200 OK", headers, bomb()).await;
    })
    .await;
    assert!(
        matches!(failure.cause, Cause::TooLarge { limit: 65_536, .. }),
        "{failure}"
    );

    let (_, failure) = call_failure(|_, mut out: Out| async move {
        let headers = format!("{JSON}Content-Encoding: gzip\r\n");
        out.answer("200 OK", &headers, "not gzip at all").await;
    })
    .await;
    assert_eq!(
        words(&failure),
        "call: the answer of SERVER cannot be decompressed"
    );
}

#[tokio::test]
async fn an_announced_giant_is_not_read() {
    let (_, failure) = call_failure(|_, mut out: Out| async move {
        out.raw(format!(
            "HTTP/1.1 200 OK\r\n{JSON}Content-Length: 99999999999\r\n\r\n"
        ))
        .await;
        out.hang().await;
    })
    .await;
    assert!(
        matches!(
            failure.cause,
            Cause::TooLarge {
                size: 99_999_999_999,
                ..
            }
        ),
        "{failure}"
    );
}

#[tokio::test]
async fn headers_that_are_ours_or_none_are_refused() {
    for (name, value, problem) in [
        (
            "Mcp-Session-Id",
            "x",
            "the header Mcp-Session-Id is set by envdeck itself",
        ),
        (
            "A B",
            "x",
            "the header A B is not the name of an HTTP header",
        ),
        (
            "X-Key",
            "hush\r\nX: y",
            "the header X-Key must not hold line breaks or other control characters",
        ),
    ] {
        let mut server = HttpServer::at("http://127.0.0.1:1/mcp");
        server.headers.push((name.to_owned(), Secret::new(value)));
        assert_eq!(
            refusal(server).await.to_string(),
            format!("connect: {problem}")
        );
    }
    let text = refusal(HttpServer::at("ftp://user:hush@x/"))
        .await
        .to_string();
    assert_eq!(
        text,
        "connect: expected a URL that begins with http:// or https://"
    );
}
