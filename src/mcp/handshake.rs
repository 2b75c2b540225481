//! Finding out which protocol revision a server speaks: over pipes `initialize` first, so that an older server
//! never pays for a probe, and `server/discover` where a server refuses that; over HTTP the other way round.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::hints::failure;
use super::link::{Link, Revision};
use super::questions;
use super::wire::{Payload, Reply, excerpt};
use crate::model::{Cause, Era, Failure, Reach, ServerInfo, Stage};

/// Revisions with `initialize`, the preferred one first.
const SESSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision without sessions.
const STATELESS: &str = "2026-07-28";

/// For a server of before to refuse what it does not know.
const PROBE: Duration = Duration::from_secs(5);

const META: &str = "io.modelcontextprotocol";

/// Agrees with the server on a revision, within `limit`.
pub(super) async fn shake_hands(
    link: &Arc<Link>,
    limit: Duration,
    discover_first: bool,
) -> Result<ServerInfo, Failure> {
    let (what, done) = if link.is_http {
        (
            "initialize",
            timeout(limit, negotiate_over_http(link)).await,
        )
    } else if discover_first {
        ("server/discover", timeout(limit, discover(link)).await)
    } else {
        ("initialize", timeout(limit, negotiate(link)).await)
    };
    let cause = match done {
        Ok(Ok(info)) => return Ok(info),
        Ok(Err(cause)) => cause,
        Err(_) => Cause::Deadline {
            what: what.into(),
            after: limit,
        },
    };
    let hint = match cause {
        Cause::Closed => Some("see the last output lines"),
        Cause::Deadline { .. } if link.is_http => Some("is this the URL of an MCP server?"),
        Cause::Deadline { .. } => Some("is this an MCP server that speaks on stdin and stdout?"),
        _ => None,
    };
    let stage = match cause {
        Cause::Unreachable { .. } | Cause::Http { .. } => Stage::Connect,
        _ => Stage::Initialize,
    };
    let failure = failure(stage, cause);
    Err(match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

async fn negotiate(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    let refused = match sessions(link, SESSIONS[0]).await {
        Err(refused @ Cause::Rpc { .. }) => refused,
        agreed => return agreed,
    };
    let offered = offered(&refused);
    if let Some(version) = ours(&offered) {
        return sessions(link, version).await;
    }
    discover(link).await.map_err(|cause| match cause {
        Cause::Rpc { .. } if !offered.is_empty() => version_conflict(&offered.join(", ")),
        // It knows neither, or ended: why it refused the first is the reason.
        Cause::Rpc { .. } | Cause::Closed | Cause::Source { .. } => refused,
        other => other,
    })
}

/// Over HTTP the newest revision comes first, as its page on the transport asks: a server of before refuses it
/// at once, one of both serves it.
async fn negotiate_over_http(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    let mut refused = match probe(link).await {
        Err(refused) => refused,
        agreed => return agreed,
    };
    if offered(&refused).iter().any(|version| version == STATELESS) {
        // It did not like the request, but it says that it knows the revision.
        refused = match probe(link).await {
            Err(refused) => refused,
            agreed => return agreed,
        };
    }
    let offered = offered(&refused);
    let version = match ours(&offered) {
        Some(version) => version,
        None if !offered.is_empty() => return Err(version_conflict(&offered.join(", "))),
        None if may_be_older(&refused) => SESSIONS[0],
        None => return Err(refused),
    };
    link.forget_revision();
    match sessions(link, version).await {
        Err(again @ Cause::Rpc { .. }) => match ours(&self::offered(&again)) {
            Some(other) if other != version => sessions(link, other).await,
            _ => Err(again),
        },
        agreed => agreed,
    }
}

async fn probe(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    timeout(PROBE, discover(link)).await.unwrap_or_else(|_| {
        Err(Cause::Deadline {
            what: "server/discover".into(),
            after: PROBE,
        })
    })
}

/// Whether a server that refuses `server/discover` like this may be one with sessions.
fn may_be_older(refused: &Cause) -> bool {
    match refused {
        // What only a server of the newest revision says.
        Cause::Rpc { code, .. } => !matches!(code, -32022..=-32020),
        Cause::Http { status, .. } => matches!(status, 400 | 404..=406 | 410..=422 | 500 | 501),
        Cause::Unreachable { reach, .. } => *reach == Reach::Lost,
        Cause::Protocol(_) | Cause::Deadline { .. } => true,
        _ => false,
    }
}

/// Begins a new session with a server that has forgotten the one that was agreed on.
pub(super) async fn renew(link: &Arc<Link>) -> Result<(), Cause> {
    let known = link.revision();
    let version = known.as_ref().map_or(SESSIONS[0], |known| &known.name);
    let server = sessions(link, version).await?;
    match known {
        Some(known) if known.era != server.era => Err(Cause::Protocol(format!(
            "the server was exchanged for one that speaks {}",
            server.protocol
        ))),
        _ => Ok(()),
    }
}

/// Begins a session, in this revision or another of ours that the server prefers.
async fn sessions(link: &Arc<Link>, version: &str) -> Result<ServerInfo, Cause> {
    let params = json!({
        "protocolVersion": version,
        "capabilities": questions::capabilities(),
        "clientInfo": client_info(),
    });
    let answer = read("initialize", link.exchange("initialize", &params).await)?;
    accept(link, &answer).await
}

/// The server answered `initialize`: is it a revision we speak?
async fn accept(link: &Arc<Link>, answer: &Value) -> Result<ServerInfo, Cause> {
    let version = answer["protocolVersion"]
        .as_str()
        .unwrap_or("of no version");
    if version == STATELESS {
        return discover(link).await;
    }
    if !SESSIONS.contains(&version) {
        return Err(version_conflict(version));
    }
    link.speak(Revision {
        name: version.into(),
        era: Era::Sessions,
        meta: None,
    });
    link.notify("notifications/initialized", &json!({}));
    Ok(server_info(
        answer,
        &answer["serverInfo"],
        version,
        Era::Sessions,
    ))
}

async fn discover(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    let mut meta = Map::new();
    meta.insert(format!("{META}/protocolVersion"), STATELESS.into());
    meta.insert(format!("{META}/clientInfo"), client_info());
    meta.insert(
        format!("{META}/clientCapabilities"),
        questions::capabilities(),
    );
    link.speak(Revision {
        name: STATELESS.into(),
        era: Era::Stateless,
        meta: Some(Arc::new(meta)),
    });
    let answer = link.exchange("server/discover", &json!({})).await;
    let answer = read("server/discover", answer)?;
    let versions = texts(&answer["supportedVersions"]);
    if !versions.iter().any(|version| version == STATELESS) {
        return Err(version_conflict(&versions.join(", ")));
    }
    let named = &answer["_meta"][format!("{META}/serverInfo")];
    let named = if named.is_null() {
        &answer["serverInfo"]
    } else {
        named
    };
    Ok(server_info(&answer, named, STATELESS, Era::Stateless))
}

fn read(method: &str, reply: Reply) -> Result<Value, Cause> {
    let Payload { raw, .. } = reply?;
    serde_json::from_slice(&raw)
        .map_err(|error| Cause::Other(format!("unreadable answer to {method}: {error}")))
}

fn server_info(answer: &Value, named: &Value, protocol: &str, era: Era) -> ServerInfo {
    let text = |value: &Value| excerpt(value.as_str().unwrap_or_default(), 200);
    let capabilities = answer["capabilities"].as_object();
    ServerInfo {
        name: text(&named["name"]),
        version: text(&named["version"]),
        protocol: protocol.into(),
        era,
        instructions: answer["instructions"]
            .as_str()
            .map(|text| excerpt(text, 100_000)),
        capabilities: capabilities
            .into_iter()
            .flat_map(Map::keys)
            .map(|key| key.as_str().into())
            .collect(),
    }
}

fn version_conflict(server: &str) -> Cause {
    // Newest first, as it is read.
    let ours = [STATELESS]
        .into_iter()
        .chain(SESSIONS)
        .collect::<Vec<_>>()
        .join(", ");
    Cause::Version {
        server: excerpt(server, 60).to_string(),
        ours,
    }
}

/// The revisions named in a refusal (`-32022`, or `-32602` before 2026).
fn offered(refused: &Cause) -> Vec<String> {
    let Cause::Rpc {
        data: Some(data), ..
    } = refused
    else {
        return Vec::new();
    };
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    texts(&data["supported"])
}

/// The one of these with `initialize` that we like most.
fn ours(offered: &[String]) -> Option<&'static str> {
    SESSIONS
        .into_iter()
        .find(|ours| offered.iter().any(|one| one == ours))
}

fn texts(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}
