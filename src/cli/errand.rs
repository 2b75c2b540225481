//! `tools` and `call`: one instance for one errand.

use std::time::Duration;

use clap::Args;

use super::{Logging, Target};
use crate::arguments::typed::Given;
use crate::config;

/// What both say of the instance and of how it is used.
#[derive(Debug, Args)]
pub struct Errand {
    /// The most that starting and calling may take, such as 500ms, 30s or 2m
    ///
    /// Takes the place of the backend's `start_timeout`, `call_timeout` and `call_max_timeout`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,

    /// Show what the server writes to its stderr, too
    #[arg(short, long)]
    pub verbose: bool,

    #[command(flatten)]
    pub target: Target,

    #[command(flatten)]
    pub logging: Logging,
}

/// `envdeck tools`.
#[derive(Debug, Args)]
#[command(override_usage = "envdeck tools [OPTIONS] [BACKEND [TOOL]]
       envdeck tools [OPTIONS] [TOOL] -- COMMAND [ARGUMENT]...")]
pub struct Tools {
    /// A configured backend, and a tool to explain; no backend where the server is on the command line
    #[arg(value_name = "BACKEND TOOL", num_args = 0..=2)]
    words: Vec<String>,

    /// Print the tools as the server describes them, as JSON
    #[arg(long)]
    pub json: bool,

    #[command(flatten)]
    pub errand: Errand,
}

impl Tools {
    /// The backend and the tool, as far as they are given.
    pub fn subject(&self) -> Result<(Option<&str>, Option<&str>), String> {
        let mut words = self.words.iter().map(String::as_str);
        if self.errand.target.is_ad_hoc() {
            match (words.next(), words.next()) {
                (tool, None) => Ok((None, tool)),
                (Some(backend), Some(_)) => Err(superfluous(backend)),
                (None, Some(_)) => unreachable!("the first comes first"),
            }
        } else {
            Ok((words.next(), words.next()))
        }
    }
}

/// `envdeck call`.
#[derive(Debug, Args)]
#[command(
    override_usage = "envdeck call [OPTIONS] BACKEND TOOL [NAME=VALUE | NAME:=JSON]...
       envdeck call [OPTIONS] BACKEND TOOL (--json OBJECT | -)
       envdeck call [OPTIONS] TOOL [NAME=VALUE]... -- COMMAND [ARGUMENT]..."
)]
pub struct Call {
    /// A configured backend (none where the server is on the command line), the tool, and its arguments
    ///
    /// NAME=VALUE becomes the type that the tool's schema says; a list is given by repetition or as JSON.
    /// NAME:=JSON is sent as it is. A lone `-` reads all arguments from stdin, as one JSON object.
    #[arg(value_name = "BACKEND TOOL NAME=VALUE")]
    words: Vec<String>,

    /// All arguments as one JSON object, sent as it is
    #[arg(long, value_name = "OBJECT")]
    json: Option<String>,

    /// Print only the text of the result
    #[arg(long)]
    pub text: bool,

    #[command(flatten)]
    pub errand: Errand,
}

/// The arguments of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Arguments<'a> {
    Typed(Vec<Given<'a>>),
    Json(&'a str),
    Stdin,
}

impl Call {
    /// The backend (where the server is not on the command line), the tool and the arguments.
    pub fn subject(&self) -> Result<(Option<&str>, &str, Arguments<'_>), String> {
        let mut words = self.words.iter().map(String::as_str);
        let is_ad_hoc = self.errand.target.is_ad_hoc();
        let backend = if is_ad_hoc { None } else { words.next() };
        let tool = match (is_ad_hoc, backend, words.next()) {
            (_, _, Some(tool)) if Given::parse(tool).is_none() && tool != "-" => tool,
            (false, None, _) => return Err("which backend, and which tool?".to_owned()),
            _ => return Err("which tool?".to_owned()),
        };
        let rest: Vec<_> = words.collect();
        if let (true, Some(word)) = (is_ad_hoc, rest.first())
            && *word != "-"
            && Given::parse(word).is_none()
        {
            return Err(superfluous(tool));
        }
        Ok((backend, tool, self.arguments(&rest)?))
    }

    fn arguments<'a>(&'a self, words: &[&'a str]) -> Result<Arguments<'a>, String> {
        match (&self.json, words) {
            (Some(json), []) => Ok(Arguments::Json(json)),
            (Some(_), [word, ..]) => {
                Err(format!("--json says all arguments; `{word}` is one more"))
            }
            (None, ["-"]) => Ok(Arguments::Stdin),
            (None, words) => words
                .iter()
                .map(|word| Given::parse(word).ok_or_else(|| no_argument(word)))
                .collect::<Result<_, _>>()
                .map(Arguments::Typed),
        }
    }
}

fn superfluous(backend: &str) -> String {
    format!("`{backend}` is one name too many: the server on the command line is the backend")
}

fn no_argument(word: &str) -> String {
    match word {
        "-" => "`-` says all arguments: it stands alone".to_owned(),
        word => format!("`{word}` is no argument: write NAME=VALUE, NAME:=JSON, --json or -"),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a number with a unit is needed, such as 500ms, 30s, 2m or 1h".to_owned())
}
