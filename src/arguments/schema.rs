//! From a JSON Schema, as servers really send them, to what a field accepts. What cannot be said as a
//! field is a field of JSON text: no schema is an error.

use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

/// Objects and lists nested deeper than this are JSON text; bounds recursive schemas, too.
const DEPTH: usize = 6;
/// `$ref`s followed for one schema before it is given up as circular.
const REFS: usize = 16;

/// What one argument may be.
#[derive(Debug)]
pub struct Spec {
    pub kind: Kind,
    pub nullable: bool,
    pub description: Option<Arc<str>>,
    /// JSON text.
    pub default: Option<String>,
}

#[derive(Debug)]
pub enum Kind {
    Text(TextRule),
    Number(NumberRule),
    /// `enum`, `const` and booleans.
    Choice(Vec<Choice>),
    List {
        item: Arc<Spec>,
        least: usize,
        most: Option<usize>,
    },
    Group(Vec<Member>),
    /// Any JSON.
    Json,
}

#[derive(Debug, Default)]
pub struct TextRule {
    pub shortest: usize,
    pub longest: Option<usize>,
    pub pattern: Option<Regex>,
    pub format: Option<String>,
}

#[derive(Debug)]
pub struct NumberRule {
    pub integer: bool,
    pub least: Option<Bound>,
    pub most: Option<Bound>,
}

/// The end of a range, with the digits that the schema has.
#[derive(Debug)]
pub struct Bound {
    pub value: f64,
    pub text: String,
    pub exclusive: bool,
}

#[derive(Debug)]
pub struct Choice {
    /// The value as JSON text.
    pub json: String,
    pub label: String,
}

/// A member of an object.
#[derive(Debug)]
pub struct Member {
    pub name: Arc<str>,
    pub required: bool,
    pub spec: Arc<Spec>,
}

impl Spec {
    /// What the arguments of a tool may be. A schema that is no object's gives a group without members.
    pub fn of_arguments(schema: &Value) -> Self {
        let reader = Reader { root: schema };
        let mut spec = reader.spec(schema, 0);
        if !matches!(spec.kind, Kind::Group(_)) {
            spec.kind = Kind::Group(Vec::new());
        }
        spec
    }

    /// Any JSON: for what a schema does not know.
    pub fn json() -> Self {
        Self {
            kind: Kind::Json,
            nullable: false,
            description: None,
            default: None,
        }
    }

    /// `integer 1..100`, `one of a, b, c`, `list of string`.
    pub fn words(&self) -> String {
        let words = match &self.kind {
            Kind::Text(rule) => rule.format.clone().unwrap_or_else(|| "string".to_owned()),
            Kind::Number(rule) => rule.words(),
            Kind::Choice(choices) if is_boolean(choices) => "true or false".to_owned(),
            Kind::Choice(choices) => {
                let labels: Vec<_> = choices.iter().map(|choice| &*choice.label).collect();
                format!("one of {}", labels.join(", "))
            }
            Kind::List { item, .. } => format!("list of {}", item.words()),
            Kind::Group(_) => "object".to_owned(),
            Kind::Json => "JSON".to_owned(),
        };
        if self.nullable {
            format!("{words} or null")
        } else {
            words
        }
    }
}

fn is_boolean(choices: &[Choice]) -> bool {
    choices
        .iter()
        .map(|choice| &*choice.json)
        .eq(["true", "false"])
}

impl NumberRule {
    fn words(&self) -> String {
        let kind = if self.integer { "integer" } else { "number" };
        let bound = |bound: &Option<Bound>| bound.as_ref().map(|b| b.text.clone());
        match (bound(&self.least), bound(&self.most)) {
            (Some(least), Some(most)) => format!("{kind} {least}…{most}"),
            (Some(least), None) => format!("{kind} from {least}"),
            (None, Some(most)) => format!("{kind} up to {most}"),
            (None, None) => kind.to_owned(),
        }
    }
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn spec(&self, schema: &Value, depth: usize) -> Spec {
        let (object, nullable) = self.plain(schema);
        let words = |key: &str| object.get(key).and_then(Value::as_str).map(Arc::from);
        Spec {
            kind: self.kind(&object, depth),
            nullable,
            description: words("description").or_else(|| words("title")),
            default: object.get("default").map(Value::to_string),
        }
    }

    /// One flat schema: references followed, `allOf` merged, null taken out of unions.
    fn plain(&self, schema: &Value) -> (Map<String, Value>, bool) {
        let mut object = schema.as_object().cloned().unwrap_or_default();
        let mut nullable = object.get("nullable") == Some(&Value::Bool(true));
        for _ in 0..REFS {
            if let Some(Value::String(reference)) = object.remove("$ref") {
                merge(&mut object, self.resolve(&reference));
            } else if let Some(Value::Array(parts)) = object.remove("allOf") {
                for part in &parts {
                    merge(&mut object, part.as_object());
                }
            } else if let Some((null, rest)) = take_null(&mut object) {
                nullable |= null;
                merge(&mut object, rest.as_ref().and_then(Value::as_object));
            } else {
                break;
            }
        }
        nullable |= take_null_type(&mut object);
        (object, nullable)
    }

    /// A local `$ref`: `#/$defs/Name`, `#/definitions/Name`, `#`.
    fn resolve(&self, reference: &str) -> Option<&Map<String, Value>> {
        self.root.pointer(reference.strip_prefix('#')?)?.as_object()
    }

    fn kind(&self, object: &Map<String, Value>, depth: usize) -> Kind {
        if let Some(choices) = choices(object) {
            return Kind::Choice(choices);
        }
        let has = |key: &str| object.contains_key(key);
        let named = object.get("type").and_then(Value::as_str);
        let guessed = match () {
            () if has("properties") => Some("object"),
            () if has("items") => Some("array"),
            () => None,
        };
        match named.or(guessed) {
            Some("string") => Kind::Text(text_rule(object)),
            Some(number @ ("integer" | "number")) => Kind::Number(NumberRule {
                integer: number == "integer",
                least: bound(object, "minimum", "exclusiveMinimum"),
                most: bound(object, "maximum", "exclusiveMaximum"),
            }),
            Some("boolean") => Kind::Choice(["true", "false"].map(Choice::plain).into()),
            Some("object") if depth < DEPTH => self.group(object, depth),
            Some("array") if depth < DEPTH => self.list(object, depth),
            _ => Kind::Json,
        }
    }

    fn group(&self, object: &Map<String, Value>, depth: usize) -> Kind {
        let Some(properties) = object.get("properties").and_then(Value::as_object) else {
            return Kind::Json;
        };
        if properties.is_empty() && depth > 0 {
            return Kind::Json;
        }
        let required = object.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|other| other == name));
        let members = properties.iter().map(|(name, schema)| Member {
            name: name.as_str().into(),
            required: is_required(name),
            spec: Arc::new(self.spec(schema, depth + 1)),
        });
        let mut members: Vec<_> = members.collect();
        members.sort_by_key(|member| !member.required);
        Kind::Group(members)
    }

    fn list(&self, object: &Map<String, Value>, depth: usize) -> Kind {
        let number = |key: &str| object.get(key).and_then(Value::as_u64);
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        match object.get("items") {
            Some(item @ Value::Object(_)) if !object.contains_key("prefixItems") => Kind::List {
                item: Arc::new(self.spec(item, depth + 1)),
                least: number("minItems").map_or(0, size),
                most: number("maxItems").map(size),
            },
            _ => Kind::Json,
        }
    }
}

impl Choice {
    fn plain(json: &str) -> Self {
        Self {
            json: json.to_owned(),
            label: json.to_owned(),
        }
    }
}

/// Adds what `object` does not say itself; properties and required names add up.
fn merge(object: &mut Map<String, Value>, other: Option<&Map<String, Value>>) {
    for (key, value) in other.into_iter().flatten() {
        match (object.get_mut(key), value) {
            (None, _) => {
                object.insert(key.clone(), value.clone());
            }
            (Some(Value::Object(mine)), Value::Object(theirs)) if key == "properties" => {
                for (name, schema) in theirs {
                    mine.entry(name).or_insert_with(|| schema.clone());
                }
            }
            (Some(Value::Array(mine)), Value::Array(theirs)) if key == "required" => {
                mine.extend(theirs.iter().cloned());
            }
            _ => {}
        }
    }
}

/// If there is a union of null, or of one schema, or both: whether null is in it, and that schema.
fn take_null(object: &mut Map<String, Value>) -> Option<(bool, Option<Value>)> {
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(variants)) = object.get_mut(key) else {
            continue;
        };
        let before = variants.len();
        variants.retain(|variant| variant.get("type").and_then(Value::as_str) != Some("null"));
        let null = variants.len() < before;
        if variants.len() <= 1 {
            let rest = variants.pop();
            object.remove(key);
            return Some((null, rest));
        }
        if null {
            return Some((true, None));
        }
    }
    None
}

/// `type: [T, "null"]` becomes `type: T`; an `enum` loses its null.
fn take_null_type(object: &mut Map<String, Value>) -> bool {
    let mut nullable = false;
    if let Some(Value::Array(types)) = object.get_mut("type") {
        let before = types.len();
        types.retain(|name| name != "null");
        nullable = types.len() < before;
        let single = (types.len() == 1).then(|| types.remove(0));
        match single {
            Some(single) => object.insert("type".to_owned(), single),
            None => object.remove("type"),
        };
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        let before = values.len();
        values.retain(|value| !value.is_null());
        nullable |= values.len() < before;
    }
    nullable
}

/// The values of `enum`, of `const`, or of a union of nothing but constants.
fn choices(object: &Map<String, Value>) -> Option<Vec<Choice>> {
    let choice = |value: &Value, title: Option<&str>| {
        let label = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        Choice {
            json: value.to_string(),
            label: title.map_or(label.clone(), |title| format!("{label} ({title})")),
        }
    };
    if let Some(value) = object.get("const") {
        return Some(vec![choice(value, None)]);
    }
    if let Some(values) = object.get("enum").and_then(Value::as_array) {
        let all = values.iter().map(|value| choice(value, None));
        return Some(all.collect()).filter(|all: &Vec<_>| !all.is_empty());
    }
    let variants = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| object.get(*key)?.as_array())?;
    let constant = |variant: &Value| {
        let title = variant.get("title").and_then(Value::as_str);
        variant.get("const").map(|value| choice(value, title))
    };
    variants.iter().map(constant).collect()
}

fn text_rule(object: &Map<String, Value>) -> TextRule {
    let number = |key: &str| object.get(key).and_then(Value::as_u64);
    let words = |key: &str| object.get(key).and_then(Value::as_str);
    TextRule {
        shortest: number("minLength").map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        longest: number("maxLength").map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        // ECMAScript expressions that this engine does not know are left to the server.
        pattern: words("pattern").and_then(|pattern| Regex::new(pattern).ok()),
        format: words("format").map(str::to_owned),
    }
}

fn bound(object: &Map<String, Value>, inclusive: &str, exclusive: &str) -> Option<Bound> {
    let read = |key: &str, exclusive: bool| {
        let number = object.get(key)?.as_number()?;
        Some(Bound {
            value: number.as_f64()?,
            text: number.to_string(),
            exclusive,
        })
    };
    // Draft 4 says `exclusiveMinimum: true` beside `minimum`.
    let old = object.get(exclusive) == Some(&Value::Bool(true));
    read(exclusive, true).or_else(|| read(inclusive, old))
}
