//! Connections: accepted up to a limit, each with deadlines, and ended in order.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::clients::Connection;
use super::endpoint::Endpoint;
use super::refusal::Refusal;
use super::wire::TRANSPORT;

/// Bytes of the head of a request.
const MAX_HEAD: usize = 32 << 10;
const MAX_HEADERS: usize = 100;
/// A client that takes nothing of its answer for so long does not want it.
const WRITE_STALL: Duration = Duration::from_secs(60);
/// How long a connection waits for room, which others may soon make.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(5);
/// For whoever is turned away to read why.
const TURN_AWAY: Duration = Duration::from_secs(1);
/// When a connection cannot be accepted: there are no more file descriptors, most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `closing`; what is open then ends after the request that it is at, or when `abandon` is cancelled.
pub(super) async fn accept(
    listener: TcpListener,
    endpoint: Arc<Endpoint>,
    connections: TaskTracker,
    abandon: CancellationToken,
) {
    let most = endpoint.options.max_connections;
    let room = Arc::new(Semaphore::new(most));
    let queue = Arc::new(Semaphore::new(most));
    let closing = endpoint.closing.clone();
    let mut is_told = false;
    loop {
        let accepted = async {
            // Whoever finds no place in the queue waits in that of the operating system.
            let queued = queue.clone().acquire_owned().await;
            (queued, listener.accept().await)
        };
        let (queued, stream) = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            (queued, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    is_told = false;
                    (queued, stream)
                }
                Err(error) => {
                    // It is tried again and again.
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::warn!("connections are not accepted: {error}");
                    }
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let (endpoint, room, abandon) = (endpoint.clone(), room.clone(), abandon.clone());
        let served = async move {
            let Ok(_permit) = timeout(WAIT_FOR_ROOM, room.acquire_owned()).await else {
                return turn_away(stream, most).await;
            };
            drop(queued);
            converse(stream, endpoint).await;
        };
        connections.spawn(async move {
            tokio::select! {
                biased;
                () = abandon.cancelled() => {}
                () = served => {}
            }
        });
    }
}

/// Says that there is no room, to whatever was asked.
async fn turn_away(mut stream: TcpStream, most: usize) {
    let text = format!(
        "there are {most} connections already, which is the limit (gateway.max_connections)"
    );
    let body = Refusal::new(TRANSPORT, text).message(None);
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let talk = async {
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&body).await?;
        stream.shutdown().await?;
        // Closed with something unread, the connection would be reset, and the answer lost.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    // Whether it was heard is theirs to know.
    let _ = timeout(TURN_AWAY, talk).await;
}

/// One connection, from its first request to its last.
async fn converse(stream: TcpStream, endpoint: Arc<Endpoint>) {
    // Answers are written whole: waiting for more to send helps nobody.
    let _ = stream.set_nodelay(true);
    let connection = Arc::new(Connection::new(&endpoint.clients));
    let closing = endpoint.closing.clone();
    let read_timeout = endpoint.options.read_timeout;
    let service = service_fn(move |request| {
        let (endpoint, connection) = (endpoint.clone(), connection.clone());
        async move { Ok::<_, Infallible>(endpoint.serve(request, connection).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(read_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let mut serving = pin!(http.serve_connection(TokioIo::new(Patient::new(stream)), service));
    let ended = tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = closing.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A stream whose writes fail when the other end takes nothing for too long.
struct Patient {
    stream: TcpStream,
    stall: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            stall: None,
        }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let stall = self
            .stall
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_STALL)));
        stall
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
