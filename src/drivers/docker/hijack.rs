//! A request whose connection becomes the raw stream of a container or a shell.
//!
//! bollard can do this, too, but takes the bytes of a terminal for frames when they begin with 0, 1 or 2.

use std::io::{self, Cursor, ErrorKind};
use std::time::Duration;

use bollard::errors::Error;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::Address;

/// The head of an answer is some hundred bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// For the words of a refusal, which follow its head at once.
const WORDS: Duration = Duration::from_secs(1);

/// Both directions; shutting `write` down tells the other side that its input ended.
pub struct Stream {
    pub read: Box<dyn AsyncRead + Send + Unpin>,
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Posts `body` to `path` and takes the connection over.
pub async fn open(address: &Address, path: &str, body: &str) -> Result<Stream, Error> {
    let Stream {
        mut read,
        mut write,
    } = connect(address).await?;
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    write.write_all(request.as_bytes()).await?;
    let (head, rest) = head(&mut read).await?;
    match status(&head) {
        Some(101 | 200) => Ok(Stream {
            read: Box::new(Cursor::new(rest).chain(read)),
            write,
        }),
        Some(status_code) => Err(Error::DockerResponseServerError {
            status_code,
            message: message(rest, &mut read).await,
        }),
        None => Err(io::Error::new(ErrorKind::InvalidData, "no HTTP answer").into()),
    }
}

async fn connect(address: &Address) -> io::Result<Stream> {
    Ok(match address {
        Address::Unix(path) => {
            let (read, write) = UnixStream::connect(path).await?.into_split();
            Stream {
                read: Box::new(read),
                write: Box::new(write),
            }
        }
        Address::Tcp(host) => {
            let stream = TcpStream::connect(host).await?;
            stream.set_nodelay(true)?;
            let (read, write) = stream.into_split();
            Stream {
                read: Box::new(read),
                write: Box::new(write),
            }
        }
    })
}

/// Everything up to the empty line, and what came after it.
async fn head(read: &mut (dyn AsyncRead + Send + Unpin)) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if read.read_buf(&mut bytes).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((bytes, rest));
        }
        if bytes.len() > LONGEST_HEAD {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "an endless HTTP head",
            ));
        }
    }
}

/// Of `HTTP/1.1 101 UPGRADED`.
fn status(head: &[u8]) -> Option<u16> {
    let head = std::str::from_utf8(head).ok()?;
    let rest = head.strip_prefix("HTTP/1.")?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The engine's words in `{"message":"…"}`, whatever the encoding of the body wraps around it.
async fn message(mut body: Vec<u8>, read: &mut (dyn AsyncRead + Send + Unpin)) -> String {
    let words = |body: &[u8]| {
        let object = &body[memchr::memchr(b'{', body)?..=memchr::memrchr(b'}', body)?];
        let answer: Value = serde_json::from_slice(object).ok()?;
        Some(answer.get("message")?.as_str()?.to_owned())
    };
    let found = timeout(WORDS, async {
        loop {
            if let Some(found) = words(&body) {
                return found;
            }
            if body.len() > LONGEST_HEAD || !matches!(read.read_buf(&mut body).await, Ok(1..)) {
                return String::new();
            }
        }
    });
    found.await.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    /// What `open` makes of an answer that comes in two pieces.
    async fn answered(pieces: [&'static str; 2]) -> Result<String, Error> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("engine.sock");
        let listener = UnixListener::bind(&path)?;
        let engine = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut request = Vec::new();
            while !request.ends_with(b"{}") {
                stream.read_buf(&mut request).await?;
            }
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await?;
                tokio::task::yield_now().await;
            }
            let mut typed = String::new();
            stream.read_to_string(&mut typed).await?;
            io::Result::Ok(typed)
        });
        let mut stream = open(&Address::Unix(path), "/exec/x/start", "{}").await?;
        stream.write.write_all(b"typed").await?;
        stream.write.shutdown().await?;
        let mut shown = String::new();
        stream.read.read_to_string(&mut shown).await?;
        let typed = engine.await.map_err(io::Error::other)??;
        assert_eq!(typed, "typed");
        Ok(shown)
    }

    #[tokio::test]
    async fn what_follows_the_head_is_the_stream() {
        let pieces = [
            "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r",
            "\n\r\n\u{1}raw \r\n\r\n bytes",
        ];
        assert_eq!(
            answered(pieces).await.expect("open"),
            "\u{1}raw \r\n\r\n bytes"
        );
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_words() {
        let pieces = [
            "HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n2d\r\n{\"message\":",
            "\"Container 0a is not running\"}\n\r\n0\r\n\r\n",
        ];
        match answered(pieces).await {
            Err(Error::DockerResponseServerError {
                status_code: 409,
                message,
            }) => {
                assert_eq!(message, "Container 0a is not running");
            }
            other => panic!("{other:?}"),
        }
    }
}
