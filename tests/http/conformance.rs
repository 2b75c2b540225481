//! The client scenarios of the official conformance suite, both eras, with the program itself as the client.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::Value;

/// The suite in the version that is stable, and the first that knows 2026-07-28.
const STABLE: &str = "@modelcontextprotocol/conformance";
const NEXT: &str = "conformance-next";

/// The scenarios that apply, and the revisions in which each is run.
const APPLY: &[(&str, &[&str])] = &[
    ("initialize", &["2025-06-18", "2025-11-25"]),
    ("tools_call", &["2025-06-18", "2025-11-25", "2026-07-28"]),
    ("sse-retry", &["2025-11-25"]),
    ("request-metadata", &["2026-07-28"]),
    ("http-standard-headers", &["2026-07-28"]),
    ("http-custom-headers", &["2026-07-28"]),
    ("http-invalid-tool-headers", &["2026-07-28"]),
    ("sep-2322-client-request-state", &["2026-07-28"]),
    ("json-schema-ref-no-deref", &["2026-07-28"]),
    (
        "json-schema-2020-12-preservation",
        &["2025-11-25", "2026-07-28"],
    ),
    ("auth/metadata-default", &["2025-11-25", "2026-07-28"]),
    ("auth/metadata-var1", &["2025-11-25", "2026-07-28"]),
    ("auth/metadata-var2", &["2025-11-25", "2026-07-28"]),
    ("auth/metadata-var3", &["2025-11-25", "2026-07-28"]),
    ("auth/basic-cimd", &["2025-11-25", "2026-07-28"]),
    (
        "auth/scope-from-www-authenticate",
        &["2025-11-25", "2026-07-28"],
    ),
    (
        "auth/scope-from-scopes-supported",
        &["2025-11-25", "2026-07-28"],
    ),
    (
        "auth/scope-omitted-when-undefined",
        &["2025-11-25", "2026-07-28"],
    ),
    ("auth/scope-step-up", &["2025-11-25", "2026-07-28"]),
    ("auth/scope-retry-limit", &["2025-11-25", "2026-07-28"]),
    ("auth/pre-registration", &["2025-11-25", "2026-07-28"]),
    (
        "auth/token-endpoint-auth-basic",
        &["2025-11-25", "2026-07-28"],
    ),
    (
        "auth/token-endpoint-auth-post",
        &["2025-11-25", "2026-07-28"],
    ),
    (
        "auth/token-endpoint-auth-none",
        &["2025-11-25", "2026-07-28"],
    ),
    ("auth/resource-mismatch", &["2026-07-28"]),
    ("auth/offline-access-scope", &["2026-07-28"]),
    ("auth/offline-access-not-supported", &["2026-07-28"]),
    ("auth/iss-supported", &["2026-07-28"]),
    ("auth/iss-not-advertised", &["2026-07-28"]),
    ("auth/iss-supported-missing", &["2026-07-28"]),
    ("auth/iss-wrong-issuer", &["2026-07-28"]),
    ("auth/iss-unexpected", &["2026-07-28"]),
    ("auth/iss-normalized", &["2026-07-28"]),
    ("auth/metadata-issuer-mismatch", &["2026-07-28"]),
];

/// Those that do not, by the beginning of their names, and why.
const NOT: &[(&str, &str)] = &[
    (
        "elicitation-",
        "envdeck declines every question and does not announce that it can be asked",
    ),
    (
        "auth/authorization-server-migration",
        "a login that is over is renewed in mid-session, but given again at the next start only",
    ),
    (
        "auth/2025-03-26-",
        "a place to log in at that is only guessed, or that calls itself by another name, is not trusted",
    ),
    (
        "auth/client-credentials-",
        "an extension: keys without a user are given as `headers`",
    ),
    (
        "auth/cross-app-access-",
        "an extension that is not announced",
    ),
    (
        "auth/enterprise-managed-",
        "an extension that is not announced",
    ),
    ("auth/dpop", "an extension that is not announced"),
    ("auth/wif-", "an extension that is not announced"),
    ("sep-2640-", "an extension (skills) that is not announced"),
];

/// `ENVDECK_TEST_CLIENTS` or where `tests/clients/install` puts them.
fn modules() -> PathBuf {
    let clients = env::var_os("ENVDECK_TEST_CLIENTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mcp-clients"),
        PathBuf::from,
    );
    clients.join("node/node_modules")
}

/// The suite's own command line, with its node in front of any other.
fn suite(name: &str) -> Command {
    let node = modules().join("node/bin/node");
    assert!(
        node.exists(),
        "{}: run tests/clients/install first",
        node.display()
    );
    let others = env::var_os("PATH").unwrap_or_default();
    let directory = node.parent().unwrap().to_owned();
    let search = std::iter::once(directory).chain(env::split_paths(&others));
    let mut command = Command::new(&node);
    command
        .arg(modules().join(name).join("dist/index.js"))
        .env("PATH", env::join_paths(search).unwrap())
        .stdin(Stdio::null());
    command
}

/// The client scenarios that a suite knows.
fn scenarios(name: &str) -> BTreeSet<String> {
    let mut command = suite(name);
    let output = command.args(["list", "--client"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let names = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "));
    names
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect()
}

/// A browser whose user agrees to everything.
fn browser(home: &Path) -> PathBuf {
    let node = modules().join("node/bin/node");
    let path = home.join("browser");
    let script = "fetch(process.argv[1]).then(page => page.text())";
    let text = format!(
        "#!/bin/sh\nexec '{}' -e '{script}' \"$1\"\n",
        node.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// Runs one scenario; returns the checks that failed.
fn failures(name: &str, scenario: &str, revision: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let client = format!(
        "node {}/tests/http/conformance.mjs {}",
        env!("CARGO_MANIFEST_DIR"),
        env!("CARGO_BIN_EXE_envdeck")
    );
    let mut command = suite(name);
    command.args(["client", "--command", &client, "--timeout", "60000"]);
    command.args(["--scenario", scenario, "--spec-version", revision]);
    command.arg("--output-dir").arg(home.path().join("results"));
    command.env("BROWSER", browser(home.path()));
    for variable in [
        "HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ] {
        command.env(variable, home.path());
    }
    // Its status only repeats what the checks say.
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // `results/SCENARIO-TIME/`, and a scenario's name may have a slash.
    let results = home.path().join("results").join(scenario);
    let run = fs::read_dir(results.parent().unwrap()).ok();
    let run = run.and_then(|mut runs| runs.next());
    let run = run
        .unwrap_or_else(|| panic!("{scenario}: {said}"))
        .unwrap()
        .path();
    let checks = fs::read(run.join("checks.json")).unwrap();
    let checks: Vec<Value> = serde_json::from_slice(&checks).unwrap();
    let held = checks.iter().filter(|check| check["status"] == "SUCCESS");
    assert!(held.count() > 0, "{scenario} checked nothing: {said}");
    let stderr = fs::read_to_string(run.join("stderr.txt")).unwrap_or_default();
    let failed = checks.iter().filter(|check| check["status"] == "FAILURE");
    failed
        .map(|check| {
            let (id, error) = (&check["id"], &check["errorMessage"]);
            format!(
                "{scenario} ({revision}): {id} {error} {}\n{stderr}",
                check["details"]
            )
        })
        .collect()
}

#[test]
#[ignore = "needs tests/clients/install"]
fn every_scenario_is_run_or_has_a_reason_not_to_be() {
    for name in [STABLE, NEXT] {
        let odd: Vec<_> = scenarios(name)
            .into_iter()
            .filter(|scenario| {
                let is_run = APPLY.iter().any(|(known, _)| known == scenario);
                !is_run && !NOT.iter().any(|(prefix, _)| scenario.starts_with(prefix))
            })
            .collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
    }
}

#[test]
#[ignore = "needs tests/clients/install"]
fn the_conformance_suite_is_content_with_the_client() {
    let mut failed = vec![];
    for (name, newest) in [(STABLE, "2025-11-25"), (NEXT, "2026-07-28")] {
        let known = scenarios(name);
        for (scenario, revisions) in APPLY.iter().filter(|(one, _)| known.contains(*one)) {
            for revision in revisions.iter().filter(|revision| **revision <= newest) {
                failed.extend(failures(name, scenario, revision));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
