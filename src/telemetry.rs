//! Tracing: to a file in the state directory, warnings to the log that the Events pane shows, and without a screen the
//! journal to stderr. Ids and sizes, never payloads.

use std::io::{self, Write};
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::prelude::*;

use crate::paths::{private_append, private_directory};
use crate::stores::logs::{LogWriter, Source};

/// A log over this size is moved aside when a run begins.
const ROTATE_AT: u64 = 10 << 20;

/// What goes to stderr: the journal, and warnings.
const TOLD: &str = "warn,envdeck::orchestrator::journal=debug,rmcp=error,bollard=error";

/// How lines of a log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text
    Human,
    /// One JSON object a line
    Json,
}

/// Starts writing. `filter` is a `tracing` directive such as `debug` or `envdeck::mcp=trace`; `told` is the format of
/// what goes to stderr, if anything does. The guards flush when dropped.
pub fn start(
    log: &Path,
    filter: &str,
    events: LogWriter,
    told: Option<Format>,
) -> io::Result<Vec<WorkerGuard>> {
    private_directory(log.parent().unwrap_or(Path::new(".")))?;
    if std::fs::metadata(log).is_ok_and(|log| log.len() > ROTATE_AT) {
        match std::fs::rename(log, log.with_extension("log.old")) {
            // Another console that starts now was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    let (writer, guard) = tracing_appender::non_blocking(private_append(log)?);
    // Not on the spot: whoever reads stderr slowly would hold up the core.
    let (stderr, stderr_guard) = tracing_appender::non_blocking(io::stderr());
    let filter = parse(filter).map_err(io::Error::other)?;
    let file = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer)
        .with_filter(filter);
    let pane = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .without_time()
        .with_writer(move || EventsPane(events.clone()))
        .with_filter(EnvFilter::new(format!("warn,{QUIET}")));
    let told = told.map(|format| {
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_target(false)
            .with_writer(stderr);
        let layer = match format {
            Format::Human => layer.with_level(false).boxed(),
            Format::Json => layer.json().flatten_event(true).boxed(),
        };
        layer.with_filter(EnvFilter::new(TOLD))
    });
    let registry = tracing_subscriber::registry();
    registry.with(file).with(pane).with(told).init();
    Ok(vec![guard, stderr_guard])
}

/// What is wrong with a `filter` for [`start`], if anything is.
pub fn problem(filter: Option<&str>) -> Option<String> {
    let filter = filter?;
    let problem = parse(filter).err()?;
    Some(format!("envdeck: the log filter `{filter}`: {problem}"))
}

/// The messages of these can quote whole payloads and headers, secrets too, so only their errors are let through.
const QUIET: &str = "rmcp=error,bollard=error,tungstenite=error,tokio_tungstenite=error";

fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{filter},{QUIET}"))
}

/// One formatted message becomes one line of the Events pane.
struct EventsPane(LogWriter);

impl Write for EventsPane {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .line(Source::Envdeck, String::from_utf8_lossy(bytes).trim_end());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_means_nothing_is_a_problem_before_anything_starts() {
        for good in ["debug", "", "envdeck=trace,warn"] {
            assert_eq!(problem(Some(good)), None, "{good}");
        }
        assert!(
            problem(Some("envdeck=loud"))
                .is_some_and(|problem| problem.contains("expected one of"))
        );
    }
}
