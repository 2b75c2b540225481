//! The body of a create request.

use bollard::models::{ContainerCreateBody, HostConfig};

use super::labels;
use crate::drivers::Order;
use crate::model::{LocalDocker, Transport};

pub fn body(spec: &LocalDocker, order: &Order) -> ContainerCreateBody {
    let speaks = order.backend.transport == Transport::Stdio;
    let env = spec.environment.iter();
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: spec.command.clone(),
        env: Some(
            env.map(|(name, value)| format!("{name}={}", value.expose()))
                .collect(),
        ),
        labels: Some(labels::of_instance(order)),
        attach_stdin: Some(speaks),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(speaks),
        stdin_once: Some(speaks),
        host_config: Some(HostConfig {
            init: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
