//! What can be asked of the gateway over MCP, and how the answers look in each era of the protocol.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::era::{self, STATELESS, WITH_SESSIONS, knows_structured};
use super::pieces::Pieces;
use super::refusal::Refusal;
use super::tools::{Outcome, Tool};
use super::wire::{Call, INVALID_PARAMS, METHOD_NOT_FOUND, params, text};

const INSTRUCTIONS: &str = "Opens sessions of isolated environments, each with MCP servers of its own. Call \
initialize_session first, then call_backend_tool on the instances it returns, and cleanup_session at the end.";

/// Our tools do not change while we run; an hour is what a client may go on with those it knows.
const FRESH_MS: u32 = 3_600_000;

/// How an answer is to look.
#[derive(Clone, Copy)]
pub(super) struct Dialect {
    /// Self-contained requests: each result tells what it is and who made it.
    pub is_stateless: bool,
    /// Whether structured results are known.
    pub is_structured: bool,
}

impl Dialect {
    pub fn of(protocol: &str) -> Self {
        Self {
            is_stateless: protocol == STATELESS,
            is_structured: knows_structured(protocol),
        }
    }
}

/// What a request asks for.
pub(super) enum Asked {
    /// Answered at once, with this result.
    Known(Pieces),
    /// One of our tools is to be called.
    Tool(Tool, Option<Box<RawValue>>),
}

/// What `initialize` agrees on: the name of the client, and the revision.
pub(super) fn initialize(call: &Call<'_>) -> Result<(Arc<str>, &'static str), Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(borrow)]
        protocol_version: &'a RawValue,
        #[serde(borrow)]
        client_info: Option<&'a RawValue>,
    }
    let params: Params<'_> = params(call.params)?;
    let wanted = text(params.protocol_version).ok_or_else(|| {
        Refusal::new(
            INVALID_PARAMS,
            "invalid params: protocolVersion is not text",
        )
    })?;
    let known = WITH_SESSIONS.into_iter().find(|known| *known == wanted);
    let name = era::client_name(params.client_info.map_or("{}", RawValue::get));
    // "Otherwise, the server MUST respond with another protocol version it supports."
    Ok((name, known.unwrap_or(WITH_SESSIONS[0])))
}

/// The result of `initialize`.
pub(super) fn initialized(protocol: &str) -> Pieces {
    one(&json!({
        "protocolVersion": protocol,
        "capabilities": capabilities(),
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    }))
}

/// What any request but `initialize` asks for.
pub(super) fn asked(call: &Call<'_>, dialect: Dialect) -> Result<Asked, Refusal> {
    match (&*call.method, dialect.is_stateless) {
        ("tools/call", _) => tool(call),
        ("tools/list", _) => list(call, dialect).map(Asked::Known),
        ("ping", false) => Ok(Asked::Known(one(&json!({})))),
        ("server/discover", true) => Ok(Asked::Known(discovered())),
        (method, _) => Err(Refusal::new(
            METHOD_NOT_FOUND,
            format!(
                "there is no method `{}`",
                method.chars().take(60).collect::<String>()
            ),
        )),
    }
}

fn tool(call: &Call<'_>) -> Result<Asked, Refusal> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        name: &'a RawValue,
        #[serde(borrow)]
        arguments: Option<&'a RawValue>,
    }
    let params: Params<'_> = params(call.params)?;
    let name = text(params.name);
    let Some(tool) = name.as_deref().and_then(Tool::named) else {
        let name: String = name
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect();
        let text =
            format!("unknown tool `{name}`; tools of a backend are called with call_backend_tool");
        return Err(Refusal::new(INVALID_PARAMS, text));
    };
    Ok(Asked::Tool(tool, params.arguments.map(ToOwned::to_owned)))
}

fn list(call: &Call<'_>, dialect: Dialect) -> Result<Pieces, Refusal> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        cursor: Option<&'a RawValue>,
    }
    static PLAIN: LazyLock<Bytes> =
        LazyLock::new(|| json!({ "tools": Tool::catalog() }).to_string().into());
    static STATELESS: LazyLock<Bytes> = LazyLock::new(|| {
        complete(json!({
            "tools": Tool::catalog(),
            "ttlMs": FRESH_MS,
            "cacheScope": "public",
        }))
        .to_string()
        .into()
    });
    let params: Params<'_> = params(call.params)?;
    if params.cursor.is_some() {
        return Err(Refusal::new(
            INVALID_PARAMS,
            "invalid params: there is only one page",
        ));
    }
    let list = if dialect.is_stateless {
        &STATELESS
    } else {
        &PLAIN
    };
    let mut pieces = Pieces::default();
    pieces.push(LazyLock::force(list).clone());
    Ok(pieces)
}

fn discovered() -> Pieces {
    one(&complete(json!({
        "supportedVersions": era::supported(),
        "capabilities": capabilities(),
        "instructions": INSTRUCTIONS,
        "ttlMs": FRESH_MS,
        "cacheScope": "public",
    })))
}

/// The list of our tools never changes.
fn capabilities() -> Value {
    json!({ "tools": { "listChanged": false } })
}

fn server_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

/// A result of the stateless revision.
fn complete(mut result: Value) -> Value {
    result["resultType"] = "complete".into();
    let mut meta = Map::new();
    meta.insert(
        "io.modelcontextprotocol/serverInfo".to_owned(),
        server_info(),
    );
    result["_meta"] = meta.into();
    result
}

fn one(value: &Value) -> Pieces {
    let mut pieces = Pieces::default();
    pieces.push(value.to_string());
    pieces
}

/// The `CallToolResult` of one of our tools.
///
/// What a backend answered is in it twice for clients that know structured results, and once for the others: as text
/// in the first block, which is what clients of the predecessor parse, and as `structuredContent`, which is what the
/// protocol asks for where a tool has an output schema. Both are the backend's own bytes: no type of content is taken
/// apart, renamed or encoded again, and an `isError` in it is that of the call.
pub(super) fn tool_result(outcome: Outcome, dialect: Dialect) -> Pieces {
    let (raw, is_error) = match outcome {
        Outcome::Ours(value) => (Bytes::from(value.to_string()), false),
        Outcome::Theirs { raw, is_error } => (raw, is_error),
        Outcome::Failed(text) => return failed(&text, dialect),
    };
    let mut result = Pieces::default();
    result.push("{\"content\":[{\"type\":\"text\",\"text\":\"");
    result.push_quoted(raw.clone());
    result.push("\"}],");
    if dialect.is_structured {
        result.push("\"structuredContent\":");
        result.push_json(raw);
        result.push(",");
    }
    result.push(if is_error {
        "\"isError\":true"
    } else {
        "\"isError\":false"
    });
    if dialect.is_stateless {
        static REST: LazyLock<Bytes> = LazyLock::new(|| {
            let rest = complete(json!({})).to_string();
            format!(",{}", &rest[1..]).into()
        });
        result.push(REST.clone());
    } else {
        result.push("}");
    }
    result
}

fn failed(text: &str, dialect: Dialect) -> Pieces {
    let result = json!({
        "content": [{ "type": "text", "text": text }],
        "isError": true,
    });
    one(&if dialect.is_stateless {
        complete(result)
    } else {
        result
    })
}

/// The response to a request.
pub(super) fn response(id: &RawValue, result: Pieces) -> Pieces {
    let mut response = Pieces::default();
    response.push(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":",
        id.get()
    ));
    response.append(result);
    response.push("}");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(mut pieces: Pieces) -> Value {
        let mut text = Vec::new();
        while let Some(chunk) = pieces.next() {
            text.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&text).expect("JSON")
    }

    fn theirs(raw: &'static str, protocol: &str) -> Value {
        let raw = Bytes::from_static(raw.as_bytes());
        let is_error = true;
        value(tool_result(
            Outcome::Theirs { raw, is_error },
            Dialect::of(protocol),
        ))
    }

    #[test]
    fn what_a_backend_answered_stays_as_it_is() {
        const RAW: &str = "{ \"content\": [{\"type\":\"image\",\"data\":\"a\\u002b/=\"}],\t\"n\":1.0e2,\"_meta\":{}}";
        for protocol in WITH_SESSIONS.into_iter().chain([STATELESS]) {
            let result = theirs(RAW, protocol);
            assert_eq!(result["content"][0]["text"], RAW);
            assert_eq!(result["isError"], true);
            let is_structured = protocol >= "2025-06-18";
            assert_eq!(result.get("structuredContent").is_some(), is_structured);
            assert_eq!(result.get("resultType").is_some(), protocol == STATELESS);
        }
        let structured = &theirs(RAW, STATELESS)["structuredContent"];
        assert_eq!(
            *structured,
            serde_json::from_str::<Value>(RAW).expect("JSON")
        );
    }

    #[test]
    fn an_unknown_revision_is_answered_with_the_newest_of_those_with_sessions() {
        let with = |version: &str| {
            let raw = json!({ "protocolVersion": version, "clientInfo": { "name": "c" } });
            let raw = RawValue::from_string(raw.to_string()).expect("JSON");
            let call = Call {
                method: "initialize".into(),
                params: Some(&raw),
            };
            initialize(&call).map(|(_, version)| version).expect("fine")
        };
        assert_eq!(with("2025-03-26"), "2025-03-26");
        assert_eq!(with("1999-01-01"), "2025-11-25");
        assert_eq!(with(STATELESS), "2025-11-25");
    }
}
