//! An MCP server that wants a login, and the authorization server for it: OAuth 2.1 with PKCE, as far as it goes.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;
use url::form_urlencoded;

use crate::peer::initialized;

/// What registers itself becomes this.
const CLIENT: &str = "client-7";

/// What a test sees and sets.
#[derive(Default)]
pub struct Book {
    /// Visits of the page to log in at, with their parameters.
    pub visits: Vec<HashMap<String, String>>,
    /// Requests for keys, with their parameters.
    pub exchanges: Vec<HashMap<String, String>>,
    pub registrations: usize,
    /// The user says no.
    pub refuses_user: bool,
    /// Renewals are refused.
    pub refuses_renewal: bool,
    /// Says 401 and nothing of where to log in.
    pub is_silent: bool,
    /// The secret that a client gets when it registers itself.
    pub secret: Option<String>,
    /// The only client there is, with its secret.
    pub client: Option<(String, String)>,
    /// The key that is taken.
    valid: Option<String>,
    /// What was granted with it.
    scope: String,
    count: usize,
    /// Of each code the challenge and the scope.
    codes: HashMap<String, (String, String)>,
}

impl Book {
    /// The key that was handed out is not taken any more.
    pub fn expire(&mut self) {
        self.valid = None;
    }

    /// Whether a client shows who it is, as far as it has to.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let registered = || Some((CLIENT.to_owned(), self.secret.clone()?));
        let Some((id, secret)) = self.client.clone().or_else(registered) else {
            return true;
        };
        let right = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        headers
            .get(header::AUTHORIZATION)
            .is_some_and(|sent| *sent == *right)
    }

    fn keys(&mut self) -> Value {
        self.count += 1;
        let key = format!("hush-{}", self.count);
        self.valid = Some(key.clone());
        json!({
            "access_token": key,
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": format!("hush-again-{}", self.count),
        })
    }
}

/// Both servers; dropping it ends them.
pub struct Provider {
    pub url: String,
    pub book: Arc<Mutex<Book>>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Clone)]
struct Desk {
    base: String,
    book: Arc<Mutex<Book>>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let desk = Desk {
            base: base.clone(),
            book: Arc::default(),
        };
        let resource = "/.well-known/oauth-protected-resource/mcp";
        let server = "/.well-known/oauth-authorization-server";
        let router = Router::new()
            .route("/mcp", post(mcp))
            .route(resource, get(about_resource))
            .route(server, get(about_server))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(desk.clone());
        let serving = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self {
            url: format!("{base}/mcp"),
            book: desk.book,
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}

fn answer(value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, value.to_string()).into_response()
}

fn parameters(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

async fn mcp(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let sent = headers.get(header::AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    {
        let book = desk.book.lock();
        if sent.is_none() || sent != book.valid.as_deref() {
            let place = "/.well-known/oauth-protected-resource/mcp";
            let place = format!("Bearer resource_metadata=\"{}{place}\"", desk.base);
            let refusal = (StatusCode::UNAUTHORIZED, "who are you?");
            if book.is_silent {
                return refusal.into_response();
            }
            return ([(header::WWW_AUTHENTICATE, place)], refusal).into_response();
        }
    }
    let message: Value = serde_json::from_slice(&body).unwrap();
    let is_granted = |scope: &str| {
        let book = desk.book.lock();
        book.scope.split(' ').any(|one| one == scope)
    };
    if message["params"]["name"] == "admin" && !is_granted("admin") {
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"admin\"";
        let refusal = (StatusCode::FORBIDDEN, "not you");
        return ([(header::WWW_AUTHENTICATE, challenge)], refusal).into_response();
    }
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => initialized("2025-11-25"),
        "tools/list" => {
            let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
            json!({ "tools": [tool("t"), tool("admin")] })
        }
        "tools/call" => json!({ "content": [{ "type": "text", "text": "done" }] }),
        "ping" => json!({}),
        _ if message["id"].is_null() => return StatusCode::ACCEPTED.into_response(),
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            let id = &message["id"];
            return answer(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    answer(&json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

async fn about_resource(State(desk): State<Desk>) -> Response {
    if desk.book.lock().is_silent {
        return StatusCode::NOT_FOUND.into_response();
    }
    answer(&json!({
        "resource": format!("{}/mcp", desk.base),
        "authorization_servers": [desk.base],
        "scopes_supported": ["tools"],
    }))
}

async fn about_server(State(desk): State<Desk>) -> Response {
    if desk.book.lock().is_silent {
        return StatusCode::NOT_FOUND.into_response();
    }
    let at = |path: &str| format!("{}{path}", desk.base);
    let book = desk.book.lock();
    let has_secrets = book.secret.is_some() || book.client.is_some();
    let method = if has_secrets {
        "client_secret_basic"
    } else {
        "none"
    };
    let mut about = json!({
        "issuer": desk.base,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [method],
    });
    if book.client.is_none() {
        about["registration_endpoint"] = at("/register").into();
    }
    answer(&about)
}

async fn register(State(desk): State<Desk>, body: Bytes) -> Response {
    let mut book = desk.book.lock();
    book.registrations += 1;
    let mut client: Value = serde_json::from_slice(&body).unwrap();
    client["client_id"] = CLIENT.into();
    if let Some(secret) = &book.secret {
        client["client_secret"] = secret.as_str().into();
    }
    let answer = answer(&client);
    (StatusCode::CREATED, answer).into_response()
}

/// The page in the browser; the user agrees at once.
async fn authorize(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let asked = parameters(query.unwrap_or_default().as_bytes());
    let mut book = desk.book.lock();
    book.visits.push(asked.clone());
    let code = format!("code-{}", book.visits.len());
    let challenge = asked["code_challenge"].clone();
    let scope = asked.get("scope").cloned().unwrap_or_default();
    book.codes.insert(code.clone(), (challenge, scope));
    let mut back = url::Url::parse(&asked["redirect_uri"]).unwrap();
    back.query_pairs_mut().append_pair("state", &asked["state"]);
    if book.refuses_user {
        back.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("error_description", "not today");
    } else {
        back.query_pairs_mut().append_pair("code", &code);
    }
    (StatusCode::FOUND, [(header::LOCATION, back.to_string())]).into_response()
}

async fn token(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = parameters(&body);
    let mut book = desk.book.lock();
    book.exchanges.push(asked.clone());
    if !book.knows(&headers) {
        let refusal = answer(&json!({ "error": "invalid_client" }));
        return (StatusCode::UNAUTHORIZED, refusal).into_response();
    }
    let is_right = match asked["grant_type"].as_str() {
        "authorization_code" => {
            let verifier = Sha256::digest(asked["code_verifier"].as_bytes());
            let (challenge, scope) = book.codes.remove(&asked["code"]).unwrap_or_default();
            book.scope = scope;
            challenge == URL_SAFE_NO_PAD.encode(verifier)
        }
        "refresh_token" => {
            let last = format!("hush-again-{}", book.count);
            !book.refuses_renewal && asked["refresh_token"] == last
        }
        _ => false,
    };
    if !is_right {
        let refusal = answer(&json!({ "error": "invalid_grant" }));
        return (StatusCode::BAD_REQUEST, refusal).into_response();
    }
    answer(&book.keys())
}
