//! What the engine tells of a container, without secret values.

use std::collections::BTreeMap;

use serde_json::Value;

use super::engine::{Engine, QUICK};
use crate::model::{Failure, Secret, Stage};

/// What stands where a secret was.
const MASK: &str = "•••";
/// A shorter secret is masked where it stands alone, but not inside of other texts.
const LONG: usize = 6;

/// The engine's own words as JSON text. The values of these variables, and whatever holds one, are masked.
pub async fn inspect(
    engine: &Engine,
    container: &str,
    secrets: &BTreeMap<String, Secret>,
) -> Result<String, Failure> {
    let found = engine.ask("inspect the container", QUICK, |docker| async move {
        docker.inspect_container(container, None).await
    });
    let found = found.await.map_err(|trouble| trouble.at(Stage::Run))?;
    let told = serde_json::to_value(found)
        .map_err(|error| Failure::caused_by(Stage::Run, "the engine's answer is no JSON", error))?;
    let masked = mask(told, secrets);
    Ok(format!("{masked:#}"))
}

/// Masks the values of variables by name, and secret values wherever they stand.
pub fn mask(mut told: Value, secrets: &BTreeMap<String, Secret>) -> Value {
    if let Some(env) = told
        .pointer_mut("/Config/Env")
        .and_then(Value::as_array_mut)
    {
        for variable in env {
            let name = variable
                .as_str()
                .and_then(|text| Some(text.split_once('=')?.0));
            if let Some(name) = name.filter(|name| secrets.contains_key(*name)) {
                *variable = format!("{name}={MASK}").into();
            }
        }
    }
    let values: Vec<&str> = secrets.values().map(Secret::expose).collect();
    cover(&mut told, &values);
    told
}

fn cover(told: &mut Value, secrets: &[&str]) {
    match told {
        Value::String(text) => {
            for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                if text == secret {
                    MASK.clone_into(text);
                } else if secret.len() >= LONG && text.contains(secret) {
                    *text = text.replace(secret, MASK);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cover(item, secrets)),
        Value::Object(fields) => fields.values_mut().for_each(|value| cover(value, secrets)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn configured_variables_are_masked_and_the_images_own_are_shown() {
        let secrets = BTreeMap::from([
            ("TOKEN".to_owned(), Secret::new("hunter22")),
            ("MODE".to_owned(), Secret::new("a")),
            ("EMPTY".to_owned(), Secret::new("")),
        ]);
        let told = json!({
            "Config": {
                "Env": ["PATH=/bin", "TOKEN=hunter22", "MODE=a", "EMPTY="],
                "Cmd": ["server", "--token=hunter22", "a", "and"],
                "Labels": { "key": "hunter22" },
            },
        });
        let expected = json!({
            "Config": {
                "Env": ["PATH=/bin", "TOKEN=•••", "MODE=•••", "EMPTY=•••"],
                "Cmd": ["server", "--token=•••", "•••", "and"],
                "Labels": { "key": "•••" },
            },
        });
        assert_eq!(mask(told, &secrets), expected);
    }
}
