//! A fleet with something of everything, made of happenings.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::NOW;
use crate::model::{
    BackendInfo, Call, CallId, CallState, Caller, Cause, DeathCard, Era, Event, Exit, Failure,
    Fleet, Happening, InstanceId, Obedience, Outcome, Phase, Probe, Progress, ResultId, Sample,
    Scope, ServerInfo, SessionId, Stage, ToolSpec, Transport,
};

/// A ready instance of the operator's session.
pub const READY: &str = "a1b2c3d4e5f6";
/// One that has been starting for 4 s.
pub const STARTING: &str = "e5f6a7b8c9d0";
/// One whose start failed.
pub const FAILED: &str = "99aabbccddee";
/// One that died and is tried again in 4 s.
pub const WAITING: &str = "0d1e2f3a4b5c";
/// One with two calls running.
pub const BUSY: &str = "1f2e3d4c5b6a";
/// The shared one.
pub const SHARED: &str = "5a6b7c8d9e0f";

/// The operator's session: [`READY`], [`STARTING`], [`FAILED`].
pub const OWN: &str = "3f9a21c0ffee";
/// An agent's session: [`WAITING`], [`BUSY`].
pub const AGENT: &str = "77c0de00beef";

pub fn instance(id: &str) -> InstanceId {
    InstanceId::new(id)
}

pub fn session(id: &str) -> SessionId {
    SessionId::new(id)
}

/// A backend that this version can run.
pub fn backend(name: &str) -> Arc<BackendInfo> {
    Arc::new(BackendInfo {
        name: name.into(),
        kind: "mcp_server".into(),
        mode: "process",
        transport: Transport::Stdio,
        scope: Scope::Session,
        summary: format!("npx server-{name} /data").into(),
    })
}

/// A tool without arguments.
pub fn tool(name: &str) -> Arc<ToolSpec> {
    Arc::new(ToolSpec {
        name: name.into(),
        title: None,
        description: None,
        input_schema: serde_json::json!({"type": "object"}),
        output_schema: None,
        annotations: None,
        raw: "{}".into(),
        problem: None,
    })
}

/// A call that was started so many milliseconds ago and may take 30 s.
pub fn call(id: u64, of: &str, tool: &str, caller: Caller, millis_ago: i64) -> Arc<Call> {
    let started = ago(millis_ago);
    let home = if [WAITING, BUSY].contains(&of) {
        AGENT
    } else {
        OWN
    };
    Arc::new(Call {
        id: CallId(id),
        session: session(home),
        instance: instance(of),
        backend: if of == BUSY { "memory" } else { "filesystem" }.into(),
        tool: tool.into(),
        arguments: format!(r#"{{"path":"/data/{id}.txt"}}"#).into(),
        caller,
        started,
        deadline: later(started, 30_000),
        progress: None,
        state: CallState::Running,
    })
}

fn ago(millis: i64) -> Timestamp {
    later(Timestamp::from_second(NOW).expect("a test's time"), -millis)
}

fn later(at: Timestamp, millis: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(millis))
        .expect("a test's time")
}

/// Happenings, each at its time.
#[derive(Default)]
struct Story {
    fleet: Fleet,
}

impl Story {
    fn happens(&mut self, millis_ago: i64, what: Happening) {
        let at = ago(millis_ago);
        self.fleet.apply(&Event { at, what });
    }

    fn opens(&mut self, id: &str, caller: Caller, millis_ago: i64) {
        let session = session(id);
        self.happens(millis_ago, Happening::SessionOpened { session, caller });
    }

    /// Adds an instance and leads it through these phases.
    fn adds(&mut self, home: &str, id: &str, backend: &Arc<BackendInfo>, phases: &[(Phase, i64)]) {
        let instance = instance(id);
        let first = phases.first().map_or(0, |(_, millis)| *millis);
        self.happens(
            first,
            Happening::InstanceAdded {
                session: session(home),
                instance: instance.clone(),
                backend: backend.clone(),
            },
        );
        for (phase, millis) in phases {
            let (instance, phase) = (instance.clone(), *phase);
            self.happens(*millis, Happening::PhaseChanged { instance, phase });
        }
    }

    fn ends(&mut self, id: u64, outcome: Outcome, millis: u64, size: u64) {
        let state = CallState::Ended {
            outcome,
            at: ago(1_000),
            took: Duration::from_millis(millis),
            size,
        };
        let call = CallId(id);
        self.happens(1_000, Happening::CallEnded { call, state });
    }
}

/// Three sessions, six instances in five phases, six calls in every state.
pub fn fleet() -> Fleet {
    let files = backend("filesystem");
    let memory = backend("memory");
    let search = Arc::new(BackendInfo {
        scope: Scope::SharedGlobal,
        mode: "embedded",
        ..(*backend("search")).clone()
    });
    let browser = Arc::new(BackendInfo {
        mode: "docker",
        transport: Transport::Http,
        ..(*backend("browser")).clone()
    });
    let backends = [&files, &memory, &search, &browser].map(Arc::clone);
    let mut story = Story {
        fleet: Fleet::new(Arc::from(backends)),
    };
    instances(&mut story, &files, &memory, &search);
    readings(&mut story);
    deaths(&mut story);
    calls(&mut story);
    story.fleet
}

fn instances(
    story: &mut Story,
    files: &Arc<BackendInfo>,
    memory: &Arc<BackendInfo>,
    search: &Arc<BackendInfo>,
) {
    use Phase::{Failed, Ready, Starting, Waiting};
    story.opens("shared", Caller::Orchestrator, 900_000);
    story.adds(
        "shared",
        SHARED,
        search,
        &[(Starting, 900_000), (Ready, 899_000)],
    );
    story.opens(OWN, Caller::Operator, 200_000);
    story.adds(OWN, READY, files, &[(Starting, 194_000), (Ready, 192_000)]);
    story.adds(OWN, STARTING, files, &[(Starting, 4_000)]);
    story.adds(OWN, FAILED, memory, &[(Starting, 20_000), (Failed, 18_000)]);
    let agent = Caller::Agent("trainer".into());
    story.opens(AGENT, agent, 100_000);
    story.adds(AGENT, BUSY, memory, &[(Starting, 90_000), (Ready, 88_000)]);
    story.adds(
        AGENT,
        WAITING,
        files,
        &[(Starting, 90_000), (Ready, 88_000), (Waiting, 2_000)],
    );
    story.happens(
        4_000,
        Happening::Step {
            instance: instance(STARTING),
            step: "initialize".into(),
            deadline: Some(ago(-11_000)),
        },
    );
    story.happens(
        2_000,
        Happening::RetryAt {
            instance: instance(WAITING),
            attempt: 2,
            of: 3,
            at: ago(-4_000),
        },
    );
}

/// What is known of the ready ones.
fn readings(story: &mut Story) {
    let server = ServerInfo {
        name: "secure-filesystem-server".into(),
        version: "0.2.0".into(),
        protocol: "2025-11-25".into(),
        era: Era::Sessions,
        instructions: Some("Paths are absolute.".into()),
        capabilities: Arc::from(["tools".into(), "logging".into()]),
    };
    let id = || instance(READY);
    story.happens(
        192_000,
        Happening::Initialized {
            instance: id(),
            server: Arc::new(server),
        },
    );
    story.happens(
        192_000,
        Happening::ToolsListed {
            instance: id(),
            tools: ["read_file", "write_file"].map(tool).into(),
        },
    );
    story.happens(
        192_000,
        Happening::Described {
            instance: id(),
            facts: facts(),
        },
    );
    for second in 0..60_u8 {
        let sample = Sample {
            at: ago(60_000 - i64::from(second) * 1_000),
            cpu: if second % 10 == 5 { 37.4 } else { 0.3 },
            memory: 48 << 20,
            memory_limit: (second > 40).then_some(2 << 30),
            processes: 11,
            network: None,
            disk: None,
        };
        story.happens(
            0,
            Happening::Sampled {
                instance: id(),
                sample,
            },
        );
    }
    let probe = Probe {
        at: ago(2_000),
        result: Ok(Duration::from_micros(400)),
        how: "ping",
    };
    story.happens(
        2_000,
        Happening::Probed {
            instance: id(),
            probe,
        },
    );
}

fn facts() -> Arc<[(Arc<str>, Arc<str>)]> {
    let fact = |name: &str, value: &str| (Arc::from(name), Arc::from(value));
    Arc::from([
        fact("command", "npx server-filesystem /data"),
        fact("environment", "API_KEY, HOME, PATH"),
        fact("pid", "4711"),
    ])
}

fn deaths(story: &mut Story) {
    let output: Vec<Box<str>> = [
        "loading the graph",
        "Traceback (most recent call last):",
        "  File \"server.py\", line 7, in <module>",
        "    graph = load(path)",
        "MemoryError",
    ]
    .map(Into::into)
    .into();
    let exit = |code, signal| {
        Cause::Exited(Exit {
            code,
            signal,
            out_of_memory: false,
        })
    };
    let start = Failure::new(Stage::Start, exit(Some(137), None))
        .hint("raise the memory limit")
        .output(output);
    let killed = Failure::new(Stage::Run, exit(None, Some(9)));
    let agent = Caller::Agent("trainer".into());
    let cards = [
        (FAILED, 18_000, start, None, Vec::new()),
        (
            WAITING,
            2_000,
            killed,
            Some(Duration::from_secs(86)),
            vec![call(9, WAITING, "search_files", agent, 2_500)],
        ),
    ];
    for (id, millis, failure, uptime, in_flight) in cards {
        let card = DeathCard {
            at: ago(millis),
            failure,
            uptime,
            restarts: 1,
            facts: facts(),
            in_flight,
            last_good: uptime.map(|_| call(8, WAITING, "read_file", Caller::Operator, 5_000)),
            memory: (1..40).map(|step| step << 23).collect(),
        };
        story.happens(
            millis,
            Happening::Died {
                instance: instance(id),
                card: Arc::new(card),
            },
        );
    }
}

fn calls(story: &mut Story) {
    let agent = || Caller::Agent("trainer".into());
    let started = [
        call(1, READY, "read_file", Caller::Operator, 60_000),
        call(2, READY, "write_file", Caller::Operator, 50_000),
        call(3, BUSY, "slow", agent(), 40_000),
        call(4, READY, "read_file", Caller::CommandLine, 32_000),
        call(5, BUSY, "slow", agent(), 3_200),
        call(6, BUSY, "read_graph", agent(), 6_000),
    ];
    for call in started {
        story.happens(0, Happening::CallStarted { call });
    }
    story.ends(1, Outcome::Done(ResultId(1)), 3, 214);
    story.ends(2, Outcome::ToolError(ResultId(2)), 41, 3_482);
    story.ends(3, Outcome::Cancelled(Obedience::Ignored), 2_400, 0);
    let silent = Cause::Deadline {
        what: "tools/call".into(),
        after: Duration::from_secs(30),
    };
    story.ends(
        4,
        Outcome::Failed(Failure::new(Stage::Call, silent)),
        30_000,
        0,
    );
    story.happens(
        0,
        Happening::CallProgressed {
            call: CallId(5),
            progress: Progress {
                done: 3.0,
                total: Some(8.0),
                message: Some("step 3".into()),
            },
            deadline: ago(-27_000),
        },
    );
    story.happens(3_000, Happening::CallCancelling { call: CallId(6) });
}
