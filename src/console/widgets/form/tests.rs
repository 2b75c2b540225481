//! Forms against random schemas, and schemas as servers write them.
#![allow(clippy::unwrap_used, reason = "tests may")]

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Form, Spec};

/// A schema and a value that conforms to it.
fn conforming() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        any::<String>().prop_map(|text| (json!({ "type": "string" }), json!(text))),
        any::<i64>().prop_map(|number| (json!({ "type": "integer" }), json!(number))),
        any::<u64>().prop_map(|number| (json!({ "type": "integer", "minimum": 0 }), json!(number))),
        // Quarters: the reader of the comparison is exact for them.
        any::<i32>().prop_map(|n| (
            json!({ "type": ["number", "null"] }),
            json!(f64::from(n) / 4.0)
        )),
        any::<bool>().prop_map(|on| (json!({ "type": "boolean", "default": true }), json!(on))),
        (0..3_usize).prop_map(|n| {
            let values = json!(["a", 2, {"x": null}]);
            (json!({ "enum": values }), values[n].clone())
        }),
        Just((
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
            Value::Null
        )),
        Just((json!({ "$ref": "#/nowhere" }), json!({ "any": [1, "x"] }))),
        Just((
            json!({ "oneOf": [{ "type": "object" }, { "type": "string" }] }),
            json!({ "a": {} })
        )),
        Just((json!(true), json!([[], {}]))),
    ];
    leaf.prop_recursive(4, 30, 4, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize).prop_map(|((schema, value), count)| {
                (
                    json!({ "type": "array", "items": schema }),
                    json!(vec![value; count]),
                )
            }),
            object(inner),
        ]
    })
}

/// An object of which some members are left out.
fn object(
    member: impl Strategy<Value = (Value, Value)> + 'static,
) -> BoxedStrategy<(Value, Value)> {
    let members = prop::collection::btree_map("[a-z\"\n]{1,4}", (member, any::<bool>()), 0..5);
    let object = members.prop_map(|members| {
        let (mut schemas, mut values, mut required) = (Map::new(), Map::new(), Vec::new());
        for (name, ((schema, value), there)) in members {
            schemas.insert(name.clone(), schema);
            if there {
                required.push(name.clone());
                values.insert(name, value);
            }
        }
        let schema = json!({ "type": "object", "properties": schemas, "required": required });
        (schema, Value::Object(values))
    });
    object.boxed()
}

proptest! {
    #[test]
    fn what_conforms_goes_in_and_comes_out_the_same((schema, value) in object(conforming())) {
        let mut form = Form::new(&schema);
        form.load(&format!("{value:#}")).unwrap();
        let arguments: Value = serde_json::from_str(&form.arguments()).unwrap();
        prop_assert_eq!(&arguments, &value);
        prop_assert_eq!(form.complain(), None);
    }

    #[test]
    fn what_does_not_conform_is_not_lost_either((schema, _) in object(conforming()), (_, value) in object(conforming())) {
        let mut form = Form::new(&schema);
        form.load(&value.to_string()).unwrap();
        let arguments: Value = serde_json::from_str(&form.arguments()).unwrap();
        prop_assert_eq!(&arguments, &value);
    }
}

#[test]
fn schemas_are_understood_as_servers_write_them() {
    let schema = json!({
        "allOf": [
            { "properties": { "merged": { "type": "string" } }, "required": ["merged"] },
            { "properties": { "also": { "type": "boolean" } } }
        ],
        "properties": {
            "optional": { "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "null" }], "default": null },
            "ref": { "$ref": "#/$defs/Level", "description": "its own words" },
            "choice": { "oneOf": [{ "const": "a", "title": "first" }, { "const": "b" }] },
            "union": { "type": ["string", "number"] },
            "nested": { "anyOf": [{ "$ref": "#/$defs/Point" }, { "type": "null" }] },
            "points": { "type": "array", "items": { "$ref": "#/$defs/Point" } },
            "tuple": { "type": "array", "prefixItems": [{ "type": "string" }], "items": {} },
            "map": { "type": "object", "additionalProperties": { "type": "string" } },
            "when": { "type": "string", "format": "date-time" },
            "variants": { "type": "string", "anyOf": [{ "format": "uri" }, { "format": "email" }] }
        },
        "$defs": {
            "Level": { "enum": ["low", "high", null] },
            "Point": { "properties": { "x": { "type": "number", "maximum": 5 } } }
        }
    });
    let form = Form::new(&schema);
    let words = form
        .root
        .children()
        .iter()
        .map(|field| format!("{}: {}", field.name, field.spec.words()));
    insta::assert_snapshot!(words.collect::<Vec<_>>().join("\n"), @r#"
    merged: string
    optional: integer from 1 or null
    ref: one of low, high or null
    choice: one of a (first), b
    union: JSON
    nested: object or null
    points: list of object
    tuple: JSON
    map: JSON
    when: date-time
    variants: string
    also: true or false
    "#);
    let own = Spec::of_arguments(&schema);
    assert!(own.description.is_none());
    let described = form
        .root
        .children()
        .iter()
        .find(|field| &*field.name == "ref")
        .unwrap();
    assert_eq!(described.spec.description.as_deref(), Some("its own words"));
}

#[test]
fn a_defaults_value_is_sent_and_can_be_omitted() {
    let mut form =
        Form::new(&json!({ "properties": { "n": { "type": "integer", "default": 5 } } }));
    assert_eq!(form.arguments(), r#"{"n":5}"#);
    form.toggle();
    assert_eq!(form.arguments(), "{}");
}
