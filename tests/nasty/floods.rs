//! Too much of it: lines, log notifications, one line that never ends.

use envdeck::model::{Limits, Phase};
use envdeck::stores::logs::Source;

use crate::host::{Host, nasty};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_on_stderr_is_counted_to_the_line() {
    let host = Host::start(nasty(&[])).await;
    let logs = host.deck.handle.logs().clone();
    host.text("stderr_flood", "{}").await;
    let last = "flood line 00099999";
    assert!(crate::common::eventually(crate::common::DEADLINE, || {
        logs.tail(&host.id, 10)
            .lines
            .iter()
            .any(|line| &*line.line.text == last)
    }));
    let window = logs.tail(&host.id, usize::MAX);
    let kept = window.lines.len() as u64;
    // 100 000 of the flood, `nasty server ready`, and ours: the start and the call.
    let ours = window
        .lines
        .iter()
        .filter(|line| line.source == Source::Envdeck)
        .count() as u64;
    assert_eq!(kept + window.dropped, window.end);
    assert!(
        (100_002..=100_003).contains(&window.end),
        "{} lines, {ours} ours kept",
        window.end
    );
    let floods = window
        .lines
        .iter()
        .filter(|line| line.source == Source::Stderr);
    let numbers: Vec<u64> = floods
        .map(|line| line.line.text[11..].parse().unwrap())
        .collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "out of order"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_log_notifications_keeps_its_order_and_its_count() {
    let host = Host::start(nasty(&[])).await;
    host.text("log_flood", "{}").await;
    let window = host.deck.handle.logs().tail(&host.id, usize::MAX);
    assert_eq!(window.lines.len() as u64 + window.dropped, window.end);
    assert!(window.end >= 20_001, "{}", window.end);
    let told = window
        .lines
        .iter()
        .filter(|line| matches!(line.source, Source::Server(_)));
    let texts: Vec<_> = told.map(|line| line.line.text.to_string()).collect();
    assert!(
        texts.last().unwrap().ends_with("log 19999"),
        "{:?}",
        texts.last()
    );
    assert!(texts.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_over_the_limit_fails_its_call_and_nothing_else() {
    let limits = Limits {
        max_message: 1 << 20,
        ..Limits::default()
    };
    let host = Host::limited(nasty(&[]), limits).await;
    let failure = host.failure("long_line", r#"{"mb":20}"#).await;
    assert!(failure.contains("over the limit of 1048576"), "{failure}");
    assert!(failure.contains("limits.max_message"), "{failure}");
    assert_eq!(host.text("echo", "{}").await, "{}");
    assert_eq!(host.deck.instance(&host.id).phase, Phase::Ready);
}
