//! A wire between us and a runtime that can be cut, or lets nothing through any more.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Dropping it cuts it.
pub struct Proxy {
    pub port: u16,
    wires: Arc<Mutex<JoinSet<()>>>,
    accepts: JoinHandle<()>,
}

impl Proxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let wires = Arc::<Mutex<JoinSet<()>>>::default();
        let all = wires.clone();
        let accepts = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                all.lock().spawn(async move {
                    let far = SocketAddr::from(([127, 0, 0, 1], port));
                    if let Ok(mut far) = TcpStream::connect(far).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self {
            port: own,
            wires,
            accepts,
        }
    }

    /// All that goes through it now is lost; what comes later is let through.
    pub fn cut(&self) {
        self.wires.lock().abort_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepts.abort();
        self.cut();
    }
}
