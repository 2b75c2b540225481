//! One field: what was typed, whether it is sent, and what is wrong with it.

use std::sync::Arc;

use serde_json::Value;

use crate::arguments::json_text::{Items, Members, check, compact, quoted};
use crate::arguments::rules::is_number;
use crate::arguments::schema::{Kind, Member, Spec};
use crate::console::widgets::prompt::Prompt;
use crate::console::widgets::text::plural;

/// Whether and as what an argument is sent. Going from one to the other never loses what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Omitted,
    Null,
    Value,
}

/// What was typed or chosen.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A string as it is, or the digits of a number.
    Text(Prompt),
    /// An index into the choices.
    Choice(usize),
    List(Vec<Field>),
    Group(Vec<Field>),
    /// JSON text: of a field of any JSON, or a value that is of another type than the schema says.
    Json(Prompt),
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: Arc<str>,
    pub spec: Arc<Spec>,
    pub required: bool,
    /// Whether the schema names it.
    pub known: bool,
    pub state: State,
    pub entry: Entry,
    /// The value is the schema's default, untouched.
    pub is_default: bool,
}

impl Field {
    pub fn new(name: impl Into<Arc<str>>, spec: Arc<Spec>, required: bool) -> Self {
        let mut field = Self {
            name: name.into(),
            entry: blank(&spec),
            state: State::Omitted,
            required,
            known: true,
            is_default: false,
            spec,
        };
        let only_one = match &field.spec.kind {
            Kind::Choice(choices) => choices.len() == 1,
            Kind::List { .. } | Kind::Group(_) => true,
            _ => false,
        };
        if required && only_one {
            field.state = State::Value;
        }
        // A default of null says that omitting it is the same.
        let default = field.spec.default.clone().filter(|json| json != "null");
        if let Some(json) = default {
            field.load(&json);
            field.is_default = true;
            if let Some(prompt) = field.prompt_mut() {
                prompt.select_all();
            }
        }
        field
    }

    /// An argument that the schema does not name.
    fn unknown(name: &str) -> Self {
        let mut field = Self::new(name, Arc::new(Spec::json()), false);
        field.known = false;
        field
    }

    /// Takes a value, given as valid JSON text. One of the wrong type is kept as text and shown as wrong.
    pub fn load(&mut self, json: &str) {
        self.is_default = false;
        let json = json.trim();
        if json == "null" && self.spec.nullable {
            self.state = State::Null;
            return;
        }
        self.state = State::Value;
        self.entry = self
            .read(json)
            .unwrap_or_else(|| Entry::Json(Prompt::new(compact(json))));
    }

    fn read(&self, json: &str) -> Option<Entry> {
        match &self.spec.kind {
            Kind::Text(_) => {
                let text: String = serde_json::from_str(json).ok()?;
                Some(Entry::Text(Prompt::new(text)))
            }
            Kind::Number(_) if is_number(json) => Some(Entry::Text(Prompt::new(json))),
            Kind::Choice(choices) => {
                let json = compact(json);
                let same = |other: &str| other == json || equal(other, &json);
                let index = choices.iter().position(|choice| same(&choice.json))?;
                Some(Entry::Choice(index))
            }
            Kind::List { item, .. } => {
                let Items(values) = serde_json::from_str(json).ok()?;
                let items = values.iter().enumerate().map(|(index, value)| {
                    let mut field = Field::new(index.to_string(), item.clone(), true);
                    field.load(value.get());
                    field
                });
                Some(Entry::List(items.collect()))
            }
            Kind::Group(_) => self.read_group(json),
            Kind::Number(_) | Kind::Json => None,
        }
    }

    fn read_group(&self, json: &str) -> Option<Entry> {
        let Members(members) = serde_json::from_str(json).ok()?;
        let Entry::Group(mut fields) = blank(&self.spec) else {
            return None;
        };
        for field in &mut fields {
            field.state = State::Omitted;
            field.is_default = false;
        }
        for (name, value) in members {
            let index = fields.iter().position(|field| *field.name == *name);
            let index = index.unwrap_or_else(|| {
                fields.push(Field::unknown(&name));
                fields.len() - 1
            });
            fields[index].load(value.get());
        }
        Some(Entry::Group(fields))
    }

    pub fn children(&self) -> &[Field] {
        match &self.entry {
            Entry::List(fields) | Entry::Group(fields) => fields,
            _ => &[],
        }
    }

    pub fn children_mut(&mut self) -> &mut [Field] {
        match &mut self.entry {
            Entry::List(fields) | Entry::Group(fields) => fields,
            _ => &mut [],
        }
    }

    pub fn prompt(&self) -> Option<&Prompt> {
        match &self.entry {
            Entry::Text(prompt) | Entry::Json(prompt) => Some(prompt),
            _ => None,
        }
    }

    pub fn prompt_mut(&mut self) -> Option<&mut Prompt> {
        match &mut self.entry {
            Entry::Text(prompt) | Entry::Json(prompt) => Some(prompt),
            _ => None,
        }
    }

    /// A string that may hold any text, so also several lines.
    pub fn is_text(&self) -> bool {
        matches!(
            (&self.spec.kind, &self.entry),
            (Kind::Text(_), Entry::Text(_))
        )
    }

    /// The text has been changed by hand.
    pub fn touched(&mut self) {
        self.is_default = false;
        self.state = State::Value;
        let empty = self.prompt().is_some_and(|prompt| prompt.text().is_empty());
        if empty && !self.is_text() {
            self.state = State::Omitted;
            self.entry = blank(&self.spec);
        }
    }

    /// Omitted, value, null: the next one that the schema allows.
    pub fn toggle(&mut self) {
        self.state = match self.state {
            State::Omitted => State::Value,
            State::Value if self.spec.nullable => State::Null,
            State::Value | State::Null if self.required => State::Value,
            State::Value | State::Null => State::Omitted,
        };
        self.is_default = false;
    }

    /// The next or previous choice; the first or last one if nothing was chosen yet.
    pub fn choose(&mut self, step: isize) -> bool {
        let Kind::Choice(choices) = &self.spec.kind else {
            return false;
        };
        let count = choices.len().cast_signed();
        let chosen = match (&self.entry, self.state) {
            (Entry::Choice(index), State::Value) => {
                (index.cast_signed() + step).rem_euclid(count.max(1))
            }
            _ if step < 0 => count - 1,
            _ => 0,
        };
        self.entry = Entry::Choice(chosen.cast_unsigned());
        self.state = State::Value;
        self.is_default = false;
        true
    }

    /// The next choice whose label begins so.
    pub fn choose_by(&mut self, typed: char) {
        let Kind::Choice(choices) = &self.spec.kind else {
            return;
        };
        let begins = |label: &str| {
            let first = label.chars().next();
            first.is_some_and(|first| first.to_lowercase().eq(typed.to_lowercase()))
        };
        let from = match (&self.entry, self.state) {
            (Entry::Choice(index), State::Value) => index + 1,
            _ => 0,
        };
        let mut order = (0..choices.len()).map(|step| (from + step) % choices.len());
        if let Some(found) = order.find(|index| begins(&choices[*index].label)) {
            self.entry = Entry::Choice(found);
            self.state = State::Value;
            self.is_default = false;
        }
    }

    /// Whether it appears in the arguments. A number without digits is not there yet.
    pub fn is_sent(&self) -> bool {
        match self.state {
            State::Omitted => false,
            State::Null => true,
            State::Value => {
                self.is_text()
                    || self
                        .prompt()
                        .is_none_or(|prompt| !prompt.text().trim().is_empty())
            }
        }
    }

    /// Writes the value as JSON text, digit for digit. Only text with an error can be invalid JSON.
    pub fn write(&self, out: &mut String) {
        if self.state == State::Null {
            out.push_str("null");
            return;
        }
        match (&self.entry, &self.spec.kind) {
            (Entry::Text(prompt), Kind::Text(_)) => out.push_str(&quoted(prompt.text())),
            (Entry::Text(prompt) | Entry::Json(prompt), _) => out.push_str(prompt.text().trim()),
            (Entry::Choice(index), Kind::Choice(choices)) => {
                out.push_str(choices.get(*index).map_or("null", |choice| &choice.json));
            }
            (Entry::Choice(_), _) => out.push_str("null"),
            (Entry::List(items), _) => {
                let values = items.iter().filter(|item| item.is_sent());
                write_all(out, ['[', ']'], values, Field::write);
            }
            (Entry::Group(fields), _) => {
                let members = fields.iter().filter(|field| field.is_sent());
                write_all(out, ['{', '}'], members, |field, out| {
                    out.push_str(&quoted(&field.name));
                    out.push(':');
                    field.write(out);
                });
            }
        }
    }

    /// What is wrong with this field itself, not with those inside it.
    pub fn error(&self) -> Option<String> {
        match (self.state, &self.entry, &self.spec.kind) {
            (State::Omitted, ..) => self.required.then(|| "required".to_owned()),
            (State::Null, ..) => None,
            (_, Entry::Text(prompt), Kind::Text(rule)) => rule.error(prompt.text()),
            (_, Entry::Text(prompt), Kind::Number(rule)) => rule.error(prompt.text().trim()),
            (_, Entry::List(items), Kind::List { least, most, .. }) => {
                if items.len() < *least {
                    Some(format!("at least {}", plural(*least, "item")))
                } else {
                    let most = most.filter(|most| items.len() > *most)?;
                    Some(format!("at most {}", plural(most, "item")))
                }
            }
            (_, Entry::Json(prompt), kind) => json_error(prompt.text(), kind, &self.spec),
            _ => None,
        }
    }
}

fn write_all<'a>(
    out: &mut String,
    [open, close]: [char; 2],
    fields: impl Iterator<Item = &'a Field>,
    write: impl Fn(&Field, &mut String),
) {
    out.push(open);
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(field, out);
    }
    out.push(close);
}

fn blank(spec: &Spec) -> Entry {
    match &spec.kind {
        Kind::Text(_) | Kind::Number(_) => Entry::Text(Prompt::default()),
        Kind::Choice(_) => Entry::Choice(0),
        Kind::List { .. } => Entry::List(Vec::new()),
        Kind::Group(members) => {
            let field = |m: &Member| Field::new(m.name.clone(), m.spec.clone(), m.required);
            Entry::Group(members.iter().map(field).collect())
        }
        Kind::Json => Entry::Json(Prompt::default()),
    }
}

fn json_error(text: &str, kind: &Kind, spec: &Spec) -> Option<String> {
    if text.trim().is_empty() {
        return Some("empty: type JSON, or omit it".to_owned());
    }
    if let Err(error) = check(text) {
        return Some(format!("not JSON: {error}"));
    }
    let fits = match kind {
        Kind::Json => true,
        // A string that is no Unicode text (a lone surrogate) cannot be shown as such.
        Kind::Text(_) => text.trim_start().starts_with('"'),
        _ => false,
    };
    (!fits).then(|| format!("not {}", spec.words()))
}

fn equal(a: &str, b: &str) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    matches!((parse(a), parse(b)), (Some(a), Some(b)) if a == b)
}
