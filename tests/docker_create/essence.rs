//! What two containers have in common.

use std::collections::BTreeSet;

use bollard::models::ContainerInspectResponse;
use serde_json::{Value, json};

use crate::lab::LABEL;

/// What was asked for and took effect, without what is different for every container.
pub fn essence(found: ContainerInspectResponse) -> Value {
    let found = serde_json::to_value(found).unwrap();
    let mut config = found["Config"].clone();
    let labels = config["Labels"].as_object_mut().unwrap();
    labels.remove(LABEL);
    if found["Id"]
        .as_str()
        .unwrap()
        .starts_with(config["Hostname"].as_str().unwrap())
    {
        config["Hostname"] = Value::Null;
    }
    let mut host = found["HostConfig"].clone();
    host["Binds"] = plain(&host["Binds"], plain_bind);
    host["CapAdd"] = plain(&host["CapAdd"], plain_capability);
    host["CapDrop"] = plain(&host["CapDrop"], plain_capability);
    config["Env"] = plain(&config["Env"], str::to_owned);
    let mut all = json!({"Config": config, "HostConfig": host, "Networks": networks(&found)});
    prune(&mut all);
    all
}

fn networks(found: &Value) -> Value {
    let networks = found["NetworkSettings"]["Networks"].as_object();
    let short = found["Id"].as_str().unwrap().get(..12).unwrap();
    let network = |(name, settings): (&String, &Value)| {
        let mut aliases: Vec<_> = settings["Aliases"].as_array().cloned().unwrap_or_default();
        aliases.retain(|alias| alias != short);
        let kept = json!({
            "Aliases": aliases,
            "Links": settings["Links"],
            "IPAMConfig": settings["IPAMConfig"],
            "DriverOpts": settings["DriverOpts"],
        });
        (name.clone(), kept)
    };
    networks.into_iter().flatten().map(network).collect()
}

/// In one order and spelling.
fn plain(list: &Value, spell: fn(&str) -> String) -> Value {
    let items = list.as_array().into_iter().flatten();
    let items = items.map(|item| spell(item.as_str().unwrap()));
    Value::from(
        items
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>(),
    )
}

fn plain_bind(bind: &str) -> String {
    let parts: Vec<_> = bind.split(':').collect();
    let options = parts.get(2).into_iter().flat_map(|all| all.split(','));
    let options: BTreeSet<_> = options.filter(|option| *option != "rw").collect();
    format!("{} on {} with {options:?}", parts[0], parts[1])
}

fn plain_capability(name: &str) -> String {
    name.to_uppercase().trim_start_matches("CAP_").to_owned()
}

/// Nothing, zero and what is empty are the same to an engine.
fn prune(value: &mut Value) {
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    };
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(prune);
            fields.retain(|_, value| !is_nothing(value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune),
        _ => {}
    }
}

/// Where two values differ, with ours and theirs.
pub fn differences(path: &str, ours: &Value, theirs: &Value) -> Vec<String> {
    let (Value::Object(left), Value::Object(right)) = (ours, theirs) else {
        let differs = (ours != theirs).then(|| format!("{path}: {ours} is not {theirs}"));
        return differs.into_iter().collect();
    };
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let of = |key| differences(&format!("{path}/{key}"), &ours[key], &theirs[key]);
    keys.into_iter().flat_map(of).collect()
}
