//! Tests of the logs.

use futures::FutureExt;

use super::*;

fn store() -> (LogStore, InstanceId, LogWriter) {
    let store = LogStore::default();
    let id = InstanceId::new("one");
    let writer = store.writer(&id);
    (store, id, writer)
}

fn texts(window: &Window) -> Vec<&str> {
    window.lines.iter().map(|line| &*line.line.text).collect()
}

#[test]
fn clones_share_the_unfinished_line_of_a_source() {
    let (store, id, writer) = store();
    writer.chunk(Source::Stderr, b"half ");
    writer.chunk(Source::Stdout, b"other ");
    writer.clone().chunk(Source::Stderr, b"line\n");
    writer.end(Source::Stdout);
    writer.end(Source::Stdout);
    assert_eq!(texts(&store.tail(&id, 9)), ["half line", "other "]);
}

#[test]
fn a_text_becomes_its_lines() {
    let (store, id, writer) = store();
    writer.line(Source::Envdeck, "one\ntwo\n");
    writer.line(Source::Envdeck, "");
    assert_eq!(texts(&store.tail(&id, 9)), ["one", "two", ""]);
}

#[test]
fn windows_clamp_to_what_is_kept() {
    let (store, id, writer) = store();
    for n in 0..2000 {
        writer.line(Source::Stderr, &format!("{n}"));
    }
    let window = store.window(&id, 0, 2);
    assert!(window.first > 0 && window.dropped == window.first && window.end == 2000);
    assert_eq!(window.lines[0].seq, window.first);
    assert_eq!(texts(&store.window(&id, 1999, 5)), ["1999"]);
    assert!(store.window(&id, 2000, 5).lines.is_empty());
    assert_eq!(store.window(&InstanceId::new("none"), 0, 5).end, 0);
}

#[test]
fn find_goes_both_ways() {
    let (store, id, writer) = store();
    store.watch(Some(&id));
    for n in 0..5000 {
        writer.line(Source::Stderr, if n % 2000 == 7 { "needle" } else { "hay" });
    }
    let find = |from, forward| store.find(&id, from, forward, &|line| &*line.line.text == "needle");
    assert_eq!(find(0, true), Some(7));
    assert_eq!(find(7, true), Some(7));
    assert_eq!(find(8, true), Some(2007));
    assert_eq!(find(4008, true), None);
    assert_eq!(find(7, false), None);
    assert_eq!(find(2007, false), Some(7));
    assert_eq!(find(u64::MAX, false), Some(4007));
    assert_eq!(find(u64::MAX, true), None);
}

#[test]
fn a_flood_of_notifications_leaves_the_evidence() {
    let (store, id, writer) = store();
    writer.line(Source::Stderr, &format!("Traceback {}", "x".repeat(1000)));
    writer.line(Source::Stdout, "last words");
    for _ in 0..5000 {
        writer.line(Source::Server(Severity::Info), "chatter");
    }
    assert!(store.window(&id, 0, 1).first > 2);
    let evidence = writer.last_output(20);
    assert_eq!(evidence.len(), 2);
    assert_eq!(evidence[0].chars().count(), EVIDENCE_CHARS);
    assert!(evidence[0].ends_with('…'));
    assert_eq!(*writer.last_output(1), ["last words".into()]);
}

#[test]
fn only_the_watched_ring_wakes() {
    let (store, id, writer) = store();
    let other = store.writer(&InstanceId::new("other"));
    store.watch(Some(&id));
    other.line(Source::Stderr, "unseen");
    assert!(store.changed().now_or_never().is_none());
    writer.line(Source::Stderr, "a");
    writer.line(Source::Stderr, "b");
    assert!(store.changed().now_or_never().is_some());
    assert!(
        store.changed().now_or_never().is_none(),
        "two lines, one wake"
    );
    store.watch(None);
    writer.line(Source::Stderr, "c");
    assert!(store.changed().now_or_never().is_none());
}

#[test]
fn an_instance_may_be_watched_before_it_writes() {
    let store = LogStore::default();
    let id = InstanceId::new("later");
    store.watch(Some(&id));
    let writer = store.writer(&id);
    for _ in 0..1000 {
        writer.line(Source::Stderr, &"x".repeat(100));
    }
    assert_eq!(store.tail(&id, 0).dropped, 0);
    assert!(store.changed().now_or_never().is_some());
}

#[test]
fn a_writer_hears_whether_it_is_watched() {
    let (store, id, writer) = store();
    let mut watched = writer.watched();
    store.watch(Some(&id));
    assert!(*watched.borrow_and_update());
    store.watch(Some(&InstanceId::new("other")));
    assert!(watched.has_changed().expect("the ring lives") && !*watched.borrow());
}

#[test]
fn another_clock_may_tell_the_time() {
    let (store, id, writer) = store();
    let at = |second| Timestamp::from_second(second).expect("a time");
    writer.chunk_at(Source::Stdout, b"one\ntw", at(10));
    writer.chunk_at(Source::Stdout, b"o\n", at(11));
    let lines = store.tail(&id, 9).lines;
    let times: Vec<_> = lines.iter().map(|line| line.at).collect();
    assert_eq!(times, [at(10), at(11)]);
}

#[test]
fn what_is_read_later_takes_its_place_by_time() {
    let (store, id, writer) = store();
    let at = |second| Timestamp::from_second(second).expect("a time");
    writer.chunk_at(Source::Envdeck, b"start\n", at(10));
    writer.chunk_at(Source::Envdeck, b"ready\n", at(20));
    let before = store.tail(&id, 9);
    writer.merge([
        (Source::Stdout, &b"listen\nhal"[..], at(12)),
        (Source::Stderr, b"warning\n", at(20)),
        (Source::Stdout, b"f\nask\n", at(30)),
    ]);
    let window = store.tail(&id, 9);
    let whole = ["start", "listen", "warning", "ready", "half", "ask"];
    assert_eq!(texts(&window), whole);
    // No number means another line than it did.
    assert_eq!(
        (window.first, window.end, window.dropped),
        (before.end, 8, 0)
    );
    let numbers: Vec<u64> = window.lines.iter().map(|line| line.seq).collect();
    assert_eq!(numbers, [2, 3, 4, 5, 6, 7]);
    assert_eq!(*writer.last_output(2), ["half".into(), "ask".into()]);
    writer.merge([(Source::Stdout, &b"later\n"[..], at(31))]);
    assert_eq!(
        store.tail(&id, 9).first,
        2,
        "at the end nothing changes its number"
    );
}

#[test]
fn what_is_merged_is_bounded_and_counted_like_everything() {
    let (store, id, writer) = store();
    let at = |second| Timestamp::from_second(second).expect("a time");
    writer.chunk_at(Source::Envdeck, b"last\n", at(9_999));
    let lines: Vec<_> = (0..2000).map(|n| format!("{n}\n")).collect();
    for (second, lines) in (0..).zip(lines.chunks(100)) {
        writer.merge(
            lines
                .iter()
                .map(|line| (Source::Stdout, line.as_bytes(), at(second))),
        );
    }
    let window = store.tail(&id, usize::MAX);
    assert_eq!(window.dropped + window.lines.len() as u64, 2001);
    assert_eq!(texts(&window)[window.lines.len() - 2..], ["1999", "last"]);
}

#[test]
fn a_forgotten_instance_reads_as_empty() {
    let (store, id, writer) = store();
    store.forget(&id);
    writer.line(Source::Stderr, "nobody hears");
    assert_eq!(store.tail(&id, 5).end, 0);
}
