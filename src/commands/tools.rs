//! `envdeck tools`: what a backend offers, as a table, a page on one tool, or JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::errand::{self, refused};
use super::exit::{self, Ending};
use super::output;
use super::table::Table;
use crate::arguments::schema::{Kind, Member, Spec};
use crate::cli::Tools;
use crate::console::widgets::text::cut;
use crate::model::ToolSpec;
use crate::paths::Paths;
use crate::stores::lines::clean;

/// Columns that the names of a tool's arguments get in the table.
const ARGUMENTS: usize = 40;

/// Lists the tools; returns how the program ends.
pub fn run(options: &Tools, paths: &Paths) -> anyhow::Result<Ending> {
    let (backend, tool) = match options.subject() {
        Ok(subject) => subject,
        Err(problem) => return Ok(refused(&problem)),
    };
    errand::run("tools", &options.errand, backend, paths, async |desk| {
        let tools: Vec<&ToolSpec> = match tool {
            Some(name) => vec![desk.tool(name)?],
            None => desk.tools().iter().map(|tool| &**tool).collect(),
        };
        match (options.json, tool) {
            (true, _) => output::json(as_sent(&tools).to_string().into()).await?,
            (false, Some(_)) => output::text(page(tools[0])).await?,
            (false, None) => output::table(table(&tools)).await?,
        }
        Ok(exit::OK)
    })
}

/// A `ListToolsResult`.
fn as_sent(tools: &[&ToolSpec]) -> Value {
    let tool = |tool: &&ToolSpec| {
        let text = |text: &std::sync::Arc<str>| Value::from(&**text);
        let mut sent = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            value.and_then(|value| sent.insert(key.to_owned(), value))
        };
        put("name", Some(text(&tool.name)));
        put("title", tool.title.as_ref().map(text));
        put("description", tool.description.as_ref().map(text));
        put("inputSchema", Some(tool.input_schema.clone()));
        put("outputSchema", tool.output_schema.clone());
        put("annotations", tool.annotations.clone());
        Value::Object(sent)
    };
    let tools: Vec<_> = tools.iter().map(tool).collect();
    serde_json::json!({ "tools": tools })
}

fn table(tools: &[&ToolSpec]) -> String {
    let mut table = Table::new(["TOOL", "ARGUMENTS", "DESCRIPTION"]);
    for tool in tools {
        let about = [&tool.description, &tool.title];
        let about = about.into_iter().flatten().next();
        let about = about.and_then(|text| text.trim().lines().next());
        table.row([
            clean(&tool.name),
            cut(&clean(&summary(&tool.input_schema)), ARGUMENTS).into(),
            clean(about.unwrap_or_default()),
        ]);
    }
    table.to_string()
}

/// `city [days] [units]`
fn summary(schema: &Value) -> String {
    let spec = Spec::of_arguments(schema);
    let Kind::Group(members) = &spec.kind else {
        return String::new();
    };
    let word = |member: &Member| {
        if member.required {
            member.name.to_string()
        } else {
            format!("[{}]", member.name)
        }
    };
    members.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// All that is known of one tool.
fn page(tool: &ToolSpec) -> String {
    let mut page = clean(&tool.name).into_owned();
    if let Some(title) = &tool.title {
        let _ = write!(page, " - {}", clean(title));
    }
    page.push('\n');
    for line in tool.description.iter().flat_map(|text| text.trim().lines()) {
        let _ = writeln!(page, "  {}", clean(line));
    }
    let spec = Spec::of_arguments(&tool.input_schema);
    if let Kind::Group(members) = &spec.kind
        && !members.is_empty()
    {
        let mut table = Table::new(["ARGUMENT", "TYPE", "DESCRIPTION"]);
        for member in members {
            let spec = &member.spec;
            let default = spec.default.as_ref().map(|json| format!("default {json}"));
            let must = member.required.then(|| "required".to_owned());
            let about = spec
                .description
                .as_deref()
                .map(|text| text.replace('\n', " "));
            let about: Vec<_> = [must, default, about].into_iter().flatten().collect();
            table.row([
                clean(&member.name),
                clean(&spec.words()),
                clean(&about.join("; ")),
            ]);
        }
        let _ = write!(page, "\n{table}");
    }
    if let Some(problem) = &tool.problem {
        let _ = writeln!(page, "\nproblem: {}", clean(problem));
    }
    page
}
