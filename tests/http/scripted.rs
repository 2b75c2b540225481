//! A server whose every byte a test decides: raw HTTP on a socket, with or without TLS.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use envdeck::model::HttpServer;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::task::AbortOnDropHandle;

use crate::peer::initialized;

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct Heard {
    pub method: String,
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: Value,
    /// How many requests of the same JSON-RPC method (or HTTP method) came before it.
    pub earlier: usize,
}

impl Heard {
    /// Its JSON-RPC method, or its HTTP method.
    pub fn what(&self) -> &str {
        self.body["method"].as_str().unwrap_or(&self.method)
    }

    pub fn result(&self, result: impl Into<Value>) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result.into() })
    }

    pub fn error(&self, code: i64, message: &str) -> Value {
        let error = json!({ "code": code, "message": message });
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "error": error })
    }

    pub fn text(&self, text: &str) -> Value {
        self.result(json!({ "content": [{ "type": "text", "text": text }] }))
    }
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Where an answer is written to, raw. The connection closes when it is dropped.
pub struct Out(BufReader<Box<dyn Stream>>);

impl Out {
    pub async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may be gone.
        let _ = self.0.write_all(bytes.as_ref()).await;
        let _ = self.0.flush().await;
    }

    pub async fn answer(&mut self, status: &str, headers: &str, body: impl AsRef<[u8]>) {
        let length = body.as_ref().len();
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        self.raw(head).await;
        self.raw(body).await;
    }

    pub async fn json(&mut self, body: &Value) {
        self.answer("200 OK", JSON, body.to_string()).await;
    }

    /// The head of a stream of events without an end of its own.
    pub async fn events(&mut self) {
        self.raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            .await;
    }

    pub async fn event(&mut self, data: &Value) {
        self.raw(format!("data: {data}\n\n")).await;
    }

    /// Says nothing more until the client goes; whether it does within the test's patience.
    pub async fn hang(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.0.read(&mut rest).await, Ok(1..)) {}
    }
}

pub const JSON: &str = "Content-Type: application/json\r\n";

type Act = dyn Fn(Heard, Out) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// The server; dropping it ends it with all its connections.
pub struct Scripted {
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    /// Of the authority that signed its certificate.
    pub ca_file: PathBuf,
    _directory: TempDir,
    _accepting: AbortOnDropHandle<()>,
}

impl Scripted {
    pub async fn start<F, W>(act: F) -> Self
    where
        F: Fn(Heard, Out) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::launch(None, act).await
    }

    /// With a certificate for `localhost` of an authority that nobody knows.
    pub async fn start_tls<F, W>(act: F) -> Self
    where
        F: Fn(Heard, Out) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::start_with(certificate, act).await
    }

    pub async fn start_with<F, W>(tls: Certificate, act: F) -> Self
    where
        F: Fn(Heard, Out) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        Self::launch(Some(tls), act).await
    }

    async fn launch<F, W>(tls: Option<Certificate>, act: F) -> Self
    where
        F: Fn(Heard, Out) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let act: Arc<Act> = Arc::new(move |heard, out| Box::pin(act(heard, out)));
        let directory = TempDir::with_prefix("envdeck-tls-").unwrap();
        let ca_file = directory.path().join("ca.pem");
        let tls = tls.map(|certificate| certificate(&ca_file));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = if tls.is_some() {
            format!("https://localhost:{port}/mcp")
        } else {
            format!("http://127.0.0.1:{port}/mcp")
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let accepting = tokio::spawn(accept(listener, tls, act, heard.clone()));
        Self {
            url,
            heard,
            ca_file,
            _directory: directory,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    pub fn server(&self) -> HttpServer {
        HttpServer::at(&self.url)
    }

    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().clone()
    }

    /// The requests of this JSON-RPC or HTTP method.
    pub fn of(&self, what: &str) -> Vec<Heard> {
        let mut all = self.heard();
        all.retain(|heard| heard.what() == what);
        all
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    act: Arc<Act>,
    heard: Arc<Mutex<Vec<Heard>>>,
) {
    let mut open = tokio::task::JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (tls, act, heard) = (tls.clone(), act.clone(), heard.clone());
        open.spawn(async move {
            let stream: Box<dyn Stream> = match tls {
                // The client may not like our certificate.
                Some(tls) => match tls.accept(socket).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
                None => Box::new(socket),
            };
            let mut stream = BufReader::new(stream);
            let Some(mut request) = read(&mut stream).await else {
                return Out(stream).answer("400 Bad Request", "", "").await;
            };
            {
                let mut all = heard.lock();
                let same = |one: &&Heard| one.what() == request.what();
                request.earlier = all.iter().filter(same).count();
                all.push(request.clone());
            }
            act(request, Out(stream)).await;
        });
    }
}

async fn read(stream: &mut BufReader<Box<dyn Stream>>) -> Option<Heard> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length");
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(Heard {
        method,
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        earlier: 0,
    })
}

/// Answers as a well-behaved server without sessions would; `tools/call` gets "done".
pub async fn behave(heard: Heard, mut out: Out) {
    match heard.what() {
        "initialize" => out.json(&heard.result(initialized("2025-11-25"))).await,
        "tools/call" => out.json(&heard.text("done")).await,
        "tools/list" => {
            let tool = json!({ "name": "t", "inputSchema": { "type": "object" } });
            out.json(&heard.result(json!({ "tools": [tool] }))).await;
        }
        "ping" => out.json(&heard.result(json!({}))).await,
        "GET" | "DELETE" => out.answer("405 Method Not Allowed", "", "").await,
        _ if heard.body["id"].is_null() => out.answer("202 Accepted", "", "").await,
        _ => out.json(&heard.error(-32601, "Method not found")).await,
    }
}

/// Makes an acceptor with a new certificate, and writes the one to trust to a file.
pub type Certificate = fn(&Path) -> TlsAcceptor;

/// Of an authority, which is to be trusted.
fn certificate(ca_file: &Path) -> TlsAcceptor {
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let signer = rcgen::CertifiedIssuer::self_signed(authority, key).unwrap();
    std::fs::write(ca_file, signer.pem()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &signer).unwrap();
    acceptor(leaf.der().clone(), key)
}

/// As `openssl req -x509` makes them: its own authority.
pub fn self_signed(ca_file: &Path) -> TlsAcceptor {
    own_authority(ca_file, "localhost", 4096)
}

pub fn self_signed_for_another_host(ca_file: &Path) -> TlsAcceptor {
    own_authority(ca_file, "elsewhere.invalid", 4096)
}

pub fn self_signed_until_1999(ca_file: &Path) -> TlsAcceptor {
    own_authority(ca_file, "localhost", 1999)
}

fn own_authority(ca_file: &Path, host: &str, until: i32) -> TlsAcceptor {
    let mut own = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
    own.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    own.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = own.self_signed(&key).unwrap();
    std::fs::write(ca_file, own.pem()).unwrap();
    acceptor(own.der().clone(), key)
}

fn acceptor(certificate: CertificateDer<'static>, key: rcgen::KeyPair) -> TlsAcceptor {
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
