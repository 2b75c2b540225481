//! A wire between the engine and a registry that becomes slow or silent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What becomes of a connection that has passed its share of an answer.
#[derive(Clone, Copy)]
pub enum Then {
    Silence,
    /// Some bytes now and then, as long as the client takes them.
    Trickle,
}

pub struct Relay {
    pub address: SocketAddr,
    slow: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Relay {
    /// To the registry at `port`; a connection passes `share` bytes of answers at full speed.
    pub async fn start(port: u16, share: usize, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let slow = Arc::new(AtomicUsize::new(0));
        let count = slow.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let (mut from_client, to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    tokio::select! {
                        () = answer(from_server, to_client, share, then, &count) => {}
                        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    }
                });
            }
        });
        Self {
            address,
            slow,
            task,
        }
    }

    /// Connections with more to come whose client is still there.
    pub fn slow(&self) -> usize {
        self.slow.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    share: usize,
    then: Then,
    slow: &Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 16 << 10];
    let mut passed = 0;
    let mut counted = None;
    loop {
        let most = match then {
            _ if passed < share => buffer.len().min(share - passed),
            Then::Silence => std::future::pending().await,
            Then::Trickle => {
                counted.get_or_insert_with(|| Counted::new(slow));
                sleep(Duration::from_millis(50)).await;
                256
            }
        };
        match from.read(&mut buffer[..most]).await {
            Ok(length @ 1..) if to.write_all(&buffer[..length]).await.is_ok() => passed += length,
            _ => return,
        }
    }
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
