//! Whether a ready instance still answers, and what it consumes: probes, their error budget, samples.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::mcp::ToolClient;
use crate::model::{Failure, HealthPolicy, Probe};

/// Between two measurements of the instance on screen, and of all the others.
const WATCHED: Duration = Duration::from_secs(1);
const UNWATCHED: Duration = Duration::from_secs(5);

/// What is due or done.
pub(super) enum Pulse {
    Probed(Probe),
    /// Measure its resource use now.
    SampleDue,
}

type Probing = Pin<Box<dyn Future<Output = Probe> + Send>>;

/// The heartbeat of one instance while it is ready.
pub(super) struct Health {
    policy: HealthPolicy,
    next_probe: Instant,
    next_sample: Instant,
    probing: Option<Probing>,
    watched: watch::Receiver<bool>,
    unanswered: u32,
}

impl Health {
    /// First probe and sample come after a random part of their interval: thousands of instances that became
    /// ready together must not be asked together.
    pub fn new(policy: HealthPolicy, watched: watch::Receiver<bool>) -> Self {
        let now = Instant::now();
        let part = |whole: Duration| whole.mul_f64(rand::rng().random_range(0.0..1.0));
        Self {
            next_probe: now + part(policy.interval),
            next_sample: now
                + part(if *watched.borrow() {
                    WATCHED
                } else {
                    UNWATCHED
                }),
            policy,
            probing: None,
            watched,
            unanswered: 0,
        }
    }

    /// The next beat. Cancel-safe.
    pub async fn next(&mut self, client: &ToolClient) -> Pulse {
        loop {
            let probing = self.probing.is_some();
            tokio::select! {
                probe = finished(&mut self.probing) => {
                    self.probing = None;
                    // Counted from the end of the last one: a slow server is not asked faster than it answers.
                    self.next_probe = Instant::now() + self.policy.interval;
                    return Pulse::Probed(probe);
                }
                () = sleep_until(self.next_probe), if !probing => {
                    self.probing = Some(Box::pin(probe(client.clone(), self.policy.timeout)));
                }
                () = sleep_until(self.next_sample) => {
                    self.next_sample = Instant::now() + self.sample_interval();
                    return Pulse::SampleDue;
                }
                Ok(()) = self.watched.changed() => {
                    self.next_sample = self.next_sample.min(Instant::now() + self.sample_interval());
                }
            }
        }
    }

    fn sample_interval(&self) -> Duration {
        if *self.watched.borrow() {
            WATCHED
        } else {
            UNWATCHED
        }
    }

    /// Counts a probe; returns whether the instance now counts as dead. An unanswered probe of a server that
    /// works on a call says nothing.
    pub fn judge(&mut self, probe: &Probe, busy: bool) -> bool {
        match probe.result {
            Ok(_) => self.unanswered = 0,
            Err(_) if busy => {}
            Err(_) => self.unanswered += 1,
        }
        self.policy.failures > 0 && self.unanswered >= self.policy.failures
    }
}

async fn finished(probing: &mut Option<Probing>) -> Probe {
    match probing {
        Some(probe) => probe.await,
        None => std::future::pending().await,
    }
}

/// A ping, or, where the protocol has none, the observation that the process is alive: its end would have ended
/// this task's wait.
async fn probe(client: ToolClient, timeout: Duration) -> Probe {
    let answer = client.ping(timeout).await;
    let how = client.probe().unwrap_or("process");
    let result = answer.unwrap_or(Ok(Duration::ZERO)).map_err(Failure::into);
    Probe {
        at: Timestamp::now(),
        result,
        how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, Stage};

    fn health(failures: u32) -> Health {
        let policy = HealthPolicy {
            failures,
            ..HealthPolicy::default()
        };
        Health::new(policy, watch::channel(false).1)
    }

    fn answered() -> Probe {
        Probe {
            at: Timestamp::UNIX_EPOCH,
            result: Ok(Duration::ZERO),
            how: "ping",
        }
    }

    fn unanswered() -> Probe {
        let failure = Failure::new(Stage::Run, Cause::Closed);
        Probe {
            result: Err(failure.into()),
            ..answered()
        }
    }

    #[tokio::test]
    async fn only_consecutive_unanswered_probes_of_an_idle_server_count_as_death() {
        let mut health = health(2);
        assert!(!health.judge(&unanswered(), false));
        assert!(!health.judge(&answered(), false));
        assert!(!health.judge(&unanswered(), false));
        assert!(!health.judge(&unanswered(), true), "busy is not dead");
        assert!(health.judge(&unanswered(), false));
    }

    #[tokio::test]
    async fn a_budget_of_zero_never_counts_as_death() {
        let mut health = health(0);
        assert!((0..100).all(|_| !health.judge(&unanswered(), false)));
    }
}
