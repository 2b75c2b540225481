//! The relay against a peer that says what real ones were recorded to say, and ends as they were seen to end.

use std::sync::Arc;

use envdeck::drivers::Interruption;
use envdeck::drivers::sandbox::remote::Connection;
use envdeck::drivers::sandbox::remote::relay::{End, NotAttached, Relay, State, Target};
use envdeck::model::InstanceId;
use envdeck::stores::logs::LogStore;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::peer::{Guest, PATIENCE, Peer};

type Reader = BufReader<Box<dyn AsyncRead + Send + Unpin>>;

/// A peer whose process is as it is told, and somebody attached to it.
struct Scene {
    peer: Peer,
    process: Arc<Mutex<Value>>,
    target: Target,
    logs: LogStore,
    control: JoinHandle<()>,
}

impl Scene {
    async fn new(is_new: bool) -> Self {
        let peer = Peer::listen().await;
        let place = if is_new {
            peer.place_of_tenant()
        } else {
            peer.place()
        };
        let connection = Connection::new(place);
        let mut guest = peer.guest().await;
        guest
            .introduce(if is_new {
                json!({ "max_sessions": 64 })
            } else {
                json!({})
            })
            .await;
        let process = Arc::new(Mutex::new(
            json!({ "process_id": "srv-1", "status": "running", "attached": false,
            "started_at": "", "stderr_preview": "" }),
        ));
        let told = process.clone();
        let control = tokio::spawn(async move {
            loop {
                let asked = guest.request().await;
                let now = told.lock().clone();
                guest.reply(&asked, now).await;
            }
        });
        let target = Target {
            connection,
            session: "mcp-shared".to_owned(),
            process: "srv-1".to_owned(),
        };
        Self {
            peer,
            process,
            target,
            logs: LogStore::default(),
            control,
        }
    }

    fn tell(&self, key: &str, value: impl Into<Value>) {
        self.process.lock()[key] = value.into();
    }

    async fn attach(&self) -> (Guest, Relay, Reader) {
        let log = self.logs.writer(&InstanceId::new("one"));
        let (guest, relay) = tokio::join!(self.peer.guest(), self.target.clone().attach(Some(log)));
        let mut relay = relay.unwrap();
        let read = std::mem::replace(&mut relay.read, Box::new(tokio::io::empty()));
        (guest, relay, BufReader::new(read))
    }

    fn says(&self, words: &str) -> bool {
        let lines = self.logs.tail(&InstanceId::new("one"), 100).lines;
        lines.iter().any(|line| line.line.text.contains(words))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.control.abort();
    }
}

async fn line(read: &mut Reader) -> String {
    let mut line = String::new();
    timeout(PATIENCE, read.read_line(&mut line))
        .await
        .expect("a line")
        .unwrap();
    line
}

async fn ended(relay: &mut Relay) -> End {
    let ended = relay
        .state
        .wait_for(|state| matches!(state, State::Ended(_)));
    match timeout(PATIENCE, ended)
        .await
        .expect("an end")
        .unwrap()
        .clone()
    {
        State::Ended(end) => end,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn recorded_conversations_come_out_as_lines() {
    for (transcript, is_new) in [
        (include_str!("transcripts/flow-0.4.1.jsonl"), false),
        (include_str!("transcripts/flow-0.7.18.jsonl"), true),
    ] {
        let scene = Scene::new(is_new).await;
        let (mut guest, mut relay, mut read) = scene.attach().await;
        let session = if is_new {
            "ws-d7955a4ea6b44dbeb5bb1263-g1-mcp-shared"
        } else {
            "mcp-shared"
        };
        assert_eq!(
            guest.path,
            format!("/v1/sessions/{session}/managed-process/srv-1/ws")
        );
        assert_eq!(guest.header("sec-websocket-protocol"), Some("mcp"));
        assert_eq!(
            guest.header("x-langbot-workspace-id"),
            is_new.then_some("workspace-0001")
        );
        assert_eq!(
            guest.header("x-langbot-placement-generation"),
            is_new.then_some("1")
        );
        let mut messages = 0;
        for recorded in transcript
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
        {
            if recorded["chan"] != "relay:srv-1" || recorded["kind"] != "text" {
                continue;
            }
            let text = recorded["json"].to_string();
            messages += 1;
            if recorded["dir"] == "C>S" {
                relay
                    .write
                    .write_all(format!("{text}\n").as_bytes())
                    .await
                    .unwrap();
                assert_eq!(guest.text().await, text);
            } else {
                let end = if is_new { "\n" } else { "" };
                guest.say(&format!("{text}{end}")).await;
                assert_eq!(line(&mut read).await, format!("{text}\n"));
            }
        }
        assert!(messages > 8, "{messages}");
        // It exits: the relay is closed as for any other reason, and the runtime is asked.
        scene.tell("status", "exited");
        scene.tell("exit_code", 3);
        guest.close(1000).await;
        assert_eq!(line(&mut read).await, "", "the end");
        let End::Exited(process) = ended(&mut relay).await else {
            panic!("{:?}", relay.state)
        };
        assert_eq!(process.exit_code, Some(3));
    }
}

#[tokio::test]
async fn chunks_are_cut_anywhere_and_what_they_break_is_told() {
    let scene = Scene::new(true).await;
    let (mut guest, _relay, mut read) = scene.attach().await;
    for chunk in [
        "{\"a\":1}\n{\"b\"",
        ":2}\n",
        "{\"c\":\"x\u{fffd}",
        "\u{fffd}y\"}\n{}",
        "\n",
    ] {
        guest.say(chunk).await;
    }
    for right in [
        "{\"a\":1}\n",
        "{\"b\":2}\n",
        "{\"c\":\"x\u{fffd}\u{fffd}y\"}\n",
        "{}\n",
    ] {
        assert_eq!(line(&mut read).await, right);
    }
    assert!(scene.says("broken characters"));
}

#[tokio::test]
async fn a_lost_relay_tells_of_what_was_asked_and_goes_on_with_what_was_not() {
    for way in ["vanished", "1001", "1000"] {
        let scene = Scene::new(true).await;
        let (mut guest, mut relay, mut read) = scene.attach().await;
        for id in [7, 8] {
            let call = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\"}}\n");
            relay.write.write_all(call.as_bytes()).await.unwrap();
            guest.text().await;
        }
        guest.say("{\"half\":").await;
        let leave = async {
            match way {
                "vanished" => guest.vanish(),
                code => guest.close(code.parse().unwrap()).await,
            }
        };
        let ((), mut next) = tokio::join!(leave, scene.peer.guest());
        // The half line ends where it was cut; then the two are told to be lost, and nothing later.
        assert_eq!(line(&mut read).await, "{\"half\":\n", "{way}");
        let error = timeout(PATIENCE, read.read_line(&mut String::new()))
            .await
            .unwrap()
            .unwrap_err();
        let torn = Interruption::of(&error).expect("an interruption");
        assert_eq!(torn.sent, 8);
        // A late answer, then what is asked on the new one.
        next.say("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}\n")
            .await;
        assert!(line(&mut read).await.contains("\"id\":7"));
        relay
            .write
            .write_all(b"{\"id\":9,\"method\":\"ping\"}\n")
            .await
            .unwrap();
        assert_eq!(next.text().await, "{\"id\":9,\"method\":\"ping\"}");
        assert!(
            scene.says("the relay was lost") && scene.says("attached again"),
            "{way}"
        );
    }
}

#[tokio::test]
async fn after_a_line_that_is_too_long_nothing_is_sent_before_it_has_gone_by() {
    let scene = Scene::new(false).await;
    let (mut guest, mut relay, mut read) = scene.attach().await;
    relay
        .write
        .write_all(b"{\"id\":7,\"method\":\"tools/call\"}\n")
        .await
        .unwrap();
    guest.text().await;
    // Two relays end with the line, and the third begins with its rest.
    let ((), mut second) = tokio::join!(guest.close(1000), scene.peer.guest());
    let error = timeout(PATIENCE, read.read_line(&mut String::new()))
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.to_string().contains("64 KiB"), "{error}");
    relay
        .write
        .write_all(b"{\"id\":8,\"method\":\"tools/call\"}\n")
        .await
        .unwrap();
    let first: Value = serde_json::from_str(&second.text().await).unwrap();
    assert_eq!(first["method"], "ping", "asked before all else");
    let ((), mut third) = tokio::join!(second.close(1000), scene.peer.guest());
    let question: Value = serde_json::from_str(&third.text().await).unwrap();
    assert_ne!(question["id"], first["id"]);
    third.say("xxx\"}}").await;
    third
        .say(&json!({ "jsonrpc": "2.0", "id": first["id"], "result": {} }).to_string())
        .await;
    third
        .say(&json!({ "jsonrpc": "2.0", "id": question["id"], "result": {} }).to_string())
        .await;
    assert!(third.text().await.contains("\"id\":8"), "only now");
    third.say("{\"id\":8,\"result\":{}}").await;
    assert_eq!(line(&mut read).await, "xxx\"}}\n");
    assert_eq!(
        line(&mut read).await,
        "{\"id\":8,\"result\":{}}\n",
        "and no answer to our own question"
    );
}

#[tokio::test]
async fn who_cannot_attach_is_told_why() {
    let scene = Scene::new(true).await;
    scene.tell("attached", true);
    let held = scene.target.clone().attach(None).await;
    assert!(matches!(held, Err(NotAttached::Held)));
    // It ends between the question and the attachment.
    scene.tell("attached", false);
    let answer = "HTTP/1.1 400 Bad Request\r\nContent-Length: 82\r\n\r\n{\"error\": {\"code\": \
        \"BoxManagedProcessConflictError\", \"message\": \"is not running\"}}  ";
    let refuse = async {
        let refused = scene.peer.refuse(answer);
        scene.tell("exit_code", 127);
        refused.await;
    };
    let exit = async {
        scene.tell("status", "running");
        scene.target.clone().attach(None).await
    };
    let (attached, ()) = tokio::join!(exit, refuse);
    let Err(NotAttached::Trouble(trouble)) = attached else {
        panic!("attached")
    };
    assert!(trouble.to_string().contains("is not running"), "{trouble}");
    scene.tell("status", "exited");
    let ended = scene.target.clone().attach(None).await;
    assert!(matches!(ended, Err(NotAttached::Ended(process)) if process.exit_code == Some(127)));
}
