//! What a front end runs: a configuration file, a server of the command line or at a URL, or the demo.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, AtUrl, Config, Environment, Invalid};
use crate::model::HttpServer;

/// Which environments there are.
#[derive(Debug, Args)]
pub struct Target {
    /// The backends to offer, a YAML file
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub config: Option<PathBuf>,

    /// An MCP server that somebody else runs, over HTTP
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "server"])]
    pub url: Option<String>,

    /// Goes with each request to that URL: `Name: value`, where ${VAR} stands for a variable
    #[arg(short = 'H', long = "header", value_name = "HEADER", requires = "url")]
    pub headers: Vec<String>,

    /// Certificates in PEM to trust besides the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    pub ca_file: Option<PathBuf>,

    /// An MCP server to run, with its arguments, that speaks on stdin and stdout
    #[arg(last = true, value_name = "COMMAND")]
    pub server: Vec<String>,
}

/// Where the configuration comes from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    File(&'a Path),
    Url(AtUrl<'a>),
    Command {
        command: &'a str,
        args: &'a [String],
    },
    Demo,
}

impl Target {
    /// Whether the server is on the command line, and so the only backend.
    pub fn is_ad_hoc(&self) -> bool {
        matches!(self.source(), Source::Command { .. } | Source::Url(_))
    }

    pub fn source(&self) -> Source<'_> {
        match (&self.config, &self.url, self.server.split_first()) {
            (Some(file), ..) => Source::File(file),
            (None, Some(url), _) => Source::Url(AtUrl {
                url,
                headers: &self.headers,
                ca_file: self.ca_file.as_deref(),
            }),
            (None, None, Some((command, args))) => Source::Command { command, args },
            (None, None, None) => Source::Demo,
        }
    }

    /// Reads what is configured.
    pub fn load(&self, env: Environment) -> Result<Config, Invalid> {
        match self.source() {
            Source::File(file) => config::load(file, env),
            Source::Url(at) => config::of_url(at, env),
            Source::Command { command, args } => Ok(config::of_command(command, args)),
            Source::Demo => Ok(config::demo()),
        }
    }

    /// These arguments, for another command line from anywhere, but for what may be secret; empty for the demo.
    pub fn words(&self) -> Vec<String> {
        match self.source() {
            Source::File(file) => {
                let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
                vec!["--config".to_owned(), file.display().to_string()]
            }
            // Its query and the headers may hold secrets.
            Source::Url(at) => vec!["--url".to_owned(), HttpServer::at(at.url).shown_url()],
            Source::Command { command, args } => ["--", command]
                .into_iter()
                .chain(args.iter().map(String::as_str))
                .map(str::to_owned)
                .collect(),
            Source::Demo => vec![],
        }
    }
}
