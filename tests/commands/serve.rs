//! `serve`: who may come in, and what is told on stderr.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{DEADLINE, eventually};
use crate::shell::{Run, Said, Shell};

/// Where the only envdeck of this shell listens, as `ps` tells.
fn address(shell: &Shell) -> Option<String> {
    let said = shell.run(&["ps", "--json"]);
    let running: Value = serde_json::from_str(&said.stdout).unwrap();
    let listens = running["runs"][0]["listens"].as_str()?;
    Some(listens.to_owned())
}

#[track_caller]
fn wait_for_address(shell: &Shell) -> String {
    let mut found = None;
    let listens = eventually(DEADLINE, || {
        found = address(shell);
        found.is_some()
    });
    assert!(listens);
    found.unwrap()
}

/// Another envdeck, as an agent that opens a session.
fn visit(shell: &Shell, address: &str, more: &[&str]) -> Said {
    let url = format!("http://{address}/mcp");
    let open = r#"{"backends":[{"backend_name_ref":"demo","num_instances":1}]}"#;
    let words = ["call", "initialize_session", "--json", open, "--url", &url];
    shell.run(&[&words, more].concat())
}

#[test]
fn what_happens_is_told_as_json_lines() {
    let shell = Shell::new();
    let run = shell.start(&["serve", "--port", "0", "--log-format", "json"]);
    let address = wait_for_address(&shell);
    visit(&shell, &address, &[]).code(0);
    run.signal(Signal::SIGTERM);
    let said = run.end();
    said.code(0);
    let lines: Vec<Value> = said
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    let tells = |text: &str| {
        lines
            .iter()
            .any(|line| line["message"].as_str().unwrap().contains(text))
    };
    assert!(
        tells(&format!("serving on http://{address}/mcp")),
        "{}",
        said.stderr
    );
    assert!(
        tells("session-opened") && tells("phase-changed"),
        "{}",
        said.stderr
    );
    assert!(tells("stopped 1 of 1 instances"), "{}", said.stderr);
    shell.assert_clean();
}

#[test]
fn who_came_and_what_failed_why_is_told_in_words() {
    let shell = Shell::new();
    let config = "backends:
  - { backend_name_ref: broken, orchestration_mode: local_process, command: sh, args: [-c, exit 7] }
";
    std::fs::write(shell.home().join("deck.yaml"), config).unwrap();
    let run = shell.start(&["serve", "--port", "0", "--config", "deck.yaml"]);
    let url = format!("http://{}/mcp", wait_for_address(&shell));
    let open = r#"{"backends":[{"backend_name_ref":"broken"}]}"#;
    let words = ["call", "initialize_session", "--json", open, "--url", &url];
    shell.run(&words).code(0);
    run.signal(Signal::SIGTERM);
    let said = run.end();
    for told in [
        "detail=\"by envdeck\"",
        "detail=\"broken\"",
        "did not start: start: exited with status 7",
    ] {
        assert!(said.code(0).stderr.contains(told), "{told}: {said:#?}");
    }
}

#[test]
fn a_token_of_the_environment_is_asked_for_and_never_told() {
    let shell = Shell::new();
    let mut command = shell.command(&["serve", "--port", "0"]);
    command.env("ENVDECK_TOKEN", "hunter2");
    let run = Run::of(command.spawn().unwrap());
    let address = wait_for_address(&shell);
    let stranger = visit(&shell, &address, &[]);
    assert!(stranger.code(3).stderr.contains("401"), "{stranger:?}");
    let friend = ["-H", "Authorization: Bearer hunter2"];
    visit(&shell, &address, &friend).code(0);
    run.signal(Signal::SIGINT);
    let said = run.end();
    said.code(0);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
}

#[test]
fn what_is_wrong_is_told_before_anything_starts() {
    let shell = Shell::new();
    shell.run(&["serve", "--token", "two words"]).complains(
        2,
        "envdeck: --token (or ENVDECK_TOKEN) must be of visible ASCII characters without spaces",
    );
    let open = shell.run(&["serve", "--host", "0.0.0.0", "--port", "0"]);
    assert!(
        open.code(2).stderr.contains("set a token"),
        "{}",
        open.stderr
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let full = shell.run(&["serve", "--port", &port]);
    assert!(
        full.code(3).stderr.contains("cannot listen on 127.0.0.1"),
        "{}",
        full.stderr
    );
    shell.run(&["tools", "--url", "ftp://somewhere"]).complains(
        2,
        "envdeck: --url: expected a URL that begins with http:// or https://",
    );
    shell
        .run(&["tools", "--image", "time", "--run-arg=--memori=1g"])
        .complains(
            2,
            "envdeck: --run-arg: unknown option --memori — did you mean --memory?",
        );
    shell.assert_clean();
}

#[test]
fn without_a_word_about_it_the_predecessors_file_is_served() {
    let shell = Shell::new();
    let file = shell.home().join("mcp_agent_config.yaml");
    let backends = "backends: [{ backend_name_ref: ours, orchestration_mode: embedded }]\n";
    std::fs::write(&file, backends).unwrap();
    let run = shell.start(&["serve", "--port", "0"]);
    let address = wait_for_address(&shell);
    let ask = |backend: &str| {
        let url = format!("http://{address}/mcp");
        let open = format!(r#"{{"backends":[{{"backend_name_ref":"{backend}"}}]}}"#);
        let words = ["call", "initialize_session", "--json", &open, "--url", &url];
        shell.run(&words).json()["structuredContent"]["initialized_backends"][0].clone()
    };
    assert_eq!(ask("ours")["instances"].as_array().unwrap().len(), 1);
    assert_eq!(ask("demo")["error_message"], "there is no backend `demo`");
    run.signal(Signal::SIGTERM);
    run.end().code(0);
    std::fs::write(&file, "backend: []\n").unwrap();
    let wrong = shell.run(&["serve", "--port", "0"]);
    assert!(
        wrong
            .code(2)
            .stderr
            .starts_with("mcp_agent_config.yaml:1:1: "),
        "{wrong:?}"
    );
    shell.assert_clean();
}

#[test]
fn a_second_signal_does_not_wait_for_calls_nor_for_graces() {
    let shell = Shell::new();
    let server = shell.stubborn();
    let config = format!(
        "backends:
  - backend_name_ref: stubborn
    orchestration_mode: local_process
    command: sh
    args: [-c, 'exec python3 \"$1\" 2>words', sh, {server}]
    cwd: {home}
    stop_grace: 2m
",
        home = shell.home().display()
    );
    std::fs::write(shell.home().join("deck.yaml"), config).unwrap();
    let run = shell.start(&["serve", "--port", "0", "--config", "deck.yaml"]);
    let address = wait_for_address(&shell);
    let url = format!("http://{address}/mcp");
    let open = r#"{"backends":[{"backend_name_ref":"stubborn"}]}"#;
    let words = ["call", "initialize_session", "--json", open, "--url", &url];
    let opened = shell.run(&words).json()["structuredContent"].clone();
    let instance = &opened["initialized_backends"][0]["instances"][0]["instance_id"];
    let silent = serde_json::json!({
        "rk_session_id": opened["rk_session_id"], "backend_name_ref": "stubborn",
        "instance_id": instance, "tool_name": "silent",
    })
    .to_string();
    let call = [
        "call",
        "call_backend_tool",
        "--json",
        &silent,
        "--url",
        &url,
    ];
    let call = shell.start(&call);
    let said = || std::fs::read_to_string(shell.home().join("words")).unwrap();
    assert!(eventually(DEADLINE, || said().contains("silent now")));
    run.signal(Signal::SIGTERM);
    let is_closed = || std::net::TcpStream::connect(&address).is_err();
    assert!(eventually(DEADLINE, is_closed));
    run.signal(Signal::SIGTERM);
    run.end().code(0);
    let told = call.end();
    assert!(told.code(1).stdout.contains("stopped"), "{told:?}");
    shell.assert_clean();
}

#[test]
#[ignore = "needs Docker and the images of tests/images/build"]
fn clients_are_told_where_a_container_listens_and_what_it_was_made_from() {
    let shell = Shell::new();
    std::fs::create_dir(shell.home().join("data")).unwrap();
    std::fs::write(shell.home().join("data/seed"), "sown").unwrap();
    let config = "backends:
  - backend_name_ref: listening
    backend_type: everything
    orchestration_mode: local_docker
    docker_image: mcp/everything
    container_port: 3001
    container_command: [node, dist/index.js, streamableHttp]
  - backend_name_ref: seeded
    backend_type: filesystem
    orchestration_mode: local_docker
    mcp_transport: stdio
    docker_image: envdeck-tests/tiny
    template_data_path_host: data
    container_template_data_path: /srv/data
";
    std::fs::write(shell.home().join("deck.yaml"), config).unwrap();
    let run = shell.start(&["serve", "--port", "0", "--config", "deck.yaml"]);
    let url = format!("http://{}/mcp", wait_for_address(&shell));
    let open = r#"{"backends":[{"backend_name_ref":"listening"},{"backend_name_ref":"seeded"}]}"#;
    let words = ["call", "initialize_session", "--json", open, "--url", &url];
    let opened = shell.run(&words).json()["structuredContent"].clone();
    let info = |index: usize| opened["initialized_backends"][index]["instances"][0].clone();

    let listening = info(0);
    assert_eq!(listening["mcp_transport"], "http", "{opened:#}");
    let endpoint = listening["mcp_endpoint_url"].as_str().unwrap();
    let port = &listening["internal_instance_details"]["host_port"];
    assert_eq!(endpoint, format!("http://127.0.0.1:{port}/mcp"));
    let direct = ["call", "echo", "message=hi", "--text", "--url", endpoint];
    assert_eq!(shell.run(&direct).code(0).stdout, "Echo: hi\n");

    let seeded = info(1);
    let tag = seeded["committed_image_tag"].as_str().unwrap();
    let exists = || {
        shell
            .bash(&format!("docker image inspect {tag}"))
            .status
            .success()
    };
    assert!(exists(), "{tag}");
    run.signal(Signal::SIGTERM);
    run.end().code(0);
    assert!(!exists(), "{tag}");
    shell.assert_clean();
}
