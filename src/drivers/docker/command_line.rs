//! The `docker run …` that makes the same container from a shell.

mod limits;
mod mounts;
mod network;

use std::fmt::Display;
use std::net::Ipv4Addr;

use super::create::{self, Extras};
use crate::model::{
    ContainerOptions, HealthCheck, HealthTest, Isolation, LocalDocker, Logging, Pull, Seccomp,
    Secret, Transport,
};
use crate::quote;

/// Options of logs that hold no secret: those of the engine's own drivers.
const LOG_OPTIONS: &[&str] = &[
    "compress",
    "env",
    "env-regex",
    "labels",
    "labels-regex",
    "max-buffer-size",
    "max-file",
    "max-size",
    "mode",
    "tag",
];

/// A line for a POSIX shell: over stdio in the foreground and removed at its end, over HTTP in the background with
/// its port on a free one of the loopback address.
///
/// Secret values are not in it: variables are passed on from the shell (`--env NAME`), other secrets are
/// `•••`. Nor are the labels and the name, so that nobody takes the container for one of ours.
pub fn command_line(docker: &LocalDocker, transport: Transport, extras: &Extras) -> String {
    let mut line = Line::default();
    match create::mcp_port(docker, transport).filter(|_| !docker.options.network.is_host()) {
        _ if transport == Transport::Stdio => line.words.extend(["-i", "--rm"].map(str::to_owned)),
        None => line.words.push("-d".to_owned()),
        Some(port) => {
            line.words.extend(["-d", "-p"].map(str::to_owned));
            let address = Ipv4Addr::LOCALHOST;
            line.words.push(format!("{address}::{}", port.number));
        }
    }
    let options = &docker.options;
    line.switch(
        "interactive",
        options.keep_stdin_open && transport == Transport::Http,
    );
    process(&mut line, options);
    log(&mut line, &options.logging);
    health(&mut line, &options.health);
    network::write(&mut line, &options.network);
    mounts::write(&mut line, &options.storage, &extras.mounts);
    limits::write(&mut line, &options.resources, &options.devices);
    let holds_host_data = create::holds_host_data(docker, extras);
    isolation(&mut line, &options.isolation, holds_host_data);
    let entrypoint = options.entrypoint.as_deref();
    if let Some(words) = entrypoint {
        line.option("entrypoint", words.first().map_or("", String::as_str));
    }
    let image = extras.image.as_ref().unwrap_or(&docker.image);
    line.words.push(image.clone());
    // The command takes one word for the entrypoint; the image's own command is not used with one anyway.
    line.words
        .extend(entrypoint.into_iter().flatten().skip(1).cloned());
    line.words.extend(docker.command.iter().flatten().cloned());
    format!("docker run {}", quote::line(&line.words))
}

/// Words as the program gets them.
#[derive(Default)]
struct Line {
    words: Vec<String>,
}

impl Line {
    fn option(&mut self, name: &str, value: impl Display) {
        self.words.push(format!("--{name}"));
        self.words.push(value.to_string());
    }

    fn maybe(&mut self, name: &str, value: Option<&(impl Display + ?Sized)>) {
        if let Some(value) = value {
            self.option(name, value);
        }
    }

    fn each<T: Display>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        for value in values {
            self.option(name, value);
        }
    }

    fn switch(&mut self, name: &str, on: bool) {
        self.words.extend(on.then(|| format!("--{name}")));
    }
}

fn process(line: &mut Line, options: &ContainerOptions) {
    line.each("env", options.environment.keys());
    let label = |(name, value): (&String, &String)| format!("{name}={value}");
    line.each("label", options.labels.iter().map(label));
    line.maybe("user", options.user.as_ref());
    line.maybe("workdir", options.working_dir.as_ref());
    line.maybe("stop-signal", options.stop_signal.as_ref());
    line.maybe("platform", options.platform.as_ref());
    let pull = (options.pull != Pull::Missing).then_some(&options.pull);
    line.maybe("pull", pull);
    line.maybe("runtime", options.runtime.as_ref());
}

fn log(line: &mut Line, logging: &Logging) {
    line.maybe("log-driver", logging.driver.as_ref());
    let option = |(name, value): (&String, &Secret)| {
        if LOG_OPTIONS.contains(&name.as_str()) {
            format!("{name}={}", value.expose())
        } else {
            format!("{name}={value}")
        }
    };
    line.each("log-opt", logging.options.iter().map(option));
}

fn health(line: &mut Line, health: &HealthCheck) {
    line.switch("no-healthcheck", health.disabled);
    let shell = health.test.as_ref().map(|test| match test {
        HealthTest::Shell(text) => text.clone(),
        HealthTest::Command(words) => quote::line(words),
    });
    line.maybe("health-cmd", shell.as_ref());
    let times = [
        ("health-interval", health.interval),
        ("health-timeout", health.timeout),
        ("health-start-period", health.start_period),
    ];
    for (name, time) in times {
        let text = time.map(|time| format!("{}ns", time.as_nanos()));
        line.maybe(name, text.as_ref());
    }
    line.maybe("health-retries", health.retries.as_ref());
}

fn isolation(line: &mut Line, isolation: &Isolation, holds_host_data: bool) {
    line.switch("init", isolation.init);
    line.switch("privileged", isolation.privileged);
    let (add, drop) = create::capabilities(isolation, holds_host_data);
    line.each("cap-drop", drop);
    line.each("cap-add", add);
    if isolation.no_new_privileges {
        line.option("security-opt", "no-new-privileges");
    }
    let seccomp = isolation.seccomp.as_ref().map(|seccomp| match seccomp {
        Seccomp::Unconfined => "seccomp=unconfined".to_owned(),
        Seccomp::Builtin => "seccomp=builtin".to_owned(),
        Seccomp::Profile { file, .. } => format!("seccomp={}", file.display()),
    });
    line.maybe("security-opt", seccomp.as_ref());
    let apparmor = isolation
        .apparmor
        .iter()
        .map(|name| format!("apparmor={name}"));
    line.each("security-opt", apparmor);
    let selinux = isolation
        .selinux
        .iter()
        .map(|label| format!("label={label}"));
    line.each("security-opt", selinux);
    if isolation.unmask_paths {
        line.option("security-opt", "systempaths=unconfined");
    }
    line.maybe("ipc", isolation.ipc.as_ref());
    line.maybe("pid", isolation.pid.as_ref());
    line.maybe("uts", isolation.uts.as_ref());
    line.maybe("userns", isolation.userns.as_ref());
    line.maybe("cgroupns", isolation.cgroupns.as_ref());
    line.each("group-add", &isolation.groups);
}
