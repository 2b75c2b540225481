//! What a configuration says of containers: who wins, what the engine is asked for, and which command does the same.
#![allow(clippy::unwrap_used)] // tests may

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, HostConfig, PortBinding, PortMap};
use envdeck::config::{self, Config, Invalid};
use envdeck::drivers::docker::command_line::command_line;
use envdeck::drivers::docker::create::{Creation, Extras, address, creation};
use envdeck::model::{
    ContainerOptions, HealthTest, LocalDocker, Mode, Mount, MountSource, OWN_LABELS, Relabel,
    TemplateWay, Transport, Ulimit,
};
use serde_json::{Value, json};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/valid/docker.yaml")
}

fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "hunter2-token".to_owned())
}

fn docker(config: &Config, name: &str) -> LocalDocker {
    let mut backends = config.backends.iter();
    let backend = backends.find(|backend| &*backend.name == name).unwrap();
    let Mode::LocalDocker(docker) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    (**docker).clone()
}

fn backend(name: &str) -> LocalDocker {
    let config = config::load(&fixture(), &env).unwrap_or_else(|invalid| panic!("{invalid}"));
    docker(&config, name)
}

/// A file beside the fixtures' data, loaded.
fn load(root: &Value) -> Result<Config, Invalid> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.yaml");
    std::fs::write(&file, root.to_string()).unwrap();
    config::load(&file, &env)
}

fn one(keys: &Value) -> Value {
    let mut backend = json!({
        "backend_name_ref": "one",
        "backend_type": "time",
        "orchestration_mode": "local_docker",
        "mcp_transport": "stdio",
        "docker_image": "image",
    });
    let keys = keys.as_object().unwrap().clone();
    backend.as_object_mut().unwrap().extend(keys);
    backend
}

fn options_of(root: &Value) -> ContainerOptions {
    let config = load(root).unwrap_or_else(|invalid| panic!("{invalid}"));
    docker(&config, "one").options
}

fn with_args(args: &[&str]) -> LocalDocker {
    let root = json!({"backends": [one(&json!({"docker_run_args": args}))]});
    let config = load(&root).unwrap_or_else(|invalid| panic!("{invalid}"));
    docker(&config, "one")
}

fn body_of(docker: &LocalDocker, transport: Transport) -> (ContainerCreateBody, HostConfig) {
    let Creation { mut body, .. } = creation(docker, transport, &Extras::default());
    let host = body.host_config.take().unwrap();
    (body, host)
}

#[test]
fn later_layers_win_and_lists_add_up() {
    let options = backend("layers").options;
    let env = |name: &str| options.environment[name].expose().to_owned();
    assert_eq!(env("API_KEY"), "hunter2-global");
    assert_eq!(env("KEYS"), "1");
    assert_eq!(env("LAYER"), "args");
    assert_eq!(env("FROM_FILE"), "file value ", "nothing is cut off");
    assert_eq!(env("BOTH"), "args", "a file says the least");
    assert_eq!(env("TOKEN"), "hunter2-token");
    assert_eq!(env("INDENTED"), "yes");
    assert!(!options.environment.contains_key("UNSET_HERE"));
    let labels: Vec<_> = options.labels.iter().collect();
    assert_eq!(
        labels,
        [("layer", "args"), ("plain", ""), ("team", "agents")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .iter()
            .map(|(name, value)| (name, value))
            .collect::<Vec<_>>()
    );
    assert_eq!(options.resources.memory, Some(2 << 30));
    assert_eq!(options.resources.nano_cpus, Some(1_500_000_000));
    assert_eq!(options.resources.pids, Some(64));
    let both = |soft, hard| Ulimit { soft, hard };
    assert_eq!(options.resources.ulimits["nofile"], both(2048, 2048));
    assert_eq!(options.resources.ulimits["nproc"], both(64, 64));
    assert_eq!(options.isolation.cap_add, ["NET_RAW"]);
    assert!(options.isolation.cap_drop.is_empty(), "it was asked for");
    let dns: Vec<_> = options
        .network
        .dns
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(dns, ["1.1.1.1", "9.9.9.9"]);
    assert_eq!(options.logging.driver.as_deref(), Some("json-file"));
    let check = &options.health;
    let words = ["check", "--quick"].map(str::to_owned).to_vec();
    assert_eq!(check.test, Some(HealthTest::Command(words)));
    assert_eq!(check.interval, Some(Duration::from_secs(30)));
    assert_eq!(check.timeout, Some(Duration::from_secs(5)));
    assert_eq!(check.retries, Some(2));
}

#[test]
fn a_later_mount_takes_the_place_of_an_earlier_one() {
    let storage = backend("layers").options.storage;
    assert!(storage.tmpfs.is_empty(), "a volume covers /run");
    let [data, shared] = &storage.mounts[..] else {
        panic!("{:?}", storage.mounts)
    };
    let MountSource::Host(host) = &data.source else {
        panic!("{data:?}")
    };
    let expected = fixture().parent().unwrap().join("data");
    assert_eq!(Path::new(&host.path), expected);
    assert!(host.create && data.read_only);
    assert_eq!(
        (&*data.target, data.relabel),
        ("/run", Some(Relabel::Shared))
    );
    let MountSource::Volume(volume) = &shared.source else {
        panic!("{shared:?}")
    };
    assert_eq!(volume.name.as_deref(), Some("other"));
    assert!(!shared.read_only);
}

#[test]
fn options_are_told_apart_as_docker_run_does() {
    let options = backend("spellings").options;
    let named = |name: &str| options.environment[name].expose().to_owned();
    assert_eq!(
        ["PASSED", "A", "B", "C", "D", "TOKEN"].map(named),
        ["through", "1", "2", "3", "4=5", "hunter2-token"]
    );
    assert!(options.keep_stdin_open && options.network.publish_all);
    assert!(options.storage.read_only && !options.isolation.init);
    assert_eq!(options.resources.memory, Some(512 << 20));
    let ports: Vec<_> = options
        .network
        .published
        .iter()
        .map(|published| (published.port.to_string(), published.host))
        .collect();
    let expected = [("80/tcp", Some((8080, 8080))), ("81/udp", None)];
    assert_eq!(ports, expected.map(|(port, host)| (port.to_owned(), host)));
    assert_eq!(options.network.hostname.as_deref(), Some("name"));
    assert_eq!(options.user.as_deref(), Some("1000:1000"));
    assert_eq!(options.working_dir.as_deref(), Some("/srv"));
}

#[test]
fn the_names_of_the_python_sdk_say_the_same_as_options_of_docker_run() {
    let cases = [
        (
            json!({"cap_add": ["NET_ADMIN"]}),
            vec!["--cap-add=NET_ADMIN"],
        ),
        (
            json!({"devices": ["/dev/fuse:r"]}),
            vec!["--device=/dev/fuse:r"],
        ),
        (
            json!({"devices": [{"PathOnHost": "/dev/fuse", "CgroupPermissions": "r"}]}),
            vec!["--device=/dev/fuse:r"],
        ),
        (
            json!({"device_requests": [{"count": -1, "capabilities": [["gpu"]]}]}),
            vec!["--gpus=all"],
        ),
        (
            json!({"device_requests": [{"DeviceIDs": ["0"], "Capabilities": [["gpu"]]}]}),
            vec!["--gpus=device=0"],
        ),
        (
            json!({"device_read_bps": [{"Path": "/dev/sda", "Rate": 1024}]}),
            vec!["--device-read-bps=/dev/sda:1k"],
        ),
        (
            json!({"blkio_weight_device": [{"Path": "/dev/sda", "Weight": 10}]}),
            vec!["--blkio-weight-device=/dev/sda:10"],
        ),
        (
            json!({"entrypoint": ["server"]}),
            vec!["--entrypoint=server"],
        ),
        (json!({"entrypoint": ""}), vec!["--entrypoint="]),
        (json!({"environment": {"A": "1"}}), vec!["-eA=1"]),
        (
            json!({"extra_hosts": {"db": "10.0.0.5"}}),
            vec!["--add-host=db:10.0.0.5"],
        ),
        (
            json!({"extra_hosts": ["db:10.0.0.5"]}),
            vec!["--add-host", "db=10.0.0.5"],
        ),
        (
            json!({"group_add": ["docker", 5]}),
            vec!["--group-add=docker", "--group-add=5"],
        ),
        (
            json!({"healthcheck": {"test": "ok", "interval": "1m30s", "start_period": 1_000_000}}),
            vec![
                "--health-cmd=ok",
                "--health-interval=90s",
                "--health-start-period=1ms",
            ],
        ),
        (
            json!({"healthcheck": {"test": ["NONE"]}}),
            vec!["--no-healthcheck"],
        ),
        (
            json!({"labels": ["a=b=", "c"]}),
            vec!["-la=b=", "--label=c"],
        ),
        (json!({"links": {"db": "alias"}}), vec!["--link=db:alias"]),
        (
            json!({"log_config": {"Type": "local", "Config": {"max-file": 3}}}),
            vec!["--log-driver=local", "--log-opt=max-file=3"],
        ),
        (json!({"mem_limit": 536_870_912}), vec!["-m", "512m"]),
        (
            json!({"memswap_limit": -1, "mem_swappiness": 0}),
            vec!["--memory-swap=-1", "--memory-swappiness=0"],
        ),
        (
            json!({"mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true,
                "BindOptions": {"Propagation": "rslave", "NonRecursive": true}}]}),
            vec![
                "--mount=type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-recursive=disabled",
            ],
        ),
        (
            json!({"mounts": [{"target": "/b", "source": "name", "no_copy": true, "labels": {"a": "b"},
                "driver_config": {"Name": "nfs", "Options": {"o": "x,y"}}}]}),
            vec![
                r#"--mount=source=name,target=/b,volume-nocopy,volume-label=a=b,volume-driver=nfs,"volume-opt=o=x,y""#,
            ],
        ),
        (
            json!({"mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 511}}]}),
            vec!["--tmpfs=/t:size=1024,mode=777"],
        ),
        (json!({"nano_cpus": 500_000_000}), vec!["--cpus", ".5"]),
        (json!({"network_mode": "host"}), vec!["--net", "host"]),
        (json!({"network_disabled": true}), vec!["--network=none"]),
        (json!({"privileged": true}), vec!["--privileged"]),
        (
            json!({"restart_policy": {"Name": "no"}, "tty": false, "remove": true}),
            vec![],
        ),
        (
            json!({"security_opt": ["no-new-privileges:false", "label:disable"]}),
            vec![
                "--security-opt=no-new-privileges=false",
                "--security-opt=label=disable",
            ],
        ),
        (
            json!({"sysctls": {"net.core.somaxconn": 1024}}),
            vec!["--sysctl=net.core.somaxconn=1024"],
        ),
        (
            json!({"storage_opt": {"size": "1G"}}),
            vec!["--storage-opt=size=1G"],
        ),
        (
            json!({"tmpfs": ["/t:size=1m", "/u"]}),
            vec!["--tmpfs=/t:size=1m", "--tmpfs=/u"],
        ),
        (
            json!({"tmpfs": {"/t": "", "/u": null}}),
            vec!["--tmpfs=/t", "--tmpfs=/u"],
        ),
        (
            json!({"volumes": {"/a": {"bind": "/b", "propagation": "rslave"}, "name": "/c", "/d": {"bind": "/d", "ro": true}}}),
            vec!["-v/a:/b:rslave", "-v", "name:/c", "--volume=/d:/d:ro"],
        ),
        (
            json!({"volumes": ["/a:/b:ro", "/c"]}),
            vec!["-v/a:/b:ro", "-v/c"],
        ),
        (
            json!({"working_dir": "/srv/", "user": 1000}),
            vec!["-w/srv", "-u1000"],
        ),
    ];
    for (global, args) in cases {
        let said = options_of(&json!({
            "global_docker_options": global.clone(),
            "backends": [one(&json!({}))],
        }));
        assert_eq!(said, with_args(&args).options, "{global}");
    }
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
    let config = load(&json!({"backends": [one(&keys)]})).unwrap();
    let (_, host) = body_of(&docker(&config, "one"), Transport::Stdio);
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
fn a_template_is_mounted_where_the_backend_wants_it() {
    let template = |name: &str| backend(name).template.unwrap();
    let open = template("open");
    assert_eq!((&*open.target, open.way), ("/projects", TemplateWay::Copy));
    assert_eq!(template("privileged").target, "/data");
    assert_eq!(template("one file").target, "/data/notes.txt");
    assert!(open.source.ends_with("data/seed") && open.source.is_absolute());
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

/// The words that a shell makes of a line.
fn words(line: &str) -> Vec<String> {
    let script = format!("set -- {line}; for word; do printf '%s\\0' \"$word\"; done");
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(output.status.success(), "{line}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn the_command_line_is_complete_without_secrets() {
    let line = command_line(&backend("layers"), Transport::Stdio, &Extras::default());
    assert!(
        line.starts_with("docker run -i --rm --env API_KEY --env BOTH "),
        "{line}"
    );
    assert!(!line.contains("hunter2"), "{line}");
    assert!(
        line.contains("--log-opt max-size=10m --log-opt 'token=•••'"),
        "{line}"
    );
    assert!(
        line.contains("--cap-drop ALL --cap-add NET_RAW --cap-add DAC_OVERRIDE"),
        "{line}"
    );
    assert!(line.ends_with(" x"), "{line}");
    let line = command_line(&backend("spellings"), Transport::Http, &Extras::default());
    assert!(
        line.starts_with("docker run -d -p 127.0.0.1::8000 --interactive "),
        "{line}"
    );
    let docker = LocalDocker {
        command: Some(vec!["it's".to_owned(), String::new(), "$HOME".to_owned()]),
        ..with_args(&["--network=host"])
    };
    let line = command_line(&docker, Transport::Stdio, &Extras::default());
    assert!(line.ends_with(r#" image 'it'\''s' '' '$HOME'"#), "{line}");
    let several = json!({"global_docker_options": {"entrypoint": ["python3", "-m", "x"]}, "backends": [one(&json!({}))]});
    let docker = docker_of(&several);
    let line = command_line(&docker, Transport::Stdio, &Extras::default());
    assert!(line.ends_with(" --entrypoint python3 image -m x"), "{line}");
}

fn docker_of(root: &Value) -> LocalDocker {
    docker(&load(root).unwrap(), "one")
}

/// Everything that can be said in one line, with values that need quotes.
const MANY: &[&str] = &[
    "--label=it's=a \"label\"",
    "-unode:1000",
    "-w/srv/a b",
    "--stop-signal=SIGINT",
    "--platform=linux/arm64/v8",
    "--pull=never",
    "--runtime=runc",
    "--log-driver=local",
    "--log-opt=max-size=10m",
    "--health-cmd=curl -f localhost || exit 1",
    "--health-interval=1m30s",
    "--health-timeout=500ms",
    "--health-start-period=1h",
    "--health-retries=3",
    "--network=name=agents,driver-opt=com.docker.x=y",
    "--network-alias=a",
    "--ip=10.1.2.3",
    "--ip6=2001:db8::1",
    "--link-local-ip=169.254.1.1",
    "--link=db:alias",
    "-p8080:80",
    "-p[::1]:8443:443",
    "-p127.0.0.1::53/udp",
    "-p9000-9001:90-91",
    "-p7000-7010:70",
    "-P",
    "--expose=81",
    "--dns=1.1.1.1",
    "--dns-search=example.com",
    "--dns-option=ndots:1",
    "--add-host=db:::1",
    "-hweb",
    "--domainname=example.com",
    "-v/a b:/a:ro,Z",
    "-vname:/b:nocopy",
    "-v/anonymous",
    "--mount=type=bind,source=/c:d,target=/c,bind-propagation=rslave,readonly",
    "--mount=type=volume,source=other,target=/d,volume-driver=local,\"volume-label=a=b,c\"",
    "--tmpfs=/t:size=64m,mode=1777",
    "--volumes-from=other:ro",
    "--volume-driver=local",
    "--read-only",
    "--shm-size=64m",
    "--storage-opt=size=10G",
    "-m1g",
    "--memory-swap=2g",
    "--memory-reservation=512m",
    "--memory-swappiness=10",
    "--oom-kill-disable",
    "--oom-score-adj=-500",
    "--cpus=1.25",
    "--cpu-shares=512",
    "--cpuset-cpus=0-1",
    "--cpuset-mems=0",
    "--pids-limit=-1",
    "--ulimit=nofile=1024:2048",
    "--ulimit=core=0",
    "--sysctl=net.core.somaxconn=1024",
    "--blkio-weight=100",
    "--blkio-weight-device=/dev/sda:200",
    "--device-read-bps=/dev/sda:1mb",
    "--device-write-iops=/dev/sda:100",
    "--cgroup-parent=/agents",
    "--device=/dev/fuse",
    "--device=/dev/sda:/dev/xvda:r",
    "--device=nvidia.com/gpu=all",
    "--device-cgroup-rule=c 1:3 rwm",
    "--gpus=\"device=0,1\",driver=nvidia,\"capabilities=compute,utility\",\"options=a=b,c=d\"",
    "--gpus=all",
    "--cap-add=NET_ADMIN",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=label=type:x",
    "--security-opt=systempaths=unconfined",
    "--ipc=private",
    "--pid=host",
    "--userns=host",
    "--cgroupns=private",
    "--group-add=audio",
    "--entrypoint=/bin/my server",
];

#[test]
fn the_command_line_read_again_gives_the_same_container() {
    let said = with_args(MANY);
    let line = command_line(&said, Transport::Stdio, &Extras::default());
    let words = words(&line);
    let (start, rest) = words.split_at(4);
    assert_eq!(start, ["docker", "run", "-i", "--rm"]);
    let (image, args) = rest.split_last().unwrap();
    assert_eq!(image, "image");
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut again = with_args(&args).options;
    // The command says what hardening does; the options keep it apart.
    assert_eq!(again.isolation.cap_add, ["NET_ADMIN", "DAC_OVERRIDE"]);
    again.isolation.cap_add.pop();
    assert_eq!(again.isolation.cap_drop, ["ALL"]);
    again.isolation.cap_drop.clear();
    assert_eq!(again, said.options);
}

#[test]
fn everything_that_is_secret_is_known_as_such() {
    let mut options = backend("layers").options;
    assert_eq!(options.secrets()["log-opt token"].expose(), "hunter2-log");
    assert_eq!(options.secrets()["API_KEY"].expose(), "hunter2-global");
    let mount = "--mount=target=/n,volume-driver=local,volume-opt=o=hunter2";
    options = with_args(&[mount]).options;
    assert_eq!(options.secrets()["volume-opt o"].expose(), "hunter2");
    assert!(!format!("{options:?}").contains("hunter2"));
    let docker = with_args(&[mount]);
    let line = command_line(&docker, Transport::Stdio, &Extras::default());
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a_volume_with_two_faults_gets_two_problems() {
    let keys = json!({"container_volumes": {"/a": {"bind": "relative", "mode": "wr"}}});
    let invalid = load(&json!({"backends": [one(&keys)]})).unwrap_err();
    let paths: Vec<_> = invalid
        .problems
        .iter()
        .map(|problem| &*problem.path)
        .collect();
    let volume = r#"backends[0].container_volumes["/a"]"#;
    assert_eq!(paths, [format!("{volume}.bind"), format!("{volume}.mode")]);
}
