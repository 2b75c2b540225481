//! Where the browser comes back to after a login: one small page on this machine, for as long as the login takes.

use std::io;
use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longest head of a request that is read, bytes: an address with a code in it is far shorter.
const HEAD: usize = 16 << 10;
/// For a browser to say what it wants.
const SPEAK: Duration = Duration::from_secs(10);

const PATH: &str = "/callback";

/// Waits for the browser.
pub(super) struct Callback {
    listener: TcpListener,
    /// The address that the browser is sent back to.
    pub url: String,
}

impl Callback {
    /// At this port, or at a free one.
    pub async fn listen(port: Option<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or_default())).await?;
        let port = listener.local_addr()?.port();
        Ok(Self {
            listener,
            url: format!("http://127.0.0.1:{port}{PATH}"),
        })
    }

    /// The address with which the browser came back to the login of this `state`. Whatever else comes is sent away.
    pub async fn wait(&self, state: &str) -> io::Result<Url> {
        let mut visits = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => {
                    let (socket, _) = accepted?;
                    let (own, state) = (self.url.clone(), state.to_owned());
                    visits.spawn(async move {
                        timeout(SPEAK, visit(socket, &own, &state)).await.ok().flatten()
                    });
                }
                Some(Ok(Some(url))) = visits.join_next() => return Ok(url),
            }
        }
    }
}

async fn visit(mut socket: TcpStream, own: &str, state: &str) -> Option<Url> {
    let head = head(&mut socket).await?;
    let mut words = head.split_ascii_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let url = Url::parse(own).and_then(|own| own.join(path)).ok();
    let url = url.filter(|url| method == "GET" && url.path() == PATH && has_state(url, state));
    let (status, text) = match &url {
        None => ("404 Not Found", "There is nothing here."),
        Some(url) if is_refusal(url) => {
            ("200 OK", "The login was refused. You can close this page.")
        }
        Some(_) => ("200 OK", "Back to envdeck: you can close this page."),
    };
    let page = format!("<!doctype html><meta charset=utf-8><title>envdeck</title><p>{text}");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    // The browser may have gone; what it brought counts.
    let _ = socket.write_all(answer.as_bytes()).await;
    let _ = socket.shutdown().await;
    url
}

async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if bytes.len() > HEAD || socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Another page on this machine could send a browser here, too, but does not know what we said.
fn has_state(url: &Url, state: &str) -> bool {
    url.query_pairs()
        .any(|(name, value)| name == "state" && value == state)
}

fn is_refusal(url: &Url) -> bool {
    url.query_pairs().any(|(name, _)| name == "error")
}
