//! The ring is a queue with a byte limit, whatever is done to it and by how many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use envdeck::model::InstanceId;
use envdeck::stores::lines::CleanLine;
use envdeck::stores::logs::{LogLine, LogStore, RING_BYTES, Source, WATCHED_RING_BYTES};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Push { length: usize, count: usize },
    Watch(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop_oneof![0..80_usize, 0..16_384_usize], 1..40_usize)
            .prop_map(|(length, count)| Step::Push { length, count }),
        1 => any::<bool>().prop_map(Step::Watch),
    ]
}

/// The plainest queue that keeps the rules: numbers and texts of the lines.
#[derive(Default)]
struct Model {
    lines: VecDeque<(u64, String)>,
    next: u64,
    dropped: u64,
}

impl Model {
    fn push(&mut self, text: String) {
        self.lines.push_back((self.next, text));
        self.next += 1;
    }

    fn evict(&mut self, limit: usize) {
        let overhead = size_of::<LogLine>() + size_of::<CleanLine>() + 2 * size_of::<usize>();
        while self
            .lines
            .iter()
            .map(|(_, text)| text.len() + overhead)
            .sum::<usize>()
            > limit
        {
            self.lines.pop_front();
            self.dropped += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_ring_equals_a_queue(steps in vec(step(), 1..40), from in 0..600_u64, count in 0..100_usize) {
        let (store, id) = (LogStore::default(), InstanceId::new("one"));
        let writer = store.writer(&id);
        let (mut model, mut limit) = (Model::default(), RING_BYTES);
        for step in steps {
            match step {
                Step::Push { length, count } => {
                    let text = format!("{}{}", model.next, "x".repeat(length.saturating_sub(9)));
                    writer.chunk(Source::Stderr, format!("{text}\n").repeat(count).as_bytes());
                    (0..count).for_each(|_| model.push(text.clone()));
                }
                Step::Watch(watched) => {
                    store.watch(watched.then_some(&id));
                    limit = if watched { WATCHED_RING_BYTES } else { RING_BYTES };
                }
            }
            model.evict(limit);
            let all = store.tail(&id, usize::MAX);
            let kept: Vec<_> = all.lines.iter().map(|line| (line.seq, line.line.text.to_string())).collect();
            prop_assert_eq!(&kept, &Vec::from(model.lines.clone()));
            prop_assert_eq!((all.first, all.end, all.dropped), (model.dropped, model.next, model.dropped));
        }
        let window: Vec<u64> = store.window(&id, from, count).lines.iter().map(|line| line.seq).collect();
        let wanted: Vec<u64> = model.lines.iter().map(|line| line.0).filter(|seq| *seq >= from).take(count).collect();
        prop_assert_eq!(window, wanted);
    }
}

#[test]
fn counts_stay_exact_under_concurrent_writers_and_a_reader() {
    const WRITERS: u64 = 4;
    const LINES: u64 = 5_000;
    let (store, id) = (LogStore::default(), InstanceId::new("one"));
    let is_done = Arc::new(AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (store, id, is_done) = (store.clone(), id.clone(), is_done.clone());
        move || {
            while !is_done.load(Ordering::Relaxed) {
                let window = store.tail(&id, 100);
                assert!(
                    window
                        .lines
                        .windows(2)
                        .all(|two| two[0].seq + 1 == two[1].seq)
                );
                assert!(
                    window
                        .lines
                        .last()
                        .is_none_or(|line| line.seq + 1 == window.end)
                );
                assert_eq!(window.first, window.dropped);
            }
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let writer = store.writer(&id);
            scope.spawn(move || {
                for n in 0..LINES {
                    writer.chunk(Source::Stderr, format!("line {n}\n").as_bytes());
                }
            });
        }
    });
    is_done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
    let window = store.tail(&id, usize::MAX);
    assert_eq!(window.end, WRITERS * LINES);
    assert_eq!(window.dropped + window.lines.len() as u64, WRITERS * LINES);
}
