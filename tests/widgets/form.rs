//! Tools and Call: choose, fill in, send.

use envdeck::console::effect::Effect;
use envdeck::console::msg::{Done, Msg};
use envdeck::console::testing::Harness;
use serde_json::{Value, json};

use crate::fixture::{calls, copies, ready, tool, with_tools};

fn everything() -> Value {
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "description": "What to read" },
            "lines": { "type": "integer", "minimum": 1, "maximum": 100 },
            "factor": { "anyOf": [{ "type": "number" }, { "type": "null" }], "default": null },
            "mode": { "enum": ["fast", "slow", "exact"], "default": "slow" },
            "dry": { "type": "boolean" },
            "tags": { "type": "array", "items": { "type": "string", "minLength": 2 } },
            "home": { "$ref": "#/$defs/Home" },
            "extra": { "oneOf": [{ "type": "object" }, { "type": "array" }] }
        },
        "required": ["path", "dry"],
        "$defs": {
            "Home": {
                "type": "object",
                "properties": { "street": { "type": "string" }, "zip": { "type": ["string", "null"] } },
                "required": ["street"]
            }
        }
    })
}

/// The form of one tool of a ready instance, with the focus.
fn form(schema: Value) -> Harness {
    ready(with_tools(80, 24, vec![tool("work", schema)])).press("4z")
}

fn sent(harness: Harness) -> Option<String> {
    calls(&harness.press("<ctrl+s>")).pop()
}

#[test]
fn the_form_shows_what_a_schema_says() {
    insta::assert_snapshot!(form(everything()).screen(), @r#"
     envdeck  test                                              1 inst 1●   calls 0
    ┌ 4 Call ─ work ───────────────────────────────────────────────────────────────┐
    │> path*    –  string                                                          │
    │  dry*     –  true or false                                                   │
    │  lines    –  integer 1…100                                                   │
    │  factor   –  number or null                                                  │
    │  mode     slow  default                                                      │
    │  tags     –  list of string                                                  │
    │  home     –  object                                                          │
    │  extra    –  JSON                                                            │
    │                                                                              │
    │  path: What to read                                                          │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
     ctrl+s send  enter open  ctrl+o omit/null  f2 form/JSON  q back  ? help
    "#);
}

#[test]
fn select_enter_type_and_send() {
    let harness = ready(with_tools(
        120,
        36,
        vec![tool("other", json!({})), tool("work", everything())],
    ))
    .press("3j<enter>/tmp/x<tab> <ctrl+s>");
    assert_eq!(
        calls(&harness),
        [r#"{"path":"/tmp/x","dry":true,"mode":"slow"}"#]
    );
}

#[test]
fn every_digit_is_kept() {
    let schema = json!({ "properties": { "n": { "type": "integer" }, "x": { "type": "number" } } });
    let harness = form(schema).press("<enter>9007199254740993<enter>1e400");
    assert_eq!(
        sent(harness).unwrap(),
        r#"{"n":9007199254740993,"x":1e400}"#
    );
}

#[test]
fn omitted_null_and_the_empty_string_differ_and_show() {
    let schema = json!({ "properties": { "a": { "type": ["string", "null"] } } });
    let harness = form(schema);
    assert!(
        harness.screen().contains("a   –  string or null"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<ctrl+s>4<ctrl+o>");
    assert!(
        harness.screen().contains("a   \"\""),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<ctrl+s>4<ctrl+o>");
    assert!(
        harness.screen().contains("a   null"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<ctrl+s>4<ctrl+o><ctrl+s>4");
    assert_eq!(
        calls(&harness),
        ["{}", r#"{"a":""}"#, r#"{"a":null}"#, "{}"]
    );
    // Deleting the last character leaves the empty string; one more omits it.
    let harness = harness.press("<enter>x<backspace>");
    let once = calls(&harness.press("<ctrl+s>")).pop().unwrap();
    assert_eq!(once, r#"{"a":""}"#);
}

#[test]
fn typing_again_after_null_does_not_lose_the_text() {
    let schema = json!({ "properties": { "a": { "type": ["string", "null"] } } });
    let harness = form(schema).press("<enter>kept<esc><ctrl+o><ctrl+o><ctrl+o>");
    assert_eq!(sent(harness).unwrap(), r#"{"a":"kept"}"#);
}

#[test]
fn choices_turn_with_the_arrows_and_toggles_with_space() {
    let schema = json!({
        "properties": {
            "mode": { "enum": ["fast", "slow", 3, null] },
            "dry": { "type": "boolean" },
            "kind": { "const": "fixed" }
        },
        "required": ["kind"]
    });
    let harness = form(schema).press("j<right><right><right>j<space><space>");
    assert_eq!(
        sent(harness).unwrap(),
        r#"{"kind":"fixed","mode":3,"dry":false}"#
    );
}

#[test]
fn list_items_come_and_go() {
    let schema =
        json!({ "properties": { "tags": { "type": "array", "items": { "type": "string" } } } });
    let harness = form(schema).press("<ctrl+n>one<ctrl+n>two<ctrl+n>three<up><ctrl+k>");
    insta::assert_snapshot!(rows(&harness, 3), @r#"
      tags   [2]
        0    one
    >   1    three
    "#);
    assert_eq!(sent(harness).unwrap(), r#"{"tags":["one","three"]}"#);
}

#[test]
fn a_nested_object_is_a_group() {
    let harness = form(everything()).press("<enter>p<esc>jt<right>");
    let mut harness = harness;
    for _ in 0..5 {
        harness = harness.press("j");
    }
    let harness = harness.press("<enter>j<enter>Main St<esc>");
    insta::assert_snapshot!(harness.screen(), @r#"
     envdeck  test                                              1 inst 1●   calls 0
    ┌ 4 Call ─ work ───────────────────────────────────────────────────────────────┐
    │  path*      p                                                                │
    │  dry*       true                                                             │
    │  lines      –  integer 1…100                                                 │
    │  factor     –  number or null                                                │
    │  mode       slow  default                                                    │
    │  tags       –  list of string                                                │
    │  home                                                                        │
    │>   street*  Main St                                                          │
    │    zip      –  string or null                                                │
    │  extra      –  JSON                                                          │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
     ctrl+s send  enter open  ctrl+o omit/null  f2 form/JSON  q back  ? help
    "#);
    assert_eq!(
        sent(harness).unwrap(),
        r#"{"path":"p","dry":true,"mode":"slow","home":{"street":"Main St"}}"#
    );
}

#[test]
fn errors_show_on_their_row_while_typing_and_block_sending() {
    let harness = form(everything()).press("jj<enter>0");
    assert!(
        row(&harness, "lines").ends_with("✖ at least 1"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<backspace>x");
    assert!(
        row(&harness, "lines").ends_with("✖ not an integer"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<ctrl+s>");
    assert_eq!(calls(&harness), Vec::<String>::new());
    assert!(
        harness.screen().contains("not sent: path: required"),
        "{}",
        harness.screen()
    );
    assert!(
        row(&harness, "> path").contains("✖ required"),
        "{}",
        harness.screen()
    );
}

#[test]
fn rules_of_the_schema_are_checked() {
    let cases = [
        (
            json!({ "type": "string", "pattern": "^a+$" }),
            "ab",
            "does not match ^a+$",
        ),
        (
            json!({ "type": "string", "minLength": 3 }),
            "日本",
            "at least 3 characters",
        ),
        (
            json!({ "type": "string", "maxLength": 1 }),
            "ab",
            "at most 1 character",
        ),
        (
            json!({ "type": "number", "exclusiveMaximum": 1.5 }),
            "1.5",
            "less than 1.5",
        ),
        (
            json!({ "type": "integer", "maximum": 9_007_199_254_740_992_u64 }),
            "9007199254740993",
            "at most 9007199254740992",
        ),
        (json!({ "type": "integer" }), "1.5", "not an integer"),
        (json!({ "type": "number" }), "01", "not a number"),
        (json!({}), "{", "not JSON: EOF"),
    ];
    for (schema, typed, expected) in cases {
        let harness = form(json!({ "properties": { "a": schema } })).press("<enter>");
        let harness = harness.paste(typed);
        assert!(
            row(&harness, "> a").contains(expected),
            "{}",
            row(&harness, "> a")
        );
    }
}

#[test]
fn raw_json_and_back_keeps_everything() {
    let text = r#"{"path":"p\u00e9","unknown":[1e400, 2],"dry":false,"lines":9007199254740993}"#;
    let harness = form(everything()).press("<f2>");
    assert!(harness.screen().contains("a JSON object, sent as typed"));
    let mut harness = harness.press("<enter><down><end>");
    harness.send(Msg::Done(Done::Edited(Ok(String::new()))));
    let harness = replace_raw(harness, text);
    let harness = harness.press("<f2>");
    assert!(
        row(&harness, "unknown?").contains("[1e400,2]  not in the schema"),
        "{}",
        harness.screen()
    );
    assert!(row(&harness, "lines").contains("✖ at most 100"));
    let harness = harness.press("<f2><ctrl+s>");
    let arguments: Value =
        serde_json::from_str(&calls(&harness).pop().unwrap().replace("1e400", "7")).unwrap();
    assert_eq!(
        arguments,
        json!({ "path": "pé", "dry": false, "lines": 9_007_199_254_740_993_u64, "unknown": [7, 2] })
    );
}

/// Selects nothing, so it clears line by line.
fn replace_raw(mut harness: Harness, text: &str) -> Harness {
    for _ in 0..40 {
        harness = harness.press("<up>");
    }
    harness = harness.press("<home>");
    for _ in 0..200 {
        harness = harness.press("<delete>");
    }
    harness.paste(text)
}

#[test]
fn invalid_json_stays_as_it_was_typed_with_its_place() {
    let harness = replace_raw(
        form(everything()).press("<f2><enter>"),
        "{\n  \"path\": oops }",
    );
    assert!(
        harness
            .screen()
            .contains("✖ expected value at line 2 column 11"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<f2>");
    assert!(
        harness.screen().contains("not a form yet"),
        "{}",
        harness.screen()
    );
    assert!(
        harness.screen().contains("  \"path\": oops }"),
        "{}",
        harness.screen()
    );
    assert_eq!(sent(harness), None);
}

#[test]
fn a_value_of_another_type_is_shown_as_wrong_not_lost() {
    let schema = json!({ "properties": { "a": { "type": "string" }, "b": { "type": "integer" } } });
    let harness = form(schema).paste(r#"{"a": {"x": 1}, "b": "7"}"#);
    assert!(
        harness.screen().contains("filled 2 fields"),
        "{}",
        harness.screen()
    );
    assert!(
        row(&harness, "> a").contains(r#"{"x":1}  ✖ not string"#),
        "{}",
        harness.screen()
    );
    let harness = harness.press("<f2>");
    assert!(harness.screen().contains(r#""x": 1"#));
}

#[test]
fn the_editor_gets_the_json_and_its_text_comes_back() {
    let schema = json!({ "properties": { "a": { "type": "string" } } });
    let mut harness = form(schema).press("<enter>one<esc><f4>");
    let asked = harness.effects.last().unwrap().clone();
    let text = "{\n  \"a\": \"one\"\n}".to_owned();
    assert_eq!(
        asked,
        Effect::Edit {
            text,
            suffix: ".json"
        }
    );
    harness.send(Msg::Done(Done::Edited(Ok("{\"a\": \"two\"}\n".to_owned()))));
    assert_eq!(sent(harness).unwrap(), r#"{"a":"two"}"#);
}

#[test]
fn a_text_being_typed_goes_to_the_editor_alone() {
    let schema = json!({ "properties": { "a": { "type": "string" } } });
    let mut harness = form(schema).press("<enter>one<f4>");
    harness.send(Msg::Done(Done::Edited(Ok("one\ntwo\n".to_owned()))));
    assert_eq!(sent(harness).unwrap(), r#"{"a":"one\ntwo"}"#);
}

#[test]
fn pasted_lines_stay_lines_in_a_text() {
    let schema = json!({ "properties": { "a": { "type": "string" } } });
    let harness = form(schema).press("<enter>").paste("one\n\ttwo");
    assert!(
        row(&harness, "> a").contains("one␊␉two"),
        "{}",
        harness.screen()
    );
    assert_eq!(sent(harness).unwrap(), r#"{"a":"one\n\ttwo"}"#);
}

#[test]
fn keys_work_while_nothing_is_typed() {
    let harness = form(everything()).press("jjj?");
    assert!(harness.screen().contains("Help"), "{}", harness.screen());
    let harness = harness.press("<esc><enter>?q");
    assert!(
        row(&harness, "factor").contains("?q "),
        "{}",
        harness.screen()
    );
}

#[test]
fn drafts_wait_for_their_tool() {
    let schema = json!({ "properties": { "a": { "type": "string" } } });
    let harness = with_tools(
        120,
        36,
        vec![tool("one", schema.clone()), tool("two", schema)],
    )
    .press("3<enter><enter>first<esc>3j<enter><enter>second<esc>3k");
    assert!(
        harness.screen().contains("a   first"),
        "{}",
        harness.screen()
    );
    let harness = harness.press("j");
    assert!(
        harness.screen().contains("a   second"),
        "{}",
        harness.screen()
    );
}

#[test]
fn a_tool_without_arguments_says_how_to_send() {
    let harness = form(json!({ "type": "object" }));
    assert!(
        harness
            .screen()
            .contains("no arguments — ctrl+s sends, f2 for JSON")
    );
    assert_eq!(sent(harness).unwrap(), "{}");
}

#[test]
fn no_schema_is_too_strange_for_a_form() {
    let recursive = json!({
        "type": "object",
        "properties": { "node": { "$ref": "#/$defs/Node" }, "loop": { "$ref": "#/$defs/Loop" } },
        "$defs": {
            "Node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/Node" }, "v": { "type": "integer" } } },
            "Loop": { "$ref": "#/$defs/Loop" }
        }
    });
    for schema in [
        recursive,
        json!(true),
        json!([1]),
        json!("string"),
        json!({ "type": "object", "properties": { "a": true, "b": 5, "c": { "enum": [] }, "d": { "type": "array", "items": [{}] } } }),
        json!({ "type": "object", "properties": [], "required": 7 }),
        json!({ "anyOf": [], "allOf": [3], "$ref": "http://elsewhere/schema" }),
    ] {
        let harness = form(schema.clone()).press("<enter><esc>jj<ctrl+o><enter><esc>");
        assert!(
            harness.screen().contains("4 Call"),
            "{schema}:\n{}",
            harness.screen()
        );
    }
}

#[test]
fn nothing_is_sent_to_an_instance_that_is_not_ready() {
    let harness = with_tools(80, 24, vec![tool("work", json!({}))]).press("4<ctrl+s>");
    assert_eq!(calls(&harness), Vec::<String>::new());
    assert!(
        harness.screen().contains("is pending: nothing was sent"),
        "{}",
        harness.screen()
    );
}

#[test]
fn tools_show_marks_filter_and_description() {
    let mut reader = tool("read_file", json!({}));
    reader.annotations = Some(json!({ "readOnlyHint": true }));
    reader.description = Some("Reads a file as text.\n\nOnly within allowed directories.".into());
    let mut remover = tool("remove_file", json!({}));
    remover.annotations = Some(json!({ "destructiveHint": true }));
    let mut strange = tool("strange\u{1b}[31m", json!([]));
    strange.problem = Some("its input schema is no object".into());
    let harness = with_tools(80, 24, vec![reader, remover, strange]).press("3z");
    insta::assert_snapshot!(harness.screen(), @r#"
     envdeck  test                                              1 inst 1◐   calls 0
    ┌ 3 Tools ─ a1b2c3d4  3 ───────────────────────────────────────────────────────┐
    │> read_file                                                                 ro│
    │  remove_file                                                                !│
    │  strange␛[31m                                                               ?│
    │──────────────────────────────────────────────────────────────────────────────│
    │ only reads                                                                   │
    │ Reads a file as text.                                                        │
    │                                                                              │
    │ Only within allowed directories.                                             │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
     c call  / search  ctrl+r list again  y copy  Y copy all  q back  ? help
    "#);
    let harness = harness.press("/re");
    insta::assert_snapshot!(rows(&harness, 5), @r#"
    /re
    > read_file                                                                 ro
      remove_file                                                                !
    ──────────────────────────────────────────────────────────────────────────────
     only reads
    "#);
    let harness = harness.press("<enter>yY");
    let copied = copies(&harness);
    assert_eq!(copied[0].0, "read_file");
    assert!(
        copied[1].0.contains("\"inputSchema\": {}"),
        "{}",
        copied[1].0
    );
}

#[test]
fn an_instance_without_tools_says_why() {
    let harness = crate::fixture::with_instance(80, 24).press("3z");
    assert!(harness.screen().contains("waits for its start…"));
    let harness = with_tools(80, 24, Vec::new()).press("3z");
    assert!(harness.screen().contains("it lists no tools"));
    let harness = crate::fixture::harness(80, 24).press("3z");
    assert!(
        harness.screen().contains("no instance selected"),
        "{}",
        harness.screen()
    );
}

/// The row of the pane that has this text, without the frame.
fn row(harness: &Harness, text: &str) -> String {
    let screen = harness.screen();
    let found = screen.lines().skip(2).find(|row| row.contains(text));
    let row = found.unwrap_or_else(|| panic!("no {text:?} in\n{screen}"));
    row.trim_matches('│').trim_end().to_owned()
}

/// The first rows of the pane.
fn rows(harness: &Harness, count: usize) -> String {
    let screen = harness.screen();
    let rows = screen.lines().skip(2).take(count);
    let rows: Vec<_> = rows.map(|row| row.trim_matches('│').trim_end()).collect();
    rows.join("\n")
}

#[test]
fn an_editing_key_with_nothing_to_do_stays_in_its_field() {
    let two = json!({
        "properties": { "a": { "type": "string" }, "b": { "type": "string" } }
    });
    // On an empty line ctrl+u would else be half a page up: back to the first field.
    let typed = form(two).press("<enter>x<enter><ctrl+u>y");
    assert_eq!(sent(typed).as_deref(), Some(r#"{"a":"x","b":"y"}"#));
}

#[test]
fn while_a_field_is_typed_the_hints_name_no_key_that_would_be_typed() {
    let form = with_tools(
        140,
        24,
        vec![tool(
            "echo",
            json!({"type": "object", "properties": {"text": {"type": "string"}}}),
        )],
    );
    let hints = |harness: &Harness| harness.screen().lines().last().unwrap().to_owned();
    let form = form.press("4");
    assert!(hints(&form).contains("? help"), "{}", hints(&form));
    let typing = form.press("<enter>");
    assert!(hints(&typing).contains("ctrl+s send"), "{}", hints(&typing));
    assert!(hints(&typing).contains("esc back"), "{}", hints(&typing));
    assert!(!hints(&typing).contains("? help"), "{}", hints(&typing));
}
