//! The nasty server as a local process, for the core and for the console.

use std::future::Future;
use std::time::Duration;

use envdeck::model::{Backend, InstanceId, Limits, LocalProcess, Mode, Outcome, Phase};
use serde_json::Value;
use tokio::time::timeout;

use crate::common::operator::Operator;
use crate::deck::{Deck, backend};

pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/nasty.py");

/// For one step of a core that works in real time.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn nasty(args: &[&str]) -> Backend {
    let args = [&[SCRIPT], args].concat();
    let process = LocalProcess {
        command: "python3".to_owned(),
        args: args.into_iter().map(str::to_owned).collect(),
        env: std::collections::BTreeMap::new(),
        cwd: None,
    };
    Backend {
        mode: Mode::LocalProcess(process),
        ..backend("nasty")
    }
}

/// A core with one ready nasty server.
pub struct Host {
    pub deck: Deck,
    pub id: InstanceId,
}

impl Host {
    pub async fn start(backend: Backend) -> Self {
        Self::limited(backend, Limits::default()).await
    }

    pub async fn limited(backend: Backend, limits: Limits) -> Self {
        let deck = Deck::real_limited(vec![backend], limits);
        let id = within(deck.open_one("nasty")).await;
        let instance = deck.instance(&id);
        assert_eq!(instance.phase, Phase::Ready, "{:?}", instance.death);
        Self { deck, id }
    }

    pub async fn call(&self, tool: &str, arguments: &str) -> Outcome {
        within(self.deck.call(&self.id, tool, arguments)).await
    }

    /// The failure of a call, in words.
    pub async fn failure(&self, tool: &str, arguments: &str) -> String {
        match self.call(tool, arguments).await {
            Outcome::Failed(failure) => failure.to_string(),
            other => panic!("{tool} did not fail: {other:?}"),
        }
    }

    /// The result of a call as it came over the wire.
    pub async fn raw(&self, tool: &str, arguments: &str) -> String {
        let outcome = self.call(tool, arguments).await;
        let Some(result) = outcome.result() else {
            panic!("{tool} has no answer: {outcome:?}");
        };
        let bytes = self.deck.result(result).await;
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    pub async fn answer(&self, tool: &str, arguments: &str) -> Value {
        serde_json::from_str(&self.raw(tool, arguments).await).unwrap()
    }

    pub async fn text(&self, tool: &str, arguments: &str) -> String {
        let answer = self.answer(tool, arguments).await;
        answer["content"][0]["text"].as_str().unwrap().to_owned()
    }
}

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it hangs")
}

/// The console on a nasty server, ready.
#[track_caller]
pub fn console(args: &[&str]) -> Operator {
    Operator::open(&[&["python3", SCRIPT], args].concat(), &[])
}
