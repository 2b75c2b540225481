//! What a front end runs: a configuration file, a server of the command line, or the demo.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, Config, Environment, Invalid};

/// Which environments there are.
#[derive(Debug, Args)]
pub struct Target {
    /// The backends to offer, a YAML file
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub config: Option<PathBuf>,

    /// An MCP server to run, with its arguments, that speaks on stdin and stdout
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

/// Where the configuration comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    File(&'a Path),
    Command {
        command: &'a str,
        args: &'a [String],
    },
    Demo,
}

impl Target {
    /// Whether the server is on the command line, and so the only backend.
    pub fn is_ad_hoc(&self) -> bool {
        matches!(self.source(), Source::Command { .. })
    }

    pub fn source(&self) -> Source<'_> {
        match (&self.config, self.server.split_first()) {
            (Some(file), _) => Source::File(file),
            (None, Some((command, args))) => Source::Command { command, args },
            (None, None) => Source::Demo,
        }
    }

    /// Reads what is configured.
    pub fn load(&self, env: Environment) -> Result<Config, Invalid> {
        match self.source() {
            Source::File(file) => config::load(file, env),
            Source::Command { command, args } => Ok(config::of_command(command, args)),
            Source::Demo => Ok(config::demo()),
        }
    }

    /// These arguments, as a shell would need them; empty for the demo.
    pub fn words(&self) -> Vec<String> {
        match self.source() {
            Source::File(file) => vec!["--config".to_owned(), file.display().to_string()],
            Source::Command { command, args } => ["--", command]
                .into_iter()
                .chain(args.iter().map(String::as_str))
                .map(str::to_owned)
                .collect(),
            Source::Demo => vec![],
        }
    }
}
