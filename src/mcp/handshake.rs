//! Finding out which protocol revision a server speaks: over pipes `initialize` first, so that an older server
//! never pays for a probe, and `server/discover` where a server refuses that; over HTTP the other way round.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::timeout;

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
        ("server/discover", timeout(limit, discover_only(link)).await)
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
        Cause::Unreachable { .. } | Cause::Http { .. } | Cause::LoginWanted { .. } => {
            Stage::Connect
        }
        _ => Stage::Initialize,
    };
    let failure = link.failure(stage, cause);
    Err(match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// Why there is no agreement, and the revisions that the server offered meanwhile.
struct Refused {
    cause: Cause,
    offered: Vec<String>,
}

impl From<Cause> for Refused {
    fn from(cause: Cause) -> Self {
        let offered = offered(&cause);
        Self { cause, offered }
    }
}

impl Refused {
    /// The revision with `initialize` among those offered that we like most.
    fn session(&self) -> Option<&'static str> {
        SESSIONS
            .into_iter()
            .find(|ours| self.offered.iter().any(|one| one == ours))
    }

    fn offers(&self, version: &str) -> bool {
        self.offered.iter().any(|one| one == version)
    }

    /// An offer of nothing that we speak says more than the refusal.
    fn into_cause(self) -> Cause {
        if self.offered.is_empty() || self.offers(STATELESS) || self.session().is_some() {
            self.cause
        } else {
            version_conflict(&self.offered.join(", "))
        }
    }
}

async fn negotiate(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    let refused = match begin_session(link, SESSIONS[0]).await {
        Err(cause @ Cause::Rpc { .. }) => Refused::from(cause),
        agreed => return agreed,
    };
    if let Some(version) = refused.session() {
        return begin_session(link, version).await;
    }
    discover(link).await.map_err(|again| match again.cause {
        // It knows neither, or ended: why it refused the first is the reason.
        Cause::Rpc { .. } | Cause::Closed | Cause::Source { .. } if again.offered.is_empty() => {
            refused.into_cause()
        }
        _ => again.into_cause(),
    })
}

/// Over HTTP the newest revision comes first, as its page on the transport asks: a server of before refuses it
/// at once, one of both serves it.
async fn negotiate_over_http(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    let mut refused = match probe(link).await {
        Ok(agreed) => return Ok(agreed),
        Err(refused) => refused,
    };
    if refused.offers(STATELESS) {
        // It did not like the request, but it says that it knows the revision.
        refused = match probe(link).await {
            Ok(agreed) => return Ok(agreed),
            Err(refused) => refused,
        };
    }
    let version = match refused.session() {
        Some(version) => version,
        None if refused.offered.is_empty() && may_be_older(&refused.cause) => SESSIONS[0],
        None => return Err(refused.into_cause()),
    };
    link.forget_revision();
    let refused = match begin_session(link, version).await {
        Err(cause @ Cause::Rpc { .. }) => Refused::from(cause),
        agreed => return agreed,
    };
    match refused.session() {
        Some(other) if other != version => begin_session(link, other).await,
        _ => Err(refused.into_cause()),
    }
}

async fn probe(link: &Arc<Link>) -> Result<ServerInfo, Refused> {
    timeout(PROBE, discover(link)).await.unwrap_or_else(|_| {
        let cause = Cause::Deadline {
            what: "server/discover".into(),
            after: PROBE,
        };
        Err(cause.into())
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
    let server = begin_session(link, version).await?;
    match known {
        Some(known) if known.era != server.era => Err(Cause::Protocol(format!(
            "the server was exchanged for one that speaks {}",
            server.protocol
        ))),
        _ => Ok(()),
    }
}

/// Begins a session, in this revision or another of ours that the server prefers.
async fn begin_session(link: &Arc<Link>, version: &str) -> Result<ServerInfo, Cause> {
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
        return discover_only(link).await;
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

async fn discover_only(link: &Arc<Link>) -> Result<ServerInfo, Cause> {
    discover(link).await.map_err(Refused::into_cause)
}

async fn discover(link: &Arc<Link>) -> Result<ServerInfo, Refused> {
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
    let refused = Refused {
        cause: Cause::Protocol("the answer to server/discover names no revision".to_owned()),
        offered: texts(&answer["supportedVersions"]),
    };
    if !refused.offers(STATELESS) {
        return Err(refused);
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

fn texts(list: &Value) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}
