//! The relay of a real runtime, spoken through by envdeck's own client.

use std::time::Duration;

use envdeck::drivers::Endpoint;
use envdeck::drivers::sandbox::remote::relay::{End, NotAttached, State, Target};
use envdeck::drivers::sandbox::remote::{Connection, Dialect};
use envdeck::mcp::{Answer, CallControl, Connect, NoAnswer, ToolClient};
use envdeck::model::{Cause, InstanceId};
use envdeck::stores::logs::LogStore;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::proxy::Proxy;
use crate::runtime::{PATIENCE, Runtime, VERSIONS, Version, server};

/// A server in a runtime, attached.
struct Attached {
    client: ToolClient,
    state: watch::Receiver<State>,
    target: Target,
    logs: LogStore,
    _task: AbortOnDropHandle<()>,
}

impl Attached {
    async fn start(runtime: &Runtime, connection: &Connection, args: &[&str]) -> Self {
        let session = runtime.session("envdeck-relay");
        connection.ready(Instant::now() + PATIENCE).await.unwrap();
        connection.create_session(&session).await.unwrap();
        connection
            .start_process("envdeck-relay", &server("one", args))
            .await
            .unwrap();
        let target = Target {
            connection: connection.clone(),
            session: "envdeck-relay".to_owned(),
            process: "one".to_owned(),
        };
        Self::attach(target).await
    }

    async fn attach(target: Target) -> Self {
        let logs = LogStore::default();
        let id = InstanceId::new("one");
        let relay = target.clone().attach(Some(logs.writer(&id))).await.unwrap();
        let endpoint = Endpoint::Stdio {
            read: relay.read,
            write: Box::new(relay.write),
        };
        let how = Connect {
            log: logs.writer(&id),
            max_message: 64 << 20,
            timeout: PATIENCE,
            discover_first: false,
            news: Box::new(|_| {}),
        };
        let client = ToolClient::connect(endpoint, how).await.unwrap();
        Self {
            client,
            state: relay.state,
            target,
            logs,
            _task: relay.task,
        }
    }

    async fn try_call(&self, tool: &str, arguments: Value) -> Result<Answer, NoAnswer> {
        let (_later, deadline) = watch::channel(Instant::now() + PATIENCE);
        let control = CallControl {
            cancel: CancellationToken::new(),
            deadline,
            progress: Box::new(|_| {}),
        };
        self.client
            .call(tool, &arguments.to_string(), control)
            .await
    }

    /// The text of the answer.
    async fn call(&self, tool: &str, arguments: Value) -> String {
        let answer = self.try_call(tool, arguments).await.unwrap();
        let answer: Value = serde_json::from_slice(&answer.raw).unwrap();
        answer["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Why there is none.
    async fn failed(&self, tool: &str, arguments: Value) -> String {
        match self.try_call(tool, arguments).await {
            Err(NoAnswer::Failed(failure)) => failure.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn log(&self) -> Vec<String> {
        let lines = self.logs.tail(&InstanceId::new("one"), 1_000).lines;
        lines
            .iter()
            .map(|line| line.line.text.to_string())
            .collect()
    }

    fn says(&self, words: &str) -> bool {
        self.log().iter().any(|line| line.contains(words))
    }

    async fn ended(&mut self) -> End {
        let ended = self
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

    async fn is_attached(&mut self) {
        let attached = self
            .state
            .wait_for(|state| matches!(state, State::Attached));
        timeout(PATIENCE, attached)
            .await
            .expect("attached")
            .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_server_is_spoken_to_as_if_it_were_here() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let mut one = Attached::start(&runtime, &connection, &["--noise", "no message"]).await;
        assert!(one.says("no message"), "{:?}", one.log());
        let tools = one.client.list_tools(PATIENCE).await.unwrap();
        assert_eq!(tools.len(), 10);
        let text = "héllo 世界 \u{1f980} \"quoted\" \\ \r\n end";
        assert_eq!(one.call("echo", json!({ "text": text })).await, text);
        assert_eq!(
            one.call("env", json!({ "name": "PRIVATE" })).await,
            "s3cr3t"
        );
        assert_eq!(one.call("both", json!({})).await, "both");
        let long = one.call("big", json!({ "count": 60_000 })).await;
        assert_eq!(long.len(), 60_000);
        // Larger questions go through than answers.
        let question = "x".repeat(1 << 20);
        let length = one.try_call("env", json!({ "name": question })).await;
        assert!(length.is_ok(), "{length:?}");

        // Sixteen at once, each with its own answer.
        let calls = (0..16).map(|n| one.call("echo", json!({ "text": n.to_string() })));
        let answers = futures::future::join_all(calls).await;
        assert_eq!(answers, (0..16).map(|n| n.to_string()).collect::<Vec<_>>());

        // It ends by itself, and says how.
        let failed = one.failed("die", json!({ "code": 3 })).await;
        assert!(failed.contains("closed"), "{failed}");
        let End::Exited(process) = one.ended().await else {
            panic!("{:?}", one.state)
        };
        assert_eq!(process.exit_code, Some(3));
        assert!(
            process.stderr_preview.contains("dying on request"),
            "{process:?}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_large_answer_comes_whole_or_is_told_to_be_too_large() {
    let runtime = Runtime::start(Version::Chunks).await;
    let connection = runtime.connect();
    let one = Attached::start(&runtime, &connection, &[]).await;
    for size in [66_000, 200_000, 1 << 20, 5 << 20] {
        assert_eq!(
            one.call("big", json!({ "count": size })).await,
            "x".repeat(size)
        );
    }
    // Characters of three bytes: every border of two chunks can cut one.
    let text = one
        .call("big", json!({ "fill": "世", "count": 400_000 }))
        .await;
    let broken = text.contains('\u{fffd}');
    assert_eq!(one.says("broken characters"), broken, "{:?}", one.log());
    assert!(
        broken,
        "nothing was broken this time: the test proves nothing"
    );
    assert_eq!(one.call("echo", json!({ "text": "世" })).await, "世");
    drop((one, connection, runtime));

    let runtime = Runtime::start(Version::Lines).await;
    let connection = runtime.connect();
    let mut one = Attached::start(&runtime, &connection, &[]).await;
    let pid = one.call("pid", json!({})).await;
    for size in [66_000, 1 << 20] {
        let failed = one.failed("big", json!({ "count": size })).await;
        assert!(failed.contains("64 KiB"), "{failed}");
        one.is_attached().await;
        // The same process, and what follows is answered.
        assert_eq!(one.call("pid", json!({})).await, pid);
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_relay_that_is_cut_is_taken_up_again_with_the_same_process() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let proxy = Proxy::before(runtime.port()).await;
        let connection = Connection::new(runtime.place_through(&proxy));
        let mut one = Attached::start(&runtime, &connection, &[]).await;
        let pid = one.call("pid", json!({})).await;
        for round in 0..5 {
            // Its answer comes on the next relay, to nobody.
            let slow = one.failed("slow", json!({ "ms": 600 }));
            let cut = async {
                sleep(Duration::from_millis(200)).await;
                proxy.cut();
            };
            let began = Instant::now();
            let (failed, ()) = tokio::join!(slow, cut);
            assert!(began.elapsed() < PATIENCE / 2, "told when it was known");
            assert!(failed.contains("connection lost"), "{failed}");
            // Asked while it is being attached again.
            let text = format!("round {round}");
            assert_eq!(one.call("echo", json!({ "text": text })).await, text);
            assert_eq!(one.call("pid", json!({})).await, pid);
        }
        one.is_attached().await;
        assert!(
            one.says("attached again") && one.says("the relay was lost"),
            "{:?}",
            one.log()
        );
        let late = async {
            while !one.says("came too late") {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, late)
            .await
            .expect("a late answer in the log");
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_runtime_that_is_killed_takes_its_processes_along() {
    for version in VERSIONS {
        let mut runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let mut one = Attached::start(&runtime, &connection, &[]).await;
        runtime.kill();
        let torn = one.state.wait_for(|state| state.excuse().is_some());
        timeout(PATIENCE, torn).await.expect("an excuse").unwrap();
        let failed = timeout(PATIENCE, one.client.ping(PATIENCE));
        let (_, ()) = tokio::join!(failed, runtime.restart());
        let End::Gone(why) = one.ended().await else {
            panic!("{:?}", one.state)
        };
        assert!(why.contains("not found"), "{why}");
        // The connection is as before.
        let dialect = connection.ready(Instant::now() + PATIENCE).await.unwrap();
        assert_eq!(dialect == Dialect::Lines, version == Version::Lines);
        assert!(connection.sessions().await.unwrap().is_empty());
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_second_client_is_refused_instead_of_left_waiting() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let mut one = Attached::start(&runtime, &connection, &[]).await;
        let second = one
            .target
            .clone()
            .attach(Some(one.logs.writer(&InstanceId::new("two"))))
            .await;
        assert!(
            matches!(second, Err(NotAttached::Held)),
            "{:?}",
            second.map(|_| ())
        );
        assert_eq!(one.call("echo", json!({ "text": "still" })).await, "still");
        // The end of our side is the end of its input, and so of the server.
        one.client.close(PATIENCE).await;
        let End::Gone(_) = one.ended().await else {
            panic!("{:?}", one.state)
        };
        let gone = connection
            .process("envdeck-relay", "one")
            .await
            .unwrap_err();
        assert!(gone.is_not_found(), "{gone}");
        let third = one
            .target
            .clone()
            .attach(Some(one.logs.writer(&InstanceId::new("two"))))
            .await;
        let Err(NotAttached::Trouble(trouble)) = third else {
            panic!()
        };
        assert!(trouble.is_not_found(), "{trouble}");
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn a_server_that_starts_slowly_is_asked_once_also_when_its_relay_is_cut() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let proxy = Proxy::before(runtime.port()).await;
        let connection = Connection::new(runtime.place_through(&proxy));
        let cut = async {
            // When the first question is on its way.
            loop {
                sleep(Duration::from_millis(50)).await;
                if let Ok(process) = connection.process("envdeck-relay", "one").await
                    && process.attached
                {
                    sleep(Duration::from_millis(300)).await;
                    return proxy.cut();
                }
            }
        };
        let start = Attached::start(&runtime, &connection, &["--cold", "2500"]);
        let (one, ()) = tokio::join!(start, cut);
        assert_eq!(one.call("echo", json!({ "text": "warm" })).await, "warm");
        assert!(one.says("attached again"), "{:?}", one.log());
        assert!(
            !one.says("came too late"),
            "answered twice: {:?}",
            one.log()
        );
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn what_is_too_large_for_the_runtime_is_answered_without_it() {
    for (version, limit) in [(Version::Lines, 4 << 20), (Version::Chunks, 16 << 20)] {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let one = Attached::start(&runtime, &connection, &[]).await;
        let failed = one
            .try_call("echo", json!({ "text": "x".repeat(limit) }))
            .await;
        let Err(NoAnswer::Failed(failure)) = failed else {
            panic!("{failed:?}")
        };
        assert!(
            matches!(failure.cause, Cause::Rpc { code: -32_000, .. }),
            "{failure}"
        );
        assert!(
            failure.to_string().contains(&format!("at most {limit}")),
            "{failure}"
        );
        assert_eq!(one.call("echo", json!({ "text": "on" })).await, "on");
    }
}
