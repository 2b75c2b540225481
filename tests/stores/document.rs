//! A document agrees with `serde_json` on any JSON, and bears any other bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envdeck::stores::background::Background;
use envdeck::stores::document::{Child, Document, Kind, Lazy};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

fn document(json: impl Into<Bytes>) -> Arc<Document> {
    Arc::new(Document::new(json.into(), Background::capture()))
}

/// The answer of a document that has no runtime: it computes on the spot.
fn now<T>(lazy: Lazy<T>) -> T {
    lazy.ready()
        .expect("without a runtime everything is computed on the spot")
}

fn text(document: &Arc<Document>, range: &std::ops::Range<usize>) -> String {
    String::from_utf8(now(document.text(range)).bytes().to_vec()).unwrap()
}

/// The tree that walking through `children` gives.
fn tree(document: &Arc<Document>, node: &Child) -> Value {
    let children = || {
        now(document.children(&node.value))
            .iter()
            .collect::<Vec<_>>()
    };
    let scalar = || serde_json::from_slice(&document.bytes()[node.value.clone()]).unwrap();
    let value: Value = match node.kind {
        Kind::Object => {
            let member = |child: &Child| {
                (
                    text(document, child.key.as_ref().unwrap()),
                    tree(document, child),
                )
            };
            Value::Object(children().iter().map(member).collect::<Map<_, _>>())
        }
        Kind::Array => children()
            .iter()
            .map(|child| tree(document, child))
            .collect(),
        Kind::String => Value::String(text(document, &node.value)),
        _ => scalar(),
    };
    let is_right = matches!(
        (&value, node.kind),
        (Value::Object(_), Kind::Object)
            | (Value::Array(_), Kind::Array)
            | (Value::String(_), Kind::String)
            | (Value::Number(_), Kind::Number)
            | (Value::Bool(_), Kind::Bool)
            | (Value::Null, Kind::Null)
    );
    assert!(is_right, "{:?} is not {:?}", value, node.kind);
    value
}

fn json() -> impl Strategy<Value = Value> {
    let string = || "[ -~\n\té日🦀\u{0}\u{7f}]{0,12}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| Number::from_f64(number).map_or(Value::Null, Value::Number)),
        string().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 100, 8, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(string(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn print(value: &Value, is_pretty: bool) -> String {
    if is_pretty {
        format!(" {value:#}\r\n")
    } else {
        value.to_string()
    }
}

/// Everything that can be asked about every member; returns how many there are.
fn ask_everything(document: &Arc<Document>, node: &Child, depth: usize) -> usize {
    let children = now(document.children(&node.value));
    let lined = now(document.text(&node.value));
    for line in 0..=lined.len() {
        lined.line(line);
        lined.part(line, &(1..5));
    }
    document.excerpt(&node.value, 5);
    now(document.embedded(&node.value));
    if depth == 0 {
        return 1;
    }
    children
        .iter()
        .map(|child| ask_everything(document, &child, depth - 1))
        .sum::<usize>()
        + 1
}

proptest! {
    #[test]
    fn the_tree_equals_that_of_serde_json(value in json(), is_pretty in any::<bool>()) {
        let text = print(&value, is_pretty);
        let wanted: Value = serde_json::from_str(&text).unwrap();
        let document = document(text);
        prop_assert_eq!(tree(&document, &document.root()), wanted);
    }

    #[test]
    fn a_path_leads_to_every_member(value in json(), is_pretty in any::<bool>()) {
        let document = document(print(&value, is_pretty));
        let mut open = vec![(Vec::new(), document.root())];
        while let Some((path, node)) = open.pop() {
            for offset in [node.start(), node.value.start, node.value.end - 1] {
                let found = now(document.path_to(offset));
                // The closing bracket of a container may lead to its last member.
                prop_assert!(found.starts_with(&path), "{:?} {:?} at {} of {:?}", found, path, offset, document.bytes());
            }
            prop_assert_eq!(&*now(document.path_to(node.value.start)), &*path);
            let children = now(document.children(&node.value));
            open.extend(children.iter().enumerate().map(|(index, child)| ([&*path, &[index]].concat(), child)));
        }
    }

    #[test]
    fn damaged_json_never_panics_and_members_stay_in_order(
        value in json(),
        damage in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"{}[]\",:\\u"[..])]), 1..6),
        cut in any::<prop::sample::Index>(),
        offset in any::<usize>(),
    ) {
        let mut bytes = value.to_string().into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut.index(bytes.len()));
        let document = document(bytes);
        ask_everything(&document, &document.root(), 6);
        now(document.path_to(offset % (document.bytes().len() + 2)));
        let root = document.root().value;
        let members: Vec<Child> = now(document.children(&root)).iter().collect();
        prop_assert!(members.windows(2).all(|two| two[0].value.end <= two[1].start()));
        prop_assert!(members.iter().all(|child| child.start() > root.start && child.value.end <= root.end));
    }

    #[test]
    fn any_range_is_borne(bytes in vec(any::<u8>(), 0..40), start in any::<usize>(), end in 0..60_usize) {
        let document = document(bytes);
        for range in [start..end, start % 60..end, end..start] {
            let kind = Kind::String;
            ask_everything(&document, &Child { key: None, value: range, kind }, 2);
        }
    }

    #[test]
    fn find_agrees_with_a_plain_search(hay in "[abAB]{0,40}", needle in "[abAB]{1,3}", from in 0..45_usize) {
        let (lower, wanted) = (hay.to_lowercase(), needle.to_lowercase());
        let starts: Vec<usize> = (0..hay.len()).filter(|at| lower[*at..].starts_with(&wanted)).collect();
        let next = starts.iter().find(|at| **at >= from).or(starts.first()).copied();
        let previous = starts.iter().rev().find(|at| **at < from).or(starts.last()).copied();
        let document = document(hay);
        prop_assert_eq!(now(document.find(&needle, from, true)), next);
        prop_assert_eq!(now(document.find(&needle, from, false)), previous);
    }
}

#[test]
fn malformed_text_hides_nothing() {
    let shown = |json: &'static str| {
        let document = document(json);
        let children = now(document.children(&document.root().value));
        let show = |child: Child| json[child.start()..child.value.end].to_owned();
        children.iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(shown("[1 2, 3]"), ["1", "2, 3"]);
    assert_eq!(shown("[1,,2]"), ["1", ",2"]);
    assert_eq!(shown("[1,"), ["1"]);
    assert_eq!(shown(r#"{"a":1, oops}"#), [r#""a":1"#, "oops"]);
    assert_eq!(shown(r#"{"a":1,"b"}"#), [r#""a":1"#, r#""b""#]);
    assert_eq!(shown(r#"{"a":"unfinished"#), [r#""a":"unfinished"#]);
    assert_eq!(shown(r#"{"a":[1,{"b":2"#), [r#""a":[1,{"b":2"#]);
    assert!(
        shown("").is_empty()
            && shown("[]").is_empty()
            && shown("{").is_empty()
            && shown("12").is_empty()
    );
}

#[test]
fn a_hundred_thousand_levels_do_not_overflow_the_stack() {
    const LEVELS: usize = 100_000;
    let json = format!("{}1{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    let nested = document(json.clone());
    let mut node = nested.root();
    for _ in 0..100 {
        node = now(nested.children(&node.value)).get(0).unwrap();
    }
    assert_eq!(node.value, 100..2 * LEVELS + 1 - 100);
    assert_eq!(now(nested.path_to(LEVELS)).len(), LEVELS);
    let text = document(Value::from(json).to_string());
    assert!(now(text.embedded(&text.root().value)).is_some());
}

#[test]
fn json_in_a_string_is_a_document_of_its_own() {
    let embedded = |text: &str| {
        let document = document(Value::from(text).to_string());
        now(document.embedded(&document.root().value)).map(|inner| tree(&inner, &inner.root()))
    };
    assert_eq!(
        embedded(" {\"a\": \"b\\n\"}\n"),
        Some(serde_json::json!({"a": "b\n"}))
    );
    assert_eq!(embedded("[1]"), Some(serde_json::json!([1])));
    for text in ["[1] and more", "{", "12", "plain", ""] {
        assert_eq!(embedded(text), None, "{text}");
    }
    let number = document("[12]");
    assert!(
        now(number.embedded(&(0..4))).is_none(),
        "only strings embed"
    );
}

#[tokio::test]
async fn a_large_document_is_looked_at_in_the_background() {
    let background = Background::capture();
    let row = r#"{"id":1,"text":"line\nline"},"#;
    let json = format!("[{}null]", row.repeat(700_000));
    let document = Arc::new(Document::new(json.into(), background.clone()));
    let root = document.root().value;
    assert_eq!(document.find("NULL", 0, true), Lazy::Pending);
    assert!(matches!(document.children(&root), Lazy::Pending));
    let ready = async {
        loop {
            let found = document.find("NULL", 0, true).ready();
            if let (Some(children), Some(found)) = (document.children(&root).ready(), found) {
                return (children, found);
            }
            background.done().await;
        }
    };
    let (children, found) = tokio::time::timeout(Duration::from_secs(60), ready)
        .await
        .unwrap();
    assert_eq!(children.len(), 700_001);
    let last = children.get(700_000).unwrap();
    assert_eq!((last.kind, last.value.start), (Kind::Null, found.unwrap()));
    assert_eq!(children.get(699_999).unwrap().value.len(), row.len() - 1);
    assert!(children.get(700_001).is_none());
}
