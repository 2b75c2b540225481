//! Finding out which protocol revision a server speaks: `initialize` first, so that an older server
//! never pays for a probe; `server/discover` where a server refuses that.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::link::{Link, Revision};
use super::questions;
use super::wire::{Payload, Reply, excerpt};
use crate::model::{Cause, Era, Failure, ServerInfo, Stage};

/// Revisions with `initialize`, the preferred one first.
const SESSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The revision without sessions.
const STATELESS: &str = "2026-07-28";

const META: &str = "io.modelcontextprotocol";

/// Agrees with the server on a revision, within `limit`.
pub(super) async fn shake_hands(
    link: &Arc<Link>,
    limit: Duration,
    discover_first: bool,
) -> Result<ServerInfo, Failure> {
    let (what, done) = if discover_first {
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
    let failure = super::failure(Stage::Initialize, cause);
    Err(match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

async fn negotiate(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    match initialize(link, SESSIONS[0]).await {
        Ok(answer) => accept(link, &answer).await,
        Err(Cause::Rpc {
            code,
            message,
            data,
        }) => {
            let offered = supported(data.as_deref());
            let known = SESSIONS
                .into_iter()
                .find(|ours| offered.iter().any(|one| one == ours));
            if let Some(version) = known {
                return accept(link, &initialize(link, version).await?).await;
            }
            discover(link).await.map_err(|cause| match cause {
                Cause::Rpc { .. } if !offered.is_empty() => version_conflict(&offered.join(", ")),
                // It knows neither, or ended: why it refused the first is the reason.
                Cause::Rpc { .. } | Cause::Closed | Cause::Source { .. } => Cause::Rpc {
                    code,
                    message,
                    data,
                },
                other => other,
            })
        }
        Err(other) => Err(other),
    }
}

/// Begins a new session with a server that has forgotten the one that was agreed on.
pub(super) async fn renew(link: &Arc<Link>) -> Result<(), Cause> {
    let known = link.revision();
    let version = known.as_ref().map_or(SESSIONS[0], |known| &known.name);
    let server = accept(link, &initialize(link, version).await?).await?;
    match known {
        Some(known) if known.era != server.era => Err(Cause::Protocol(format!(
            "the server was exchanged for one that speaks {}",
            server.protocol
        ))),
        _ => Ok(()),
    }
}

async fn initialize(link: &Arc<Link>, version: &str) -> Result<Value, Cause> {
    let params = json!({
        "protocolVersion": version,
        "capabilities": questions::capabilities(),
        "clientInfo": client_info(),
    });
    read("initialize", link.exchange("initialize", &params).await)
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
    let answer = match link.exchange("server/discover", &json!({})).await {
        Err(Cause::Rpc {
            code,
            message,
            data,
        }) => {
            let offered = supported(data.as_deref());
            return Err(if offered.is_empty() {
                Cause::Rpc {
                    code,
                    message,
                    data,
                }
            } else {
                version_conflict(&offered.join(", "))
            });
        }
        reply => read("server/discover", reply)?,
    };
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
fn supported(data: Option<&str>) -> Vec<String> {
    let data: Value = data
        .and_then(|data| serde_json::from_str(data).ok())
        .unwrap_or_default();
    texts(&data["supported"])
}

fn texts(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}
