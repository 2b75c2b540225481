//! A runtime by script: real sockets on the loopback interface, with words that were recorded or made up.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use envdeck::drivers::sandbox::remote::Place;
use envdeck::model::SandboxTenant;

/// Far more than anything here takes, far less than a hang.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Where the peer listens.
pub struct Peer {
    listener: TcpListener,
}

/// A socket of somebody who has come.
pub struct Guest {
    /// The path and the headers that it came with.
    pub path: String,
    pub headers: Vec<(String, String)>,
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    pub async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    pub fn place(&self) -> Place {
        let port = self.listener.local_addr().unwrap().port();
        Place::at(&format!("ws://127.0.0.1:{port}")).unwrap()
    }

    /// The same, for a client of 0.5 or later.
    pub fn place_of_tenant(&self) -> Place {
        let mut place = self.place();
        place.tenant = Some(SandboxTenant {
            instance: "inst-0001".to_owned(),
            workspace: "workspace-0001".to_owned(),
            generation: 1,
        });
        place
    }

    /// Waits for the next guest.
    pub async fn guest(&self) -> Guest {
        timeout(PATIENCE, self.accept()).await.expect("a guest")
    }

    #[allow(clippy::result_large_err)] // the type is tungstenite's
    async fn accept(&self) -> Guest {
        let (stream, _) = self.listener.accept().await.unwrap();
        let (mut path, mut headers) = (String::new(), Vec::new());
        let look = |request: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
            path = request.uri().path().into();
            for (name, value) in request.headers() {
                headers.push((name.to_string(), value.to_str().unwrap().to_owned()));
            }
            if let Some(offer) = request.headers().get("sec-websocket-protocol") {
                answer
                    .headers_mut()
                    .insert("sec-websocket-protocol", offer.clone());
            }
            Ok(answer)
        };
        let limits = WebSocketConfig::default()
            .max_frame_size(None)
            .max_message_size(None);
        let socket = accept_hdr_async_with_config(stream, look, Some(limits))
            .await
            .unwrap();
        Guest {
            path,
            headers,
            socket,
        }
    }

    /// The next guest on the control connection, told which dialect it is.
    pub async fn control(&self) -> Guest {
        let mut guest = self.guest().await;
        guest.introduce(json!({})).await;
        guest
    }

    /// Refuses the next one before the upgrade.
    pub async fn refuse(&self, answer: &str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .expect("a guest")
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut head).await.unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

impl Guest {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Answers the question by which a runtime is recognized; `limits` are what only those since 0.5 have.
    pub async fn introduce(&mut self, limits: Value) {
        let asked = self.asked("box_status").await;
        let mut status = json!({ "backend": { "name": "docker", "available": true },
            "active_sessions": 0, "managed_processes": 0, "session_ttl_sec": 300 });
        if limits != json!({}) {
            status["limits"] = limits;
        }
        self.reply(&asked, status).await;
    }

    /// The next request.
    pub async fn request(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The next request, which must be this.
    pub async fn asked(&mut self, action: &str) -> Value {
        let request = self.request().await;
        assert_eq!(request["action"], action, "{request}");
        request
    }

    pub async fn reply(&mut self, request: &Value, data: Value) {
        let reply = json!({ "seq_id": request["seq_id"], "code": 0, "message": "success", "data": data,
            "chunk_status": "continue" });
        self.say(&reply.to_string()).await;
    }

    /// The next text message.
    pub async fn text(&mut self) -> String {
        loop {
            let next = timeout(PATIENCE, self.socket.next())
                .await
                .expect("a message");
            match next.expect("not the end").unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Waits until the other side has closed it.
    pub async fn left(mut self) {
        let end = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(PATIENCE, end).await.expect("an end");
    }

    /// Closes it as runtimes do, whatever the reason: with 1000 and without a word.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame {
            code: code.into(),
            reason: "".into(),
        };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        self.left().await;
    }

    /// Is gone without a word.
    pub fn vanish(self) {
        drop(self.socket);
    }
}
