//! `envdeck ps`: the running envdecks of this user, what runs in them, and what killed ones left.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::exit::{self, Ending};
use super::progress::Progress;
use super::survey::{Leftover, Survey};
use super::table::Table;
use crate::console::widgets::text::age;
use crate::drivers::{Installed, Life, Trace};
use crate::paths::Paths;
use crate::runs::{InstanceNote, Run};
use crate::stores::lines::clean;

/// Letters of an id that are enough to tell it from others.
const SHORT: usize = 8;
/// Columns that a command line gets.
const COMMAND: usize = 60;

/// Prints it; returns how the program ends.
pub fn run(is_json: bool, paths: &Paths, out: &mut dyn Write) -> anyhow::Result<Ending> {
    let drivers = Installed::new(&paths.cache);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let survey = runtime.block_on(Survey::take(paths, &drivers))?;
    for (driver, failure) in &survey.blind {
        let note = format!("envdeck: {driver} could not be asked: {failure}");
        Progress::new().line(&clean(&note));
    }
    if is_json {
        writeln!(out, "{}", as_json(&survey))?;
    } else {
        write!(out, "{}", as_tables(&survey))?;
    }
    Ok(Ending::Code(exit::OK))
}

fn as_json(survey: &Survey) -> Value {
    let runs = survey.runs.iter().filter(|run| run.is_alive).map(|run| {
        let mut value = json!({ "run": run.id.as_str() });
        let about = serde_json::to_value(&run.about).unwrap_or_default();
        if let (Some(value), Value::Object(about)) = (value.as_object_mut(), about) {
            value.extend(about);
            value.insert("things".to_owned(), of(run, survey).map(thing).collect());
        }
        value
    });
    let left = survey.left();
    let left = left.iter().map(|left| {
        let run = left.run.as_ref().map(ToString::to_string);
        json!({ "kind": left.kind, "id": left.id, "what": left.what, "run": run })
    });
    json!({ "runs": runs.collect::<Vec<_>>(), "left": left.collect::<Vec<_>>() })
}

fn thing(trace: &Trace) -> Value {
    let instance = trace.instance.as_ref().map(ToString::to_string);
    json!({ "kind": trace.kind, "id": trace.id, "what": trace.what, "instance": instance })
}

/// What a run made and that is there.
fn of<'a>(run: &'a Run, survey: &'a Survey) -> impl Iterator<Item = &'a Trace> {
    let traces = survey.traces.iter();
    traces.filter(|trace| trace.run.as_ref() == Some(&run.id) && trace.life == Life::Lives)
}

fn as_tables(survey: &Survey) -> String {
    let mut parts = vec![];
    let living: Vec<_> = survey.runs.iter().filter(|run| run.is_alive).collect();
    if living.is_empty() {
        parts.push("no envdeck is running\n".to_owned());
    } else {
        parts.push(runs(&living).to_string());
    }
    let mut table = Table::new([
        "INSTANCE", "BACKEND", "MODE", "PHASE", "FOR", "SESSION", "CALLER", "RUN", "IS",
    ]);
    let mut is_empty = true;
    for run in &living {
        let things: Vec<_> = of(run, survey).collect();
        for session in run.about.iter().flat_map(|about| &about.sessions) {
            for note in &session.instances {
                is_empty = false;
                table.row([
                    short(&note.instance),
                    clean(&note.backend).into_owned(),
                    note.mode.clone(),
                    note.phase.clone(),
                    since(&note.since),
                    short(&session.session),
                    clean(&session.caller).into_owned(),
                    short(run.id.as_str()),
                    is(note, &things),
                ]);
            }
        }
    }
    if !is_empty {
        parts.push(table.to_string());
    }
    let left = survey.left();
    if !left.is_empty() {
        let tell = "left by killed runs; `envdeck gc` removes it:";
        parts.push(format!("{tell}\n{}", leftovers(&left)));
    }
    parts.join("\n")
}

fn runs(living: &[&Run]) -> Table<6> {
    let mut table = Table::new(["RUN", "PID", "FRONT END", "FOR", "LISTENS", "ON"]);
    for run in living {
        let Some(about) = &run.about else {
            table.row([short(run.id.as_str()).as_str(), "", "starting", "", "", ""]);
            continue;
        };
        table.row([
            short(run.id.as_str()),
            about.pid.to_string(),
            clean(&about.front_end).into_owned(),
            since(&about.started),
            about.listens.as_deref().unwrap_or("-").to_owned(),
            clean(&about.origin).into_owned(),
        ]);
    }
    table
}

/// `process 4711 and 2 more`
fn is(note: &InstanceNote, things: &[&Trace]) -> String {
    let is_its = |thing: &&&Trace| {
        thing
            .instance
            .as_ref()
            .is_some_and(|id| id.as_str() == note.instance)
    };
    let mut its = things.iter().filter(is_its);
    let Some(first) = its.next() else {
        return "-".to_owned();
    };
    let first = format!("{} {}", first.kind, short(&first.id));
    match its.count() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A table of what killed runs left.
pub fn leftovers(left: &[Leftover]) -> Table<4> {
    let mut table = Table::new(["KIND", "ID", "RUN", "WHAT"]);
    for one in left {
        let run = one.run.as_ref().map(|run| short(run.as_str()));
        table.row([
            one.kind.to_owned(),
            clean(&one.id).into_owned(),
            run.unwrap_or_else(|| "-".to_owned()),
            crate::console::widgets::text::cut(&clean(&one.what), COMMAND),
        ]);
    }
    table
}

fn short(id: &str) -> String {
    clean(&id.chars().take(SHORT).collect::<String>()).into_owned()
}

fn since(time: &str) -> String {
    let time: Result<Timestamp, _> = time.parse();
    time.map_or_else(
        |_| "?".to_owned(),
        |time| age(Timestamp::now().duration_since(time).as_secs()),
    )
}
