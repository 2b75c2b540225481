//! A wire between the engine and a registry that can be cut or held.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Relay {
    pub address: SocketAddr,
    held: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Passes at most `budget` bytes of answers on each connection, then holds it without a word.
    pub async fn start(port: u16, budget: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Arc::new(AtomicUsize::new(0));
        let count = held.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    pass(client, server, budget, &count).await;
                });
            }
        });
        Self {
            address,
            held,
            task,
        }
    }

    /// Connections whose client still waits for more.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until the client closes.
async fn pass(client: TcpStream, server: TcpStream, mut budget: usize, held: &AtomicUsize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut is_held = false;
    {
        let answers = async {
            let mut buffer = vec![0; 16 << 10];
            while budget > 0 {
                let most = budget.min(buffer.len());
                match from_server.read(&mut buffer[..most]).await {
                    Ok(length @ 1..) if to_client.write_all(&buffer[..length]).await.is_ok() => {
                        budget -= length;
                    }
                    _ => return,
                }
            }
            held.fetch_add(1, Ordering::SeqCst);
            is_held = true;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = answers => {}
            _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        }
    }
    if is_held {
        held.fetch_sub(1, Ordering::SeqCst);
    }
}
