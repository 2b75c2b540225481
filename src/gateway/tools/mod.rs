//! The five tools of the contract, on top of the orchestrator.

mod arguments;
mod call;
mod catalog;
mod cleanup;
mod info;
mod initialize;
mod list;
mod progress;
mod template;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::arguments::{Fields, Mistake, unwrapped};
pub(super) use self::progress::Listener;
use crate::config::Config;
use crate::model::{Caller, Fleet, InstanceId, SHARED_SESSION, SessionId};
use crate::orchestrator::Handle;

/// A longer id is none of ours.
const MAX_ID: usize = 200;
/// What the predecessor answers to a ping that comes from nowhere.
const NO_SESSION: &str = "unknown_session_for_ping";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    Initialize,
    Call,
    List,
    Cleanup,
    Ping,
}

impl Tool {
    const ALL: [Tool; 5] = [
        Tool::Initialize,
        Tool::Call,
        Tool::List,
        Tool::Cleanup,
        Tool::Ping,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Tool::Initialize => "initialize_session",
            Tool::Call => "call_backend_tool",
            Tool::List => "list_backend_tools",
            Tool::Cleanup => "cleanup_session",
            Tool::Ping => "ping",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    /// All of them as `tools/list` shows them.
    pub fn catalog() -> Vec<Value> {
        catalog::tools()
    }
}

/// Who calls one of our tools.
pub(super) struct Asker {
    pub name: Arc<str>,
    /// The transport session, where the revision has one.
    pub session: Option<Box<str>>,
    /// Of who opens a session: cancelled when its transport session has ended.
    pub gone: Option<CancellationToken>,
    /// Who hears of progress, where that was asked for.
    pub listener: Option<Listener>,
}

impl Asker {
    fn caller(&self) -> Caller {
        Caller::Agent(self.name.clone())
    }
}

/// What one of our tools answers.
pub(super) enum Outcome {
    /// A result of our own.
    Ours(Value),
    /// A JSON object that a backend made; whether it is an error, it says itself.
    Theirs { raw: Bytes, is_error: bool },
    /// It failed, in words.
    Failed(String),
}

/// What the tools work on.
pub(super) struct Tools {
    handle: Handle,
    config: Arc<Config>,
    fleet: watch::Receiver<Arc<Fleet>>,
    /// The shared instances that each session asked for.
    shared: Mutex<HashMap<SessionId, Vec<InstanceId>>>,
}

impl Tools {
    pub fn new(handle: Handle, config: Arc<Config>) -> Self {
        Self {
            fleet: handle.fleet(),
            handle,
            config,
            shared: Mutex::default(),
        }
    }

    /// Calls a tool. Dropping the future takes back what only its caller can use.
    pub async fn call(&self, tool: Tool, arguments: Option<&RawValue>, asker: Asker) -> Outcome {
        let outcome = match unwrapped(arguments) {
            Ok(bare) => self.run(tool, bare.as_deref(), asker).await,
            Err(mistake) => Err(mistake),
        };
        outcome.unwrap_or_else(|mistake| Outcome::Failed(format!("{}: {mistake}", tool.name())))
    }

    async fn run(
        &self,
        tool: Tool,
        arguments: Option<&RawValue>,
        asker: Asker,
    ) -> Result<Outcome, Mistake> {
        let fields = Fields::of(arguments, "the arguments")?;
        match tool {
            Tool::Initialize => self.initialize_session(&fields, asker).await,
            Tool::Call => self.call_backend_tool(&fields, asker).await,
            Tool::List => self.list_backend_tools(&fields).await,
            Tool::Cleanup => self.cleanup_session(&fields).await,
            Tool::Ping => ping(&fields, &asker),
        }
    }

    /// Forgets what it knows of sessions that are gone.
    pub fn sweep(&self) {
        let fleet = self.fleet();
        self.shared
            .lock()
            .retain(|session, _| fleet.sessions.contains_key(session));
    }

    fn fleet(&self) -> Arc<Fleet> {
        self.fleet.borrow().clone()
    }

    /// A session that clients may use. Ids are random: whoever knows one may use it; but the one of the shared
    /// instances belongs to nobody.
    fn session(&self, id: &str) -> Option<SessionId> {
        if id.len() > MAX_ID || id == SHARED_SESSION {
            return None;
        }
        let id = SessionId::new(id);
        self.fleet().sessions.contains_key(&id).then_some(id)
    }

    /// The instance that `fields` name, with the session on whose behalf it is used.
    fn instance(&self, fields: &Fields) -> Result<(SessionId, InstanceId), Mistake> {
        let rk_session_id = fields.text("rk_session_id")?;
        let backend = fields.text("backend_name_ref")?;
        let wanted = fields.text("instance_id")?;
        let session = self.session(&rk_session_id).ok_or_else(|| {
            format!(
                "there is no session `{}`: it was cleaned up, or never opened here",
                short(&rk_session_id)
            )
        })?;
        let id = InstanceId::new(if wanted.len() > MAX_ID { "" } else { &*wanted });
        let fleet = self.fleet();
        let own = fleet
            .sessions
            .get(&session)
            .and_then(|session| session.instances.get(&id));
        let shares = || {
            self.shared
                .lock()
                .get(&session)
                .is_some_and(|ids| ids.contains(&id))
        };
        let instance = match own {
            Some(own) => Some(own),
            None if shares() => fleet.instance(&id),
            None => None,
        };
        let Some(instance) = instance else {
            let (wanted, session) = (short(&wanted), short(&rk_session_id));
            return Err(format!(
                "session `{session}` has no instance `{wanted}`, or no longer"
            ));
        };
        if *instance.backend.name != *backend {
            let (name, backend) = (&instance.backend.name, short(&backend));
            return Err(format!(
                "instance `{id}` is one of `{name}`, not of `{backend}`"
            ));
        }
        Ok((session, id))
    }
}

fn ping(fields: &Fields, asker: &Asker) -> Result<Outcome, Mistake> {
    let named = match fields.get("rk_session_id") {
        Some(_) => Some(fields.text("rk_session_id")?),
        None => asker.session.as_deref().map(Cow::Borrowed),
    };
    let session = named.as_deref().unwrap_or(NO_SESSION);
    Ok(Outcome::Ours(
        json!({ "reply": "pong", "session_id": session }),
    ))
}

/// Enough of what a client sent to recognise it.
fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_ID) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
