//! The MCP server of a fake instance: answers line by line, as its manners say.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envdeck::model::Exit;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, split};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// `echo`; `fail`; `sleep {ms}`; `hang`; `obey` and `ignore` a cancellation; `crash {code}`; `farewell` answers, then
/// exits; `progress {ms, times}`; `grow` gets one more tool; `babble {lines}` that are not JSON-RPC; `listings` tells how often the
/// tools were asked for.
const TOOLS: [&str; 12] = [
    "echo", "fail", "sleep", "hang", "obey", "ignore", "crash", "farewell", "progress", "grow",
    "babble", "listings",
];

#[derive(Clone, Default)]
pub struct Manners {
    /// Reads everything and answers nothing.
    pub silent: bool,
    /// Never answers a ping.
    pub deaf_to_pings: bool,
    /// Takes so long to list its tools, after the first time.
    pub slow_to_relist: Duration,
}

struct Server {
    manners: Manners,
    out: mpsc::UnboundedSender<String>,
    exit: Arc<watch::Sender<Option<Exit>>>,
    cancelled: Mutex<HashMap<String, CancellationToken>>,
    extra_tools: Mutex<usize>,
    listings: AtomicUsize,
}

/// Serves until `end`, then drops the pipe.
pub async fn serve(
    pipe: DuplexStream,
    manners: Manners,
    exit: Arc<watch::Sender<Option<Exit>>>,
    end: impl Future<Output = ()>,
) {
    let (read, mut write) = split(pipe);
    let (out, mut queue) = mpsc::unbounded_channel::<String>();
    let server = Arc::new(Server {
        manners,
        out,
        exit,
        cancelled: Mutex::default(),
        extra_tools: Mutex::default(),
        listings: AtomicUsize::new(0),
    });
    let listen = async {
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let message: Value = serde_json::from_str(&line).expect("the client speaks JSON");
            tokio::spawn(server.clone().take(message));
        }
        // A client that closes our input does not end us.
        std::future::pending::<()>().await;
    };
    let speak = async {
        while let Some(line) = queue.recv().await {
            if write.write_all(line.as_bytes()).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        // What was said before the end is heard.
        biased;
        () = speak => {}
        () = listen => {}
        () = end => {}
    }
}

impl Server {
    async fn take(self: Arc<Self>, message: Value) {
        if self.manners.silent {
            return;
        }
        let (id, params) = (&message["id"], &message["params"]);
        match message["method"].as_str().unwrap_or_default() {
            "initialize" => self.reply(
                id,
                json!({
                    "protocolVersion": "2025-06-18",
                    "capabilities": { "tools": { "listChanged": true } },
                    "serverInfo": { "name": "fake", "version": "1.0" },
                }),
            ),
            "tools/list" => {
                let listed = self.listings.fetch_add(1, Ordering::SeqCst);
                let tools = self.tools();
                if listed > 0 {
                    sleep(self.manners.slow_to_relist).await;
                }
                self.reply(id, json!({ "tools": tools }));
            }
            "ping" if !self.manners.deaf_to_pings => self.reply(id, json!({})),
            "tools/call" => self.call(id, params).await,
            "notifications/cancelled" => {
                let key = params["requestId"].to_string();
                if let Some(token) = self.cancelled.lock().unwrap().get(&key) {
                    token.cancel();
                }
            }
            _ => {}
        }
    }

    fn tools(&self) -> Vec<Value> {
        let extra = *self.extra_tools.lock().unwrap();
        let extra = (0..extra).map(|number| format!("extra{number}"));
        let names = TOOLS.into_iter().map(str::to_owned).chain(extra);
        names
            .map(|name| json!({ "name": name, "inputSchema": { "type": "object" } }))
            .collect()
    }

    async fn call(&self, id: &Value, params: &Value) {
        let arguments = &params["arguments"];
        let number = |name: &str| arguments[name].as_u64().unwrap_or_default();
        let cancelled = self.cancellation_of(id);
        match params["name"].as_str().unwrap_or_default() {
            "echo" => self.say(id, &arguments.to_string(), false),
            "fail" => self.say(id, "it did not work", true),
            "sleep" => {
                sleep(Duration::from_millis(number("ms"))).await;
                self.say(id, "slept", false);
            }
            "obey" => {
                cancelled.cancelled().await;
                let error = json!({ "code": -1, "message": "stopped" });
                self.send(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
            }
            "ignore" => {
                cancelled.cancelled().await;
                sleep(Duration::from_secs(1)).await;
                self.say(id, "done all the same", false);
            }
            "crash" => self.exit(number("code")),
            "farewell" => {
                self.say(id, "goodbye", false);
                tokio::task::yield_now().await;
                self.exit(0);
            }
            "progress" => {
                let every = Duration::from_millis(number("ms"));
                self.progress(id, params, every, number("times")).await;
            }
            "grow" => {
                *self.extra_tools.lock().unwrap() += 1;
                self.notify("notifications/tools/list_changed", &json!({}));
                self.say(id, "grown", false);
            }
            "listings" => {
                let listings = self.listings.load(Ordering::SeqCst);
                self.say(id, &listings.to_string(), false);
            }
            "babble" => {
                (0..number("lines")).for_each(|line| self.raw(&format!("not JSON-RPC {line}\n")));
                self.say(id, "said", false);
            }
            _ => std::future::pending().await,
        }
    }

    fn cancellation_of(&self, id: &Value) -> CancellationToken {
        let token = CancellationToken::new();
        let mut tokens = self.cancelled.lock().unwrap();
        tokens.insert(id.to_string(), token.clone());
        token
    }

    async fn progress(&self, id: &Value, params: &Value, every: Duration, times: u64) {
        let token = &params["_meta"]["progressToken"];
        for done in 1..=times {
            if !every.is_zero() {
                sleep(every).await;
            }
            let params = json!({ "progressToken": token, "progress": done, "total": times });
            self.notify("notifications/progress", &params);
        }
        self.say(id, "there", false);
    }

    fn exit(&self, code: u64) {
        let exit = super::fake::status(i32::try_from(code).expect("a small number"));
        self.exit.send_replace(Some(exit));
    }

    fn say(&self, id: &Value, text: &str, is_error: bool) {
        let content = json!([{ "type": "text", "text": text }]);
        self.reply(id, json!({ "content": content, "isError": is_error }));
    }

    #[allow(clippy::needless_pass_by_value)] // reads better with `json!` at the call
    fn reply(&self, id: &Value, result: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
    }

    fn notify(&self, method: &str, params: &Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn send(&self, message: &Value) {
        self.raw(&format!("{message}\n"));
    }

    fn raw(&self, text: &str) {
        // Nobody listens to a server that has ended.
        let _ = self.out.send(text.to_owned());
    }
}
