//! Command-line definitions.

mod access;
mod errand;
mod target;

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::telemetry::Format;

pub use access::{Access, Listen, Place};
pub use errand::{Arguments, Call, Errand, Tools};
pub use target::{Source, Target};

/// The configuration file that `check` reads by default, and `serve` where there is one.
pub const DEFAULT_FILE: &str = "mcp_agent_config.yaml";

/// A terminal console over an embedded orchestrator of MCP environments.
///
/// Without --config and COMMAND it opens the built-in demo: nothing to install, no network.
#[derive(Debug, Parser)]
#[command(name = "envdeck", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub console: Console,
}

/// What the console runs, and how it looks.
#[derive(Debug, Args)]
pub struct Console {
    #[command(flatten)]
    pub target: Target,

    #[command(flatten)]
    pub listen: Listen,

    /// A theme by name: dark, light, high-contrast, mono, or one of your own
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,

    #[command(flatten)]
    pub logging: Logging,

    /// Leave the mouse to the terminal
    #[arg(long)]
    pub no_mouse: bool,
}

/// What is written of a run.
#[derive(Debug, Args)]
pub struct Logging {
    /// What goes to the log file: `info`, `debug`, or a filter such as `envdeck=trace,warn`
    #[arg(long, value_name = "FILTER", env = "ENVDECK_LOG")]
    pub log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tools of a backend, or explain one of them
    Tools(Tools),

    /// Call one tool and print its result as JSON
    Call(Call),

    /// Show the running envdecks of this user, what runs in them, and what killed ones left
    Ps {
        /// Print all of it as JSON
        #[arg(long)]
        json: bool,
    },

    /// Remove what killed runs left: processes, containers, images, directories
    Gc {
        /// Only tell what would be removed
        #[arg(long)]
        dry_run: bool,
    },

    /// Validate a configuration file and list all of its problems
    Check {
        /// The file to validate
        #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
        config: PathBuf,
    },

    /// Let agents come in over MCP, without a screen
    ///
    /// Without --config, --url, --image and COMMAND it serves `mcp_agent_config.yaml` of the working directory, or the
    /// built-in demo where there is none.
    Serve(Serve),

    /// Print a script that completes this command line in a shell
    Completions {
        /// The shell it is for
        shell: clap_complete::Shell,
    },
}

/// What agents may use, and where they come in.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub target: Target,

    /// The address to listen on
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,

    /// The port to listen on
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,

    #[command(flatten)]
    pub access: Access,

    /// How what happens is told on stderr
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub log_format: Format,

    #[command(flatten)]
    pub logging: Logging,
}

impl Cli {
    /// The command line with a help page that tells where the log is.
    pub fn command_with(log_path: &Path) -> clap::Command {
        Self::command().after_help(format!(
            "Examples:
  envdeck                                        the built-in demo
  envdeck -- npx -y @modelcontextprotocol/server-everything
  envdeck --url https://example.com/mcp -H 'Authorization: Bearer ${{TOKEN}}'
  envdeck --image mcp/filesystem --run-arg=--volume=/srv:/data -- /data
  envdeck --config environments.yaml --listen     and agents at http://127.0.0.1:8001/mcp
  envdeck check --config environments.yaml

Exit codes:
  0  ok
  1  the tool reported an error
  2  wrong usage or configuration
  3  the environment failed
  4  a deadline passed

Log file:
  {}",
            log_path.display()
        ))
    }

    /// Parses the process's arguments; ends the process on `--help`, `--version` and wrong usage.
    pub fn parse_with(log_path: &Path) -> Self {
        Self::try_parse_with(log_path, std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// # Errors
    /// Help, version or wrong usage, as clap puts it.
    pub fn try_parse_with<T>(
        log_path: &Path,
        args: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error>
    where
        T: Into<std::ffi::OsString> + Clone,
    {
        let mut command = Self::command_with(log_path);
        let matches = command.try_get_matches_from_mut(args)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_with(Path::new("/state/envdeck.log"), line.split_whitespace())
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command_with(Path::new("/log")).debug_assert();
    }

    #[test]
    fn nothing_means_the_demo() {
        assert_eq!(
            parse("envdeck --no-mouse --theme mono")
                .unwrap()
                .console
                .target
                .source(),
            Source::Demo
        );
    }

    #[test]
    fn everything_behind_the_dashes_is_the_server() {
        let cli = parse("envdeck --log debug -- check --config x -- y").unwrap();
        assert!(cli.command.is_none());
        let args = ["--config", "x", "--", "y"].map(str::to_owned);
        assert_eq!(
            cli.console.target.source(),
            Source::Command {
                command: "check",
                args: &args
            }
        );
    }

    #[test]
    fn a_file_and_a_command_exclude_each_other() {
        let kind = |line| parse(line).unwrap_err().kind();
        assert_eq!(
            kind("envdeck --config a.yaml -- b"),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(kind("envdeck npx"), ErrorKind::UnknownArgument);
    }

    #[test]
    fn check_has_a_default_file() {
        let Some(Command::Check { config }) = parse("envdeck check").unwrap().command else {
            panic!("check")
        };
        assert_eq!(config, Path::new(DEFAULT_FILE));
    }

    #[test]
    fn help_tells_the_log_file_and_the_exit_codes() {
        let help = parse("envdeck --help").unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        let text = help.to_string();
        for part in [
            "/state/envdeck.log",
            "2  wrong usage or configuration",
            "check --config",
            "--no-mouse",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }
}
