//! Configurations that need no file: a command of the command line, and the built-in demo.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{Config, Origin, schema};
use crate::model::{
    Backend, GatewayOptions, HealthPolicy, Limits, LocalProcess, Mode, RestartPolicy, Scope,
    Transport,
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

/// The server inside this process: no network, no files, nothing to install.
pub fn demo() -> Config {
    only(Origin::Demo, "demo", "demo", Mode::Embedded)
}

fn only(origin: Origin, name: &str, kind: &str, mode: Mode) -> Config {
    let backend = Backend {
        name: name.into(),
        kind: kind.to_owned(),
        mode,
        scope: Scope::Session,
        transport: Transport::Stdio,
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

fn identifier(text: &str) -> String {
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
    fn the_demo_is_one_embedded_backend() {
        let config = demo();
        assert_eq!(config.origin, Origin::Demo);
        assert_eq!(config.backends.len(), 1);
        assert_eq!(&*config.backends[0].name, "demo");
        assert_eq!(config.backends[0].mode, Mode::Embedded);
    }
}
