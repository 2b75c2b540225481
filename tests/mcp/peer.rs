//! The other end of the pipe: a server whose every line a test writes, and a client to talk to it.

use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::Endpoint;
use envdeck::mcp::{Answer, CallControl, Connect, NoAnswer, ServerNews, ToolClient};
use envdeck::model::{Failure, InstanceId, Progress};
use envdeck::stores::logs::{LogStore, Source};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf, duplex,
    split,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes this long unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const MAX_MESSAGE: usize = 64 << 10;

pub struct Peer {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
}

impl Peer {
    pub fn new(stream: DuplexStream) -> Self {
        let (read, write) = split(stream);
        Self {
            lines: BufReader::new(read).lines(),
            write,
        }
    }

    /// The next line of the client, as text.
    pub async fn line(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.expect("the client says nothing")
            .unwrap()
            .expect("the client closed the pipe")
    }

    /// What was read of the client but not used, and the pipe.
    pub fn into_parts(self) -> (Vec<u8>, DuplexStream) {
        let read = self.lines.into_inner();
        let unused = read.buffer().to_vec();
        (unused, read.into_inner().unsplit(self.write))
    }

    /// Whether the client says no more.
    pub async fn end_of_input(&mut self) -> bool {
        timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .is_none()
    }

    pub async fn receive(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// The next message, which must be a request of this method: its id and parameters.
    pub async fn request(&mut self, method: &str) -> (Value, Value) {
        let mut message = self.receive().await;
        assert_eq!(message["method"], method, "{message}");
        (message["id"].take(), message["params"].take())
    }

    pub async fn send(&mut self, message: Value) {
        self.raw(format!("{message}\n")).await;
    }

    pub async fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.write.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn reply(&mut self, id: &Value, result: Value) {
        self.send(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
            .await;
    }

    pub async fn reply_text(&mut self, id: &Value, text: &str) {
        self.reply(id, json!({ "content": [{ "type": "text", "text": text }] }))
            .await;
    }

    pub async fn refuse(&mut self, id: &Value, code: i64, message: &str) {
        let error = json!({ "code": code, "message": message });
        self.send(json!({ "jsonrpc": "2.0", "id": id, "error": error }))
            .await;
    }

    pub async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }))
            .await;
    }

    /// Plays the server's part of the handshake.
    pub async fn welcome(&mut self, version: &str) {
        let (id, _) = self.request("initialize").await;
        self.reply(&id, initialized(version)).await;
        self.request("notifications/initialized").await;
    }
}

pub fn initialized(version: &str) -> Value {
    json!({
        "protocolVersion": version,
        "capabilities": { "tools": { "listChanged": true }, "logging": {} },
        "serverInfo": { "name": "scripted", "version": "1.0" },
        "instructions": "none"
    })
}

/// What the client is given to report to, and what it reported.
pub struct Desk {
    logs: LogStore,
    instance: InstanceId,
    news: mpsc::UnboundedReceiver<ServerNews>,
    news_tx: mpsc::UnboundedSender<ServerNews>,
}

impl Desk {
    pub fn new() -> Self {
        let (news_tx, news) = mpsc::unbounded_channel();
        Self {
            logs: LogStore::default(),
            instance: InstanceId::new("test"),
            news,
            news_tx,
        }
    }

    pub async fn connect(
        &self,
        stream: DuplexStream,
        max_message: usize,
    ) -> Result<ToolClient, Failure> {
        self.connect_as(stream, max_message, false).await
    }

    pub async fn connect_as(
        &self,
        stream: DuplexStream,
        max_message: usize,
        discover_first: bool,
    ) -> Result<ToolClient, Failure> {
        let (read, write) = split(stream);
        let endpoint = Endpoint::Stdio {
            read: Box::new(read),
            write: Box::new(write),
        };
        ToolClient::connect(endpoint, self.how(max_message, discover_first)).await
    }

    /// How a client connects that reports here.
    pub fn how(&self, max_message: usize, discover_first: bool) -> Connect {
        let news = self.news_tx.clone();
        Connect {
            log: self.logs.writer(&self.instance),
            max_message,
            timeout: Duration::from_secs(10),
            discover_first,
            news: Box::new(move |one| news.send(one).unwrap_or_default()),
        }
    }

    /// The next news.
    pub async fn news(&mut self) -> ServerNews {
        timeout(PATIENCE, self.news.recv())
            .await
            .expect("no news")
            .unwrap()
    }

    /// All lines of this source, in order.
    pub fn log(&self, source: Source) -> Vec<String> {
        let lines = self.logs.tail(&self.instance, usize::MAX).lines;
        let matching = lines.into_iter().filter(|line| line.source == source);
        matching.map(|line| line.line.text.to_string()).collect()
    }

    pub fn remarks(&self) -> String {
        self.log(Source::Envdeck).join("\n")
    }
}

/// A client that shook hands with a scripted peer.
pub async fn connected() -> (ToolClient, Peer, Desk) {
    connected_with(MAX_MESSAGE).await
}

pub async fn connected_with(max_message: usize) -> (ToolClient, Peer, Desk) {
    let (ours, theirs) = duplex(1 << 20);
    let desk = Desk::new();
    let mut peer = Peer::new(theirs);
    let (client, ()) = tokio::join!(desk.connect(ours, max_message), peer.welcome("2025-06-18"));
    (client.unwrap(), peer, desk)
}

/// A call in the background and the handles to steer it.
pub struct RunningCall {
    task: tokio::task::JoinHandle<Result<Answer, NoAnswer>>,
    pub cancel: CancellationToken,
    pub deadline: watch::Sender<Instant>,
    progress: mpsc::UnboundedReceiver<Progress>,
}

impl RunningCall {
    pub fn start(client: &ToolClient, tool: &'static str, arguments: &str) -> Self {
        let cancel = CancellationToken::new();
        let (deadline, receiver) = watch::channel(Instant::now() + Duration::from_secs(60));
        let (progress_tx, progress) = mpsc::unbounded_channel();
        let control = CallControl {
            cancel: cancel.clone(),
            deadline: receiver,
            progress: Box::new(move |one| progress_tx.send(one).unwrap_or_default()),
        };
        let (client, arguments) = (client.clone(), Arc::<str>::from(arguments));
        let task = tokio::spawn(async move { client.call(tool, &arguments, control).await });
        Self {
            task,
            cancel,
            deadline,
            progress,
        }
    }

    /// The next progress.
    pub async fn progress(&mut self) -> Progress {
        timeout(PATIENCE, self.progress.recv())
            .await
            .expect("no progress")
            .unwrap()
    }

    /// Whether all progress was looked at.
    pub fn no_more_progress(&mut self) -> bool {
        self.progress.try_recv().is_err()
    }

    pub async fn end(self) -> Result<Answer, NoAnswer> {
        let ended = timeout(Duration::from_secs(120), self.task).await;
        ended.expect("the call hangs").unwrap()
    }

    /// The answer as JSON.
    pub async fn answer(self) -> Value {
        serde_json::from_slice(&self.end().await.unwrap().raw).unwrap()
    }

    pub async fn failure(self) -> Failure {
        match self.end().await {
            Err(NoAnswer::Failed(failure)) => failure,
            other => panic!("not a failure: {other:?}"),
        }
    }

    pub fn abandon(self) {
        self.task.abort();
    }
}

/// Waits for something that happens soon.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
