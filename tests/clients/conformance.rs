//! The official conformance suite, both eras, and what of it does not apply to a server of five tools.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::serve::{Serve, client, clients, process};

/// The suite in the version that is stable, and the first that knows 2026-07-28.
const STABLE: &str = "@modelcontextprotocol/conformance";
const NEXT: &str = "conformance-next";

/// Scenarios for all of the server, and the revisions in which each is run.
const APPLY: &[(&str, &[&str])] = &[
    ("server-initialize", &["2025-06-18", "2025-11-25"]),
    (
        "server-session-lifecycle",
        &["2025-03-26", "2025-06-18", "2025-11-25"],
    ),
    ("server-stateless", &["2026-07-28"]),
    ("ping", &["2025-06-18", "2025-11-25"]),
    ("tools-list", &["2025-06-18", "2025-11-25", "2026-07-28"]),
    ("dns-rebinding-protection", &["2025-11-25", "2026-07-28"]),
    ("http-header-validation", &["2026-07-28"]),
    ("caching", &["2026-07-28"]),
    ("server-sse-multiple-streams", &["2025-11-25", "2026-07-28"]),
];

/// Scenarios that call tools of their own: those of an instance behind the gateway, through a relay that unwraps what
/// `call_backend_tool` answers.
const THROUGH: &[&str] = &[
    "tools-list",
    "tools-call-simple-text",
    "tools-call-image",
    "tools-call-audio",
    "tools-call-embedded-resource",
    "tools-call-mixed-content",
    "tools-call-error",
    "tools-call-with-progress",
    "json-schema-2020-12",
];

/// Scenarios that do not apply, by the beginning of their names, and why.
const NOT: &[(&str, &str)] = &[
    (
        "resources-",
        "the gateway has no resources, and does not announce any",
    ),
    ("sep-2164-", "about resources"),
    ("sep-2640-", "an extension (skills) that is not announced"),
    ("prompts-", "it has no prompts"),
    (
        "completion-",
        "there is nothing to complete without prompts and resources",
    ),
    (
        "logging-",
        "it sends no log notifications, and does not announce any",
    ),
    ("tools-call-with-logging", "the same"),
    (
        "tools-call-sampling",
        "requests of a backend to the client end at the orchestrator",
    ),
    ("tools-call-elicitation", "the same"),
    ("elicitation-", "the same"),
    ("input-required-", "the same, in the later revision"),
    ("tasks-", "an extension (tasks) that is not announced"),
    (
        "server-sse-polling",
        "streams are not resumed; the scenario says so itself",
    ),
    (
        "http-custom-header-",
        "no argument of our tools is repeated in a header",
    ),
];

/// Single checks of scenarios that do apply which ask for more, and why they may fail.
const EXCEPT: &[(&str, &str)] = &[
    (
        "sep-2575-server-rejects-undeclared-capability",
        "needs a diagnostic tool that we lack",
    ),
    ("sep-2575-missing-capability-http-400", "the same"),
    (
        "sep-2575-http-server-no-independent-requests-on-stream",
        "the same",
    ),
    ("sep-2575-server-no-log-without-loglevel", "the same"),
    ("sep-2549-prompts-list-caching-hints", "we have no prompts"),
    (
        "sep-2549-resources-list-caching-hints",
        "we have no resources",
    ),
    (
        "sep-2549-resources-templates-list-caching-hints",
        "we have no resources",
    ),
];

/// Runs one scenario; returns the checks that failed.
fn failures(suite: &str, url: &str, scenario: &str, revision: &str) -> Vec<String> {
    let results = tempfile::tempdir().unwrap();
    let mut command = client("node/node_modules/node/bin/node");
    command.arg(
        clients()
            .join("node/node_modules")
            .join(suite)
            .join("dist/index.js"),
    );
    command.args([
        "server",
        "--url",
        url,
        "--scenario",
        scenario,
        "--spec-version",
        revision,
    ]);
    command.arg("--output-dir").arg(results.path());
    // Its status only repeats what the checks say.
    let output = command.output().unwrap();
    let run = fs::read_dir(results.path()).unwrap().next();
    let run =
        run.unwrap_or_else(|| panic!("{scenario}: {}", String::from_utf8_lossy(&output.stdout)));
    let checks = fs::read(run.unwrap().path().join("checks.json")).unwrap();
    let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap();
    assert!(!checks.is_empty(), "{scenario} checked nothing");
    let failed = checks.iter().filter(|check| check["status"] == "FAILURE");
    failed
        .filter(|check| !EXCEPT.iter().any(|(id, _)| check["id"] == *id))
        .map(|check| {
            format!(
                "{scenario} ({revision}): {} {}",
                check["id"], check["errorMessage"]
            )
        })
        .collect()
}

/// The scenarios that a suite knows.
fn scenarios(suite: &str) -> BTreeSet<String> {
    let mut command = client("node/node_modules/node/bin/node");
    command.arg(
        clients()
            .join("node/node_modules")
            .join(suite)
            .join("dist/index.js"),
    );
    command.args(["list", "--server"]);
    let said = crate::serve::said(command);
    let names = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    names
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

#[test]
#[ignore = "needs tests/clients/install"]
fn every_scenario_is_run_or_has_a_reason_not_to_be() {
    for suite in [STABLE, NEXT] {
        let odd: Vec<_> = scenarios(suite)
            .into_iter()
            .filter(|name| {
                let is_run = APPLY.iter().any(|(known, _)| known == name)
                    || THROUGH.contains(&name.as_str());
                !is_run && !NOT.iter().any(|(prefix, _)| name.starts_with(prefix))
            })
            .collect();
        assert!(odd.is_empty(), "{suite}: {odd:?}");
    }
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_conformance_suite_is_content_with_the_gateway() {
    let serve = Serve::start(&crate::serve::demo());
    let mut failed = vec![];
    for (suite, newest) in [(STABLE, "2025-11-25"), (NEXT, "2026-07-28")] {
        let known = scenarios(suite);
        for (scenario, revisions) in APPLY.iter().filter(|(name, _)| known.contains(*name)) {
            for revision in revisions.iter().filter(|revision| **revision <= newest) {
                failed.extend(failures(suite, &serve.url, scenario, revision));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    serve.end();
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_conformance_suite_is_content_with_what_comes_through() {
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/fixture.py");
    let serve = Serve::start(&process("fixture", "python3", &[fixture]));
    let mut relay = client("node/node_modules/node/bin/node");
    relay.args(["tests/clients/relay.mjs", &serve.url, "fixture"]);
    let mut relay = relay.stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    BufReader::new(relay.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let mut failed = vec![];
    for scenario in THROUGH {
        for revision in ["2025-11-25", "2026-07-28"] {
            failed.extend(failures(NEXT, url.trim(), scenario, revision));
        }
    }
    relay.kill().unwrap();
    relay.wait().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    serve.end();
}
