//! What the engine is asked for when a container is made: from configuration to its API, version 1.41.
//!
//! Nothing here talks to the engine, and nothing newer than that version is used: older engines would
//! ignore it silently.

mod isolation;
mod network;
mod resources;
mod storage;

use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, PortMap,
};
use bollard::query_parameters::{CreateContainerOptions, CreateContainerOptionsBuilder};

use crate::model::{
    ContainerOptions, HealthCheck, HealthTest, LocalDocker, Logging, Mount, Port, Protocol, Secret,
    Transport,
};

/// What one instance adds to what its backend configures.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The name of the container.
    pub name: String,
    /// Win over configured ones of the same name.
    pub labels: HashMap<String, String>,
    /// Instead of the configured image: one that was committed from it.
    pub image: Option<String>,
    /// Beside the configured ones: the instance's copy of its template.
    pub mounts: Vec<Mount>,
}

/// The two parts of a request to create a container.
#[derive(Clone, Debug, PartialEq)]
pub struct Creation {
    pub options: CreateContainerOptions,
    pub body: ContainerCreateBody,
}

/// The request for one instance.
///
/// Over stdio its three streams are attached and stdin ends with the attachment. Over HTTP the port that
/// speaks MCP is published on the loopback address, on a port that the engine picks: see [`address`].
pub fn creation(docker: &LocalDocker, transport: Transport, extras: &Extras) -> Creation {
    let options = &docker.options;
    let mut body = ContainerCreateBody {
        image: Some(extras.image.as_ref().unwrap_or(&docker.image).clone()),
        cmd: docker.command.clone(),
        entrypoint: options.entrypoint.clone().map(reset_by_empty_text),
        env: Some(environment(&options.environment)),
        labels: Some(labels(options, extras)),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        stop_signal: options.stop_signal.clone(),
        healthcheck: health(&options.health),
        tty: Some(false),
        ..ContainerCreateBody::default()
    };
    streams(&mut body, transport, options.keep_stdin_open);
    let mut host = HostConfig {
        log_config: log(&options.logging),
        runtime: options.runtime.clone(),
        ..HostConfig::default()
    };
    network::fill(
        &mut body,
        &mut host,
        &options.network,
        mcp_port(docker, transport),
    );
    storage::fill(&mut body, &mut host, &options.storage, &extras.mounts);
    resources::fill(&mut host, options);
    isolation::fill(
        &mut host,
        &options.isolation,
        holds_host_data(docker, extras),
    );
    body.host_config = Some(host);
    let query = CreateContainerOptionsBuilder::new().name(&extras.name);
    let query = match &options.platform {
        Some(platform) => query.platform(platform),
        None => query,
    };
    Creation {
        options: query.build(),
        body,
    }
}

/// Where a started container speaks MCP over HTTP, from the ports that the engine reports of it; `None` until
/// it reports one.
#[expect(dead_code, reason = "containers over http come next")]
pub fn address(docker: &LocalDocker, ports: &PortMap) -> Option<SocketAddr> {
    let port = mcp_port(docker, Transport::Http)?;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if docker.options.network.is_host() {
        return Some(loopback(port.number));
    }
    let bindings = ports.get(&port.to_string())?.as_deref()?;
    let on_loopback = bindings
        .iter()
        .find(|binding| binding.host_ip.as_deref() == Some("127.0.0.1"))?;
    on_loopback.host_port.as_ref()?.parse().ok().map(loopback)
}

/// The port that speaks MCP.
pub(super) fn mcp_port(docker: &LocalDocker, transport: Transport) -> Option<Port> {
    let number = docker
        .container_port
        .filter(|_| transport == Transport::Http)?;
    Some(Port {
        number,
        protocol: Protocol::Tcp,
    })
}

/// Whether something in the container belongs to whoever runs us.
pub(super) fn holds_host_data(docker: &LocalDocker, extras: &Extras) -> bool {
    let mut mounts = docker.options.storage.mounts.iter().chain(&extras.mounts);
    docker.template.is_some() || mounts.any(Mount::is_of_host)
}

/// Without text in it the engine would take the image's.
fn reset_by_empty_text(entrypoint: Vec<String>) -> Vec<String> {
    if entrypoint.is_empty() {
        vec![String::new()]
    } else {
        entrypoint
    }
}

fn environment(variables: &BTreeMap<String, Secret>) -> Vec<String> {
    let line = |(name, value): (&String, &Secret)| format!("{name}={}", value.expose());
    variables.iter().map(line).collect()
}

fn labels(options: &ContainerOptions, extras: &Extras) -> HashMap<String, String> {
    let configured = options.labels.clone().into_iter();
    configured.chain(extras.labels.clone()).collect()
}

fn streams(body: &mut ContainerCreateBody, transport: Transport, keep_stdin_open: bool) {
    let attached = transport == Transport::Stdio;
    body.attach_stdin = Some(attached);
    body.attach_stdout = Some(attached);
    body.attach_stderr = Some(attached);
    body.open_stdin = Some(attached || keep_stdin_open);
    body.stdin_once = Some(attached);
}

fn health(check: &HealthCheck) -> Option<HealthConfig> {
    let test = check.test.as_ref().map(|test| match test {
        HealthTest::Command(words) => std::iter::once("CMD".to_owned())
            .chain(words.iter().cloned())
            .collect(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    });
    let config = HealthConfig {
        test: if check.disabled {
            Some(vec!["NONE".to_owned()])
        } else {
            test
        },
        interval: check.interval.map(nanoseconds),
        timeout: check.timeout.map(nanoseconds),
        start_period: check.start_period.map(nanoseconds),
        retries: check.retries.map(i64::from),
        start_interval: None,
    };
    (config != HealthConfig::default()).then_some(config)
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

fn log(logging: &Logging) -> Option<HostConfigLogConfig> {
    let Logging { driver, options } = logging;
    if driver.is_none() && options.is_empty() {
        return None;
    }
    let option = |(name, value): (&String, &Secret)| (name.clone(), value.expose().to_owned());
    Some(HostConfigLogConfig {
        typ: driver.clone(),
        config: Some(options.iter().map(option).collect()),
    })
}

/// `None` for nothing, so that the engine's own default holds.
fn filled<T: Clone>(items: &[T]) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.to_vec())
}

fn filled_map(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    let pairs = map.iter().map(|(key, value)| (key.clone(), value.clone()));
    (!map.is_empty()).then(|| pairs.collect())
}
