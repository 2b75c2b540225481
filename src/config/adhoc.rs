//! Configurations that need no file: a command of the command line, and the built-in demo.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::interpolate::{Environment, Expanded, expand};
use super::problem::{Invalid, Problem};
use super::{Config, Origin, schema};
use crate::model::{
    Backend, GatewayOptions, HealthPolicy, HttpServer, Limits, LocalProcess, Mode, RestartPolicy,
    Scope, Secret, Transport,
};

/// A single backend that runs `command` with `args`; it gets its name from what is run.
pub fn of_command(command: &str, args: &[String]) -> Config {
    let process = LocalProcess {
        command: command.to_owned(),
        args: args.to_vec(),
        env: BTreeMap::new(),
        cwd: None,
    };
    let name = identifier(served(command, args));
    only(Origin::AdHoc, &name, "process", Mode::LocalProcess(process))
}

/// A server that is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtUrl<'a> {
    pub url: &'a str,
    /// Each `Name: value`; `${VAR}` in a value is filled in, so that no secret need stand on the command line.
    pub headers: &'a [String],
    pub ca_file: Option<&'a Path>,
}

/// A single backend that is the server at a URL; it gets its name from the host.
///
/// # Errors
/// All that is wrong, in words that repeat neither the URL nor a value.
pub fn of_url(at: AtUrl<'_>, env: Environment) -> Result<Config, Invalid> {
    let mut problems = Vec::new();
    let mut wrong = |option: &str, text: String| problems.push(Problem::of_option(option, text));
    let mut server = HttpServer::at(at.url);
    let host = server.parsed().map_or_else(
        |problem| {
            wrong("--url", problem);
            String::new()
        },
        |url| url.host_str().unwrap_or_default().to_owned(),
    );
    for text in at.headers {
        match header(text, env) {
            Ok(header) => server.headers.push(header),
            Err(problem) => wrong("--header", problem),
        }
    }
    if let Some(file) = at.ca_file {
        if !file.is_file() {
            wrong("--ca-file", format!("there is no file {}", file.display()));
        }
        server.ca_file = Some(file.to_owned());
    }
    if !problems.is_empty() {
        return Err(Invalid {
            file: env!("CARGO_PKG_NAME").into(),
            problems,
            more: 0,
        });
    }
    let mode = Mode::External(Box::new(server));
    Ok(only(Origin::AdHoc, &identifier(&host), "external", mode))
}

fn header(text: &str, env: Environment) -> Result<(String, Secret), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("expected `Name: value`".to_owned());
    };
    let Expanded { text, troubles, .. } = expand(value.trim(), env);
    if let Some(trouble) = troubles.first() {
        return Err(format!("{name}: {}", trouble.text));
    }
    let value = Secret::new(text);
    match HttpServer::header_problem(name, &value) {
        Some(problem) => Err(format!("{name}: {problem}")),
        None => Ok((name.to_owned(), value)),
    }
}

/// The server inside this process: no network, no files, nothing to install.
pub fn demo() -> Config {
    only(Origin::Demo, "demo", "demo", Mode::Embedded)
}

fn only(origin: Origin, name: &str, kind: &str, mode: Mode) -> Config {
    let transport = match mode {
        Mode::External(_) => Transport::Http,
        _ => Transport::Stdio,
    };
    let backend = Backend {
        name: name.into(),
        kind: kind.to_owned(),
        mode,
        scope: Scope::Session,
        transport,
        startup_check: None,
        restart: RestartPolicy::default(),
        health: HealthPolicy::default(),
        start_timeout: schema::START_TIMEOUT,
        call_timeout: schema::CALL_TIMEOUT,
        call_max_timeout: schema::CALL_MAX_TIMEOUT,
        stop_grace: schema::STOP_GRACE,
    };
    Config {
        origin,
        backends: vec![Arc::new(backend)],
        log_level: schema::LOG_LEVEL.to_owned(),
        limits: Limits::default(),
        gateway: GatewayOptions::default(),
    }
}

/// How a well-known runner names what it runs.
struct Runner {
    command: &'static str,
    /// Words between the command and what it runs.
    words: &'static [&'static str],
    /// Options that are followed by a value.
    valued: &'static [&'static str],
    /// The option whose value is what it runs.
    named_by: Option<&'static str>,
}

const RUNNERS: &[Runner] = &[
    Runner {
        command: "npx",
        words: &[],
        valued: &["-p", "--package", "-w"],
        named_by: None,
    },
    Runner {
        command: "bunx",
        words: &[],
        valued: &["-p", "--package"],
        named_by: None,
    },
    Runner {
        command: "uvx",
        words: &[],
        valued: UV_VALUED,
        named_by: None,
    },
    Runner {
        command: "uv",
        words: &["run", "tool"],
        valued: UV_VALUED,
        named_by: Some("-m"),
    },
    Runner {
        command: "python",
        words: &[],
        valued: &["-W", "-X"],
        named_by: Some("-m"),
    },
    Runner {
        command: "node",
        words: &[],
        valued: &["-r", "--require", "--import"],
        named_by: None,
    },
];

const UV_VALUED: &[&str] = &[
    "-p",
    "--python",
    "--from",
    "--with",
    "--directory",
    "--project",
    "--index-url",
    "--env-file",
];

/// The package, module or file that the command line serves, as far as that can be told.
fn served<'a>(command: &'a str, args: &'a [String]) -> &'a str {
    let program = stem(command);
    // `python3.12` is a `python`, too.
    let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let runner = RUNNERS.iter().find(|runner| runner.command == program);
    let subject = runner.and_then(|runner| runner.subject(args));
    subject.map_or_else(|| stem(command), package)
}

impl Runner {
    fn subject<'a>(&self, args: &'a [String]) -> Option<&'a str> {
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            if self.named_by == Some(arg) {
                return args.next();
            } else if self.valued.contains(&arg) {
                args.next();
            } else if !arg.starts_with('-') && !self.words.contains(&arg) {
                return Some(arg);
            }
        }
        None
    }
}

/// `@scope/name@1.2` and `name[extra]==1.2` are `name`; a path is its file's stem.
fn package(subject: &str) -> &str {
    let name = subject
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or(subject);
    let end = name
        .find(['@', '=', '[', '<', '>', '~'])
        .filter(|end| *end > 0);
    stem(end.map_or(name, |end| &name[..end]))
}

/// The file name without the extension of a program. Other dots are part of a name.
fn stem(path: &str) -> &str {
    let name = Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path);
    match name.rsplit_once('.') {
        Some((stem, "js" | "mjs" | "cjs" | "ts" | "py" | "sh" | "exe" | "rb")) => stem,
        _ => name,
    }
}

pub(super) fn identifier(text: &str) -> String {
    let valid = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = text.chars().map(valid).collect();
    match name.trim_matches('-') {
        "" => "server".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(line: &str) -> String {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        of_command(&words[0], &words[1..]).backends[0]
            .name
            .to_string()
    }

    #[test]
    fn a_backend_is_named_after_what_the_command_runs() {
        for (line, expected) in [
            ("./servers/echo.py --fast", "echo"),
            ("/usr/bin/mcp.server", "mcp-server"),
            (
                "npx -y @modelcontextprotocol/server-everything stdio",
                "server-everything",
            ),
            ("npx -y @scope/pkg@1.2.3", "pkg"),
            ("npx --package thing run-thing", "run-thing"),
            (
                "uvx mcp-server-time --local-timezone=UTC",
                "mcp-server-time",
            ),
            (
                "uvx --from git+https://host/repo mcp-server[cli]==1.0",
                "mcp-server",
            ),
            ("uv run --directory /srv server.py", "server"),
            ("python -m mcp_server_fetch", "mcp_server_fetch"),
            ("python3.12 -u -m pkg.module", "pkg-module"),
            ("/opt/venv/bin/python3 nasty_server.py", "nasty_server"),
            ("node dist/index.js", "index"),
            ("node", "node"),
            ("ünïcode", "n-code"),
            ("日本", "server"),
        ] {
            assert_eq!(name(line), expected, "{line}");
        }
    }

    #[test]
    fn an_ad_hoc_command_is_kept_as_typed() {
        let args = ["-c".to_owned(), "echo  a;b".to_owned()];
        let config = of_command("./sh", &args);
        let Mode::LocalProcess(process) = &config.backends[0].mode else {
            panic!("a process")
        };
        assert_eq!(
            (process.command.as_str(), &process.args[..]),
            ("./sh", &args[..])
        );
        assert_eq!(process.cwd, None);
        assert_eq!(config.backends[0].transport, Transport::Stdio);
    }

    #[test]
    fn a_server_at_a_url_is_named_after_its_host() {
        let env = |name: &str| (name == "TOKEN").then(|| "hunter2".to_owned());
        let headers = ["Authorization: Bearer ${TOKEN}".to_owned()];
        let at = AtUrl {
            url: "https://mcp.example:8443/mcp",
            headers: &headers,
            ca_file: None,
        };
        let config = of_url(at, &env).expect("a server");
        let Mode::External(server) = &config.backends[0].mode else {
            panic!("an external server")
        };
        assert_eq!(&*config.backends[0].name, "mcp-example");
        assert_eq!(config.backends[0].transport, Transport::Http);
        let (name, value) = &server.headers[0];
        assert_eq!(
            (name.as_str(), value.expose()),
            ("Authorization", "Bearer hunter2")
        );

        let headers = ["nothing", "X: ${NONE}", "Accept: x"].map(str::to_owned);
        let wrong = AtUrl {
            url: "ftp://hunter2@x",
            headers: &headers,
            ca_file: Some(Path::new("/nowhere.pem")),
        };
        assert_eq!(
            of_url(wrong, &env)
                .expect_err("all of it is wrong")
                .to_string(),
            "envdeck: --url: expected a URL that begins with http:// or https://\n\
             envdeck: --header: expected `Name: value`\n\
             envdeck: --header: X: the variable NONE is not set\n\
             envdeck: --header: Accept: is set by envdeck itself\n\
             envdeck: --ca-file: there is no file /nowhere.pem"
        );
    }

    #[test]
    fn the_demo_is_one_embedded_backend() {
        let config = demo();
        assert_eq!(config.origin, Origin::Demo);
        assert_eq!(config.backends.len(), 1);
        assert_eq!(&*config.backends[0].name, "demo");
        assert_eq!(config.backends[0].mode, Mode::Embedded);
    }
}
