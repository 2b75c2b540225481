//! Our containers and those of the docker command.

use envdeck::drivers::docker::command_line::command_line;
use envdeck::drivers::docker::create::Extras;
use envdeck::model::Mount;
use envdeck::quote;
use serde_json::{Value, json};

use crate::OPEN;
use crate::essence::{differences, essence};
use crate::lab::{IMAGE, Lab, Network};

/// Options that the docker command of Debian 12 knows, too.
const ALIKE: &[&[&str]] = &[
    &[],
    &[
        "-eA=1",
        "--env=B=two words",
        "--env-file=variables",
        "--label=a=b",
        "-lc",
        "--label-file=labels",
    ],
    &[
        "-u",
        "1000:1000",
        "-w",
        "/srv",
        "--stop-signal=SIGINT",
        "--entrypoint",
        "/bin/sh",
    ],
    &["--entrypoint="],
    &[
        "--platform=linux/amd64",
        "--runtime=runc",
        "--read-only",
        "--init",
    ],
    &[
        "-v",
        "/tmp/../tmp:/a",
        "-v/tmp:/b:ro",
        "-v",
        "/tmp:/c:rslave,ro",
        "-v/anonymous",
        "-venvdeck-create-test:/d:nocopy",
    ],
    &[
        "--mount",
        "type=bind,source=/tmp,target=/a,readonly,bind-propagation=rprivate",
    ],
    &[
        "--mount=type=volume,target=/b,volume-nocopy,volume-label=a=b,\"volume-opt=o=size=1m,uid=0\",volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-driver=local",
    ],
    &[
        "--tmpfs",
        "/run:size=64m,mode=1777,exec",
        "--tmpfs=/t",
        "--shm-size=32m",
    ],
    &[
        "-p",
        "8080:80",
        "-p127.0.0.1::81/udp",
        "-p",
        "[::1]:9000-9001:90-91",
        "-p7000-7010:70",
        "-P",
        "--expose=100-102/tcp",
    ],
    &[
        "--network=host",
        "--add-host=a:1.2.3.4",
        "--add-host=gw:host-gateway",
    ],
    &[
        "--network=none",
        "--hostname=web",
        "--domainname=example.com",
    ],
    &[
        "--network=bridge",
        "--dns=1.1.1.1",
        "--dns-search=example.com",
        "--dns-option=ndots:1",
    ],
    &[
        "-m512m",
        "--memory-swap=1g",
        "--memory-reservation=256m",
        "--oom-score-adj=-100",
        "--pids-limit=100",
    ],
    &["--memory=1.5g", "--memory-swap=-1", "--cpus=0.5"],
    &[
        "--cpu-shares=512",
        "--cpu-period=50000",
        "--cpu-quota=25000",
        "--cpuset-cpus=0",
        "--cpuset-mems=0",
    ],
    &[
        "--ulimit=nofile=1024:2048",
        "--ulimit",
        "core=0",
        "--sysctl=net.core.somaxconn=1024",
        "--sysctl=kernel.shm_rmid_forced=1",
    ],
    &[
        "--cap-add=net_admin",
        "--cap-add=CAP_SYS_PTRACE",
        "--cap-drop=ALL",
        "--group-add=audio",
        "--group-add=20",
    ],
    &[
        "--security-opt=no-new-privileges",
        "--security-opt=seccomp=unconfined",
        "--security-opt=label=disable",
        "--security-opt=systempaths=unconfined",
    ],
    &["--security-opt=seccomp=profile.json", "--privileged"],
    &[
        "--ipc=private",
        "--pid=host",
        "--uts=host",
        "--cgroupns=private",
        "--userns=host",
    ],
    &["--ipc=shareable", "--cgroup-parent=/envdeck-tests"],
    &[
        "--health-cmd=true",
        "--health-interval=1m30s",
        "--health-timeout=2s",
        "--health-retries=5",
        "--health-start-period=100ms",
    ],
    &[
        "--no-healthcheck",
        "--log-driver=json-file",
        "--log-opt=max-size=1m",
        "--log-opt",
        "max-file=2",
    ],
    &["--log-driver=none"],
    &[
        "--device=/dev/null:/dev/nothing:r",
        "--device",
        "/dev/zero",
        "--device-cgroup-rule=c 1:3 r",
    ],
    &[
        "--blkio-weight=100",
        "--device-read-bps=/dev/null:1mb",
        "--device-write-iops=/dev/null:10",
    ],
    &["--gpus=all"],
    &[
        "--gpus",
        "\"device=0,1\",driver=nvidia,capabilities=utility",
    ],
];

impl Lab {
    /// Files that the options name.
    fn with_files(self) -> Self {
        let file = |name: &str, text: &str| {
            std::fs::write(self.directory.path().join(name), text).unwrap();
        };
        file("variables", "FILE=1\n# comment\n\n SPACE= kept \n");
        file("labels", "file=1\na=file\n");
        file(
            "profile.json",
            "{\n \"defaultAction\": \"SCMP_ACT_ALLOW\" }\n",
        );
        self
    }
}

#[tokio::test]
#[ignore = "needs a Docker engine and command"]
async fn options_mean_what_they_mean_to_the_docker_command() {
    let lab = Lab::new().await.with_files();
    let network = Network::new(&lab);
    let joined = [
        &*format!("--network={}", network.name),
        "--network-alias=a",
        "--ip=10.213.77.5",
    ];
    let long = [
        &*format!("--network=name={},alias=b", network.name),
        "--link-local-ip=169.254.9.9",
    ];
    let hardening: Value = serde_json::from_str(OPEN).unwrap();
    let mut wrong = Vec::new();
    for args in ALIKE.iter().copied().chain([&joined[..], &long[..]]) {
        let keys =
            json!({"docker_run_args": args, "hardening": hardening, "container_command": ["true"]});
        let ours = lab.create(&lab.backend(&keys), &lab.extras()).await;
        let line = format!("docker run -i {} {IMAGE} true", quote::line(args));
        let theirs = lab.create_by_command(&line, &[]);
        let (ours, theirs) = (lab.inspect(&ours).await, lab.inspect(&theirs).await);
        let unlike = differences("", &essence(ours), &essence(theirs));
        wrong.extend(unlike.iter().map(|line| format!("{args:?}: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
#[ignore = "needs a Docker engine and command"]
async fn the_command_line_makes_the_same_container() {
    let lab = Lab::new().await.with_files();
    let mut wrong = Vec::new();
    // Options of a volume's driver may be passwords, and are not in the line.
    let open = |args: &&&[&str]| !args.iter().any(|word| word.contains("volume-opt"));
    for args in ALIKE.iter().filter(open) {
        let keys = json!({"docker_run_args": args, "container_command": ["echo", "it's $HOME"]});
        let backend = lab.backend(&keys);
        let extras = Extras {
            mounts: vec![Mount::of_host(
                lab.directory.path().to_str().unwrap(),
                "/copy",
            )],
            ..lab.extras()
        };
        let line = command_line(&backend.0, backend.1, &extras);
        let secrets = backend.0.options.environment.iter();
        let secrets: Vec<_> = secrets
            .map(|(name, value)| (&**name, value.expose()))
            .collect();
        let ours = lab.create(&backend, &extras).await;
        let theirs = lab.create_by_command(&line, &secrets);
        let ours = essence(lab.inspect(&ours).await);
        let mut theirs = essence(lab.inspect(&theirs).await);
        let host = theirs["HostConfig"].as_object_mut().unwrap();
        assert_eq!(host.remove("AutoRemove"), Some(true.into()));
        let unlike = differences("", &ours, &theirs);
        wrong.extend(unlike.iter().map(|unlike| format!("{line}: {unlike}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
