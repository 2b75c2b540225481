//! Where the engine is: `DOCKER_HOST`, a docker context, a rootless socket, or the usual place.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Where a system-wide engine listens.
const SYSTEM_SOCKET: &str = "/var/run/docker.sock";
/// The context that stands for no context.
const DEFAULT_CONTEXT: &str = "default";

/// How to reach an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// `HOST:PORT`, plain HTTP.
    Tcp(String),
}

/// Why there is no address, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAddress {
    pub problem: String,
    pub hint: &'static str,
}

impl Address {
    /// As the docker command line finds it, in this process's environment.
    pub fn of_user() -> Result<Self, NoAddress> {
        Surroundings::of_process().address()
    }

    /// Whether nobody tells where an engine is, and there is none in the usual places.
    pub fn is_nowhere() -> bool {
        Surroundings::of_process().is_nowhere()
    }

    /// What follows `DOCKER_HOST=`.
    pub fn parse(host: &str) -> Result<Self, NoAddress> {
        let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
        match scheme {
            _ if rest.is_empty() => no(format!("`{host}` names no engine"), FORMS),
            "unix" => Ok(Address::Unix(rest.into())),
            "tcp" | "http" => Ok(Address::Tcp(tcp(rest))),
            "ssh" => no(
                format!("engines behind ssh ({host}) are not supported"),
                "forward its socket: ssh -NL /tmp/engine.sock:/var/run/docker.sock HOST, then \
                 DOCKER_HOST=unix:///tmp/engine.sock",
            ),
            "https" => no(
                format!("engines behind TLS ({host}) are not supported"),
                TLS,
            ),
            _ => no(format!("`{host}` is no address of an engine"), FORMS),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix://{}", path.display()),
            Address::Tcp(host) => write!(f, "tcp://{host}"),
        }
    }
}

const FORMS: &str = "DOCKER_HOST is unix:///PATH or tcp://HOST:PORT";
const TLS: &str = "reach it through a local socket, for example one that ssh forwards";

fn no(problem: String, hint: &'static str) -> Result<Address, NoAddress> {
    Err(NoAddress { problem, hint })
}

/// `HOST:PORT` without a path; 2375 is the registered port of an engine without TLS.
fn tcp(rest: &str) -> String {
    let host = rest.split('/').next().unwrap_or_default();
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:2375")
    }
}

/// What tells where the engine is.
struct Surroundings<'a> {
    env: &'a dyn Fn(&str) -> Option<OsString>,
    system_socket: &'a Path,
}

impl Surroundings<'static> {
    fn of_process() -> Self {
        Self {
            env: &|name| env::var_os(name),
            system_socket: Path::new(SYSTEM_SOCKET),
        }
    }
}

impl Surroundings<'_> {
    /// `DOCKER_HOST`, `DOCKER_CONTEXT` and the current context win in this order, as in the docker command line.
    fn address(&self) -> Result<Address, NoAddress> {
        if let Some(host) = self.text("DOCKER_HOST") {
            let address = Address::parse(&host)?;
            let tls = self
                .text("DOCKER_TLS_VERIFY")
                .or_else(|| self.text("DOCKER_TLS"));
            return match &address {
                Address::Tcp(_) if tls.is_some() => no(
                    format!("engines behind TLS ({host}) are not supported"),
                    TLS,
                ),
                _ => Ok(address),
            };
        }
        match self.context() {
            None => Ok(Address::Unix(self.socket())),
            Some(name) => self.of_context(&name),
        }
    }

    fn is_nowhere(&self) -> bool {
        self.text("DOCKER_HOST").is_none() && self.context().is_none() && !self.socket().exists()
    }

    /// The context in use, if that is one.
    fn context(&self) -> Option<String> {
        let name = self.text("DOCKER_CONTEXT");
        let name = name.or_else(|| self.current_context());
        name.filter(|name| name != DEFAULT_CONTEXT)
    }

    fn text(&self, name: &str) -> Option<String> {
        let value = (self.env)(name)?.to_string_lossy().into_owned();
        Some(value).filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        (self.env)("HOME").map(PathBuf::from)
    }

    fn settings(&self) -> Option<PathBuf> {
        let own = self.text("DOCKER_CONFIG").map(PathBuf::from);
        own.or_else(|| Some(self.home()?.join(".docker")))
    }

    fn current_context(&self) -> Option<String> {
        let settings = fs::read(self.settings()?.join("config.json")).ok()?;
        let settings: Value = serde_json::from_slice(&settings).ok()?;
        let name = settings.get("currentContext")?.as_str()?;
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }

    /// Contexts are kept in directories named by the SHA-256 of their names.
    fn of_context(&self, name: &str) -> Result<Address, NoAddress> {
        let missing = |what: &str| NoAddress {
            problem: format!("the docker context `{name}` {what}"),
            hint: "see `docker context ls`, or set DOCKER_HOST",
        };
        let id = format!("{:x}", Sha256::digest(name));
        let contexts = self
            .settings()
            .ok_or_else(|| missing("does not exist: no home directory"))?
            .join("contexts");
        let meta = fs::read(contexts.join("meta").join(&id).join("meta.json"))
            .map_err(|_| missing("does not exist"))?;
        let meta: Value = serde_json::from_slice(&meta).map_err(|_| missing("cannot be read"))?;
        let host = meta
            .pointer("/Endpoints/docker/Host")
            .and_then(Value::as_str)
            .filter(|host| !host.is_empty())
            .ok_or_else(|| missing("names no engine"))?;
        let address = Address::parse(host)?;
        let keys = contexts.join("tls").join(&id).join("docker");
        match &address {
            Address::Tcp(_) if keys.is_dir() => no(
                format!("engines behind TLS (context `{name}`) are not supported"),
                TLS,
            ),
            _ => Ok(address),
        }
    }

    /// The first socket that we may use, else the first that exists, else the usual one.
    fn socket(&self) -> PathBuf {
        let run = (self.env)("XDG_RUNTIME_DIR").map(PathBuf::from);
        let home = self.home();
        let sockets: Vec<PathBuf> = [
            Some(self.system_socket.to_owned()),
            run.map(|run| run.join("docker.sock")),
            home.as_ref()
                .map(|home| home.join(".docker/run/docker.sock")),
            home.as_ref()
                .map(|home| home.join(".docker/desktop/docker.sock")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let usable = |path: &&PathBuf| access(*path, AccessFlags::R_OK | AccessFlags::W_OK).is_ok();
        let chosen = sockets
            .iter()
            .find(usable)
            .or_else(|| sockets.iter().find(|path| path.exists()));
        chosen.map_or_else(|| self.system_socket.to_owned(), Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    struct Desk {
        home: tempfile::TempDir,
        env: HashMap<&'static str, OsString>,
    }

    impl Desk {
        fn new() -> Self {
            let home = tempfile::tempdir().expect("a directory");
            let env = HashMap::from([("HOME", home.path().into())]);
            Self { home, env }
        }

        fn set(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
            self.env.insert(name, value.into());
            self
        }

        fn write(self, path: &str, text: &str) -> Self {
            let path = self.home.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
            self
        }

        fn context(self, name: &str, host: &str) -> Self {
            let path = format!(".docker/contexts/meta/{:x}/meta.json", Sha256::digest(name));
            let meta =
                format!(r#"{{"Name":"{name}","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            self.write(&path, &meta)
        }

        fn look<T>(&self, at: impl FnOnce(Surroundings<'_>) -> T) -> T {
            let system_socket = self.home.path().join("system.sock");
            at(Surroundings {
                env: &|name| self.env.get(name).cloned(),
                system_socket: &system_socket,
            })
        }

        fn address(&self) -> Result<String, NoAddress> {
            self.look(|around| around.address()).map(|address| {
                let home = self.home.path().display().to_string();
                address.to_string().replace(&home, "~")
            })
        }

        fn is_nowhere(&self) -> bool {
            self.look(|around| around.is_nowhere())
        }
    }

    #[test]
    fn an_engine_is_nowhere_only_where_nobody_tells_of_one() {
        assert!(Desk::new().is_nowhere());
        assert!(Desk::new().set("DOCKER_CONTEXT", "default").is_nowhere());
        assert!(!Desk::new().write("system.sock", "").is_nowhere());
        assert!(!Desk::new().set("DOCKER_HOST", "unix:///gone").is_nowhere());
        assert!(!Desk::new().set("DOCKER_CONTEXT", "gone").is_nowhere());
    }

    #[test]
    fn the_forms_of_a_host() {
        let parse = |host| Address::parse(host).map(|address| address.to_string());
        assert_eq!(parse("unix:///a/b.sock"), Ok("unix:///a/b.sock".into()));
        assert_eq!(parse("tcp://box:1234"), Ok("tcp://box:1234".into()));
        assert_eq!(parse("tcp://box"), Ok("tcp://box:2375".into()));
        assert_eq!(parse("tcp://[::1]:2375/"), Ok("tcp://[::1]:2375".into()));
        assert_eq!(parse("box:99"), Ok("tcp://box:99".into()));
        for bad in [
            "ssh://me@box",
            "https://box",
            "npipe:////./pipe/x",
            "unix://",
        ] {
            let NoAddress { problem, hint } = Address::parse(bad).expect_err(bad);
            assert!(problem.contains(bad) && !hint.is_empty(), "{problem}");
        }
    }

    #[test]
    fn docker_host_wins_over_contexts_and_a_context_over_sockets() {
        let desk = Desk::new()
            .write("system.sock", "")
            .write(".docker/config.json", r#"{"currentContext":"one"}"#)
            .context("one", "unix:///one.sock")
            .context("two", "tcp://two:1");
        assert_eq!(desk.address(), Ok("unix:///one.sock".into()));
        let desk = desk.set("DOCKER_CONTEXT", "two");
        assert_eq!(desk.address(), Ok("tcp://two:1".into()));
        let desk = desk.set("DOCKER_CONTEXT", "default");
        assert_eq!(desk.address(), Ok("unix://~/system.sock".into()));
        let desk = desk.set("DOCKER_HOST", "unix:///host.sock");
        assert_eq!(desk.address(), Ok("unix:///host.sock".into()));
    }

    #[test]
    fn a_context_that_cannot_be_used_is_named() {
        let desk = Desk::new().set("DOCKER_CONTEXT", "gone");
        assert!(
            desk.address()
                .expect_err("none")
                .problem
                .contains("`gone` does not exist")
        );
        let desk = Desk::new()
            .set("DOCKER_CONTEXT", "far")
            .context("far", "ssh://far");
        assert!(desk.address().expect_err("ssh").problem.contains("ssh"));
    }

    #[test]
    fn tls_is_refused_instead_of_spoken_to_in_plain_text() {
        let desk = Desk::new()
            .set("DOCKER_HOST", "tcp://box:2376")
            .set("DOCKER_TLS_VERIFY", "1");
        assert!(desk.address().expect_err("tls").problem.contains("TLS"));
    }

    #[test]
    fn a_rootless_socket_serves_where_there_is_no_other() {
        let desk = Desk::new();
        let run = desk.home.path().join("run");
        let desk = desk.set("XDG_RUNTIME_DIR", &run);
        assert_eq!(desk.address(), Ok("unix://~/system.sock".into()));
        let desk = desk.write("run/docker.sock", "");
        assert_eq!(desk.address(), Ok("unix://~/run/docker.sock".into()));
        let desk = desk.write("system.sock", "");
        assert_eq!(desk.address(), Ok("unix://~/system.sock".into()));
    }
}
