//! What became of a process whose relay has ended, and how it is attached again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::actions::{Process, ProcessStatus};
use super::connection::Dialect;
use super::relay::{End, Target};
use super::socket::Socket;
use super::trouble::Trouble;

/// Between two looks: doubles from the first to the last.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];
/// Between the end of a process's output and the runtime's word of its end.
const ENDING: Duration = Duration::from_secs(1);
/// How long a runtime that is restarted or updated may be away.
pub const ABSENCE: Duration = Duration::from_secs(300);
/// How long a runtime since 0.5 holds the relay of a peer that is gone without a word: 47 s were seen.
const HELD: Duration = Duration::from_secs(90);
/// Refusals in a row that count as the last word.
const REFUSALS: u32 = 3;

/// Looks until it is known what is to be done.
pub struct Reattach {
    target: Target,
    dialect: Dialect,
    began: Instant,
    pause: Duration,
    refusals: u32,
    /// Since when somebody has held the relay, who may be ourselves.
    held: Option<Instant>,
    /// The runtime closed the last one itself, so that it holds it no more.
    in_order: bool,
    /// Nothing else is known to have made it do so.
    may_have_ended: bool,
}

impl Reattach {
    pub fn new(target: Target, dialect: Dialect, in_order: bool, may_have_ended: bool) -> Self {
        Self {
            target,
            dialect,
            began: Instant::now(),
            pause: PAUSES[0],
            refusals: 0,
            held: None,
            in_order,
            may_have_ended,
        }
    }

    /// The next socket, or what became of the process; nothing if that is not known yet.
    pub async fn step(&mut self) -> Result<Socket, Option<End>> {
        let process = match self.look().await {
            Ok(process) => process,
            Err(trouble) => return Err(self.judge(trouble)),
        };
        match process {
            ended if ended.status == ProcessStatus::Exited => Err(Some(End::Exited(ended))),
            held if held.attached => Err(self.wait_for()),
            _ => match self.target.open().await {
                Ok(socket) => Ok(socket),
                Err(cause) => Err(self.judge(Trouble::Away(cause))),
            },
        }
    }

    /// A relay ends with its process, of which the runtime may not know yet.
    async fn look(&self) -> Result<Process, Trouble> {
        loop {
            let process = self.target.look().await?;
            let is_running = process.status == ProcessStatus::Running;
            if !(is_running && self.may_have_ended && self.began.elapsed() < ENDING) {
                return Ok(process);
            }
            sleep(PAUSES[0]).await;
        }
    }

    /// Until the next look.
    pub async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES[1]);
    }

    fn judge(&mut self, trouble: Trouble) -> Option<End> {
        self.held = None;
        if trouble.is_not_found() {
            return Some(End::Gone(trouble.to_string()));
        }
        if trouble.is_outage() {
            return (self.began.elapsed() > ABSENCE).then_some(End::Lost(trouble));
        }
        self.refusals += 1;
        (self.refusals >= REFUSALS).then_some(End::Lost(trouble))
    }

    fn wait_for(&mut self) -> Option<End> {
        let since = *self.held.get_or_insert_with(Instant::now);
        if since.elapsed() <= HELD {
            return None;
        }
        let text = match (self.dialect, self.in_order) {
            (Dialect::Lines, false) => {
                "the Box runtime still holds the relay that was lost, and one of 0.4 never lets go"
            }
            _ => "another client is attached to the process",
        };
        Some(End::Lost(Trouble::Protocol(text.to_owned())))
    }
}
