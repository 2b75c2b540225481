//! The provisioning service: makes real MCP servers on request, deletes them, passes calls on, and misbehaves when it
//! is told to. Runs in a process of its own until its stdin ends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, JsonObject,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::tls::Encrypted;

/// Tells the process that it is the service, and where it writes the certificate if it is to encrypt.
pub const ROLE: &str = "ENVDECK_TEST_SERVICE";
/// The line with its URL begins with it.
pub const LISTENS: &str = "service at ";

/// How one request is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    Well,
    Status(u16),
    /// 429 or 503 with `Retry-After`.
    Later(u16, u64),
    /// After so many milliseconds.
    Slow(u64),
    /// Never.
    Hang,
    /// What was asked for is done, but the connection breaks in the middle of the answer.
    Drop,
    /// So many more or fewer instances than asked for.
    Count(i64),
    /// Each instance twice.
    Twice,
    /// Something else than the contract says.
    Text(String),
    /// Gigabytes, of which little is sent.
    Bomb,
    Redirect(String),
    /// Instances without a URL.
    Nowhere,
    /// Instances that nobody answers for.
    Dead,
}

/// What a test sets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Orders {
    /// Used up one by one; then all is well.
    pub create: VecDeque<Manner>,
    pub delete: VecDeque<Manner>,
    pub call: VecDeque<Manner>,
    /// What `Authorization` must say.
    pub authorization: Option<String>,
    /// Idempotency keys mean nothing to it.
    pub forgets_keys: bool,
    /// Its instances let nobody in.
    pub locked: bool,
    /// Where the instances are; beside the API if it is not said.
    pub elsewhere: bool,
}

/// A request that was heard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heard {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// What a test is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    pub instances: Vec<String>,
    pub heard: Vec<Heard>,
}

type Instance = StreamableHttpService<Handler, LocalSessionManager>;

#[derive(Default)]
struct Stock {
    orders: Orders,
    instances: BTreeMap<String, Instance>,
    /// Answers by the keys of their requests.
    answered: HashMap<String, Value>,
    heard: Vec<Heard>,
    made: usize,
}

#[derive(Clone)]
struct Service {
    state: Arc<Mutex<Stock>>,
    url: String,
    other: String,
}

/// Serves until stdin ends.
pub async fn run(ca_file: Option<PathBuf>) {
    let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let second = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let scheme = if ca_file.is_some() {
        format!("https://localhost:{port}")
    } else {
        format!("http://127.0.0.1:{port}")
    };
    let service = Service {
        state: Arc::default(),
        url: scheme.clone(),
        other: format!("http://{}", second.local_addr().unwrap()),
    };
    let router = Router::new()
        .route("/api/instances", any(seen_through))
        .route("/api/instances/{id}", any(delete))
        .route("/api/instances/{id}/call", any(call))
        .route("/mcp/{id}", any(mcp))
        .with_state(service.clone());
    let control = Router::new()
        .route("/orders", get(report).put(take_orders))
        .route("/mcp/{id}", any(mcp))
        .with_state(service.clone());
    tokio::spawn(axum::serve(second, control).into_future());
    match ca_file {
        Some(file) => drop(tokio::spawn(
            axum::serve(Encrypted::new(first, &file), router).into_future(),
        )),
        None => drop(tokio::spawn(axum::serve(first, router).into_future())),
    }
    let said = format!("\n{LISTENS}{} {}\n", service.url, service.other);
    std::io::Write::write_all(&mut std::io::stdout(), said.as_bytes()).unwrap();
    let end = || std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new());
    let _ = tokio::task::spawn_blocking(end).await;
}

fn json(value: &impl Serialize) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, serde_json::to_string(value).unwrap()).into_response()
}

async fn report(State(service): State<Service>) -> Response {
    let stock = service.state.lock();
    json(&Report {
        instances: stock.instances.keys().cloned().collect(),
        heard: stock.heard.clone(),
    })
}

async fn take_orders(State(service): State<Service>, orders: Bytes) {
    service.state.lock().orders = serde_json::from_slice(&orders).unwrap();
}

impl Service {
    /// Notes a request; returns its body, and its answer if it may not come in.
    async fn hear(&self, request: Request) -> Result<(Heard, Option<String>), Response> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20)
            .await
            .unwrap_or_default();
        let text = |value: &header::HeaderValue| value.to_str().unwrap_or("?").to_owned();
        let heard = Heard {
            method: parts.method.to_string(),
            path: parts.uri.to_string(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let mut stock = self.state.lock();
        stock.heard.push(heard.clone());
        let right = stock.orders.authorization.as_ref();
        if right.is_some_and(|right| heard.headers.get("authorization") != Some(right)) {
            let sent = heard.headers.get("authorization");
            let text = format!("you sent {}", sent.map_or("nothing", String::as_str));
            return Err((StatusCode::UNAUTHORIZED, text).into_response());
        }
        let key = heard.headers.get("idempotency-key").cloned();
        Ok((heard, key))
    }

    fn make(&self, count: usize, manner: &Manner) -> Value {
        let mut stock = self.state.lock();
        let mut list = vec![];
        for _ in 0..count {
            stock.made += 1;
            let id = format!("i/{} ü", stock.made);
            let name = format!("i{}", stock.made);
            let mut config = StreamableHttpServerConfig::default();
            config.sse_keep_alive = None;
            let server = Handler(id.clone());
            let service = StreamableHttpService::new(
                move || Ok(server.clone()),
                Arc::new(LocalSessionManager::default()),
                config,
            );
            stock.instances.insert(id.clone(), service);
            let base = if stock.orders.elsewhere {
                &self.other
            } else {
                &self.url
            };
            let url = match manner {
                Manner::Nowhere => Value::Null,
                Manner::Dead => "http://127.0.0.1:9/mcp".into(),
                _ => format!("{base}/mcp/{name}").into(),
            };
            list.push(json!({
                "remote_instance_id": id,
                "mcp_endpoint_url": url,
                "additional_details": { "zone": "north", "api_token": "hush-detail" },
            }));
        }
        list.into()
    }
}

/// What every endpoint does with bad manners before it does anything; `None` to go on.
async fn misbehave(manner: &Manner) -> Option<Response> {
    let answer = match manner {
        Manner::Status(status) => {
            let status = StatusCode::from_u16(*status).unwrap();
            (status, "the service is told to say this").into_response()
        }
        Manner::Later(status, seconds) => {
            let status = StatusCode::from_u16(*status).unwrap();
            let wait = [(header::RETRY_AFTER, seconds.to_string())];
            (status, wait, "come back").into_response()
        }
        Manner::Hang => std::future::pending().await,
        Manner::Slow(millis) => {
            tokio::time::sleep(Duration::from_millis(*millis)).await;
            return None;
        }
        Manner::Text(text) => text.clone().into_response(),
        Manner::Redirect(to) => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, to.clone())],
        )
            .into_response(),
        Manner::Bomb => {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            let zeros = vec![b' '; 1 << 20];
            for _ in 0..64 {
                std::io::Write::write_all(&mut packed, &zeros).unwrap();
            }
            let encoding = [(header::CONTENT_ENCODING, "gzip")];
            (encoding, packed.finish().unwrap()).into_response()
        }
        _ => return None,
    };
    Some(answer)
}

/// Half of an answer.
fn broken(body: &Value) -> Response {
    let whole = body.to_string();
    let half = Bytes::from(whole[..whole.len() / 2].to_owned());
    let parts = futures::stream::iter([Ok(half), Err(std::io::Error::other("told to"))]);
    let length = [(header::CONTENT_LENGTH, whole.len().to_string())];
    (length, Body::from_stream(parts)).into_response()
}

/// What was begun is done, also for a client that has gone.
async fn seen_through(State(service): State<Service>, request: Request) -> Response {
    tokio::spawn(create(service, request)).await.unwrap()
}

async fn create(service: Service, request: Request) -> Response {
    let (heard, key) = match service.hear(request).await {
        Ok(heard) => heard,
        Err(refusal) => return refusal,
    };
    if heard.method != "POST" {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let known = key.and_then(|key| {
        let stock = service.state.lock();
        let known = stock.answered.get(&key).cloned();
        known.filter(|_| !stock.orders.forgets_keys)
    });
    if let Some(known) = known {
        return json(&known);
    }
    let manner = service.state.lock().orders.create.pop_front();
    let manner = manner.unwrap_or(Manner::Well);
    if let Some(answer) = misbehave(&manner).await {
        return answer;
    }
    let asked = heard.body["num_instances"].as_i64().unwrap();
    let count = match manner {
        Manner::Count(more) => asked + more,
        _ => asked,
    };
    let mut answer = service.make(usize::try_from(count).unwrap(), &manner);
    if let Some(key) = heard.headers.get("idempotency-key") {
        let mut stock = service.state.lock();
        stock.answered.insert(key.clone(), answer.clone());
    }
    if manner == Manner::Twice {
        let list = answer.as_array_mut().unwrap();
        list.extend(list.clone());
    }
    match manner {
        Manner::Drop => broken(&answer),
        _ => json(&answer),
    }
}

async fn delete(
    State(service): State<Service>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    if let Err(refusal) = service.hear(request).await {
        return refusal;
    }
    let manner = service.state.lock().orders.delete.pop_front();
    let manner = manner.unwrap_or(Manner::Well);
    if let Some(answer) = misbehave(&manner).await {
        return answer;
    }
    match service.state.lock().instances.remove(&id) {
        Some(_) if manner == Manner::Drop => broken(&json!({ "deleted": id })),
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn call(
    State(service): State<Service>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (heard, _) = match service.hear(request).await {
        Ok(heard) => heard,
        Err(refusal) => return refusal,
    };
    let manner = service.state.lock().orders.call.pop_front();
    let manner = manner.unwrap_or(Manner::Well);
    if let Some(answer) = misbehave(&manner).await {
        return answer;
    }
    let text = format!("{id} by proxy: {}", heard.body);
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": false });
    match manner {
        Manner::Drop => broken(&result),
        _ => json(&result),
    }
}

/// The instance itself, by the number in its name.
async fn mcp(
    State(service): State<Service>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let id = format!("i/{} ü", name.trim_start_matches('i'));
    let instance = {
        let mut stock = service.state.lock();
        let text = |value: &header::HeaderValue| value.to_str().unwrap_or("?").to_owned();
        let headers = request.headers().iter();
        let heard = Heard {
            method: request.method().to_string(),
            path: request.uri().to_string(),
            headers: headers
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: Value::Null,
        };
        stock.heard.push(heard);
        if stock.orders.locked {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        stock.instances.get(&id).cloned()
    };
    match instance {
        Some(_) if request.method() == Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        Some(instance) => instance.handle(request).await.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Clone)]
struct Handler(String);

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tool = Tool::new("echo", "Says who it is and what it got.", JsonObject::new());
        Ok(ListToolsResult::with_all_items(vec![tool]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = serde_json::to_string(&request.arguments).unwrap();
        let text = format!("{}: {arguments}", self.0);
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
