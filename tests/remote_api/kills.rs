//! What outlives us: killed runs, deletes that failed, requests whose answer nobody heard.

use std::fs;

use nix::sys::signal::Signal;

use crate::bench::{Service, block};
use crate::common::{DEADLINE, eventually};
use crate::service::{Manner, Orders};
use crate::shell::{Run, Shell};

/// Writes a configuration with the backend `remote`; its token is in the variable TOKEN.
pub fn configure(shell: &Shell, service: &Service) -> String {
    let file = shell.home().join("deck.yaml");
    let text = format!(
        "global_remote_apis:
  lab:
    base_url: {}
    auth_type: bearer_token
    auth_details: {{ token: \"${{TOKEN}}\" }}
    call_tool_endpoint_template: /instances/{{remote_instance_id}}/call
backends:
  - backend_name_ref: remote
    backend_type: everything
    orchestration_mode: remote_http_api
    remote_api_config_ref: lab
    remote_resource_type_identifier: everything-v1
    stop_grace: 0s
",
        service.url
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn orders() -> Orders {
    Orders {
        authorization: Some("Bearer hush".to_owned()),
        ..Orders::default()
    }
}

/// A run that waits in a call, with its instance.
fn waiting(shell: &Shell, file: &str, service: &Service) -> Run {
    let mut command = shell.command(&["call", "--config", file, "remote", "echo"]);
    let run = Run::of(command.env("TOKEN", "hush").spawn().unwrap());
    let is_called = || !block(service.heard("POST", "/call")).is_empty();
    assert!(eventually(DEADLINE, is_called));
    run
}

fn gc(shell: &Shell, args: &[&str], token: Option<&str>) -> crate::shell::Said {
    let mut command = shell.command(&[&["gc"], args].concat());
    if let Some(token) = token {
        command.env("TOKEN", token);
    }
    Run::of(command.spawn().unwrap()).end()
}

/// Everything that is written below the home.
fn written(shell: &Shell) -> String {
    let mut all = String::new();
    let mut left = vec![shell.home().to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            all.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    all
}

#[test]
fn what_a_killed_run_left_is_offered_and_deleted() {
    let (shell, service) = (Shell::new(), Service::start());
    let call = [Manner::Hang].into();
    block(service.tell(Orders { call, ..orders() }));
    let file = configure(&shell, &service);
    let run = waiting(&shell, &file, &service);
    run.signal(Signal::SIGKILL);
    run.end();
    assert!(!service.is_empty());
    assert!(!written(&shell).contains("hush"));

    let said = gc(&shell, &["--dry-run"], None);
    assert!(said.stdout.contains("remote instance"), "{said:#?}");
    assert!(said.stdout.contains("i/1 ü"), "{said:#?}");
    assert!(
        said.stdout
            .contains(&format!("everything-v1 at {}", service.url)),
        "{said:#?}"
    );
    assert!(!service.is_empty());

    // Without its credentials nobody can, and that is told.
    let said = gc(&shell, &[], None);
    assert_eq!(said.status.code(), Some(3), "{said:#?}");
    assert!(
        said.stderr.contains("the variable TOKEN is not set"),
        "{said:#?}"
    );
    assert!(
        said.stderr.contains("this API is not configured here"),
        "{said:#?}"
    );
    assert!(said.stderr.contains("i/1 ü: still there"), "{said:#?}");
    let said = gc(&shell, &[], Some("wrong"));
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr.contains("answered 401 Unauthorized"),
        "{said:#?}"
    );
    assert!(!said.stderr.contains("wrong"), "{said:#?}");

    let said = gc(&shell, &[], Some("hush"));
    said.code(0);
    assert!(said.stdout.starts_with("removed:"), "{said:#?}");
    assert!(said.stdout.contains("i/1 ü"), "{said:#?}");
    assert!(service.is_empty());
    let said = gc(&shell, &[], None);
    assert_eq!(said.stdout, "nothing is left by killed runs\n");
    shell.assert_clean();
}

#[test]
fn the_next_start_deletes_what_a_killed_run_left() {
    let (shell, service) = (Shell::new(), Service::start());
    let call = [Manner::Hang].into();
    block(service.tell(Orders { call, ..orders() }));
    let file = configure(&shell, &service);
    let run = waiting(&shell, &file, &service);
    run.signal(Signal::SIGKILL);
    run.end();
    let mut next = shell.command(&["call", "--config", &file, "remote", "echo"]);
    let said = Run::of(next.env("TOKEN", "hush").spawn().unwrap()).end();
    said.code(0);
    service.assert_empty_soon();
}

#[test]
fn a_delete_that_failed_at_the_end_is_told_and_made_up_for() {
    let (shell, service) = (Shell::new(), Service::start());
    let delete = vec![Manner::Status(403); 2].into();
    block(service.tell(Orders { delete, ..orders() }));
    let file = configure(&shell, &service);
    let mut command = shell.command(&["call", "--config", &file, "remote", "echo"]);
    let said = Run::of(command.env("TOKEN", "hush").spawn().unwrap()).end();
    assert!(said.stdout.contains("by proxy"), "{said:#?}");
    assert_eq!(said.status.code(), Some(3), "{said:#?}");
    assert!(said.stderr.contains("left behind: "), "{said:#?}");
    assert!(said.stderr.contains("answered 403 Forbidden"), "{said:#?}");
    assert!(!service.is_empty());
    gc(&shell, &[], Some("hush")).code(0);
    assert!(service.is_empty());
    shell.assert_clean();
}

#[test]
fn a_request_whose_answer_nobody_heard_is_asked_for_again_and_its_instances_deleted() {
    let (shell, service) = (Shell::new(), Service::start());
    // It takes its time, and makes the instance when we are dead.
    let create = [Manner::Slow(1_500)].into();
    block(service.tell(Orders { create, ..orders() }));
    let file = configure(&shell, &service);
    let mut command = shell.command(&["call", "--config", &file, "remote", "echo"]);
    let run = Run::of(command.env("TOKEN", "hush").spawn().unwrap());
    assert!(eventually(DEADLINE, || !block(service.creates()).is_empty()));
    run.signal(Signal::SIGKILL);
    run.end();
    assert!(eventually(DEADLINE, || !service.is_empty()));
    let said = gc(&shell, &[], Some("hush"));
    said.code(0);
    assert!(said.stdout.contains("remote request"), "{said:#?}");
    assert!(service.is_empty());
    let creates = block(service.creates());
    let key = |heard: &crate::service::Heard| heard.headers["idempotency-key"].clone();
    assert!(creates.len() > 1);
    assert!(creates.iter().all(|heard| key(heard) == key(&creates[0])));
}

#[test]
fn an_api_that_loses_its_answers_and_does_not_know_keys_is_not_made_to_make_many() {
    let (shell, service) = (Shell::new(), Service::start());
    block(service.tell(Orders {
        create: vec![Manner::Drop; 99].into(),
        forgets_keys: true,
        ..orders()
    }));
    let file = configure(&shell, &service);
    let mut command = shell.command(&["call", "--config", &file, "remote", "echo"]);
    let said = Run::of(command.env("TOKEN", "hush").spawn().unwrap()).end();
    assert_eq!(said.status.code(), Some(3), "{said:#?}");
    // Asked, asked again, and asked what that made: afterwards, and at the end of the run.
    let made = block(service.report()).instances.len();
    assert!(made <= 4, "{made}");

    block(service.tell(Orders {
        forgets_keys: true,
        ..orders()
    }));
    let said = gc(&shell, &[], Some("hush"));
    assert_eq!(said.status.code(), Some(3), "{said:#?}");
    assert!(
        said.stderr.contains("does not know Idempotency-Key")
            && said.stderr.contains("look there for what nobody uses"),
        "{said:#?}"
    );
    assert_eq!(block(service.report()).instances.len(), made);
    let said = gc(&shell, &[], Some("hush"));
    assert_eq!(said.stdout, "nothing is left by killed runs\n");
}

#[test]
fn what_a_lost_answer_may_have_made_is_told_at_the_end_and_by_gc() {
    let (shell, service) = (Shell::new(), Service::start());
    block(service.tell(Orders {
        create: [Manner::Drop].into(),
        forgets_keys: true,
        ..orders()
    }));
    let file = configure(&shell, &service);
    let mut command = shell.command(&["call", "--config", &file, "remote", "echo"]);
    let said = Run::of(command.env("TOKEN", "hush").spawn().unwrap()).end();
    assert!(said.stdout.contains("by proxy"), "{said:#?}");
    let is_told = |said: &crate::shell::Said| {
        assert_eq!(said.status.code(), Some(3), "{said:#?}");
        let told =
            "does not know Idempotency-Key: a request for everything-v1 whose answer was lost";
        assert!(said.stderr.contains(told), "{said:#?}");
    };
    is_told(&said);
    is_told(&gc(&shell, &[], Some("hush")));
    gc(&shell, &[], Some("hush")).code(0);
    assert_eq!(block(service.report()).instances, ["i/1 ü"]);
}

#[test]
fn a_journal_that_cannot_be_read_is_told_and_stands_in_nobodys_way() {
    let (shell, service) = (Shell::new(), Service::start());
    let call = [Manner::Hang].into();
    block(service.tell(Orders { call, ..orders() }));
    let file = configure(&shell, &service);
    let run = waiting(&shell, &file, &service);
    run.signal(Signal::SIGKILL);
    run.end();
    let broken = shell
        .home()
        .join(".cache/envdeck/remote-0123456789abcdef.json");
    fs::write(&broken, "").unwrap();
    let said = gc(&shell, &[], Some("hush"));
    assert_eq!(said.status.code(), Some(3), "{said:#?}");
    assert!(
        said.stderr
            .contains("remote-0123456789abcdef.json cannot be read"),
        "{said:#?}"
    );
    assert!(said.stdout.contains("i/1 ü"), "{said:#?}");
    assert!(service.is_empty());
    fs::remove_file(broken).unwrap();
    gc(&shell, &[], Some("hush")).code(0);
}
