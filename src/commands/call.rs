//! `envdeck call`: one call of one tool, its result on stdout.

use std::io::{BufReader, Read, stdin};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::errand::{self, Desk, refused};
use super::exit::{self, Ending, Trouble};
use super::output;
use crate::arguments::json_text::Members;
use crate::arguments::typed::{self, Given};
use crate::cli::{Arguments, Call};
use crate::model::{Caller, Command, Failure, Fleet, Outcome, Stage, ToolCall, ToolSpec};
use crate::orchestrator::Reply;
use crate::paths::Paths;
use crate::stores::lines::clean;

/// What is read of stdin; a server takes no message that is larger.
const MOST_STDIN: u64 = 256 << 20;

/// Calls the tool; returns how the program ends.
pub fn run(options: &Call, paths: &Paths) -> anyhow::Result<Ending> {
    let (backend, tool, arguments) = match options.subject() {
        Ok(subject) => subject,
        Err(problem) => return Ok(refused(&format!("{problem}\nsee envdeck call --help"))),
    };
    // Read before anything starts: what is wrong costs no instance, and a slow writer no time-out.
    let arguments = match prepared(&arguments) {
        Ok(arguments) => arguments,
        Err(problem) => return Ok(refused(&problem)),
    };
    errand::run("call", &options.errand, backend, paths, async |desk| {
        let arguments = complete(&arguments, desk.tool(tool)?)?;
        let (outcome, result) = call(desk, tool, &arguments).await?;
        let code = match outcome {
            Outcome::Done(_) => exit::OK,
            Outcome::ToolError(_) => exit::TOOL,
            Outcome::Failed(failure) => return Err(failure.into()),
            Outcome::Cancelled(_) => return Err(lost("the call was cancelled").into()),
        };
        let result = result.ok_or_else(|| lost("the result was lost"))?;
        if options.text {
            print_texts(desk, &result).await?;
        } else {
            output::json(result).await?;
        }
        Ok(code)
    })
}

fn lost(text: &str) -> Failure {
    Failure::other(Stage::Call, text)
}

enum Prepared<'a> {
    Typed(&'a [Given<'a>]),
    Json(Arc<str>),
}

fn prepared<'a>(arguments: &'a Arguments) -> Result<Prepared<'a>, String> {
    let object = |text: &str, whence: &str| match serde_json::from_str::<Members>(text) {
        Ok(_) => Ok(Prepared::Json(text.into())),
        Err(error) => Err(format!("{whence}: not a JSON object: {error}")),
    };
    match arguments {
        Arguments::Typed(given) => Ok(Prepared::Typed(given)),
        Arguments::Json(text) => object(text, "--json"),
        Arguments::Stdin => {
            let text =
                from_stdin().map_err(|error| format!("stdin: not a JSON object: {error}"))?;
            object(text.get(), "stdin")
        }
    }
}

/// Reads one value and what is behind it, and stops at the first byte that is wrong: stdin may have no end.
fn from_stdin() -> serde_json::Result<Box<RawValue>> {
    let stdin = BufReader::new(stdin().lock().take(MOST_STDIN));
    serde_json::from_reader(stdin)
}

fn complete(arguments: &Prepared, tool: &ToolSpec) -> Result<Arc<str>, Trouble> {
    match arguments {
        Prepared::Json(text) => Ok(text.clone()),
        Prepared::Typed(given) => match typed::arguments(given, &tool.input_schema) {
            Ok(text) => Ok(text.into()),
            Err(problems) => Err(Trouble::Usage(problems.join("\n"))),
        },
    }
}

/// How the call ended, and the result if there is one.
async fn call(
    desk: &mut Desk,
    tool: &str,
    arguments: &Arc<str>,
) -> Result<(Outcome, Option<Bytes>), Trouble> {
    let call = Command::Call(ToolCall {
        instance: desk.instance.id.clone(),
        tool: tool.into(),
        arguments: arguments.clone(),
        caller: Caller::CommandLine,
        timeout: None,
    });
    let describe = |fleet: &Fleet| {
        let progress = fleet.calls.values().last()?.progress.as_ref()?;
        let total = progress
            .total
            .map(|total| format!("/{total}"))
            .unwrap_or_default();
        let message = progress.message.as_deref().unwrap_or_default();
        Some(format!("{tool}: {}{total} {message}", progress.done))
    };
    let Desk {
        handle, onlooker, ..
    } = desk;
    let name = &desk.instance.backend.name;
    onlooker.progress.step(&clean(&format!("{name}: {tool}")));
    match onlooker.during(describe, handle.request(call)).await? {
        Reply::Called(outcome, result) => Ok((outcome, result)),
        _ => Err(lost("the call was lost").into()),
    }
}

async fn print_texts(desk: &mut Desk, result: &Bytes) -> Result<(), Trouble> {
    let others = output::texts(result).await?;
    if !others.is_empty() {
        let note = format!(
            "envdeck: not shown, for it is no text: {}",
            others.join(", ")
        );
        desk.onlooker.progress.line(&clean(&note));
    }
    Ok(())
}
