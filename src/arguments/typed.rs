//! Arguments as words of a command line, `city=Oslo days=3 address:='{"zip": 1}'`, made the JSON that the
//! tool's schema asks for.

use serde_json::Value;

use super::json_text::{Items, Members, check, compact, quoted};
use super::rules::is_number;
use super::schema::{Choice, Kind, Member, Spec};
use crate::nearest::nearest;

/// One argument as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    pub name: &'a str,
    pub value: Written<'a>,
}

/// A value as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// `name=text`: of the type that the schema says.
    Text(&'a str),
    /// `name:=json`: as it is.
    Json(&'a str),
}

impl<'a> Given<'a> {
    /// Takes `name=text` or `name:=json` apart; `None` if it is neither.
    pub fn parse(word: &'a str) -> Option<Self> {
        let (name, value) = word.split_once('=')?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => (name, Written::Json(value)),
            None => (name, Written::Text(value)),
        };
        (!name.is_empty()).then_some(Self { name, value })
    }
}

/// The JSON object that `given` says for a tool with this input schema, or all that is wrong, a line each that
/// begins with the name of the argument.
pub fn arguments(given: &[Given], schema: &Value) -> Result<String, Vec<String>> {
    let spec = Spec::of_arguments(schema);
    let members = match &spec.kind {
        Kind::Group(members) => &members[..],
        _ => &[],
    };
    let mut problems = Vec::new();
    let mut said: Vec<(&str, String)> = Vec::new();
    for name in names(given) {
        let values: Vec<_> = given.iter().filter(|one| one.name == name).collect();
        let values: Vec<_> = values.iter().map(|one| one.value).collect();
        let any = Spec::json();
        let known = members.iter().find(|member| *member.name == *name);
        let value = match known {
            Some(member) => value(&values, &member.spec),
            None if is_open(schema) => value(&values, &any),
            None => Err(unknown(name, members)),
        };
        match value {
            Ok(json) => said.push((name, json)),
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    for member in members {
        if member.required && !given.iter().any(|one| *one.name == *member.name) {
            match &member.spec.default {
                Some(default) => said.push((&member.name, default.clone())),
                None => problems.push(missing(member)),
            }
        }
    }
    if problems.is_empty() {
        let said = said
            .iter()
            .map(|(name, json)| format!("{}:{json}", quoted(name)));
        Ok(format!("{{{}}}", said.collect::<Vec<_>>().join(",")))
    } else {
        Err(problems)
    }
}

/// Each name once, in the order of their first use.
fn names<'a>(given: &[Given<'a>]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for one in given {
        if !names.contains(&one.name) {
            names.push(one.name);
        }
    }
    names
}

/// Whether it takes arguments that it does not name. JSON Schema says yes unless told otherwise, but a name
/// beside a list of names is a typo nine times of ten.
fn is_open(schema: &Value) -> bool {
    let named = schema.get("properties").and_then(Value::as_object);
    match schema.get("additionalProperties") {
        Some(additional) => *additional != Value::Bool(false),
        None => named.is_none_or(serde_json::Map::is_empty),
    }
}

fn unknown(name: &str, members: &[Member]) -> String {
    let names: Vec<_> = members.iter().map(|member| &*member.name).collect();
    let hint = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None if names.is_empty() => "it takes none".to_owned(),
        None => format!("there are {}", names.join(", ")),
    };
    format!("no such argument; {hint}")
}

fn missing(member: &Member) -> String {
    let words = member.spec.words();
    match &member.spec.description {
        Some(description) => {
            let first = description.lines().next().unwrap_or_default();
            format!("{}: required ({words}): {first}", member.name)
        }
        None => format!("{}: required ({words})", member.name),
    }
}

/// The JSON text of one argument, however often it was given.
fn value(written: &[Written], spec: &Spec) -> Result<String, String> {
    match (written, &spec.kind) {
        ([Written::Json(json)], _) => match check(json) {
            Ok(()) => Ok(compact(json)),
            Err(error) => Err(format!("not JSON: {error}")),
        },
        ([Written::Text(text)], Kind::List { .. }) if is_array(text) => Ok(compact(text)),
        (several, Kind::List { item, .. }) => {
            let items: Result<Vec<_>, _> = several
                .iter()
                .map(|one| value(std::slice::from_ref(one), item))
                .collect();
            Ok(format!("[{}]", items?.join(",")))
        }
        ([Written::Text(text)], _) => single(text, spec),
        _ => Err("given more than once, and it is no list".to_owned()),
    }
}

fn single(text: &str, spec: &Spec) -> Result<String, String> {
    let checked = |json: String, problem: Option<String>| match problem {
        None => Ok(json),
        Some(problem) => Err(format!("{problem} ({})", spec.words())),
    };
    match &spec.kind {
        Kind::Text(rule) => checked(quoted(text), rule.error(text)),
        // To a string `null` is a text like others.
        _ if spec.nullable && text == "null" => Ok("null".to_owned()),
        Kind::Number(rule) => checked(text.trim().to_owned(), rule.error(text.trim())),
        Kind::Choice(choices) => choice(text, choices),
        Kind::Group(_) => match serde_json::from_str::<Members>(text) {
            Ok(_) => Ok(compact(text)),
            Err(error) => Err(format!("not a JSON object: {error}")),
        },
        Kind::List { .. } | Kind::Json => Ok(open(text)),
    }
}

/// Where the schema leaves the type open: JSON if it is some, else a text.
fn open(text: &str) -> String {
    match check(text) {
        Ok(()) => compact(text),
        Err(_) => quoted(text),
    }
}

fn choice(text: &str, choices: &[Choice]) -> Result<String, String> {
    let is_meant = |choice: &&Choice| {
        let number = is_number(text) && is_number(&choice.json);
        let equal = || text.parse::<f64>().ok() == choice.json.parse::<f64>().ok();
        choice.json == quoted(text) || choice.json == text || number && equal()
    };
    if let Some(choice) = choices.iter().find(is_meant) {
        return Ok(choice.json.clone());
    }
    let labels: Vec<_> = choices.iter().map(|choice| &*choice.label).collect();
    Err(format!("must be one of {}", labels.join(", ")))
}

fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[') && serde_json::from_str::<Items>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "minLength": 2, "description": "Any name.\nReally." },
                "days": { "type": "integer", "minimum": 1, "maximum": 14 },
                "share": { "type": ["number", "null"] },
                "units": { "enum": ["metric", "imperial"] },
                "size": { "enum": [1, 2.5] },
                "gift": { "type": "boolean" },
                "tags": { "type": "array", "items": { "type": "string" } },
                "sizes": { "type": "array", "items": { "type": "number" } },
                "address": { "type": "object", "properties": { "zip": { "type": "string" } } },
                "coupon": { "anyOf": [{ "type": "string" }, { "type": "null" }] },
                "any": {},
                "level": { "type": "string", "default": "low" }
            },
            "required": ["city", "level"],
            "additionalProperties": false
        })
    }

    fn read(words: &[&str]) -> Result<String, Vec<String>> {
        let given: Vec<_> = words.iter().filter_map(|word| Given::parse(word)).collect();
        assert_eq!(given.len(), words.len());
        arguments(&given, &schema())
    }

    #[track_caller]
    fn gives(word: &str, json: &str) {
        let expected = format!(r#"{{"city":"Oslo",{json},"level":"low"}}"#);
        assert_eq!(read(&["city=Oslo", word]), Ok(expected), "{word}");
    }

    #[track_caller]
    fn complains(word: &str, about: &str) {
        let problems = read(&["city=Oslo", word]).expect_err(word);
        assert_eq!(problems, [about], "{word}");
    }

    #[test]
    fn a_word_is_a_name_and_a_text_or_json() {
        let text = |name, value| {
            Some(Given {
                name,
                value: Written::Text(value),
            })
        };
        assert_eq!(Given::parse("a=b=c"), text("a", "b=c"));
        assert_eq!(Given::parse("a="), text("a", ""));
        assert_eq!(Given::parse("a:b=c"), text("a:b", "c"));
        let json = Given {
            name: "a",
            value: Written::Json("[1]"),
        };
        assert_eq!(Given::parse("a:=[1]"), Some(json));
        for word in ["a", "", "=b", ":=b", "-"] {
            assert_eq!(Given::parse(word), None, "{word}");
        }
    }

    #[test]
    fn values_get_the_type_that_the_schema_says() {
        for (word, json) in [
            ("days=3", r#""days":3"#),
            ("days=14.0", r#""days":14.0"#),
            (
                "share=0.10000000000000000001",
                r#""share":0.10000000000000000001"#,
            ),
            ("share=null", r#""share":null"#),
            ("units=metric", r#""units":"metric""#),
            ("size=2.50", r#""size":2.5"#),
            ("gift=true", r#""gift":true"#),
            ("tags=one", r#""tags":["one"]"#),
            ("tags=[a-z]", r#""tags":["[a-z]"]"#),
            (r#"tags=["a", "b"]"#, r#""tags":["a","b"]"#),
            ("sizes=1", r#""sizes":[1]"#),
            (r#"address={"zip": "0150"}"#, r#""address":{"zip":"0150"}"#),
            (r#"address:={"zip":  150}"#, r#""address":{"zip":150}"#),
            ("coupon=null", r#""coupon":"null""#),
            ("coupon:=null", r#""coupon":null"#),
            ("any=5", r#""any":5"#),
            ("any=five", r#""any":"five""#),
            ("any=\"\u{1b}[2J", r#""any":"\"\u001b[2J""#),
        ] {
            gives(word, json);
        }
    }

    #[test]
    fn a_list_is_given_by_repetition_in_its_place() {
        let read = read(&["tags=b", "city=Oslo", "tags=a", "sizes:=[1]", "level=x"]);
        let expected = r#"{"tags":["b","a"],"city":"Oslo","sizes":[1],"level":"x"}"#;
        assert_eq!(read.as_deref(), Ok(expected));
    }

    #[test]
    fn a_problem_names_its_argument_and_what_would_be_right() {
        for (word, about) in [
            ("days=x", "days: not an integer (integer 1…14)"),
            ("days=15", "days: at most 14 (integer 1…14)"),
            (
                "days=",
                "days: empty: type digits, or omit it (integer 1…14)",
            ),
            ("units=metrical", "units: must be one of metric, imperial"),
            ("gift=yes", "gift: must be one of true, false"),
            ("sizes=big", "sizes: not a number (number)"),
            (
                "days:=3 3",
                "days: not JSON: trailing characters at line 1 column 3",
            ),
            ("dayz=3", "dayz: no such argument; did you mean days?"),
            (
                "city=Bergen",
                "city: given more than once, and it is no list",
            ),
        ] {
            complains(word, about);
        }
        complains(
            "address=Oslo",
            "address: not a JSON object: expected value at line 1 column 1",
        );
    }

    #[test]
    fn all_problems_are_told_at_once_also_what_is_missing() {
        let problems = read(&["days=x", "tag=1"]).expect_err("three problems");
        assert_eq!(
            problems,
            [
                "days: not an integer (integer 1…14)",
                "tag: no such argument; did you mean tags?",
                "city: required (string): Any name.",
            ]
        );
    }

    #[test]
    fn other_names_are_fine_where_the_schema_names_none_or_says_so() {
        let given = [Given::parse("x=1").expect("an argument")];
        for open in [
            json!({}),
            json!(null),
            json!({"type": "object", "properties": {}}),
            json!({"properties": {"y": {}}, "additionalProperties": true}),
        ] {
            assert_eq!(
                arguments(&given, &open).as_deref(),
                Ok(r#"{"x":1}"#),
                "{open}"
            );
        }
        for closed in [
            json!({"properties": {"y": {}}}),
            json!({"additionalProperties": false}),
        ] {
            assert!(arguments(&given, &closed).is_err(), "{closed}");
        }
    }
}
