//! From a file to options.

use std::path::Path;
use std::time::Duration;

use envdeck::drivers::docker::command_line::command_line;
use envdeck::drivers::docker::create::Extras;
use envdeck::model::{HealthTest, MountSource, Relabel, TemplateWay, Transport, Ulimit};
use serde_json::{Value, json};

use crate::{backend, docker_of, fixture, load, one, with_args};

#[test]
fn later_layers_win() {
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
    assert_eq!(dns, ["9.9.9.9"], "it would be asked last");
    let hosts = options.network.extra_hosts.iter();
    let hosts: Vec<_> = hosts
        .map(|host| format!("{} {}", host.name, host.address))
        .collect();
    assert_eq!(hosts, ["cache 10.0.0.6", "db 10.0.1.1", "db 10.0.1.2"]);
    let groups = &options.isolation.groups;
    assert_eq!(groups, &["audio", "video"], "they add up");
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

/// `global_docker_options` and `docker_run_args` that say the same.
const EQUAL: &[(&str, &[&str])] = &[
    (r#"{"cap_add": ["NET_ADMIN"]}"#, &["--cap-add=NET_ADMIN"]),
    (r#"{"devices": ["/dev/fuse:r"]}"#, &["--device=/dev/fuse:r"]),
    (
        r#"{"devices": [{"PathOnHost": "/dev/fuse", "CgroupPermissions": "r"}]}"#,
        &["--device=/dev/fuse:r"],
    ),
    (
        r#"{"device_requests": [{"count": -1, "capabilities": [["gpu"]]}]}"#,
        &["--gpus=all"],
    ),
    (
        r#"{"device_requests": [{"DeviceIDs": ["0"], "Capabilities": [["gpu"]]}]}"#,
        &["--gpus=device=0"],
    ),
    (
        r#"{"device_read_bps": [{"Path": "/dev/sda", "Rate": 1024}]}"#,
        &["--device-read-bps=/dev/sda:1k"],
    ),
    (
        r#"{"blkio_weight_device": [{"Path": "/dev/sda", "Weight": 10}]}"#,
        &["--blkio-weight-device=/dev/sda:10"],
    ),
    (r#"{"entrypoint": ["server"]}"#, &["--entrypoint=server"]),
    (r#"{"entrypoint": ""}"#, &["--entrypoint="]),
    (r#"{"environment": {"A": "1"}}"#, &["-eA=1"]),
    (
        r#"{"extra_hosts": {"db": "10.0.0.5"}}"#,
        &["--add-host=db:10.0.0.5"],
    ),
    (
        r#"{"extra_hosts": ["db:10.0.0.5"]}"#,
        &["--add-host", "db=10.0.0.5"],
    ),
    (
        r#"{"group_add": ["docker", 5]}"#,
        &["--group-add=docker", "--group-add=5"],
    ),
    (
        r#"{"healthcheck": {"test": "ok", "interval": "1m30s", "start_period": 1000000}}"#,
        &[
            "--health-cmd=ok",
            "--health-interval=90s",
            "--health-start-period=1ms",
        ],
    ),
    (
        r#"{"healthcheck": {"test": ["NONE"]}}"#,
        &["--no-healthcheck"],
    ),
    (r#"{"labels": ["a=b=", "c"]}"#, &["-la=b=", "--label=c"]),
    (r#"{"links": {"db": "alias"}}"#, &["--link=db:alias"]),
    (
        r#"{"log_config": {"Type": "local", "Config": {"max-file": 3}}}"#,
        &["--log-driver=local", "--log-opt=max-file=3"],
    ),
    (r#"{"mem_limit": 536870912}"#, &["-m", "512m"]),
    (
        r#"{"memswap_limit": -1, "mem_swappiness": 0}"#,
        &["--memory-swap=-1", "--memory-swappiness=0"],
    ),
    (
        r#"{"mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true, "BindOptions": {"Propagation": "rslave", "NonRecursive": true}}]}"#,
        &["--mount=type=bind,src=/a,dst=/b,ro,bind-propagation=rslave,bind-recursive=disabled"],
    ),
    (
        r#"{"mounts": [{"target": "/b", "source": "name", "no_copy": true, "labels": {"a": "b"}, "driver_config": {"Name": "nfs", "Options": {"o": "x,y"}}}]}"#,
        &[
            r#"--mount=source=name,target=/b,volume-nocopy,volume-label=a=b,volume-driver=nfs,"volume-opt=o=x,y""#,
        ],
    ),
    (
        r#"{"mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 511}}]}"#,
        &["--tmpfs=/t:size=1024,mode=777"],
    ),
    (r#"{"nano_cpus": 500000000}"#, &["--cpus", ".5"]),
    (r#"{"network_mode": "host"}"#, &["--net", "host"]),
    (r#"{"network_disabled": true}"#, &["--network=none"]),
    (r#"{"privileged": true}"#, &["--privileged"]),
    (
        r#"{"restart_policy": {"Name": "no"}, "tty": false, "remove": true}"#,
        &[],
    ),
    (
        r#"{"security_opt": ["no-new-privileges:false", "label:disable"]}"#,
        &[
            "--security-opt=no-new-privileges=false",
            "--security-opt=label=disable",
        ],
    ),
    (
        r#"{"sysctls": {"net.core.somaxconn": 1024}}"#,
        &["--sysctl=net.core.somaxconn=1024"],
    ),
    (
        r#"{"storage_opt": {"size": "1G"}}"#,
        &["--storage-opt=size=1G"],
    ),
    (
        r#"{"tmpfs": ["/t:size=1m", "/u"]}"#,
        &["--tmpfs=/t:size=1m", "--tmpfs=/u"],
    ),
    (
        r#"{"tmpfs": {"/t": "", "/u": null}}"#,
        &["--tmpfs=/t", "--tmpfs=/u"],
    ),
    (
        r#"{"volumes": {"/a": {"bind": "/b", "propagation": "rslave"}, "name": "/c", "/d": {"bind": "/d", "ro": true}}}"#,
        &["-v/a:/b:rslave", "-v", "name:/c", "--volume=/d:/d:ro"],
    ),
    (
        r#"{"volumes": ["/a:/b:ro", "/c"]}"#,
        &["-v/a:/b:ro", "-v/c"],
    ),
    (
        r#"{"working_dir": "/srv/", "user": 1000}"#,
        &["-w/srv", "-u1000"],
    ),
];

#[test]
fn the_names_of_the_python_sdk_say_the_same_as_options_of_docker_run() {
    for (global, args) in EQUAL {
        let read: Value = serde_json::from_str(global).unwrap();
        let said = docker_of(&json!({
            "global_docker_options": read,
            "backends": [one(&json!({}))],
        }));
        assert_eq!(said.options, with_args(args).options, "{global}");
    }
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
