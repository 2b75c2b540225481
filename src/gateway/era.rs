//! Which generation of the protocol a request speaks: with a session that `initialize` began, or self-contained
//! (2026-07-28), told by its headers and its `_meta`, which must agree.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::clients::shown_name;
use super::refusal::Refusal;
use super::wire::{Call, HEADER_MISMATCH, INVALID_PARAMS, Text, UNSUPPORTED_VERSION, text};

/// The revision without sessions.
pub(super) const STATELESS: &str = "2026-07-28";
/// Those with `initialize`, the preferred one first.
pub(super) const WITH_SESSIONS: [&str; 4] =
    ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The first revision with structured results and output schemas.
const STRUCTURED: &str = "2025-06-18";

const VERSION_HEADER: &str = "mcp-protocol-version";

/// How a request is to be served.
#[derive(Debug)]
pub(super) enum Era {
    /// In the session that its `Mcp-Session-Id` names.
    Sessions,
    /// By itself.
    Stateless {
        /// What the client calls itself.
        name: Arc<str>,
    },
}

/// Whether a client of this revision knows structured results. Revisions are dates.
pub(super) fn knows_structured(protocol: &str) -> bool {
    protocol >= STRUCTURED
}

/// All revisions, the newest first.
pub(super) fn supported() -> Vec<&'static str> {
    [STATELESS].into_iter().chain(WITH_SESSIONS).collect()
}

/// What a request says of itself in `_meta`; a field of another type than it should have is absent.
#[derive(Default, Deserialize)]
pub(super) struct Meta<'a> {
    #[serde(borrow, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    version: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    client: Option<&'a RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    capabilities: Option<&'a RawValue>,
}

/// Of the parameters, what every method may have, and the names that `Mcp-Name` repeats.
#[derive(Default, Deserialize)]
struct Common<'a> {
    #[serde(borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

impl<'a> Meta<'a> {
    /// The `_meta` of a request; empty where there is none that can be read.
    pub fn of(call: &Call<'a>) -> Self {
        let common = common(call);
        let meta = common.meta.map(RawValue::get);
        meta.and_then(|meta| serde_json::from_str(meta).ok())
            .unwrap_or_default()
    }
}

fn common<'a>(call: &Call<'a>) -> Common<'a> {
    let params = call.params.map(RawValue::get);
    params
        .and_then(|params| serde_json::from_str(params).ok())
        .unwrap_or_default()
}

/// Which era a request belongs to, or what its headers get wrong.
pub(super) fn of_request(
    headers: &HeaderMap,
    call: &Call<'_>,
    meta: &Meta<'_>,
) -> Result<Era, Refusal> {
    let header = single(headers, VERSION_HEADER)?;
    let inside = meta.version.and_then(text);
    match (header, inside.as_deref()) {
        (None, None) => return Ok(Era::Sessions),
        (None, Some(_)) => return Err(mismatch("the header MCP-Protocol-Version is missing")),
        (Some(header), None) if header == STATELESS => return Err(incomplete("protocolVersion")),
        (Some(header), Some(inside)) if header != inside => {
            return Err(mismatch(
                "the header MCP-Protocol-Version and _meta protocolVersion differ",
            ));
        }
        (Some(version), _) if WITH_SESSIONS.contains(&version) => return Ok(Era::Sessions),
        (Some(version), _) if version != STATELESS => return Err(unsupported(version)),
        (Some(_), _) => {}
    }
    if !meta.capabilities.is_some_and(is_object) {
        return Err(incomplete("clientCapabilities"));
    }
    check_method(headers, call)?;
    let client = meta.client.map_or("{}", RawValue::get);
    Ok(Era::Stateless {
        name: client_name(client),
    })
}

/// The version header of a request that is no JSON-RPC request: a notification, GET, DELETE.
pub(super) fn check_header(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let header = single(headers, VERSION_HEADER)?;
    match header {
        Some(version) if version != STATELESS && !WITH_SESSIONS.contains(&version) => {
            Err(unsupported(version))
        }
        header => Ok(header),
    }
}

/// The shown name in an `Implementation` object.
pub(super) fn client_name(implementation: &str) -> Arc<str> {
    #[derive(Default, Deserialize)]
    struct Implementation<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
    }
    let client: Implementation<'_> = serde_json::from_str(implementation).unwrap_or_default();
    shown_name(client.name.as_ref().map(|name| &*name.0))
}

/// `Mcp-Method` and `Mcp-Name` repeat what the body says, for those between who route by them.
fn check_method(headers: &HeaderMap, call: &Call<'_>) -> Result<(), Refusal> {
    match single(headers, "mcp-method")? {
        Some(method) if method == call.method => {}
        Some(_) => return Err(mismatch("the header Mcp-Method and the method differ")),
        None => return Err(mismatch("the header Mcp-Method is missing")),
    }
    if call.method != "tools/call" {
        return Ok(());
    }
    let Some(name) = common(call).name.and_then(text) else {
        return Ok(());
    };
    match single(headers, "mcp-name")? {
        Some(header) if decoded(header)? == name => Ok(()),
        Some(_) => Err(mismatch(
            "the header Mcp-Name and the name of the tool differ",
        )),
        None => Err(mismatch("the header Mcp-Name is missing")),
    }
}

/// Names that do not fit into a header are sent as `=?base64?…?=`.
fn decoded(header: &str) -> Result<Cow<'_, str>, Refusal> {
    let inside = header
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    let Some(inside) = inside else {
        return Ok(Cow::Borrowed(header));
    };
    let bytes = STANDARD.decode(inside).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Cow::Owned)
        .ok_or_else(|| mismatch("the header Mcp-Name is not Base64"))
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value.trim())),
        (Err(_), _) => Err(mismatch(format!("the header {name} has odd characters"))),
        (_, Some(_)) => Err(mismatch(format!("the header {name} stands there twice"))),
    }
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

fn mismatch(text: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(HEADER_MISMATCH, text)
}

fn incomplete(field: &str) -> Refusal {
    let text = format!("invalid params: _meta has no io.modelcontextprotocol/{field}");
    Refusal::new(INVALID_PARAMS, text)
}

fn unsupported(requested: &str) -> Refusal {
    Refusal::new(UNSUPPORTED_VERSION, "unsupported protocol version")
        .data(json!({ "supported": supported(), "requested": requested }))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const FULL: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
        "io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},
        "io.modelcontextprotocol/clientCapabilities":{}}"#;

    fn era(headers: &[(&'static str, &str)], method: &str, params: &Value) -> Result<Era, i64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a value"));
        }
        let params = RawValue::from_string(params.to_string()).expect("JSON");
        let call = Call {
            method: method.into(),
            params: Some(&params),
        };
        of_request(&map, &call, &Meta::of(&call)).map_err(|refusal| {
            assert_eq!(refusal.status, 400);
            refusal.code
        })
    }

    fn with(meta: &str, name: &str) -> Value {
        json!({ "name": name, "_meta": serde_json::from_str::<Value>(meta).expect("JSON") })
    }

    #[test]
    fn without_a_word_about_it_a_request_belongs_to_a_session() {
        let plain = json!({ "_meta": { "progressToken": 1 } });
        assert!(matches!(era(&[], "ping", &plain), Ok(Era::Sessions)));
        for version in WITH_SESSIONS {
            let header = [("mcp-protocol-version", version)];
            assert!(matches!(
                era(&header, "ping", &json!([])),
                Ok(Era::Sessions)
            ));
        }
    }

    #[test]
    fn a_self_contained_request_tells_who_asks() {
        let headers = [
            ("mcp-protocol-version", STATELESS),
            ("mcp-method", "tools/list"),
        ];
        let Ok(Era::Stateless { name }) = era(&headers, "tools/list", &with(FULL, "x")) else {
            panic!("stateless")
        };
        assert_eq!(&*name, "c");
    }

    type Headers<'a> = &'a [(&'static str, &'a str)];

    #[test]
    fn headers_and_body_must_agree() {
        let version = ("mcp-protocol-version", STATELESS);
        let call = ("mcp-method", "tools/call");
        let cases: [(Headers, &str, Value, i64); 9] = [
            (&[], "tools/list", with(FULL, "x"), HEADER_MISMATCH),
            (
                &[("mcp-protocol-version", "2025-06-18")],
                "tools/list",
                with(FULL, "x"),
                HEADER_MISMATCH,
            ),
            (&[version], "tools/list", with(FULL, "x"), HEADER_MISMATCH),
            (
                &[version, ("mcp-method", "TOOLS/LIST")],
                "tools/list",
                with(FULL, "x"),
                HEADER_MISMATCH,
            ),
            (
                &[version, call],
                "tools/call",
                with(FULL, "x"),
                HEADER_MISMATCH,
            ),
            (
                &[version, call, ("mcp-name", "y")],
                "tools/call",
                with(FULL, "x"),
                HEADER_MISMATCH,
            ),
            (
                &[version, call, call],
                "tools/call",
                with(FULL, "x"),
                HEADER_MISMATCH,
            ),
            (
                &[version, call],
                "tools/call",
                with("{}", "x"),
                INVALID_PARAMS,
            ),
            (
                &[("mcp-protocol-version", "1999-01-01")],
                "ping",
                json!({}),
                UNSUPPORTED_VERSION,
            ),
        ];
        for (headers, method, params, code) in cases {
            let refused = era(headers, method, &params).expect_err("refused");
            assert_eq!(refused, code, "{headers:?} {method} {params}");
        }
    }

    #[test]
    fn names_that_do_not_fit_into_a_header_are_decoded() {
        let encoded = format!("=?base64?{}?=", STANDARD.encode("größe"));
        let headers = |name| {
            [
                ("mcp-protocol-version", STATELESS),
                ("mcp-method", "tools/call"),
                ("mcp-name", name),
            ]
        };
        assert!(era(&headers(&encoded), "tools/call", &with(FULL, "größe")).is_ok());
        assert!(era(&headers(" größe "), "tools/call", &with(FULL, "größe")).is_err());
        let broken = headers("=?base64?!?=");
        assert_eq!(
            era(&broken, "tools/call", &with(FULL, "x")).err(),
            Some(HEADER_MISMATCH)
        );
    }
}
