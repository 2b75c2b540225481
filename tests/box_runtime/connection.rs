//! The control connection against a peer that does what runtimes were seen to do, and worse.

use std::time::Duration;

use envdeck::drivers::sandbox::remote::actions::ProcessStatus;
use envdeck::drivers::sandbox::remote::{Connection, Dialect, Place, Trouble};
use envdeck::model::{Cause, Reach, Stage};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::peer::{PATIENCE, Peer};

/// What was recorded on the control connection: requests with their replies.
fn recorded(transcript: &str) -> Vec<(Value, Value)> {
    let lines = transcript
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rpc: Vec<_> = lines
        .filter(|line| line["chan"] == "rpc" && line["kind"] == "text")
        .collect();
    let replies = |request: &Value| {
        let id = &request["json"]["seq_id"];
        let reply = rpc
            .iter()
            .find(|line| line["dir"] == "S>C" && line["json"]["seq_id"] == *id);
        reply.map(|reply| (request["json"].clone(), reply["json"].clone()))
    };
    rpc.iter()
        .filter(|line| line["dir"] == "C>S")
        .filter_map(replies)
        .collect()
}

#[tokio::test]
async fn recorded_replies_are_understood() {
    for (transcript, tenant) in [
        (include_str!("transcripts/flow-0.4.1.jsonl"), false),
        (include_str!("transcripts/flow-0.7.18.jsonl"), true),
    ] {
        let peer = Peer::listen().await;
        let place = if tenant {
            peer.place_of_tenant()
        } else {
            peer.place()
        };
        let connection = Connection::new(place);
        let mut guest = peer.guest().await;
        assert_eq!(guest.path, "/rpc/ws");
        let id = guest.header("x-langbot-instance-id");
        assert_eq!(id, tenant.then_some("inst-0001"));
        let limits = if tenant {
            json!({ "max_sessions": 64 })
        } else {
            json!({})
        };
        guest.introduce(limits).await;

        let mut answered = 0;
        for (request, mut reply) in recorded(transcript) {
            let action = request["action"].as_str().unwrap();
            let data = &request["data"];
            let session = data["session_id"].as_str().unwrap_or_default();
            let process = data["process_id"].as_str().unwrap_or_default();
            let refused = reply["code"] != 0;
            let answer = async {
                let asked = guest.asked(action).await;
                let context = json!({ "instance_uuid": "inst-0001", "workspace_uuid": "workspace-0001",
                    "placement_generation": 1 });
                assert_eq!(asked.get("context"), tenant.then_some(&context));
                assert_eq!(asked["data"], *data);
                reply["seq_id"] = asked["seq_id"].clone();
                guest.say(&reply.to_string()).await;
            };
            let outcome = match action {
                "box_status" => tokio::join!(connection.status(), answer).0.map(drop),
                "box_get_sessions" => tokio::join!(connection.sessions(), answer).0.map(|all| {
                    assert_eq!(all[0].session_id, "mcp-shared");
                }),
                "box_get_session" => {
                    tokio::join!(connection.session(session), answer)
                        .0
                        .map(|seen| {
                            assert!(seen.managed_processes.contains_key("srv-1"));
                        })
                }
                "box_delete_session" => tokio::join!(connection.delete_session(session), answer).0,
                "box_get_managed_process" => {
                    let seen = tokio::join!(connection.process(session, process), answer).0;
                    seen.map(|seen| assert_eq!(seen.status, ProcessStatus::Running))
                }
                "box_stop_managed_process" => {
                    tokio::join!(connection.stop_process(session, process), answer).0
                }
                // What says more than envdeck asks for is asked by the tests on real runtimes.
                _ => continue,
            };
            assert_eq!(outcome.is_err(), refused, "{action}: {outcome:?}");
            if let Err(trouble) = outcome {
                assert!(trouble.is_not_found(), "{trouble}");
                assert!(trouble.to_string().contains("mcp-shared"), "{trouble}");
                assert!(!trouble.to_string().contains("ws-"), "{trouble}");
            }
            answered += 1;
        }
        assert!(answered >= 8, "{answered}");
    }
}

async fn connected() -> (Peer, Connection, crate::peer::Guest) {
    let peer = Peer::listen().await;
    let connection = Connection::new(peer.place());
    let guest = peer.control().await;
    assert_eq!(connection.dialect().await.unwrap(), Dialect::Lines);
    (peer, connection, guest)
}

const RUNNING: &str = r#"{"process_id": "p", "status": "running", "started_at": ""}"#;

fn process(name: &str) -> Value {
    let mut process: Value = serde_json::from_str(RUNNING).unwrap();
    process["process_id"] = name.into();
    process
}

#[tokio::test]
async fn each_reply_goes_to_who_asked_whatever_its_order_and_what_comes_between() {
    let (_peer, connection, mut guest) = connected().await;
    let ask = |name: &'static str| {
        let connection = connection.clone();
        tokio::spawn(async move { connection.process("s", name).await.unwrap().process_id })
    };
    let mut asked = Vec::new();
    let mut waiting = Vec::new();
    for name in ["a", "b", "c"] {
        waiting.push((name, ask(name)));
        asked.push(guest.asked("box_get_managed_process").await);
    }
    let ids: Vec<_> = asked
        .iter()
        .map(|asked| asked["seq_id"].as_u64().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    for noise in [
        "not JSON",
        "[]",
        "\"text\"",
        "{}",
        r#"{"seq_id": -1, "code": 1}"#,
        r#"{"seq_id": "x", "code": 0}"#,
        r#"{"seq_id": 999, "code": 0, "data": {}}"#,
        r#"{"action": "hello", "seq_id": 1, "data": {}}"#,
    ] {
        guest.say(noise).await;
    }
    for asked in asked.iter().rev() {
        let name = asked["data"]["process_id"].as_str().unwrap();
        guest.reply(asked, process(name)).await;
        // A second one is nobody's.
        guest.reply(asked, process("stale")).await;
    }
    for (name, answer) in waiting {
        assert_eq!(answer.await.unwrap(), name);
    }
}

#[tokio::test]
async fn what_waits_fails_with_the_reason_and_the_connection_comes_back_with_new_ids() {
    let (peer, connection, mut guest) = connected().await;
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.process("s", "p").await })
    };
    let first = guest.asked("box_get_managed_process").await;
    guest.close(1001).await;
    let trouble = waiting.await.unwrap().unwrap_err();
    assert!(trouble.is_outage(), "{trouble}");
    let text = trouble.to_string();
    assert!(
        text.contains("shut down") && text.contains("box_get_managed_process"),
        "{text}"
    );

    // At once, not when it is back.
    let trouble = connection.process("s", "p").await.unwrap_err();
    assert!(matches!(trouble, Trouble::Away(_)), "{trouble:?}");

    let (ready, mut guest) =
        tokio::join!(connection.ready(Instant::now() + PATIENCE), peer.control());
    ready.unwrap();
    let (seen, ()) = tokio::join!(connection.process("s", "p"), async {
        let asked = guest.asked("box_get_managed_process").await;
        assert!(asked["seq_id"].as_u64() > first["seq_id"].as_u64());
        guest.reply(&first, process("stale")).await;
        guest.reply(&asked, process("p")).await;
    });
    assert_eq!(seen.unwrap().process_id, "p");
    // Who is not needed any more leaves.
    drop(connection);
    guest.left().await;
}

#[tokio::test]
async fn who_gives_up_is_forgotten_and_the_next_one_gets_its_own_reply() {
    let (_peer, connection, mut guest) = connected().await;
    let given_up = timeout(Duration::from_millis(50), connection.process("s", "slow"));
    assert!(given_up.await.is_err());
    let slow = guest.asked("box_get_managed_process").await;
    let (seen, ()) = tokio::join!(connection.process("s", "p"), async {
        let asked = guest.asked("box_get_managed_process").await;
        guest.reply(&slow, process("slow")).await;
        guest.reply(&asked, process("p")).await;
    });
    assert_eq!(seen.unwrap().process_id, "p");
}

#[tokio::test]
async fn nobody_there_is_told_at_once_and_waited_for_on_request() {
    // Held, so that nobody else gets it, and without anybody who listens.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("ws://{}", held.local_addr().unwrap());
    let connection = Connection::new(Place::at(&endpoint).unwrap());
    let trouble = connection.ready(Instant::now()).await.unwrap_err();
    assert!(trouble.is_outage());
    let failure = trouble.at(Stage::Check);
    assert!(
        matches!(
            &failure.cause,
            Cause::Unreachable {
                reach: Reach::Refused,
                ..
            }
        ),
        "{failure}"
    );
    assert!(failure.to_string().contains("lbp box"), "{failure}");
    let soon = Instant::now() + Duration::from_millis(300);
    assert!(connection.ready(soon).await.is_err());
}

#[tokio::test]
async fn refusals_before_the_upgrade_say_what_they_are() {
    for (answer, words, passes) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 12\r\n\r\nUnauthorized",
            "control token",
            false,
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "endpoint of a Box runtime",
            false,
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            "503",
            true,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200", false),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "does not speak WebSocket",
            false,
        ),
    ] {
        let peer = Peer::listen().await;
        let connection = Connection::new(peer.place());
        let (ready, ()) = tokio::join!(connection.ready(Instant::now()), peer.refuse(answer));
        let trouble = ready.unwrap_err();
        assert_eq!(trouble.is_outage(), passes, "{trouble:?}");
        let text = trouble.at(Stage::Check).to_string();
        assert!(text.contains(words), "{answer}: {text}");
    }
}

#[tokio::test]
async fn what_a_dialect_cannot_do_is_refused_before_anything_is_asked() {
    // A tenant at a runtime without tenants.
    let peer = Peer::listen().await;
    let connection = Connection::new(peer.place_of_tenant());
    let (ready, _guest) = tokio::join!(connection.ready(Instant::now() + PATIENCE), peer.control());
    let text = ready.unwrap_err().to_string();
    assert!(
        text.contains("older than 0.5") && text.contains("anybody"),
        "{text}"
    );
    // Nobody at a runtime with tenants.
    let peer = Peer::listen().await;
    let connection = Connection::new(peer.place());
    let introduced = async {
        let mut guest = peer.guest().await;
        guest.introduce(json!({ "max_sessions": 64 })).await;
        guest
    };
    let (ready, _guest) = tokio::join!(connection.ready(Instant::now() + PATIENCE), introduced);
    let text = ready.unwrap_err().to_string();
    assert!(text.contains("0.5 or later"), "{text}");
    // A request that is larger than a runtime of 0.4 takes, which would end the connection.
    let (_peer, connection, _guest) = connected().await;
    let long = "x".repeat(5 << 20);
    let trouble = connection.process("s", &long).await.unwrap_err();
    assert!(
        matches!(trouble, Trouble::TooLarge { limit, .. } if limit == 4 << 20),
        "{trouble:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_answers_no_ping_is_lost() {
    let (_peer, connection, mut guest) = connected().await;
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.delete_session("s").await })
    };
    guest.asked("box_delete_session").await;
    guest.asked("__ping").await;
    let trouble = waiting.await.unwrap().unwrap_err();
    assert!(
        trouble.to_string().contains("no answer to a ping"),
        "{trouble}"
    );
}

#[tokio::test]
async fn encrypted_connections_check_whom_they_speak_to() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, certificate.cert.pem()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der())
                .unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(tls) = acceptor.accept(tcp).await else {
                continue;
            };
            let mut socket = tokio_tungstenite::accept_async(tls).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let Ok(text) = message.to_text() else { break };
                let Ok(asked) = serde_json::from_str::<Value>(text) else {
                    break;
                };
                let reply = json!({ "seq_id": asked["seq_id"], "code": 0, "message": "success",
                    "data": { "backend": { "name": null, "available": false }, "active_sessions": 0,
                        "managed_processes": 0 } });
                let _ = socket.send(reply.to_string().into()).await;
            }
        }
    });
    let mut place = Place::at(&format!("wss://localhost:{port}")).unwrap();
    place.ca_file = Some(file.clone());
    let connection = Connection::new(place);
    connection.ready(Instant::now() + PATIENCE).await.unwrap();
    assert!(!connection.status().await.unwrap().backend.available);
    // The peer serves one guest at a time.
    drop(connection);
    for (url, trusted, words) in [
        (format!("wss://localhost:{port}"), false, "not trusted here"),
        (format!("wss://127.0.0.1:{port}"), true, "another host"),
    ] {
        let mut place = Place::at(&url).unwrap();
        place.ca_file = trusted.then(|| file.clone());
        let trouble = Connection::new(place)
            .ready(Instant::now() + PATIENCE)
            .await
            .unwrap_err();
        assert!(!trouble.is_outage(), "{trouble}");
        assert!(trouble.to_string().contains(words), "{trouble}");
    }
    server.abort();
}
