//! One WebSocket of a runtime: from its address to the end of its handshake, in bounded time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use url::{Host, Url};

use super::place::Place;
use crate::mcp::http::{tls, words};
use crate::model::{Cause, Reach};

/// For the name, the TCP connection, TLS and the handshake together.
pub const OPEN: Duration = Duration::from_secs(10);
/// The largest message that is taken from a runtime: a reply to `exec` may hold two outputs of 1 MiB, and JSON
/// writes a control character in six bytes.
const LARGEST: usize = 16 << 20;
/// Kept of a refusal.
const SAID: usize = 400;

/// What bytes go through: TCP, maybe inside TLS.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub type Socket = WebSocketStream<Box<dyn Wire>>;

/// Opens the one at `url` with these headers. Proxies of the environment do not count: tokens go to nobody else.
pub async fn open(place: &Place, url: &Url, headers: HeaderMap) -> Result<Socket, Cause> {
    let late = |_| Err(unreachable(place, Reach::TimedOut, format!("{OPEN:?}")));
    timeout(OPEN, attempt(place, url, headers))
        .await
        .unwrap_or_else(late)
}

async fn attempt(place: &Place, url: &Url, headers: HeaderMap) -> Result<Socket, Cause> {
    let tcp = connect(place, url).await?;
    let wire: Box<dyn Wire> = match url.scheme() {
        "wss" => Box::new(encrypt(place, url, tcp).await?),
        _ => Box::new(tcp),
    };
    let unusable = |error: Error| refused(place, error);
    let mut request = url.as_str().into_client_request().map_err(unusable)?;
    request.headers_mut().extend(headers);
    let limits = WebSocketConfig::default()
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    let opened = client_async_with_config(request, wire, Some(limits)).await;
    Ok(opened.map_err(unusable)?.0)
}

async fn connect(place: &Place, url: &Url) -> Result<TcpStream, Cause> {
    let port = url.port_or_known_default().unwrap_or_default();
    let found = match url.host() {
        Some(Host::Domain(name)) => lookup_host((name, port)).await.map(Vec::from_iter),
        Some(Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        None => Ok(vec![]),
    };
    let addresses = found.map_err(|error| unreachable(place, Reach::Dns, error.to_string()))?;
    let tcp = TcpStream::connect(&*addresses).await.map_err(|error| {
        let (reach, detail) = match error.kind() {
            io::ErrorKind::ConnectionRefused => (Reach::Refused, String::new()),
            _ if addresses.is_empty() => (Reach::Dns, String::new()),
            _ => (Reach::Network, error.to_string()),
        };
        unreachable(place, reach, detail)
    })?;
    // Only a delay is lost where the system refuses it.
    let _ = tcp.set_nodelay(true);
    Ok(tcp)
}

async fn encrypt(place: &Place, url: &Url, tcp: TcpStream) -> Result<impl Wire + use<>, Cause> {
    let problem = |text: String| unreachable(place, Reach::Tls, text);
    let file = place.ca_file.as_deref();
    let mut config = tls::config(file).map_err(|failure| failure.cause)?;
    // A WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| problem(format!("its name cannot be checked: {error}")))?;
    let encrypted = TlsConnector::from(Arc::new(config)).connect(name, tcp);
    encrypted.await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        problem(inner.map_or_else(|| error.to_string(), words::of_tls))
    })
}

fn unreachable(place: &Place, reach: Reach, detail: String) -> Cause {
    Cause::Unreachable {
        server: place.name(),
        reach,
        detail,
    }
}

/// Why there is no WebSocket although somebody is there.
fn refused(place: &Place, error: Error) -> Cause {
    match error {
        Error::Http(answer) => answered(place, &answer),
        Error::Io(error) => unreachable(place, Reach::Lost, error.to_string()),
        Error::Protocol(error::ProtocolError::HandshakeIncomplete) => {
            let text = "it closed the connection".to_owned();
            unreachable(place, Reach::Lost, text)
        }
        other => Cause::Protocol(format!(
            "{} does not speak WebSocket: {other}",
            place.name()
        )),
    }
}

fn answered(place: &Place, answer: &Response<Option<Vec<u8>>>) -> Cause {
    let body = answer.body().as_deref().unwrap_or_default();
    let text = String::from_utf8_lossy(body);
    let words = serde_json::from_str::<serde_json::Value>(&text).ok();
    // What a relay answers: {"error": {"code": "…", "message": "…"}}
    let words = words.and_then(|said| Some(said["error"]["message"].as_str()?.to_owned()));
    let said = place.logical(&words.unwrap_or_else(|| text.trim().to_owned()));
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    Cause::Http {
        server: place.name(),
        status: answer.status().as_u16(),
        said: said.chars().take(SAID).map(clean).collect(),
        retry_after: None,
    }
}

/// Why an open WebSocket ended.
pub fn lost(place: &Place, error: &Error) -> Cause {
    match error {
        Error::Capacity(error::CapacityError::MessageTooLong { size, max_size }) => {
            Cause::TooLarge {
                size: *size as u64,
                limit: *max_size as u64,
            }
        }
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(error::ProtocolError::ResetWithoutClosingHandshake) => {
            unreachable(place, Reach::Lost, String::new())
        }
        Error::Io(error) => unreachable(place, Reach::Lost, error.to_string()),
        other => Cause::Protocol(format!("{}: {other}", place.name())),
    }
}
