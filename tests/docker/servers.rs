//! Real servers in their images, over both transports, with and without templates.

use std::fs;

use envdeck::drivers::Driver;
use envdeck::model::{
    Backend, LocalDocker, Mode, Outcome, Phase, Stage, Template, TemplateWay, Transport, fact,
};
use futures::future::join_all;

use crate::deck::{Deck, count, seconds};
use crate::fleet::{deck, down, of};
use crate::lab::{Lab, mode, script};

fn image(name: &str) -> LocalDocker {
    LocalDocker {
        image: name.into(),
        command: None,
        ..script("")
    }
}

fn over_http(port: u16, spec: LocalDocker) -> Mode {
    mode(LocalDocker {
        container_port: Some(port),
        ..spec
    })
}

/// everything, listening.
fn listening() -> LocalDocker {
    let words = ["node", "dist/index.js", "streamableHttp"].map(str::to_owned);
    LocalDocker {
        command: Some(words.into()),
        ..image("mcp/everything")
    }
}

fn http(name: &str, mode: Mode) -> Backend {
    Backend {
        transport: Transport::Http,
        ..of(name, mode)
    }
}

fn url(deck: &Deck, backend: &str) -> String {
    let fleet = deck.fleet();
    let instance = fleet.instances().find(|one| &*one.backend.name == backend);
    instance.unwrap().fact(fact::ENDPOINT).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and the images of real servers"]
async fn a_server_behind_a_port_answers_logs_and_dies() {
    let lab = Lab::new().await;
    let deck = deck(&lab, vec![http("everything", over_http(3001, listening()))]);
    let session = deck.open(&[("everything", 3)]).await;
    let fleet = deck.fleet();
    assert_eq!(count(&fleet, &session, Phase::Ready), 3, "{fleet:?}");
    assert!(url(&deck, "everything").starts_with("http://127.0.0.1:"));
    let ids: Vec<_> = fleet.sessions[&session].instances.keys().cloned().collect();
    let calls = ids
        .iter()
        .map(|id| deck.call(id, "echo", r#"{"message":"hi"}"#));
    for outcome in join_all(calls).await {
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    deck.handle.logs().watch(Some(&ids[0]));
    deck.wait_until("its log", |_| !deck.log(&ids[0]).is_empty())
        .await;
    let container = lab.find(&ids[1]).await.unwrap().id.unwrap();
    lab.docker.kill_container(&container, None).await.unwrap();
    let dead = deck.wait_for_phase(&ids[1], Phase::Failed).await;
    let failure = &dead.death.as_ref().unwrap().failure;
    assert!(
        failure.to_string().contains("killed by SIGKILL"),
        "{failure}"
    );
    down(&lab, deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine"]
async fn a_port_that_never_opens_and_a_server_that_exits_say_so() {
    let lab = Lab::new().await;
    let silent = script("echo no port for you; exec sleep 600");
    let ends = script("echo the disk is full >&2; exit 3");
    let deaf = Backend {
        start_timeout: seconds(4),
        ..http("deaf", over_http(3001, silent))
    };
    let deck = deck(&lab, vec![deaf, http("ends", over_http(3001, ends))]);
    deck.open(&[("deaf", 1), ("ends", 1)]).await;
    let fleet = deck.fleet();
    let failure = |name: &str| {
        let one = fleet
            .instances()
            .find(|one| &*one.backend.name == name)
            .unwrap();
        assert_eq!(one.phase, Phase::Failed);
        one.death.as_ref().unwrap().failure.clone()
    };
    let deaf = failure("deaf");
    assert_eq!(deaf.stage, Stage::Connect, "{deaf}");
    assert_eq!(*deaf.output, ["no port for you".into()], "{deaf}");
    let ends = failure("ends");
    assert_eq!(ends.to_string(), "start: exited with status 3");
    assert_eq!(*ends.output, ["the disk is full".into()]);
    lab.driver.settle().await.unwrap();
    for one in fleet.instances() {
        lab.is_clean_of(&one.id).await;
    }
    down(&lab, deck).await;
}

/// Data with a file, and a server that serves it at `/data`.
fn templated(folder: &tempfile::TempDir, way: TemplateWay) -> LocalDocker {
    fs::write(folder.path().join("hello.txt"), "hello from the template").unwrap();
    LocalDocker {
        template: Some(Template {
            source: folder.path().to_owned(),
            target: "/data".into(),
            way,
        }),
        ..image("mcp/filesystem")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and the images of real servers"]
async fn each_instance_has_its_own_copy_of_a_template_either_way() {
    let lab = Lab::new().await;
    let data = tempfile::tempdir().unwrap();
    for way in [TemplateWay::Copy, TemplateWay::Image] {
        let deck = deck(&lab, vec![of("filesystem", mode(templated(&data, way)))]);
        let session = deck.open(&[("filesystem", 2)]).await;
        let fleet = deck.fleet();
        assert_eq!(count(&fleet, &session, Phase::Ready), 2, "{fleet:?}");
        let ids: Vec<_> = fleet.sessions[&session].instances.keys().cloned().collect();
        let moves = r#"{"source":"/data/hello.txt","destination":"/data/moved.txt"}"#;
        let outcome = deck.call(&ids[0], "move_file", moves).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{way:?}: {outcome:?}");
        let reads = r#"{"path":"/data/hello.txt"}"#;
        let outcome = deck.call(&ids[0], "read_text_file", reads).await;
        assert!(
            matches!(outcome, Outcome::ToolError(_)),
            "{way:?}: {outcome:?}"
        );
        let outcome = deck.call(&ids[1], "read_text_file", reads).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{way:?}: {outcome:?}");
        assert!(data.path().join("hello.txt").exists(), "the template stays");
        down(&lab, deck).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and the images of real servers"]
async fn the_six_kinds_of_backends_run() {
    let lab = Lab::new().await;
    let names = [
        "filesystem",
        "memory",
        "everything",
        "fetch",
        "time",
        "duckdb",
    ];
    let backends = names.map(|name| of(name, mode(image(&format!("mcp/{name}")))));
    let deck = deck(&lab, backends.to_vec());
    let asks = names.map(|name| (name, 1));
    let session = deck.open(&asks).await;
    let fleet = deck.fleet();
    let failed: Vec<_> = fleet
        .instances()
        .filter_map(|one| one.death.clone())
        .collect();
    assert_eq!(
        count(&fleet, &session, Phase::Ready),
        names.len(),
        "{failed:?}"
    );
    assert!(
        fleet
            .instances()
            .all(|one| one.tools.as_ref().is_some_and(|tools| !tools.is_empty()))
    );
    down(&lab, deck).await;
}
