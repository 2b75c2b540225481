//! What is told on stderr of an instance that is at work: its steps on a terminal, its words if wanted.

use std::pin::pin;

use super::progress::Progress;
use crate::model::{Fleet, InstanceId};
use crate::orchestrator::Handle;
use crate::stores::lines::clean;
use crate::stores::logs::{LogLine, Source};

/// Lines that are copied out of a log at once.
const PIECE: usize = 1024;
/// Last words that are told of a server that failed.
const LAST_WORDS: usize = 10;

/// Watches the only instance of a fleet.
pub struct Onlooker {
    handle: Handle,
    pub progress: Progress,
    is_verbose: bool,
    instance: Option<InstanceId>,
    /// The first line that has not been told.
    next: u64,
}

impl Onlooker {
    /// A verbose one passes on what the server writes.
    pub fn new(handle: Handle, is_verbose: bool) -> Self {
        Self {
            handle,
            progress: Progress::new(),
            is_verbose,
            instance: None,
            next: 0,
        }
    }

    /// Does `work`, and shows what `describe` finds worth telling meanwhile.
    pub async fn during<T>(
        &mut self,
        describe: impl Fn(&Fleet) -> Option<String>,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let handle = self.handle.clone();
        let mut fleet = handle.fleet();
        loop {
            tokio::select! {
                biased;
                done = &mut work => {
                    self.pass_on();
                    self.progress.clear();
                    return done;
                }
                Ok(()) = fleet.changed() => {
                    let fleet = fleet.borrow_and_update().clone();
                    self.meet(&fleet);
                    if let Some(text) = describe(&fleet) {
                        self.progress.step(&clean(&text));
                    }
                }
                () = handle.logs().changed(), if self.is_verbose => self.pass_on(),
            }
        }
    }

    /// Listens to the instance once there is one.
    fn meet(&mut self, fleet: &Fleet) {
        if self.instance.is_none()
            && let Some(instance) = fleet.instances().next()
        {
            self.handle.logs().watch(Some(&instance.id));
            self.instance = Some(instance.id.clone());
            self.pass_on();
        }
    }

    /// Tells what the server wrote since the last time.
    fn pass_on(&mut self) {
        let Some(instance) = self.instance.as_ref().filter(|_| self.is_verbose) else {
            return;
        };
        loop {
            let window = self.handle.logs().window(instance, self.next, PIECE);
            let Some(last) = window.lines.last() else {
                return;
            };
            self.next = last.seq + 1;
            for line in window.lines.iter().filter(|line| is_word(line)) {
                self.progress.line(&line.line.text);
            }
        }
    }
}

/// The last words of the server, unless they have been told already.
pub fn last_words(handle: &Handle) -> Vec<String> {
    let fleet = handle.fleet().borrow().clone();
    let Some(instance) = fleet.instances().next() else {
        return vec![];
    };
    let lines = handle.logs().tail(&instance.id, PIECE).lines;
    let words = lines.iter().rev().filter(|line| is_word(line));
    let words = words
        .take(LAST_WORDS)
        .map(|line| line.line.text.to_string());
    let mut words: Vec<_> = words.collect();
    words.reverse();
    words
}

/// Whether the server says it, and not envdeck.
fn is_word(line: &LogLine) -> bool {
    line.source != Source::Envdeck
}
