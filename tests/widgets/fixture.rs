//! A fleet with one ready instance, as the panes under test see it.

use std::sync::Arc;

use envdeck::console::effect::{Effect, Intent};
use envdeck::console::testing::Harness;
use envdeck::model::{
    BackendInfo, Caller, Command, Fleet, Happening, InstanceId, Phase, Scope, SessionId, ToolSpec,
    Transport,
};
use envdeck::stores::results::ResultStore;
use serde_json::Value;

pub const INSTANCE: &str = "a1b2c3d4e5f6";

pub fn instance() -> InstanceId {
    InstanceId::new(INSTANCE)
}

pub fn harness(width: u16, height: u16) -> Harness {
    Harness::new(width, height, ResultStore::new(std::env::temp_dir()))
}

/// One session with one instance, selected.
pub fn with_instance(width: u16, height: u16) -> Harness {
    with_instance_over(Transport::Stdio, width, height)
}

pub fn with_instance_over(transport: Transport, width: u16, height: u16) -> Harness {
    let backend = Arc::new(BackendInfo {
        name: "files".into(),
        kind: "mcp_server".into(),
        mode: "process",
        transport,
        scope: Scope::Session,
        summary: "server-filesystem /data".into(),
    });
    let session = SessionId::new("3f9a21");
    let mut harness = harness(width, height)
        .given(Fleet::new(Arc::from([backend.clone()])))
        .happening(Happening::SessionOpened {
            session: session.clone(),
            caller: Caller::Operator,
        })
        .happening(Happening::InstanceAdded {
            session,
            instance: instance(),
            backend,
        });
    harness.perform(Intent::SelectInstance(instance()));
    harness
}

pub fn tool(name: &str, schema: Value) -> ToolSpec {
    ToolSpec {
        name: name.into(),
        title: None,
        description: None,
        input_schema: schema,
        output_schema: None,
        annotations: None,
        raw: "{}".into(),
        problem: None,
    }
}

pub fn with_tools(width: u16, height: u16, tools: Vec<ToolSpec>) -> Harness {
    with_instance(width, height).happening(Happening::ToolsListed {
        instance: instance(),
        tools: tools.into_iter().map(Arc::new).collect(),
    })
}

pub fn ready(harness: Harness) -> Harness {
    let phase = |harness: Harness, phase| {
        harness.happening(Happening::PhaseChanged {
            instance: instance(),
            phase,
        })
    };
    phase(phase(harness, Phase::Starting), Phase::Ready)
}

/// The arguments of the calls that were asked for.
pub fn calls(harness: &Harness) -> Vec<String> {
    let arguments = harness.effects.iter().filter_map(|effect| match effect {
        Effect::Send(Command::Call(call)) => Some(call.arguments.to_string()),
        _ => None,
    });
    arguments.collect()
}

pub fn copies(harness: &Harness) -> Vec<(String, String)> {
    let copied = harness.effects.iter().filter_map(|effect| match effect {
        Effect::Copy { text, what } => Some((text.clone(), what.clone())),
        _ => None,
    });
    copied.collect()
}
