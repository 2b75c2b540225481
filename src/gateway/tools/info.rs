//! What clients are told of an instance: `InstanceInfo` of the contract.

use serde_json::{Map, Value, json};

use super::Tools;
use crate::model::{Backend, Instance, fact};

/// Facts that clients of the predecessor know, by their names there. All other facts stay here: a command line or a
/// path is nobody's business but the operator's.
const DETAILS: [(&str, &str); 4] = [
    (fact::CONTAINER, "container_id"),
    (fact::NAME, "container_name"),
    (fact::PORT, "host_port"),
    (fact::REMOTE_ID, "remote_instance_id"),
];

impl Tools {
    pub(super) fn info(&self, instance: &Instance) -> Value {
        let backend = self
            .config
            .backends
            .iter()
            .find(|backend| backend.name == instance.backend.name);
        info(instance, backend.map(|backend| &**backend))
    }
}

fn info(instance: &Instance, backend: Option<&Backend>) -> Value {
    let mut details = Map::new();
    details.insert("instance_uuid".to_owned(), instance.id.as_str().into());
    for (name, key) in DETAILS {
        if let Some(value) = instance.fact(name) {
            let number = value.parse::<u16>().ok().filter(|_| name == fact::PORT);
            let value = number.map_or_else(|| value.into(), Value::from);
            details.insert((*key).to_owned(), value);
        }
    }
    let mut info = json!({
        "instance_id": instance.id.as_str(),
        "backend_name_ref": instance.backend.name,
        "orchestration_mode": backend.map_or(instance.backend.mode, |backend| backend.mode.name()),
        "mcp_transport": instance.backend.transport.to_string(),
    });
    if let Some(url) = instance.fact(fact::ENDPOINT) {
        info["mcp_endpoint_url"] = url.into();
    }
    info["internal_instance_details"] = details.into();
    if let Some(image) = instance.fact(fact::COMMITTED_IMAGE) {
        info["committed_image_tag"] = image.into();
    }
    info
}
