//! The tool list: all pages, and every tool that can be called, however odd its description.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::http::mirror;
use super::link::Link;
use super::wire::{self, METHOD_NOT_FOUND, Payload, Text};
use crate::model::{Cause, ToolSpec};
use crate::stores::logs::Source;

const MAX_PAGES: usize = 1_000;
const MAX_TOOLS: usize = 100_000;

/// Asks for page after page. Odd entries are listed with their problem, unusable ones are logged.
pub(super) async fn list(link: &Arc<Link>) -> Result<Vec<Arc<ToolSpec>>, Cause> {
    let tools = pages(link).await?;
    if link.has_mirrors() {
        return Ok(callable(link, tools));
    }
    Ok(tools)
}

/// "Clients MUST exclude the tool" whose wish for header fields cannot be fulfilled (2026-07-28, over HTTP).
fn callable(link: &Link, mut tools: Vec<Arc<ToolSpec>>) -> Vec<Arc<ToolSpec>> {
    let mut all = HashMap::new();
    tools.retain(|tool| match mirror::repeated(&tool.input_schema) {
        Ok(repeated) => {
            if !repeated.is_empty() {
                all.insert(tool.name.clone(), repeated);
            }
            true
        }
        Err(problem) => {
            let name = wire::excerpt(&tool.name, 80);
            remark(link, &format!("left out the tool {name}: {problem}"));
            false
        }
    });
    link.repeat(all);
    tools
}

async fn pages(link: &Arc<Link>) -> Result<Vec<Arc<ToolSpec>>, Cause> {
    let mut list = List::default();
    let mut cursor: Option<String> = None;
    let mut cursors = HashSet::new();
    for page in 0..MAX_PAGES {
        let params = match &cursor {
            Some(cursor) => serde_json::json!({ "cursor": cursor }),
            None => serde_json::json!({}),
        };
        let reply = match link.exchange("tools/list", &params).await {
            // A server without tools.
            Err(Cause::Rpc {
                code: METHOD_NOT_FOUND,
                ..
            }) if page == 0 => return Ok(Vec::new()),
            reply => reply?,
        };
        let next = list.add_page(&reply, link)?;
        if list.tools.len() >= MAX_TOOLS {
            remark(
                link,
                &format!("stopped reading the tool list after {MAX_TOOLS} tools"),
            );
            return Ok(list.tools);
        }
        let Some(next) = next else {
            return Ok(list.tools);
        };
        if !cursors.insert(next.clone()) {
            remark(
                link,
                "stopped reading the tool list: it starts again with an earlier page",
            );
            return Ok(list.tools);
        }
        cursor = Some(next);
    }
    remark(
        link,
        &format!("stopped reading the tool list after {MAX_PAGES} pages"),
    );
    Ok(list.tools)
}

fn remark(link: &Link, text: &str) {
    link.log.line(Source::Envdeck, text);
}

#[derive(Default)]
struct List {
    tools: Vec<Arc<ToolSpec>>,
    names: HashSet<Arc<str>>,
}

impl List {
    /// Adds the tools of a page; the cursor of the next one, if there is one.
    fn add_page(&mut self, page: &Payload, link: &Link) -> Result<Option<String>, Cause> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page<'a> {
            #[serde(borrow)]
            tools: Vec<&'a RawValue>,
            next_cursor: Option<String>,
        }
        let page: Page<'_> = serde_json::from_slice(&page.raw)
            .map_err(|error| Cause::Other(format!("unreadable answer to tools/list: {error}")))?;
        for raw in page.tools {
            match read_tool(raw) {
                Ok(mut tool) => {
                    if !self.names.insert(tool.name.clone()) {
                        tool.problem
                            .get_or_insert("another tool has the same name".into());
                    }
                    self.tools.push(Arc::new(tool));
                }
                Err(problem) => {
                    let entry = wire::excerpt(raw.get(), 200);
                    remark(link, &format!("left out a tool: {problem}: {entry}"));
                }
            }
        }
        Ok(page.next_cursor)
    }
}

/// Reads each field by itself, so that one odd field spoils nothing else.
fn read_tool(raw: &RawValue) -> Result<ToolSpec, String> {
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) else {
        return Err(format!("{} is not a tool", wire::kind(raw)));
    };
    let name = match fields.get("name").map(|raw| (raw, text(raw))) {
        None => return Err("it has no name".into()),
        Some((_, Some(name))) if !name.is_empty() => name,
        Some((raw, _)) => return Err(format!("its name is {}", wire::excerpt(raw.get(), 40))),
    };
    let mut problems = Vec::new();
    let annotations = optional(&fields, "annotations", &mut problems);
    let title = fields.get("title").and_then(|raw| text(raw));
    let title = title.or_else(|| annotations.as_ref()?["title"].as_str().map(Arc::from));
    let description = fields.get("description").filter(|raw| raw.get() != "null");
    let input_schema = input_schema(fields.get("inputSchema").copied(), &mut problems);
    let output_schema = optional(&fields, "outputSchema", &mut problems);
    Ok(ToolSpec {
        name,
        title,
        description: description.map(|raw| wire::text_or_json(raw).into()),
        input_schema,
        output_schema,
        annotations,
        problem: problems.first().map(|problem| problem.as_str().into()),
    })
}

fn text(raw: &RawValue) -> Option<Arc<str>> {
    serde_json::from_str::<Text<'_>>(raw.get())
        .ok()
        .map(|text| text.0.into())
}

fn input_schema(raw: Option<&RawValue>, problems: &mut Vec<String>) -> Value {
    let Some(raw) = raw else {
        problems.push("inputSchema is missing".into());
        return Value::Null;
    };
    let schema = value(raw, "inputSchema", problems);
    match &schema {
        Value::Object(fields) => match fields.get("type") {
            None => {}
            Some(Value::String(kind)) if kind == "object" => {}
            Some(_) => problems.push("inputSchema does not describe an object".into()),
        },
        _ => problems.push("inputSchema is not an object".into()),
    }
    schema
}

fn optional(
    fields: &BTreeMap<String, &RawValue>,
    key: &str,
    problems: &mut Vec<String>,
) -> Option<Value> {
    let raw = fields.get(key)?;
    Some(value(raw, key, problems)).filter(|value| !value.is_null())
}

/// Builds a value, unless it is so deep that building, copying or dropping it could end the process.
fn value(raw: &RawValue, key: &str, problems: &mut Vec<String>) -> Value {
    serde_json::from_str(raw.get()).unwrap_or_else(|error| {
        problems.push(format!("{key} cannot be read: {error}"));
        Value::Null
    })
}
