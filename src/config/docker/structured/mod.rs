//! Options of `global_docker_options` that are more than text.
//!
//! The Docker SDK for Python takes most of their keys in two spellings: its own (`device_ids`) and the
//! engine's (`DeviceIDs`).

mod devices;
mod mounts;

pub use devices::{device_requests, devices, read_bps, read_iops, weights, write_bps, write_iops};
pub use mounts::{container_volumes, mounts, volumes};

use std::time::Duration;

use super::draft::Draft;
use super::values::{limits, names, numbers};
use super::wrong::{Read, Wrong};
use crate::config::check::Shared;
use crate::config::cursor::{Cursor, Fields};
use crate::config::process;
use crate::model::{HealthTest, Secret};

/// The value of a key in either spelling.
fn either<'a>(fields: &Fields<'a>, [own, engine]: [&str; 2]) -> Option<Cursor<'a>> {
    fields.get(own).or_else(|| fields.get(engine))
}

/// A mapping, or a list of `NAME=value`.
pub fn environment(draft: &mut Draft, at: &Cursor, _: &Shared) {
    let variables = &mut draft.options.environment;
    if !at.is_list() {
        variables.extend(process::variables(at));
        return;
    }
    for at in at.items() {
        let Some(text) = at.text() else { continue };
        match names::variable(text) {
            Ok((name, Some(value))) => drop(variables.insert(name.to_owned(), Secret::new(value))),
            Ok((_, None)) => at.problem("expected NAME=value"),
            Err(wrong) => wrong.report(&at),
        }
    }
}

/// A list of words, or one word.
pub fn entrypoint(draft: &mut Draft, at: &Cursor, _: &Shared) {
    if at.is_list() {
        draft.options.entrypoint = Some(at.texts());
        return;
    }
    let Some(text) = at.text() else { return };
    if text.contains(char::is_whitespace) {
        at.problem_with_hint("expected a list of words", "such as [python3, -m, server]");
    }
    let words = (!text.is_empty()).then(|| text.to_owned());
    draft.options.entrypoint = Some(words.into_iter().collect());
}

pub fn nano_cpus(draft: &mut Draft, at: &Cursor, _: &Shared) {
    const LEAST: u64 = 10_000_000;
    if let Some(nano) = at.integer(0..=1_000_000_000_000_000) {
        if (1..LEAST).contains(&nano) {
            at.problem("counts billionths of a processor: must be at least 10000000");
        }
        draft.options.resources.nano_cpus = Some(nano);
    }
}

pub fn network_disabled(draft: &mut Draft, at: &Cursor, _: &Shared) {
    if at.boolean() == Some(true) {
        if draft.says("network") {
            at.problem("contradicts the network that is given, too");
        }
        draft.options.network.mode = Some("none".to_owned());
    }
}

/// Only that there is none.
pub fn restart_policy(_: &mut Draft, at: &Cursor, _: &Shared) {
    let fields = at.fields(&["Name", "MaximumRetryCount"]);
    let name = fields.get("Name").and_then(|at| at.text());
    if name.is_some_and(|name| !matches!(name, "" | "no")) {
        at.problem("cannot be given: envdeck restarts instances itself — use the key restart");
    }
}

const ULIMIT: &[&str] = &["name", "Name", "soft", "Soft", "hard", "Hard"];

/// `[{name, soft, hard}]`; one limit stands for both.
pub fn ulimits(draft: &mut Draft, at: &Cursor, _: &Shared) {
    for at in at.items() {
        let fields = at.fields(ULIMIT);
        let number = |spellings| either(&fields, spellings).and_then(|at| at.signed());
        let (soft, hard) = (number(["soft", "Soft"]), number(["hard", "Hard"]));
        let name = either(&fields, ["name", "Name"]).and_then(|at| at.text());
        let limit = match (name, soft.or(hard), hard.or(soft)) {
            (Some(name), Some(soft), Some(hard)) => limits::ulimit_of(name, soft, hard),
            _ if !at.is_mapping() => continue,
            _ => Err(Wrong::expected("name with soft or hard")),
        };
        match limit {
            Ok(limit) => draft.options.resources.ulimits.extend([limit]),
            Err(wrong) => wrong.report(&at),
        }
    }
}

/// `{type, config}`.
pub fn log_config(draft: &mut Draft, at: &Cursor, _: &Shared) {
    let fields = at.fields(&["type", "Type", "config", "Config"]);
    let logging = &mut draft.options.logging;
    if let Some(at) = either(&fields, ["type", "Type"]) {
        logging.driver = at.nonempty_text().map(str::to_owned);
    }
    let config = either(&fields, ["config", "Config"]);
    for (name, at) in config.map(|at| at.entries()).unwrap_or_default() {
        let value = at.word().map(Secret::new);
        logging
            .options
            .extend(value.map(|value| (name.to_owned(), value)));
    }
}

const HEALTH: &[&str] = &[
    "test",
    "Test",
    "interval",
    "Interval",
    "timeout",
    "Timeout",
    "retries",
    "Retries",
    "start_period",
    "StartPeriod",
];

/// `{test, interval, timeout, retries, start_period}`, whose numbers are nanoseconds.
pub fn healthcheck(draft: &mut Draft, at: &Cursor, _: &Shared) {
    let fields = at.fields(HEALTH);
    let time = |spellings| {
        let at = either(&fields, spellings)?;
        nanoseconds(&at).map_err(|wrong| wrong.report(&at)).ok()
    };
    let health = &mut draft.options.health;
    health.disabled = false;
    health.interval = time(["interval", "Interval"]);
    health.timeout = time(["timeout", "Timeout"]);
    health.start_period = time(["start_period", "StartPeriod"]);
    let retries = either(&fields, ["retries", "Retries"]);
    health.retries = retries
        .and_then(|at| at.integer(0..=1_000_000))
        .and_then(|retries| retries.try_into().ok());
    let Some(at) = either(&fields, ["test", "Test"]) else {
        return;
    };
    if !at.is_list() {
        let line = at.nonempty_text().map(str::to_owned);
        health.test = line.map(HealthTest::Shell);
        return;
    }
    let words = at.texts();
    match words
        .split_first()
        .map(|(kind, rest)| (kind.as_str(), rest))
    {
        None => {}
        Some(("NONE", [])) => health.disabled = true,
        Some(("CMD", words @ [_, ..])) => health.test = Some(HealthTest::Command(words.to_vec())),
        Some(("CMD-SHELL", [line])) => health.test = Some(HealthTest::Shell(line.clone())),
        Some(_) => Wrong::expected("[CMD, program, …], [CMD-SHELL, line] or [NONE]").report(&at),
    }
}

/// Nanoseconds, or text with a unit.
fn nanoseconds(at: &Cursor) -> Read<Duration> {
    let text = at.scalar().unwrap_or_default();
    let wrong = || {
        Wrong::new("a number here counts nanoseconds: must be 0 or at least 1000000")
            .hint("write 30s for seconds")
    };
    match text.parse::<u64>() {
        Ok(0) => Ok(Duration::ZERO),
        Ok(nano @ 1_000_000..) => Ok(Duration::from_nanos(nano)),
        Ok(_) => Err(wrong()),
        Err(_) => numbers::duration(&text),
    }
}
