//! One entry of `backends`: what all modes share.

use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;
use strum::{IntoEnumIterator, VariantNames};

use super::check::Shared;
use super::cursor::{Cursor, Fields};
use super::schema::{self, ModeName};
use super::{docker, external, process, remote, sandbox};
use crate::model::{Backend, HealthPolicy, Mode, RestartPolicy, StartupCheck, Transport};

pub(super) fn read(at: &Cursor, shared: &Shared) -> Backend {
    let mode = at
        .peek("orchestration_mode")
        .and_then(|(_, name)| ModeName::from_str(name).ok());
    let fields = open(at, mode);
    if mode.is_none() {
        let modes = format!(" ({})", ModeName::VARIANTS.join(", "));
        fields
            .require("orchestration_mode", &modes)
            .and_then(|at| at.choice::<ModeName>());
    }
    let transport = transport(&fields, mode);
    let call_timeout = deadline(&fields, "call_timeout", schema::CALL_TIMEOUT);
    let name_of_mode = mode;
    let mode = read_mode(mode, &fields, shared, transport);
    Backend {
        name: name(&fields).into(),
        kind: kind(&fields, name_of_mode),
        scope: fields
            .get("instance_scoping")
            .and_then(|at| at.choice())
            .unwrap_or_default(),
        transport,
        startup_check: fields
            .get("startup_check_mcp_tool")
            .map(|at| startup_check(&at)),
        restart: restart(fields.get("restart").as_ref(), usual_restart(name_of_mode)),
        health: fields
            .get("health")
            .map(|at| health(&at))
            .unwrap_or_default(),
        start_timeout: deadline(&fields, "start_timeout", start_timeout(&mode)),
        call_timeout,
        call_max_timeout: call_max_timeout(&fields, call_timeout),
        stop_grace: pause(&fields, "stop_grace", schema::STOP_GRACE),
        mode,
    }
}

/// What only its mode knows.
fn read_mode<'a>(
    mode: Option<ModeName>,
    fields: &Fields<'a>,
    shared: &Shared<'a>,
    transport: Transport,
) -> Mode {
    match mode {
        Some(ModeName::LocalProcess) => Mode::LocalProcess(process::read(fields, shared)),
        Some(ModeName::Sandbox) => Mode::Sandbox(Box::new(sandbox::read(fields, shared))),
        Some(ModeName::LocalDocker) => {
            Mode::LocalDocker(Box::new(docker::read(fields, shared, transport)))
        }
        Some(ModeName::RemoteHttpApi) => {
            Mode::RemoteHttpApi(Box::new(remote::backend(fields, shared)))
        }
        Some(ModeName::External) => Mode::External(Box::new(external::backend(fields, shared))),
        Some(ModeName::Embedded) | None => Mode::Embedded,
    }
}

/// A sandbox names its own time.
fn start_timeout(mode: &Mode) -> Duration {
    match mode {
        Mode::Sandbox(sandbox) => sandbox.startup_timeout,
        _ => schema::START_TIMEOUT,
    }
}

/// The keys of its mode; of all modes where that is unknown, so that no key is blamed wrongly.
fn open<'a>(at: &Cursor<'a>, mode: Option<ModeName>) -> Fields<'a> {
    let of_mode = |other: &ModeName| mode.is_none_or(|mode| mode == *other);
    let modes = ModeName::iter()
        .filter(of_mode)
        .flat_map(|mode| mode.keys().iter().copied());
    let keys: Vec<_> = schema::BACKEND.iter().copied().chain(modes).collect();
    at.fields_or(&keys, |key| {
        let mode = mode?;
        let owner = ModeName::iter().find(|other| other.keys().contains(&key))?;
        Some(format!("belongs to mode {owner}, but this is {mode}"))
    })
}

fn name(fields: &Fields) -> String {
    let at = fields.require("backend_name_ref", "");
    let Some((at, name)) = at.and_then(|at| at.nonempty_text().map(|name| (at, name))) else {
        return String::new();
    };
    if name.chars().any(char::is_control) {
        at.problem("must not hold control characters");
    }
    name.to_owned()
}

fn kind(fields: &Fields, mode: Option<ModeName>) -> String {
    let default = mode.and_then(ModeName::default_kind);
    let at = if mode.is_some() && default.is_none() {
        fields.require("backend_type", "")
    } else {
        fields.get("backend_type")
    };
    let Some(kind) = at.as_ref().and_then(Cursor::nonempty_text) else {
        return default.unwrap_or_default().to_owned();
    };
    let identifier = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if let (Some(at), false) = (at, kind.chars().all(identifier)) {
        at.problem_with_hint(
            "expected letters, digits, `_` and `-`",
            format!("such as {}", schema::KINDS.join(", ")),
        );
    }
    kind.to_owned()
}

/// Processes and the demo speak stdio, remote and external instances HTTP; only a container has the choice.
fn transport(fields: &Fields, mode: Option<ModeName>) -> Transport {
    let only = match mode {
        Some(ModeName::LocalProcess | ModeName::Sandbox | ModeName::Embedded) => {
            Some(Transport::Stdio)
        }
        Some(ModeName::RemoteHttpApi | ModeName::External) => Some(Transport::Http),
        Some(ModeName::LocalDocker) | None => None,
    };
    let Some(at) = fields.get("mcp_transport") else {
        return only.unwrap_or_default();
    };
    let chosen = at.choice::<Transport>();
    if let (Some(only), Some(chosen), Some(mode)) = (only, chosen, mode)
        && only != chosen
    {
        at.problem(format!("mode {mode} always uses {only}"));
    }
    chosen.unwrap_or_default()
}

fn startup_check(at: &Cursor) -> StartupCheck {
    let fields = at.fields(schema::STARTUP_CHECK);
    let tool = fields.require("tool_name", "");
    let arguments = fields.get("arguments").map(|at| at.object());
    StartupCheck {
        tool: tool
            .as_ref()
            .and_then(Cursor::nonempty_text)
            .unwrap_or_default()
            .to_owned(),
        arguments: Value::Object(arguments.unwrap_or_default()),
    }
}

#[derive(Clone, Copy, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
enum Policy {
    Never,
    OnFailure,
}

fn usual_restart(mode: Option<ModeName>) -> RestartPolicy {
    match mode {
        Some(ModeName::Sandbox) => RestartPolicy::of_sandboxes(),
        _ => RestartPolicy::default(),
    }
}

/// `never`, `on_failure`, or a mapping that tunes the latter.
fn restart(at: Option<&Cursor>, usual: RestartPolicy) -> RestartPolicy {
    let Some(at) = at else {
        return usual;
    };
    if !at.is_mapping() {
        return match at.choice::<Policy>() {
            Some(Policy::Never) => RestartPolicy::Never,
            Some(Policy::OnFailure) | None => usual,
        };
    }
    let fields = at.fields(schema::RESTART);
    let policy = fields.get("policy").and_then(|at| at.choice::<Policy>());
    let mut restart = usual;
    if let RestartPolicy::OnFailure {
        attempts,
        backoff,
        ceiling,
        stable,
    } = &mut restart
    {
        let wanted = fields
            .get("attempts")
            .and_then(|at| at.integer(schema::RESTARTS));
        *attempts = wanted.and_then(|n| n.try_into().ok()).unwrap_or(*attempts);
        *backoff = deadline(&fields, "backoff", *backoff);
        *ceiling = deadline(&fields, "ceiling", (*ceiling).max(*backoff));
        *stable = pause(&fields, "stable", *stable);
        if ceiling < backoff
            && let Some(at) = fields.get("ceiling")
        {
            at.problem("must not be shorter than backoff");
        }
    }
    match policy {
        Some(Policy::Never) => RestartPolicy::Never,
        Some(Policy::OnFailure) | None => restart,
    }
}

fn health(at: &Cursor) -> HealthPolicy {
    let fields = at.fields(schema::HEALTH);
    let default = HealthPolicy::default();
    let failures = fields
        .get("failures")
        .and_then(|at| at.integer(schema::PROBE_FAILURES));
    HealthPolicy {
        interval: deadline(&fields, "interval", default.interval),
        timeout: deadline(&fields, "timeout", default.timeout),
        failures: failures
            .and_then(|n| n.try_into().ok())
            .unwrap_or(default.failures),
    }
}

/// Without a word on it the maximum never cuts a longer `call_timeout` short.
fn call_max_timeout(fields: &Fields, call_timeout: Duration) -> Duration {
    let most = deadline(
        fields,
        "call_max_timeout",
        schema::CALL_MAX_TIMEOUT.max(call_timeout),
    );
    if most < call_timeout
        && let Some(at) = fields.get("call_max_timeout")
    {
        at.problem("must not be shorter than call_timeout");
    }
    most
}

fn deadline(fields: &Fields, key: &str, default: Duration) -> Duration {
    fields
        .get(key)
        .and_then(|at| at.duration(schema::DEADLINE))
        .unwrap_or(default)
}

fn pause(fields: &Fields, key: &str, default: Duration) -> Duration {
    fields
        .get(key)
        .and_then(|at| at.duration(schema::PAUSE))
        .unwrap_or(default)
}
