//! Every action on a real runtime, in both dialects.

use std::time::Duration;

use envdeck::drivers::sandbox::remote::actions::{Exec, ProcessStatus, SessionSpec};
use envdeck::drivers::sandbox::remote::{Connection, Dialect, Trouble};
use envdeck::model::Secret;
use tokio::time::{Instant, sleep};

use crate::runtime::{PATIENCE, Runtime, VERSIONS, Version, server};

fn exec(command: &str) -> Exec {
    Exec {
        command: command.to_owned(),
        workdir: "/workspace".to_owned(),
        env: [("GREETING".to_owned(), Secret::new("héllo"))].into(),
        timeout: Duration::from_secs(30),
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn sessions_commands_and_processes_come_and_go() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let dialect = connection.ready(Instant::now() + PATIENCE).await.unwrap();
        let right = match version {
            Version::Lines => Dialect::Lines,
            Version::Chunks => Dialect::Chunks,
        };
        assert_eq!(dialect, right);
        let status = connection.status().await.unwrap();
        assert_eq!(status.backend.name.as_deref(), Some("docker"));
        assert!(status.backend.available);

        let spec = runtime.session("envdeck-test");
        let made = connection.create_session(&spec).await.unwrap();
        assert_eq!(made.session_id, "envdeck-test");
        let again = connection.create_session(&spec).await.unwrap();
        assert_eq!(
            again.backend_session_id, made.backend_session_id,
            "used again"
        );
        let all = connection.sessions().await.unwrap();
        assert_eq!(all.len(), 1, "{all:?}");

        let done = connection
            .exec(&spec, &exec("pwd; echo $GREETING; echo oh >&2; exit 7"))
            .await;
        let done = done.unwrap();
        assert_eq!(done.exit_code, Some(7));
        assert!(!done.has_succeeded());
        assert_eq!((&*done.stdout, &*done.stderr), ("/workspace\nhéllo", "oh"));

        processes(&connection, &spec).await;

        connection.delete_session("envdeck-test").await.unwrap();
        let gone = connection.delete_session("envdeck-test").await.unwrap_err();
        assert!(gone.is_not_found(), "{gone}");
    }
}

async fn processes(connection: &Connection, spec: &SessionSpec) {
    let session = &*spec.session_id;
    let started = connection
        .start_process(session, &server("one", &["--banner", "up"]))
        .await;
    let started = started.unwrap();
    assert_eq!(started.status, ProcessStatus::Running);
    assert!(!started.attached);
    let said = async {
        while connection
            .process(session, "one")
            .await
            .unwrap()
            .stderr_preview
            .is_empty()
        {
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said)
        .await
        .expect("the banner");
    let seen = connection.session(session).await.unwrap();
    assert_eq!(seen.managed_processes.keys().collect::<Vec<_>>(), ["one"]);
    connection.stop_process(session, "one").await.unwrap();
    let gone = connection.process(session, "one").await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");

    let mut missing = server("two", &[]);
    missing.command = "no-such-command".into();
    connection.start_process(session, &missing).await.unwrap();
    let ended = async {
        loop {
            let process = connection.process(session, "two").await.unwrap();
            if process.status == ProcessStatus::Exited {
                return process;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("an end");
    assert_eq!(ended.exit_code, Some(127));
    assert!(ended.stderr_preview.contains("not found"), "{ended:?}");
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn replies_come_when_they_are_ready_not_in_order() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let spec = runtime.session("envdeck-order");
        connection.create_session(&spec).await.unwrap();
        let slow = {
            let (connection, spec) = (connection.clone(), spec.clone());
            tokio::spawn(async move { connection.exec(&spec, &exec("sleep 2; echo done")).await })
        };
        let began = Instant::now();
        let mut looks = 0;
        while !slow.is_finished() {
            connection.session("envdeck-order").await.unwrap();
            looks += 1;
            assert!(began.elapsed() < PATIENCE);
        }
        assert!(looks > 5, "{looks} replies before that of the slow command");
        assert_eq!(slow.await.unwrap().unwrap().stdout, "done");
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn refusals_say_why_and_repeat_no_secret() {
    for version in VERSIONS {
        let runtime = Runtime::start(version).await;
        let connection = runtime.connect();
        let mut spec = runtime.session("envdeck-refused");
        connection.create_session(&spec).await.unwrap();
        spec.memory_mb = 600;
        let conflict = connection.create_session(&spec).await.unwrap_err();
        let text = conflict.to_string();
        assert!(
            text.contains("envdeck-refused already exists with memory_mb=512"),
            "{text}"
        );
        assert!(!text.contains("ws-"), "{text}");

        spec.session_id = "envdeck-blocked".to_owned();
        spec.host_path = Some("/etc".to_owned());
        let blocked = connection.create_session(&spec).await.unwrap_err();
        assert!(
            blocked.to_string().contains("blocked for security"),
            "{blocked}"
        );

        let mut bad = server("bad", &[]);
        bad.cwd = "not/absolute".to_owned();
        let invalid = connection
            .start_process("envdeck-refused", &bad)
            .await
            .unwrap_err();
        let text = invalid.to_string();
        assert!(text.contains("cwd"), "{text}");
        assert!(
            !text.contains("s3cr3t") && !text.contains("pydantic.dev"),
            "{text}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the Box runtime"]
async fn the_wrong_way_to_speak_to_a_runtime_is_told() {
    let problem = async |place| {
        let connection = Connection::new(place);
        let trouble = connection
            .ready(Instant::now() + PATIENCE)
            .await
            .unwrap_err();
        assert!(!trouble.is_outage(), "{trouble}");
        trouble.at(envdeck::model::Stage::Check).to_string()
    };
    let runtime = Runtime::start(Version::Chunks).await;
    let right = runtime.place();
    let mut stranger = right.clone();
    stranger.token = Some(Secret::new("another-token-0123456789abcdef0123456789"));
    let mut nobody = right.clone();
    nobody.tenant = None;
    for place in [stranger, nobody] {
        let text = problem(place).await;
        assert!(
            text.contains("401") && text.contains("control token"),
            "{text}"
        );
    }
    // Whoever comes first is the only one.
    let connection = Connection::new(right.clone());
    connection.ready(Instant::now() + PATIENCE).await.unwrap();
    let mut other = right.clone();
    other.tenant.as_mut().unwrap().instance = "somebody-else".to_owned();
    let text = problem(other).await;
    assert!(text.contains("first instance"), "{text}");
    // A higher generation ends the sessions of lower ones.
    let spec = runtime.session("envdeck-generation");
    connection.create_session(&spec).await.unwrap();
    let mut later = right.clone();
    later.tenant.as_mut().unwrap().generation = 2;
    let later = Connection::new(later);
    assert!(later.sessions().await.unwrap().is_empty());
    let stale = connection.sessions().await.unwrap_err();
    assert!(matches!(stale, Trouble::Refused { .. }), "{stale}");
    let text = stale.at(envdeck::model::Stage::Run).to_string();
    assert!(text.contains("higher generation"), "{text}");
    drop((connection, later, runtime));

    let runtime = Runtime::start(Version::Lines).await;
    let mut tenant = runtime.place();
    (tenant.token, tenant.tenant) = (right.token, right.tenant);
    let text = problem(tenant).await;
    assert!(text.contains("older than 0.5"), "{text}");
}
