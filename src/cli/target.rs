//! What a front end runs: a configuration file, a server of the command line or at a URL, or the demo.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, AtUrl, Config, Environment, InContainer, Invalid};
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

    /// An MCP server in a container of this image; what follows `--` are its arguments
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["config", "url"])]
    pub image: Option<String>,

    /// The port it listens on in its container, if it speaks HTTP
    #[arg(long, value_name = "PORT", requires = "image")]
    pub container_port: Option<u16>,

    /// An option of `docker run`, such as --run-arg=--volume=/srv:/data; can be repeated
    #[arg(
        long = "run-arg",
        value_name = "OPTION",
        requires = "image",
        allow_hyphen_values = true
    )]
    pub run_args: Vec<String>,

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
    Image(InContainer<'a>),
    Command {
        command: &'a str,
        args: &'a [String],
    },
    Demo,
}

impl Target {
    /// Whether the server is on the command line, and so the only backend.
    pub fn is_ad_hoc(&self) -> bool {
        matches!(
            self.source(),
            Source::Command { .. } | Source::Url(_) | Source::Image(_)
        )
    }

    pub fn source(&self) -> Source<'_> {
        if let Some(image) = &self.image {
            return Source::Image(InContainer {
                image,
                port: self.container_port,
                run_args: &self.run_args,
                args: &self.server,
            });
        }
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
            Source::Image(container) => config::of_image(container, env),
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
            // Options of `docker run` may hold secrets, too.
            Source::Image(container) => {
                let dashes = (!container.args.is_empty()).then_some("--");
                let first = ["--image", container.image].into_iter().chain(dashes);
                words(first, container.args)
            }
            Source::Command { command, args } => words(["--", command], args),
            Source::Demo => vec![],
        }
    }
}

fn words<'a>(first: impl IntoIterator<Item = &'a str>, rest: &'a [String]) -> Vec<String> {
    let rest = rest.iter().map(String::as_str);
    first.into_iter().chain(rest).map(str::to_owned).collect()
}
