//! From options to what the engine is asked for.

use std::collections::HashMap;
use std::net::SocketAddr;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, PortMap};
use envdeck::drivers::docker::create::{Creation, Extras, address, creation};
use envdeck::model::{LocalDocker, Mount, OWN_LABELS, Transport};
use serde_json::json;

use crate::{backend, docker_of, one, with_args};

fn body_of(docker: &LocalDocker, transport: Transport) -> (ContainerCreateBody, HostConfig) {
    let Creation { mut body, .. } = creation(docker, transport, &Extras::default());
    let host = body.host_config.take().unwrap();
    (body, host)
}

#[test]
fn a_container_is_hardened_unless_somebody_says_otherwise() {
    let (_, host) = body_of(&with_args(&[]), Transport::Stdio);
    assert_eq!(host.init, Some(true));
    assert_eq!(host.cap_drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert_eq!(host.cap_add, None);
    assert_eq!(
        host.security_opt.as_deref(),
        Some(&["no-new-privileges".to_owned()][..])
    );

    let (_, host) = body_of(
        &with_args(&["--cap-add=chown", "--cap-drop=NET_RAW"]),
        Transport::Stdio,
    );
    assert_eq!(host.cap_drop.as_deref(), Some(&["ALL".to_owned()][..]));
    assert_eq!(host.cap_add.as_deref(), Some(&["CHOWN".to_owned()][..]));

    let (_, host) = body_of(
        &with_args(&["--cap-add=ALL", "--cap-drop=NET_RAW"]),
        Transport::Stdio,
    );
    assert_eq!(host.cap_drop.as_deref(), Some(&["NET_RAW".to_owned()][..]));

    for name in ["open", "privileged"] {
        let (_, host) = body_of(&backend(name), Transport::Stdio);
        assert_eq!(host.cap_add, None, "{name}");
        assert_eq!(host.security_opt, None, "{name}");
        let dropped = host.cap_drop.unwrap();
        assert_eq!(
            dropped,
            ["NET_RAW"],
            "{name}: only what the global options drop"
        );
    }
    let (_, host) = body_of(&backend("open"), Transport::Stdio);
    assert_eq!(host.init, Some(false));
    let (_, host) = body_of(
        &with_args(&["--security-opt=no-new-privileges=0"]),
        Transport::Stdio,
    );
    assert_eq!(host.security_opt, None);
    let keys =
        json!({"hardening": {"drop_capabilities": true}, "docker_run_args": ["--privileged"]});
    let docker = docker_of(&json!({"backends": [one(&keys)]}));
    let (_, host) = body_of(&docker, Transport::Stdio);
    assert_eq!(
        host.cap_drop.as_deref(),
        Some(&["ALL".to_owned()][..]),
        "said explicitly"
    );
}

#[test]
fn root_may_write_to_what_belongs_to_whoever_runs_us() {
    let adds = |docker: &LocalDocker, extras: &Extras| {
        let host = creation(docker, Transport::Stdio, extras).body.host_config;
        host.unwrap().cap_add.unwrap_or_default()
    };
    let nothing = Extras::default();
    assert!(adds(&with_args(&[]), &nothing).is_empty());
    assert!(adds(&with_args(&["-v", "name:/data"]), &nothing).is_empty());
    assert_eq!(
        adds(&with_args(&["-v", "/srv:/data"]), &nothing),
        ["DAC_OVERRIDE"]
    );
    let copy = Extras {
        mounts: vec![Mount::of_host("/copy", "/data")],
        ..Extras::default()
    };
    assert_eq!(adds(&with_args(&[]), &copy), ["DAC_OVERRIDE"]);
    assert_eq!(adds(&backend("one file"), &nothing), ["DAC_OVERRIDE"]);
    assert!(
        adds(&with_args(&["--cap-drop=ALL"]), &copy).is_empty(),
        "asked for"
    );
    assert!(
        adds(&with_args(&["--cap-drop=DAC_OVERRIDE"]), &copy).is_empty(),
        "asked for"
    );
}

#[test]
fn a_request_over_stdio_attaches_all_streams() {
    let extras = Extras {
        name: "envdeck-one-1".to_owned(),
        labels: HashMap::from([(format!("{OWN_LABELS}run"), "r1".to_owned())]),
        image: Some("sha256:abc".to_owned()),
        mounts: vec![Mount::of_host("/copies/1", "/data")],
    };
    let docker = with_args(&["-eA=1", "--label=own=1", "--platform=linux/amd64"]);
    let Creation { options, body } = creation(&docker, Transport::Stdio, &extras);
    assert_eq!(options.name.as_deref(), Some("envdeck-one-1"));
    assert_eq!(options.platform, "linux/amd64");
    let body = serde_json::to_value(body).unwrap();
    let expected = json!({
        "Image": "sha256:abc",
        "Env": ["A=1"],
        "Labels": {"own": "1", "envdeck.run": "r1"},
        "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
        "OpenStdin": true, "StdinOnce": true, "Tty": false,
        "ExposedPorts": {},
        "HostConfig": {
            "CapAdd": ["DAC_OVERRIDE"],
            "CapDrop": ["ALL"],
            "Init": true,
            "Mounts": [{"Type": "bind", "Source": "/copies/1", "Target": "/data", "ReadOnly": false}],
            "PortBindings": {},
            "Privileged": false,
            "PublishAllPorts": false,
            "ReadonlyRootfs": false,
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
        },
    });
    assert_eq!(body, expected);
}

#[test]
fn a_request_over_http_publishes_its_port_on_the_loopback_address_only() {
    let (body, host) = body_of(&backend("spellings"), Transport::Http);
    assert_eq!(
        (body.attach_stdin, body.attach_stdout),
        (Some(false), Some(false))
    );
    assert_eq!(
        (body.open_stdin, body.stdin_once),
        (Some(true), Some(false)),
        "-i was given"
    );
    let ports = host.port_bindings.unwrap();
    let binding = |address: Option<&str>, port: &str| PortBinding {
        host_ip: address.map(str::to_owned),
        host_port: Some(port.to_owned()),
    };
    assert_eq!(
        ports["8000/tcp"],
        Some(vec![binding(Some("127.0.0.1"), "")])
    );
    assert_eq!(ports["80/tcp"], Some(vec![binding(None, "8080")]));
    assert_eq!(ports["81/udp"], Some(vec![binding(Some("127.0.0.1"), "")]));
    assert_eq!(
        body.exposed_ports.unwrap(),
        ["80/tcp", "8000/tcp", "81/udp"]
    );
}

#[test]
fn the_address_is_that_of_the_loopback_binding() {
    let docker = backend("spellings");
    let binding = |address: &str, port: &str| PortBinding {
        host_ip: Some(address.to_owned()),
        host_port: Some(port.to_owned()),
    };
    let both = vec![binding("0.0.0.0", "1000"), binding("127.0.0.1", "1001")];
    let ports = PortMap::from([("8000/tcp".to_owned(), Some(both))]);
    assert_eq!(
        address(&docker, &ports),
        Some(SocketAddr::from(([127, 0, 0, 1], 1001)))
    );
    assert_eq!(address(&docker, &PortMap::new()), None);
    let elsewhere = PortMap::from([("8000/tcp".to_owned(), Some(vec![binding("0.0.0.0", "1")]))]);
    assert_eq!(address(&docker, &elsewhere), None);
    let mut docker = docker;
    docker.options.network.mode = Some("host".to_owned());
    assert_eq!(
        address(&docker, &PortMap::new()),
        Some(SocketAddr::from(([127, 0, 0, 1], 8000)))
    );
    let (body, host) = body_of(&docker, Transport::Http);
    assert!(!host.port_bindings.unwrap().contains_key("8000/tcp"));
    assert!(!body.exposed_ports.unwrap().contains(&"8000/tcp".to_owned()));
}
