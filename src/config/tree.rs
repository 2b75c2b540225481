//! A configuration document as a tree whose nodes know their number in document order.

use std::collections::{HashMap, HashSet};

use serde_json::{Number, Value};

use super::interpolate::{self, Environment};
use super::problem::{self, Report};

/// Position of a node in a walk over the document, keys included. It stands for a place in the
/// file without storing one: most files have no problem to point at.
pub(super) type NodeId = u32;

/// Deliberately without `Debug`: it holds values that may be secret.
#[derive(Clone)]
pub(super) struct Node {
    pub id: NodeId,
    pub kind: Kind,
}

#[derive(Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(Number),
    Text {
        text: String,
        /// The whole value came from one `${…}`, so it may also stand for a number.
        interpolated: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What has no meaning in a configuration, by its name. [`settle`] reports it, so that readers
    /// need not.
    Unusable(&'static str),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub key: Node,
    pub value: Node,
}

impl Entry {
    /// After [`settle`] every key is text.
    pub fn name(&self) -> &str {
        match &self.key.kind {
            Kind::Text { text, .. } => text,
            _ => "",
        }
    }
}

impl Node {
    /// What it is, in the words of an error message.
    pub fn noun(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "a boolean",
            Kind::Number(_) => "a number",
            Kind::Text { .. } => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Unusable(name) => name,
        }
    }

    /// The node as JSON, for parts of a file that are passed on as they are.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null | Kind::Unusable(_) => Value::Null,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text { text, .. } => Value::String(text.clone()),
            Kind::List(items) => items.iter().map(Node::to_json).collect(),
            Kind::Map(entries) => entries
                .iter()
                .map(|entry| (entry.name().to_owned(), entry.value.to_json()))
                .collect(),
        }
    }
}

/// Fills in variables, merges `<<` and leaves only distinct text keys; reports what it cannot.
pub(super) fn settle(node: &mut Node, path: &str, env: Environment, report: &Report) {
    match &mut node.kind {
        Kind::Text { text, interpolated } => {
            let expanded = interpolate::expand(text, env);
            *text = expanded.text;
            *interpolated = expanded.whole;
            if !expanded.troubles.is_empty() {
                node.kind = Kind::Unusable("text");
            }
            for trouble in expanded.troubles {
                report.add_with_hint(node.id, path, trouble.text, trouble.hint);
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                settle(item, &format!("{path}[{index}]"), env, report);
            }
        }
        Kind::Map(entries) => {
            keep_distinct(entries, path, report);
            for entry in entries.iter_mut() {
                let path = problem::join(path, entry.name());
                settle(&mut entry.value, &path, env, report);
            }
            merge(entries, path, report);
        }
        Kind::Unusable(name) => report.add(node.id, path, format!("{name} has no meaning here")),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}

fn keep_distinct(entries: &mut Vec<Entry>, path: &str, report: &Report) {
    let mut seen = HashMap::new();
    entries.retain(|entry| {
        let Kind::Text { text, .. } = &entry.key.kind else {
            let text = format!("a key must be text, found {}", entry.key.noun());
            report.add_with_hint(entry.key.id, path, text, "put the key in quotes");
            return false;
        };
        match seen.insert(text.clone(), entry.key.id) {
            None => true,
            Some(first) => {
                seen.insert(text.clone(), first);
                let path = problem::join(path, text);
                report.add_pointing_at(entry.key.id, &path, "duplicate key, first given", first);
                false
            }
        }
    });
}

/// The YAML merge key: `<<: *defaults`. A key of the mapping itself wins.
fn merge(entries: &mut Vec<Entry>, path: &str, report: &Report) {
    let Some(at) = entries.iter().position(|entry| entry.name() == "<<") else {
        return;
    };
    let source = entries.remove(at).value;
    let mut known: HashSet<_> = entries.iter().map(|own| own.name().to_owned()).collect();
    let sources = match source.kind {
        Kind::List(items) => items,
        _ => vec![source],
    };
    for source in sources {
        let Kind::Map(merged) = source.kind else {
            let text = format!("expected a mapping to merge, found {}", source.noun());
            report.add(source.id, &problem::join(path, "<<"), text);
            continue;
        };
        entries.extend(
            merged
                .into_iter()
                .filter(|entry| known.insert(entry.name().to_owned())),
        );
    }
}
