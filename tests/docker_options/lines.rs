//! From options to the command that does the same.

use std::process::Command;

use envdeck::drivers::docker::command_line::command_line;
use envdeck::drivers::docker::create::Extras;
use envdeck::model::{LocalDocker, Transport};
use serde_json::json;

use crate::{backend, docker_of, one, with_args};

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
    assert!(line.ends_with(r" image 'it'\''s' '' '$HOME'"), "{line}");
    let several = json!({"global_docker_options": {"entrypoint": ["python3", "-m", "x"]}, "backends": [one(&json!({}))]});
    let docker = docker_of(&several);
    let line = command_line(&docker, Transport::Stdio, &Extras::default());
    assert!(line.ends_with(" --entrypoint python3 image -m x"), "{line}");
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
