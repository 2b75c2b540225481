//! What the orchestrator writes into the logs of instances.

use std::any::Any;
use std::time::Duration;

use crate::model::{CallId, Obedience, Outcome};

/// `call #12 read_file → ok 3.1 ms 214 B`; never the arguments, they may hold secrets.
pub(super) fn call_line(
    id: CallId,
    tool: &str,
    outcome: &Outcome,
    time: Duration,
    size: u64,
) -> String {
    let end = match outcome {
        Outcome::Done(_) | Outcome::ToolError(_) => format!(" {}", bytes(size)),
        Outcome::Cancelled(Obedience::Confirmed) => ": the server stopped".to_owned(),
        Outcome::Cancelled(Obedience::Silent) => ": the server fell silent".to_owned(),
        Outcome::Cancelled(Obedience::Ignored) => ": the server went on".to_owned(),
        Outcome::Failed(failure) => format!(": {failure}"),
    };
    format!(
        "call {id} {tool} → {} {}{end}",
        outcome.word(),
        duration(time)
    )
}

/// `412 µs`, `3.1 ms`, `2.40 s`.
pub(super) fn duration(took: Duration) -> String {
    let seconds = took.as_secs_f64();
    if seconds < 1e-3 {
        format!("{} µs", took.as_micros())
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

/// `214 B`, `1.5 KiB`, `100.0 MiB`.
fn bytes(size: u64) -> String {
    const UNITS: [&str; 3] = ["KiB", "MiB", "GiB"];
    if size < 1024 {
        return format!("{size} B");
    }
    let power = (size.ilog2() / 10).min(3);
    // Exact enough for one decimal.
    #[allow(clippy::cast_precision_loss)]
    let value = size as f64 / f64::from(1 << (10 * power));
    format!("{value:.1} {}", UNITS[power as usize - 1])
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ResultId;

    #[test]
    fn a_call_is_one_line_with_time_and_size() {
        let line = |outcome, took, size| call_line(CallId(12), "read_file", &outcome, took, size);
        let done = Outcome::Done(ResultId(1));
        let micros = Duration::from_micros;
        assert_eq!(
            line(done.clone(), micros(3_100), 214),
            "call #12 read_file → ok 3.1 ms 214 B"
        );
        assert_eq!(
            line(done.clone(), micros(412), 1536),
            "call #12 read_file → ok 412 µs 1.5 KiB"
        );
        assert_eq!(
            line(done, micros(2_400_000), 100 << 20),
            "call #12 read_file → ok 2.40 s 100.0 MiB"
        );
        assert_eq!(
            line(Outcome::Cancelled(Obedience::Ignored), micros(5_000), 0),
            "call #12 read_file → cancelled 5.0 ms: the server went on"
        );
    }
}
