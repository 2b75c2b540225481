//! What outlives us on a runtime: the sandboxes of killed runs.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use envdeck::drivers::sandbox::remote::Connection;
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::runtime::{IMAGE, PATIENCE, Runtime, VERSIONS};
use crate::shell::{Run, Said, Shell};

/// Writes a configuration with the backend `notes`; its token, if the runtime has one, is in the variable TOKEN.
fn configure(shell: &Shell, runtime: &Runtime) -> PathBuf {
    let project = shell.home().join("project");
    fs::create_dir(&project).unwrap();
    let script = project.join("server.mjs");
    fs::write(&script, include_str!("server.mjs")).unwrap();
    let who = runtime.place().tenant.map(|tenant| {
        let (instance, workspace) = (tenant.instance, tenant.workspace);
        format!("token: \"${{TOKEN}}\"\n      instance: {instance}\n      workspace: {workspace}\n")
    });
    let text = format!(
        "backends:
  - backend_name_ref: notes
    orchestration_mode: box
    command: node
    args: [{}]
    box:
      image: {IMAGE}
      endpoint: {}
      {}",
        script.display(),
        runtime.endpoint(),
        who.unwrap_or_default(),
    );
    let file = shell.home().join("deck.yaml");
    fs::write(&file, text).unwrap();
    file
}

fn envdeck(shell: &Shell, args: &[&str], token: Option<&str>) -> Run {
    let mut command = shell.command(args);
    if let Some(token) = token {
        command.env("TOKEN", token);
    }
    Run::of(command.spawn().unwrap())
}

fn gc(shell: &Shell, args: &[&str], token: Option<&str>) -> Said {
    envdeck(shell, &[&["gc"], args].concat(), token).end()
}

/// A run that was killed in the middle of a call, and the sandbox that it left.
async fn killed(shell: &Shell, file: &str, token: Option<&str>, runtime: &Connection) -> String {
    let call = ["call", "--config", file, "notes", "slow", "ms=600000"];
    let run = envdeck(shell, &call, token);
    let deadline = Instant::now() + PATIENCE;
    let session = loop {
        let sessions = runtime.sessions().await.unwrap();
        if let Some(session) = sessions.first() {
            let session = runtime.session(&session.session_id).await.unwrap();
            let mut names = session.managed_processes.keys();
            // `call` names its instances by itself; the errands before it are called otherwise.
            if names.any(|name| {
                !["place-", "staging-"]
                    .iter()
                    .any(|one| name.starts_with(one))
            }) {
                break session.session_id;
            }
        }
        assert!(Instant::now() < deadline, "no server");
        sleep(Duration::from_millis(20)).await;
    };
    run.signal(Signal::SIGKILL);
    run.end();
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the Box runtime"]
async fn what_a_killed_run_left_is_offered_and_deleted() {
    for version in VERSIONS {
        let (shell, runtime) = (Shell::new(), Runtime::start(version).await);
        let token = runtime.place().token;
        let token = token.as_ref().map(envdeck::model::Secret::expose);
        let file = configure(&shell, &runtime);
        let file = file.to_str().unwrap();
        let connection = runtime.connect();
        let left = killed(&shell, file, token, &connection).await;
        assert_eq!(connection.sessions().await.unwrap().len(), 1);

        let said = gc(&shell, &["--dry-run"], None);
        said.code(0);
        let line = format!("at {}", runtime.endpoint());
        assert!(said.stdout.contains(&left), "{said:#?}");
        assert!(said.stdout.contains(&line), "{said:#?}");
        if token.is_some() {
            // Without its token nobody can, and that is told.
            let said = gc(&shell, &[], None);
            said.code(3);
            assert!(said.stderr.contains("the variable TOKEN"), "{said:#?}");
            assert!(said.stderr.contains("is not configured here"), "{said:#?}");
            let said = gc(&shell, &[], Some(&"wrong".repeat(10)));
            said.code(3);
            assert!(said.stderr.contains("401"), "{said:#?}");
            assert!(!said.stderr.contains("wrong"), "{said:#?}");
        }
        assert_eq!(connection.sessions().await.unwrap().len(), 1);
        let said = gc(&shell, &[], token);
        said.code(0);
        assert!(said.stdout.starts_with("removed:"), "{said:#?}");
        assert!(connection.sessions().await.unwrap().is_empty());
        let said = gc(&shell, &[], None);
        assert_eq!(said.stdout, "nothing is left by killed runs\n");

        // The next start does the same.
        let left = killed(&shell, file, token, &connection).await;
        let next = envdeck(&shell, &["serve", "--config", file, "--port", "0"], token);
        let deadline = Instant::now() + PATIENCE;
        while !connection.sessions().await.unwrap().is_empty() {
            assert!(Instant::now() < deadline, "{left} is still there");
            sleep(Duration::from_millis(20)).await;
        }
        next.signal(Signal::SIGTERM);
        next.end().code(0);
        shell.assert_clean();
    }
}
