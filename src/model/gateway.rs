//! The gateway as configured, and what a screen shows of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Secret;

/// The section `gateway` of the configuration: who may come in, and how much at once.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayOptions {
    /// A host name or an address to listen on.
    pub host: String,
    pub port: u16,
    /// What clients must send as `Authorization: Bearer …`.
    pub token: Option<Secret>,
    /// Whether everybody who reaches the address may come in without a token.
    pub insecure: bool,
    /// Host names under which it is reached, beside the loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may call it, beside those of the loopback interface.
    pub allowed_origins: Vec<String>,
    /// Directories below which `template_details` of a client may lie.
    pub template_roots: Vec<PathBuf>,
    /// Without a call for so long a session is closed; never, if absent.
    pub session_idle_timeout: Option<Duration>,
    /// Without a request or an open stream for so long a client is forgotten; a session that it has left behind is
    /// closed when nobody has used it for as long.
    pub client_idle_timeout: Duration,
    /// Between the first byte of a request and its last, and for the next request of a connection.
    pub read_timeout: Duration,
    /// An answer that takes longer comes on a stream of events, on which comments tell meanwhile that both ends are
    /// there. Before that it is plain JSON, for which clients set no limit to its size.
    pub stream_after: Duration,
    /// Sessions that agents have open.
    pub max_sessions: usize,
    /// Instances that one `initialize_session` may ask for.
    pub max_instances: usize,
    /// Calls of one session that run at the same time.
    pub max_calls: usize,
    /// Clients that are remembered.
    pub max_clients: usize,
    pub max_connections: usize,
    /// Of a request, bytes.
    pub max_body: usize,
}

impl GatewayOptions {
    /// What is wrong with a text as a token, if anything is: it travels in a header.
    pub fn token_problem(text: &str) -> Option<&'static str> {
        if text.is_empty() {
            Some("must not be empty")
        } else if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            None
        } else {
            Some("must be of visible ASCII characters without spaces")
        }
    }
}

impl Default for GatewayOptions {
    /// The predecessor's port; its sessions never ended by themselves.
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8001,
            token: None,
            insecure: false,
            allowed_hosts: vec![],
            allowed_origins: vec![],
            template_roots: vec![],
            session_idle_timeout: None,
            client_idle_timeout: Duration::from_secs(3600),
            read_timeout: Duration::from_secs(30),
            stream_after: Duration::from_secs(25),
            max_sessions: 1_024,
            max_instances: 256,
            max_calls: 128,
            max_clients: 4_096,
            max_connections: 1_024,
            max_body: 16 << 20,
        }
    }
}

/// A running gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayInfo {
    pub address: SocketAddr,
    /// Clients that are there or were a moment ago.
    pub clients: usize,
}
