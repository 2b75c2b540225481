//! What can be asked of a runtime, in its own words.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connection::Connection;
use super::trouble::Trouble;
use crate::model::{Exit, Secret};

/// `docker run` may take 30 s, and runtimes before 0.5 make one sandbox after another.
const CREATE: Duration = Duration::from_secs(60);
/// A start and a stop wait while something is executed in the same session.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);
/// Since 0.5 a deletion waits for what is executed, too.
const DELETE: Duration = Duration::from_secs(60);
/// The runtime asks its engine, for up to 5 s.
const LOOK: Duration = Duration::from_secs(15);
/// For all around what is executed.
const MARGIN: Duration = Duration::from_secs(15);

/// What a session must be like. Every `exec` says it again, and is refused if the session is another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionSpec {
    pub session_id: String,
    pub image: String,
    pub network: Network,
    /// On the runtime's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    pub host_path_mode: MountMode,
    pub mount_path: String,
    /// Whether it stays when nobody has used it for 300 s.
    pub persistent: bool,
    pub cpus: f64,
    pub memory_mb: u64,
    pub pids_limit: u64,
    pub read_only_rootfs: bool,
    pub workspace_quota_mb: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountMode {
    None,
    Ro,
    Rw,
}

/// A session that is there. What a later runtime adds is ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Session {
    pub session_id: String,
    /// `docker`, …
    pub backend_name: String,
    /// The name of the container.
    pub backend_session_id: String,
    pub image: String,
    /// RFC 3339.
    pub created_at: String,
    pub last_used_at: String,
    /// `idle`, `running` or `closing`; runtimes before 0.7 do not say.
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub managed_processes: BTreeMap<String, Process>,
}

/// A command to be executed by a login shell, as root, with nothing on its stdin.
#[derive(Clone, Debug)]
pub struct Exec {
    pub command: String,
    pub workdir: String,
    pub env: BTreeMap<String, Secret>,
    /// When it is over, the runtime deletes the whole session with all that runs in it.
    pub timeout: Duration,
}

/// How an executed command ended.
#[derive(Clone, Debug, Deserialize)]
pub struct Executed {
    /// `completed` or `timed_out`
    pub status: String,
    pub exit_code: Option<i32>,
    /// At most 1 MiB, without white space around it.
    pub stdout: String,
    pub stderr: String,
}

impl Executed {
    pub fn has_succeeded(&self) -> bool {
        self.status == "completed" && self.exit_code == Some(0)
    }
}

/// A process to be started.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    pub process_id: String,
    pub command: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, Secret>,
    pub cwd: String,
}

/// A process that was started.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    pub process_id: String,
    pub status: ProcessStatus,
    /// Whether a relay holds it.
    #[serde(default)]
    pub attached: bool,
    pub started_at: String,
    #[serde(default)]
    pub exited_at: Option<String>,
    /// 128 and the number of the signal, where it was one.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The last 4000 characters at most; empty after bursts.
    #[serde(default)]
    pub stderr_preview: String,
}

impl Process {
    /// How it ended, as far as a runtime knows.
    pub fn exit(&self) -> Exit {
        Exit {
            code: self.exit_code,
            signal: None,
            out_of_memory: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessStatus {
    Running,
    Exited,
}

/// What a runtime tells of itself.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    pub backend: Backend,
    pub active_sessions: u64,
    pub managed_processes: u64,
}

/// What makes its sandboxes.
#[derive(Clone, Debug, Deserialize)]
pub struct Backend {
    /// `docker`, …; none where there is none.
    pub name: Option<String>,
    pub available: bool,
}

/// The actions. All are bounded in time; what is dropped goes on in the runtime.
impl Connection {
    pub async fn status(&self) -> Result<Status, Trouble> {
        self.call("box_status", &json!({}), LOOK).await
    }

    /// Makes it, or finds it: one that is there and equal is used again, also if its container has to be made anew.
    pub async fn create_session(&self, spec: &SessionSpec) -> Result<Session, Trouble> {
        self.call("box_create_session", spec, CREATE).await
    }

    pub async fn session(&self, id: &str) -> Result<Session, Trouble> {
        let which = json!({ "session_id": id });
        self.call("box_get_session", &which, LOOK).await
    }

    /// All of this tenant, or of the whole runtime where it knows no tenants.
    pub async fn sessions(&self) -> Result<Vec<Session>, Trouble> {
        #[derive(Deserialize)]
        struct All {
            sessions: Vec<Session>,
        }
        let all: All = self.call("box_get_sessions", &json!({}), LOOK).await?;
        Ok(all.sessions)
    }

    /// Ends it with all that runs in it.
    pub async fn delete_session(&self, id: &str) -> Result<(), Trouble> {
        let which = json!({ "session_id": id });
        let done: Result<Value, _> = self.call("box_delete_session", &which, DELETE).await;
        done.map(drop)
    }

    /// One command at a time is executed in a session; starts and stops wait for it.
    pub async fn exec(&self, session: &SessionSpec, exec: &Exec) -> Result<Executed, Trouble> {
        #[derive(Serialize)]
        struct Data<'a> {
            #[serde(flatten)]
            session: &'a SessionSpec,
            cmd: &'a str,
            workdir: &'a str,
            env: BTreeMap<&'a str, &'a str>,
            timeout_sec: u64,
        }
        let data = Data {
            session,
            cmd: &exec.command,
            workdir: &exec.workdir,
            env: exposed(&exec.env),
            timeout_sec: exec.timeout.as_secs().max(1),
        };
        self.call("box_exec", &data, exec.timeout + MARGIN).await
    }

    /// Says nothing of whether the command exists: look at the process a moment later. One of this id that runs
    /// is ended first.
    pub async fn start_process(
        &self,
        session: &str,
        spec: &ProcessSpec,
    ) -> Result<Process, Trouble> {
        let data = json!({
            "session_id": session,
            "spec": {
                "process_id": spec.process_id,
                "command": spec.command,
                "args": spec.args,
                "env": exposed(&spec.env),
                "cwd": spec.cwd,
            },
        });
        self.call("box_start_managed_process", &data, START).await
    }

    /// One that ended a while ago is not found any more.
    pub async fn process(&self, session: &str, process: &str) -> Result<Process, Trouble> {
        let which = json!({ "session_id": session, "process_id": process });
        self.call("box_get_managed_process", &which, LOOK).await
    }

    /// Closes its stdin and forgets it. One that does not end by itself then lives on, unseen.
    pub async fn stop_process(&self, session: &str, process: &str) -> Result<(), Trouble> {
        let which = json!({ "session_id": session, "process_id": process });
        let done: Result<Value, _> = self.call("box_stop_managed_process", &which, STOP).await;
        done.map(drop)
    }
}

fn exposed(env: &BTreeMap<String, Secret>) -> BTreeMap<&str, &str> {
    env.iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect()
}
