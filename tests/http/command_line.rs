//! `envdeck … --url`: what the program does with the environment it runs in.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::peer::PATIENCE;
use crate::remote::free_port;
use crate::scripted::{Heard, Out, Scripted, behave};

struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program in an environment without proxies but for `env`.
async fn envdeck(args: &[&str], env: &[(&str, &str)]) -> Ended {
    let home = TempDir::with_prefix("envdeck-home-").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_envdeck"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in [
        "HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
    ] {
        command.env(name, home.path());
    }
    command.envs(env.iter().copied());
    let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn tools(json: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(json).unwrap();
    let tools = list["tools"].as_array().unwrap().iter();
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn this_machine_is_never_asked_for_through_a_proxy() {
    let server = Scripted::start(behave).await;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let env = [("HTTP_PROXY", nobody.as_str()), ("ALL_PROXY", &nobody)];
    let env = env.map(|(name, value)| [(name, value)]).concat();
    let ended = envdeck(&["tools", "--json", "--url", &server.url], &env).await;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(tools(&ended.stdout), ["t"]);
}

#[tokio::test]
async fn other_machines_are_asked_for_through_the_proxy_of_the_environment() {
    let proxy = Scripted::start(behave).await;
    let address = proxy.url.trim_end_matches("/mcp").to_owned();
    let args = ["tools", "--json", "--url", "http://mcp.invalid/mcp"];
    let ended = envdeck(&args, &[("http_proxy", &address)]).await;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!(tools(&ended.stdout), ["t"]);
    assert!(
        proxy
            .heard()
            .iter()
            .all(|heard| heard.path == "http://mcp.invalid/mcp")
    );
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_told_from_a_server_that_is_not() {
    let proxy = format!("http://127.0.0.1:{}", free_port());
    let args = ["tools", "--url", "http://mcp.invalid/mcp"];
    let ended = envdeck(&args, &[("http_proxy", &proxy)]).await;
    assert_eq!(ended.status, Some(3));
    let right = "mcp.invalid:80: not reached through the proxy (connection refused) \
                 — see HTTP_PROXY and HTTPS_PROXY; `trust_env: false` ignores them";
    assert!(ended.stderr.contains(right), "{}", ended.stderr);

    let refusing = Scripted::start(|_: Heard, mut out: Out| async move {
        out.answer("407 Proxy Authentication Required", "", "")
            .await;
    })
    .await;
    let proxy = refusing.url.trim_end_matches("/mcp").to_owned();
    let args = ["tools", "--url", "https://mcp.invalid/mcp"];
    let ended = envdeck(&args, &[("https_proxy", &proxy)]).await;
    assert_eq!(ended.status, Some(3));
    let right = "mcp.invalid:443: not reached through the proxy (";
    assert!(ended.stderr.contains(right), "{}", ended.stderr);
}

#[tokio::test]
async fn headers_take_secrets_from_the_environment_and_show_them_nowhere() {
    let server = Scripted::start(behave).await;
    let header = "Authorization: Bearer ${TOKEN}";
    let args = [
        "call",
        "t",
        "--url",
        &server.url,
        "-H",
        header,
        "-H",
        "X-Two: 2",
    ];
    let ended = envdeck(&args, &[("TOKEN", "hush")]).await;
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    for heard in server.heard() {
        assert_eq!(heard.headers["authorization"], "Bearer hush");
        assert_eq!(heard.headers["x-two"], "2");
    }
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("hush"));

    let ended = envdeck(&args, &[]).await;
    assert_eq!(ended.status, Some(2));
    assert!(
        ended
            .stderr
            .contains("--header: Authorization: the variable TOKEN is not set"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn more_is_trusted_than_the_system_does() {
    let server = Scripted::start_tls(behave).await;
    let args = ["tools", "--json", "--url", &server.url];
    let ended = envdeck(&args, &[]).await;
    assert_eq!(ended.status, Some(3));
    assert!(
        ended.stderr.contains("no TLS connection"),
        "{}",
        ended.stderr
    );
    let ca_file = server.ca_file.to_str().unwrap();
    let ended = envdeck(&[&args[..], &["--ca-file", ca_file]].concat(), &[]).await;
    assert_eq!(tools(&ended.stdout), ["t"], "{}", ended.stderr);
}
