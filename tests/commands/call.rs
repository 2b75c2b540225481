//! `envdeck call`: its arguments, its result, and what is said when there is none.

use serde_json::json;

use crate::shell::Shell;

#[test]
fn the_result_of_the_tool_is_all_that_stdout_gets() {
    let shell = Shell::new();
    let said = shell.run(&["call", "demo", "echo", "text=hi"]);
    assert_eq!(
        said.code(0).json(),
        json!({"content": [{"type": "text", "text": "hi"}], "isError": false})
    );
    assert_eq!(said.stdout.lines().count(), 1);
    shell.assert_clean();
}

#[test]
fn arguments_get_the_types_of_the_schema() {
    let shell = Shell::new();
    let said = shell.run(&[
        "call",
        "demo",
        "order",
        "customer=Ann",
        r#"items:=[{"sku": "a"}]"#,
        "quantity=2",
        "gift=true",
        "tags=x",
        "tags=y",
        r#"labels={"k": "v"}"#,
    ]);
    let arrived = said.code(0).json()["structuredContent"].clone();
    let expected = json!({"customer": "Ann", "items": [{"sku": "a"}], "quantity": 2, "gift": true,
        "tags": ["x", "y"], "labels": {"k": "v"}});
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&arrived[name], value, "{name} in {arrived}");
    }
}

#[test]
fn all_arguments_can_be_one_json_object_also_from_stdin() {
    let shell = Shell::new();
    let server = shell.server("", "");
    let target = ["--", "python3", &server];
    // Digits and order as they were written.
    let object = r#"{"z": 1.00000000000000000001, "a": "\u00e9"}"#;
    let seen = |said: &crate::shell::Said| said.code(0).json()["content"][0]["text"].clone();
    let direct = shell.run(&[&["call", "say", "--json", object], &target[..]].concat());
    assert_eq!(seen(&direct), r#"{"z": 1.0, "a": "\u00e9"}"#);
    let piped = shell.run_with(object, &[&["call", "say", "-"], &target[..]].concat());
    assert_eq!(seen(&piped), seen(&direct));
    shell.assert_clean();
}

#[test]
fn what_is_wrong_with_the_arguments_is_told_by_name_and_all_at_once() {
    let shell = Shell::new();
    let run = |words: &[&str]| shell.run(&[&["call", "demo", "weather"], words].concat());
    run(&["days=x", "unit=metric"]).complains(
        2,
        "envdeck: days: not an integer (integer 1…14)\n\
         envdeck: unit: no such argument; did you mean units?\n\
         envdeck: city: required (string): Any name.",
    );
    run(&["Oslo"]).complains(
        2,
        "envdeck: `Oslo` is no argument: write NAME=VALUE, NAME:=JSON, --json or -\n\
         envdeck: see envdeck call --help",
    );
    run(&["city:=Oslo"]).complains(
        2,
        "envdeck: city: not JSON: expected value at line 1 column 1",
    );
    run(&["--json", "{"]).complains(
        2,
        "envdeck: --json: not a JSON object: EOF while parsing an object at line 1 column 1",
    );
}

#[test]
fn an_endless_stdin_is_refused_at_its_first_wrong_byte() {
    let shell = Shell::new();
    for (line, problem) in [
        (
            "yes | envdeck call demo echo -",
            "expected value at line 1 column 1",
        ),
        (
            "yes '{}' | envdeck call demo echo -",
            "trailing characters at line 2 column 1",
        ),
    ] {
        let said = shell.bash(line);
        let expected = format!("envdeck: stdin: not a JSON object: {problem}");
        said.complains(2, &expected);
    }
}

#[test]
fn names_that_do_not_exist_are_answered_with_those_that_do() {
    let shell = Shell::new();
    let said = shell.run(&["call", "demp", "echo"]);
    said.complains(2, "envdeck: there is no backend `demp`; did you mean demo?");
    let said = shell.run(&["call", "demo", "ecco"]);
    said.complains(2, "envdeck: there is no tool `ecco`; did you mean echo?");
    let said = shell.run(&["call", "backend", "say", "--", "true"]);
    assert!(
        said.code(2)
            .stderr
            .contains("`backend` is one name too many"),
        "{said:#?}"
    );
    shell.assert_clean();
}

#[test]
fn an_error_of_the_tool_is_a_result_with_exit_code_1() {
    let shell = Shell::new();
    let said = shell.run(&["call", "demo", "fail", "message=no paper"]);
    assert_eq!(said.code(1).json()["isError"], true);
    let text = shell.run(&["call", "demo", "fail", "message=no paper", "--text"]);
    assert_eq!(text.code(1).stdout, "no paper\n");
    let refused = shell.run(&["call", "demo", "refuse"]);
    refused.complains(1, "envdeck: call: the quota is used up (JSON-RPC 429)");
}

#[test]
fn text_alone_and_what_is_no_text_is_named() {
    let shell = Shell::new();
    let said = shell.run(&["call", "demo", "echo", "text=two\nlines", "--text"]);
    assert_eq!(
        (said.code(0).stdout.as_str(), said.stderr.as_str()),
        ("two\nlines\n", "")
    );
    let said = shell.run(&["call", "demo", "picture", "--text"]);
    assert_eq!(
        said.code(0).stderr,
        "envdeck: not shown, for it is no text: image\n"
    );
}

#[test]
fn a_server_that_does_not_start_is_told_with_its_last_words() {
    let shell = Shell::new();
    let said = shell.run(&[
        "call",
        "say",
        "--",
        "sh",
        "-c",
        "echo no database >&2; exit 3",
    ]);
    said.complains(3, "envdeck: start: exited with status 3\n  no database");
    let said = shell.run(&["call", "say", "--", "pyton3"]);
    assert!(
        said.code(3).stderr.contains("command not found: pyton3"),
        "{said:#?}"
    );
    shell.assert_clean();
}

#[test]
fn what_the_server_writes_is_shown_if_wanted() {
    let shell = Shell::new();
    let server = shell.server("", "");
    let said = shell.run(&["call", "-v", "say", "--", "python3", &server]);
    assert_eq!(said.code(0).stderr, "script ready\n");
}

#[test]
fn a_deadline_ends_start_and_call_alike_with_exit_code_4() {
    let shell = Shell::new();
    let said = shell.run(&["call", "demo", "hang", "--timeout", "300ms"]);
    said.complains(
        4,
        "envdeck: not done within the --timeout of 300ms\n  demo server ready",
    );
    let said = shell.run(&["tools", "--timeout", "300ms", "--", "sleep", "60"]);
    said.complains(4, "envdeck: not done within the --timeout of 300ms");
    let said = shell.run(&["call", "demo", "hang", "--timeout", "3"]);
    assert!(
        said.code(2).stderr.contains("such as 500ms, 30s, 2m or 1h"),
        "{said:#?}"
    );
    shell.assert_clean();
}

#[test]
fn a_backend_of_a_file_is_the_only_one_that_starts() {
    let shell = Shell::new();
    let server = shell.server("", "");
    let config = format!(
        "backends:\n\
         - {{backend_name_ref: one, backend_type: x, orchestration_mode: local_process, command: python3, args: [{server}]}}\n\
         - {{backend_name_ref: two, backend_type: x, orchestration_mode: local_process, instance_scoping: shared_global,\n    \
            command: sh, args: [-c, 'touch started; exit 1']}}\n"
    );
    std::fs::write(shell.home().join("two.yaml"), config).unwrap();
    let said = shell.run(&["call", "--config", "two.yaml", "one", "say", "--json", "{}"]);
    assert_eq!(said.code(0).json()["content"][0]["text"], "{}");
    assert!(!shell.home().join("started").exists());
    let said = shell.run(&["tools", "--config", "two.yaml"]);
    said.complains(2, "envdeck: which backend? There are one, two");
    let said = shell.run(&["tools", "--config", "three.yaml", "one"]);
    assert!(said.code(2).stderr.contains("three.yaml"), "{said:#?}");
    shell.assert_clean();
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let shell = Shell::new();
    let said =
        shell.bash("envdeck call demo blob megabytes=20 | head -c 10; echo; echo ${PIPESTATUS[0]}");
    assert_eq!(
        (said.stdout.as_str(), said.stderr.as_str()),
        ("{\"content\"\n0\n", "")
    );
    let full = shell.bash("envdeck call demo echo text=x > /dev/full");
    full.complains(3, "envdeck: stdout: No space left on device (os error 28)");
    shell.assert_clean();
}
