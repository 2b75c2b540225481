//! Each tool through the core: what it answers, or how it fails.

use std::time::Duration;

use envdeck::model::{Backend, Caller, Command, Obedience, Outcome, Phase};
use envdeck::stores::logs::Source;

use crate::common::processes::{alive, assert_gone};
use crate::host::{Host, nasty, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_of_every_size_and_shape_come_whole() {
    let host = Host::start(nasty(&[])).await;
    let digits = r#"{"big":9007199254740993,"note":"","points":[{"x":1,"y":0.10}]}"#;
    assert_eq!(
        host.text("echo", r#"{"text":"ü"}"#).await,
        r#"{"text": "ü"}"#
    );
    let received = host.text("form", digits).await;
    assert!(received.contains("9007199254740993"), "{received}");

    // Python reads this as infinity and writes what is not JSON.
    let failure = host.failure("form", r#"{"ratio":1e400}"#).await;
    assert!(failure.contains("unreadable answer"), "{failure}");

    let rows = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let big = host.text("big_json", "{}").await;
    assert!(big.len() > 8_000_000, "{}", big.len());
    assert_eq!(rows(&big)[99_999]["name"], "row 00099999");
    let structured = host.answer("big_structured", "{}").await;
    assert_eq!(
        structured["structuredContent"]["rows"][99_999]["id"],
        99_999
    );
    let lines = host.text("big_lines", "{}").await;
    assert_eq!(lines.lines().last(), Some("line 0099999"));
    assert_eq!(host.text("long_line", "{}").await.len(), 5_000_000);
    let deep = host.raw("deep", r#"{"levels":900}"#).await;
    assert_eq!(deep.matches(r#"{"d": "#).count(), 900);
    assert!(deep.ends_with(&format!(r#"{{"leaf": 1{}"#, "}".repeat(902))));
    let image = host.answer("image", "{}").await;
    assert_eq!(image["content"][0]["mimeType"], "image/png");
    assert!(host.text("ansi", "{}").await.contains("\u{1b}]52;"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_tools_of_the_protocol_and_stray_prints_are_told_apart() {
    let host = Host::start(nasty(&[])).await;
    assert_eq!(host.call("fail", "{}").await.word(), "error");
    let Outcome::Failed(failure) = host.call("rpc_error", "{}").await else {
        panic!("it answered")
    };
    let envdeck::model::Cause::Rpc { code, data, .. } = &failure.cause else {
        panic!("{failure}")
    };
    assert_eq!(
        (*code, data.as_deref()),
        (-32603, Some(r#"{"why": "because"}"#))
    );
    assert_eq!(host.text("garbage", "{}").await, "survived");
    host.deck
        .wait_for(&host.id, "the noise is counted", |one| {
            one.stdout_noise == 1
        })
        .await;
    let lines = host.deck.handle.logs().tail(&host.id, 50).lines;
    let noise: Vec<_> = lines
        .iter()
        .filter(|line| line.source == Source::Stdout)
        .collect();
    assert_eq!(&*noise[0].line.text, "a stray print, not JSON-RPC");
    assert_eq!(host.deck.instance(&host.id).phase, Phase::Ready);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_of_the_server_never_hang() {
    let host = Host::start(nasty(&[])).await;
    for tool in ["elicit", "sample", "roots"] {
        let asked = host.text(tool, "{}").await;
        assert!(asked.starts_with("asked: {"), "{tool}: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_list_is_listed_again() {
    let host = Host::start(nasty(&[])).await;
    let before = host.deck.instance(&host.id).tools.as_ref().unwrap().len();
    host.text("list_changed", "{}").await;
    let listed = host.deck.wait_for(&host.id, "one more tool", |one| {
        one.tools
            .as_ref()
            .is_some_and(|tools| tools.len() == before + 1)
    });
    assert!(
        within(listed)
            .await
            .tools
            .as_ref()
            .unwrap()
            .iter()
            .any(|tool| &*tool.name == "new_0")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_call_ends_at_its_deadline_and_progress_moves_it() {
    let short = Duration::from_secs(1);
    let host = Host::start(Backend {
        call_timeout: short,
        ..nasty(&[])
    })
    .await;
    let failure = host.failure("hang", "{}").await;
    assert!(
        failure.contains("no answer to tools/call within 1s"),
        "{failure}"
    );
    // Longer than the time-out, but never silent for so long.
    assert_eq!(
        host.text("slow", r#"{"seconds":2}"#).await,
        "it took its time"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_tells_who_obeys() {
    let host = Host::start(nasty(&[])).await;
    for (tool, truth) in [
        ("slow", Obedience::Silent),
        ("stubborn", Obedience::Ignored),
    ] {
        let call = within(host.deck.begin(&host.id, tool, r#"{"seconds":12}"#)).await;
        let moving = |fleet: &envdeck::model::Fleet| fleet.calls[&call].progress.is_some();
        within(host.deck.wait_until("progress", moving)).await;
        within(host.deck.request(Command::Cancel(call)))
            .await
            .unwrap();
        let ended = within(host.deck.end_of(call)).await;
        assert_eq!(ended.caller, Caller::Operator);
        match ended.outcome().unwrap() {
            Outcome::Cancelled(did) => assert_eq!(*did, truth, "{tool}"),
            other => panic!("{tool}: {other:?}"),
        }
    }
    assert!(
        host.deck
            .log(&host.id)
            .contains("slow: stopped, as it was told")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_its_evidence_and_takes_nothing_away() {
    for (tool, status, last) in [
        ("crash", "exited with status 3", "RuntimeError: boom"),
        ("half", "exited with status 4", r#""content": [{"ty"#),
    ] {
        let host = Host::start(nasty(&[])).await;
        host.text("echo", "{}").await;
        let failure = host.failure(tool, "{}").await;
        assert!(failure.contains(status), "{failure}");
        let dead = host.deck.wait_for_phase(&host.id, Phase::Failed).await;
        let card = dead.death.as_ref().unwrap();
        assert_eq!(&*card.in_flight[0].tool, tool);
        assert_eq!(&*card.last_good.as_ref().unwrap().tool, "echo");
        let output = card.failure.output.join("\n");
        assert!(output.contains(last), "{output}");
        assert!(dead.tools.as_ref().is_some_and(|tools| tools.len() > 20));
        assert_eq!(host.deck.fleet().calls.len(), 2);
        assert!(host.deck.log(&host.id).contains("nasty server ready"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tool_vanishes_for_its_schema_and_each_can_be_called() {
    let host = Host::start(nasty(&["--odd-schemas"])).await;
    let instance = host.deck.instance(&host.id);
    let tools = instance.tools.as_ref().unwrap();
    let odd: Vec<_> = tools
        .iter()
        .filter(|tool| tool.name.starts_with("schema_"))
        .collect();
    assert_eq!(odd.len(), 7);
    for tool in odd {
        assert_eq!(
            host.text(&tool.name, r#"{"a":1}"#).await,
            r#"{"a": 1}"#,
            "{}",
            tool.name
        );
    }
    let pid = instance
        .facts
        .iter()
        .find(|(name, _)| &**name == "process")
        .unwrap()
        .1
        .parse()
        .unwrap();
    assert!(alive(pid));
    let session = instance.session.clone();
    assert!(within(host.deck.close(session)).await.is_empty());
    assert_gone(&[pid], Duration::ZERO);
}
