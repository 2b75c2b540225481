//! What a container uses: asked for once by those who ask seldom, streamed to those who ask often.

use std::pin::pin;
use std::time::Duration;

use bollard::models::{
    ContainerBlkioStats, ContainerMemoryStats, ContainerNetworkStats, ContainerStatsResponse,
};
use bollard::query_parameters::StatsOptionsBuilder;
use futures::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::engine::{Engine, QUICK};
use super::watch::{ContainerState, Life, Watched};
use super::words::Trouble;
use crate::drivers::Usage;
use crate::model::{Failure, Stage, Traffic};

/// Who asks again within this time gets a stream, which costs the engine one measurement a second.
const OFTEN: Duration = Duration::from_millis(2_500);
/// A stream that nobody has asked for so long ends.
const LINGER: Duration = Duration::from_secs(4);
/// Seconds. What it took to start a container counts as its own: in less time that would look like many cores.
const SHORTEST: f32 = 0.5;
/// Engines answer at their next measurement, within one or two seconds: whoever asks has other things to do than to
/// wait for that, and hears of it when he asks again.
const SHORT: Duration = Duration::from_millis(50);

/// The meter of one container.
pub struct Stats {
    engine: Engine,
    container: String,
    states: watch::Receiver<ContainerState>,
    asked: watch::Sender<Option<Instant>>,
    stream: Option<Stream>,
    /// A single measurement under way.
    single: Option<AbortOnDropHandle<Result<Option<Reading>, Trouble>>>,
    /// The last reading that was answered with, and the answer.
    last: Option<(Reading, Usage)>,
}

/// A stream of readings, while it lives.
struct Stream {
    latest: watch::Receiver<Option<Reading>>,
    _task: AbortOnDropHandle<()>,
}

impl Stats {
    /// Measures only while `watched` lives.
    pub fn new(engine: Engine, watched: &Watched) -> Self {
        Self {
            engine,
            container: watched.container().to_owned(),
            states: watched.states(),
            asked: watch::Sender::new(None),
            stream: None,
            single: None,
            last: None,
        }
    }

    /// Its use since the last question, as far as the engine has told; `None` while nothing is known or can be
    /// measured: it does not run, or its engine does not answer. Never waits long. Cancel-safe.
    pub async fn usage(&mut self) -> Result<Option<Usage>, Failure> {
        let before = self.asked.send_replace(Some(Instant::now()));
        if !self.can_be_measured() {
            (self.stream, self.single) = (None, None);
            return Ok(None);
        }
        let is_often = before.is_some_and(|before| before.elapsed() < OFTEN);
        if is_often {
            self.follow();
        }
        let streamed = self.stream.as_ref().map(|stream| *stream.latest.borrow());
        let reading = match streamed {
            Some(Some(reading)) => Some(reading),
            // The first of the stream is on its way.
            Some(None) if self.last.is_some() => None,
            _ => self
                .measure()
                .await
                .map_err(|trouble| trouble.at(Stage::Run))?,
        };
        Ok(self.answer(reading))
    }

    fn can_be_measured(&self) -> bool {
        let state = self.states.borrow();
        let runs = matches!(state.life, Life::Unknown | Life::Running | Life::Paused);
        runs && state.engine_lost.is_none()
    }

    fn answer(&mut self, reading: Option<Reading>) -> Option<Usage> {
        let (state, last) = (self.states.borrow(), self.last);
        let reading = match (reading, last) {
            (Some(reading), Some((last, _))) if reading.at > last.at => reading,
            (Some(reading), None) => reading,
            // Nothing new.
            (_, last) => return last.map(|(_, usage)| usage),
        };
        let since = match last {
            Some((last, _)) => Some((last.at, last.cpu)),
            None => state.started.map(|started| (started, Duration::ZERO)),
        };
        let cpu = since.map(|(at, spent)| {
            let spent = reading.cpu.saturating_sub(spent);
            let elapsed = reading.at.duration_since(at).as_secs_f32();
            spent.as_secs_f32() / elapsed.max(SHORTEST) * 100.0
        });
        let usage = Usage {
            cpu: cpu.unwrap_or(0.0),
            memory: reading.memory,
            memory_limit: state.memory_limit,
            processes: reading.processes,
            network: reading.network,
            disk: reading.disk,
        };
        drop(state);
        self.last = Some((reading, usage));
        Some(usage)
    }

    /// The measurement under way, or a new one, if it comes soon.
    async fn measure(&mut self) -> Result<Option<Reading>, Trouble> {
        let single = (self.engine.clone(), self.container.clone());
        let begin = || AbortOnDropHandle::new(tokio::spawn(measure(single.0, single.1)));
        let is_late = self.single.is_some();
        let Ok(done) = timeout(SHORT, self.single.get_or_insert_with(begin.clone())).await else {
            return Ok(None);
        };
        // What came late is of some time ago: the next one is to be ready when it is asked for.
        self.single = is_late.then(begin);
        done.unwrap_or(Ok(None))
    }

    fn follow(&mut self) {
        // A task that has ended has dropped its sender.
        let lives = |stream: &Stream| stream.latest.has_changed().is_ok();
        if self.stream.as_ref().is_some_and(lives) {
            return;
        }
        let (sender, latest) = watch::channel(None);
        let task = stream(
            self.engine.clone(),
            self.container.clone(),
            self.asked.subscribe(),
            sender,
        );
        self.stream = Some(Stream {
            latest,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        });
    }
}

/// One measurement.
async fn measure(engine: Engine, container: String) -> Result<Option<Reading>, Trouble> {
    const WHAT: &str = "measure the container";
    let docker = engine.docker(WHAT).await?;
    let options = StatsOptionsBuilder::default()
        .stream(false)
        .one_shot(true)
        .build();
    let mut answers = pin!(docker.stats(&container, Some(options)));
    match timeout(QUICK, answers.next()).await {
        Ok(Some(Ok(answer))) => Ok(Reading::of(answer)),
        // It has just gone.
        Ok(Some(Err(error))) => match engine.trouble(WHAT, error) {
            trouble if trouble.is_gone() => Ok(None),
            trouble => Err(trouble),
        },
        Ok(None) | Err(_) => Ok(None),
    }
}

/// Reads measurements until the container or the connection ends, or nobody has asked for some time.
async fn stream(
    engine: Engine,
    container: String,
    asked: watch::Receiver<Option<Instant>>,
    latest: watch::Sender<Option<Reading>>,
) {
    let Ok(docker) = engine.docker("measure the container").await else {
        return;
    };
    let options = StatsOptionsBuilder::default().stream(true).build();
    let mut answers = pin!(docker.stats(&container, Some(options)));
    loop {
        let end = asked.borrow().unwrap_or_else(Instant::now) + LINGER;
        tokio::select! {
            answer = timeout(QUICK, answers.next()) => match answer {
                Ok(Some(Ok(answer))) => {
                    if let Some(reading) = Reading::of(answer) {
                        latest.send_replace(Some(reading));
                    }
                }
                _ => return,
            },
            () = sleep_until(end) => {
                let asked = *asked.borrow();
                if asked.is_none_or(|asked| asked + LINGER <= Instant::now()) {
                    return;
                }
            }
        }
    }
}

/// One measurement by the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    /// By the engine's clock.
    at: Timestamp,
    /// Processor time since the start, of all cores together.
    cpu: Duration,
    memory: u64,
    processes: u32,
    network: Option<Traffic>,
    disk: Option<Traffic>,
}

impl Reading {
    /// `None` if the container did not run: then all is zero, and the time that of year 1.
    fn of(answer: ContainerStatsResponse) -> Option<Self> {
        let at: Timestamp = answer.read?.parse().ok()?;
        if at <= Timestamp::UNIX_EPOCH {
            return None;
        }
        let cpu = answer.cpu_stats.and_then(|cpu| cpu.cpu_usage);
        let processes = answer.pids_stats.and_then(|pids| pids.current);
        Some(Self {
            at,
            cpu: Duration::from_nanos(cpu.and_then(|cpu| cpu.total_usage).unwrap_or(0)),
            memory: answer.memory_stats.as_ref().map_or(0, memory),
            processes: processes.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
            network: answer
                .networks
                .filter(|networks| !networks.is_empty())
                .map(|networks| networks.values().map(network).fold(Traffic::default(), sum)),
            disk: answer.blkio_stats.as_ref().and_then(disk),
        })
    }
}

/// What `docker stats` shows: without the page cache that the kernel would give back first. Its key is
/// `total_inactive_file` with cgroup v1, `inactive_file` with v2.
fn memory(stats: &ContainerMemoryStats) -> u64 {
    let used = stats.usage.unwrap_or(0);
    let details = stats.stats.as_ref();
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|key| details?.get(*key))
        .copied();
    match cache {
        Some(cache) if cache < used => used - cache,
        _ => used,
    }
}

fn network(stats: &ContainerNetworkStats) -> Traffic {
    Traffic {
        inward: stats.rx_bytes.unwrap_or(0),
        outward: stats.tx_bytes.unwrap_or(0),
    }
}

/// `None` where the kernel counts nothing, and until there is something to count.
fn disk(stats: &ContainerBlkioStats) -> Option<Traffic> {
    let entries = stats.io_service_bytes_recursive.as_ref()?;
    let of = |op: &str| {
        let of_op = entries.iter().filter(|entry| {
            let is = entry.op.as_deref();
            is.is_some_and(|is| is.eq_ignore_ascii_case(op))
        });
        of_op.filter_map(|entry| entry.value).sum()
    };
    (!entries.is_empty()).then(|| Traffic {
        inward: of("read"),
        outward: of("write"),
    })
}

fn sum(one: Traffic, other: Traffic) -> Traffic {
    Traffic {
        inward: one.inward + other.inward,
        outward: one.outward + other.outward,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(json: &str) -> Option<Reading> {
        Reading::of(serde_json::from_str(json).expect("an answer of the engine"))
    }

    /// As engine 20.10 answers with cgroup v1.
    #[test]
    fn cgroup_v1_is_read_as_docker_stats_does() {
        let reading = reading(
            r#"{"read":"2026-11-21T14:12:13.851113461Z","pids_stats":{"current":3},
            "blkio_stats":{"io_service_bytes_recursive":[
                {"major":8,"minor":0,"op":"Read","value":4096},{"major":8,"minor":0,"op":"Write","value":100},
                {"major":8,"minor":16,"op":"Read","value":4},{"major":8,"minor":0,"op":"Total","value":4196}]},
            "cpu_stats":{"cpu_usage":{"total_usage":741707304}},
            "memory_stats":{"usage":3137536,"stats":{"inactive_file":5,"total_inactive_file":1998848},"limit":67108864},
            "networks":{"eth0":{"rx_bytes":700,"tx_bytes":30},"eth1":{"rx_bytes":36,"tx_bytes":2}}}"#,
        )
        .expect("it ran");
        assert_eq!(reading.memory, 3_137_536 - 1_998_848);
        assert_eq!((reading.processes, reading.cpu.as_millis()), (3, 741));
        let traffic = |inward, outward| Some(Traffic { inward, outward });
        assert_eq!(reading.network, traffic(736, 32));
        assert_eq!(reading.disk, traffic(4100, 100));
    }

    #[test]
    fn cgroup_v2_names_things_otherwise() {
        let reading = reading(
            r#"{"read":"2026-11-21T14:12:13Z","pids_stats":{"current":1,"limit":100},
            "blkio_stats":{"io_service_bytes_recursive":[{"op":"read","value":7},{"op":"write","value":8}]},
            "cpu_stats":{"cpu_usage":{"total_usage":1000}},
            "memory_stats":{"usage":5000,"stats":{"inactive_file":1000,"file":2000}}}"#,
        )
        .expect("it ran");
        assert_eq!((reading.memory, reading.network), (4000, None));
        assert_eq!(reading.disk.map(|disk| disk.outward), Some(8));
    }

    #[test]
    fn what_does_not_run_cannot_be_measured() {
        let stopped = r#"{"read":"0001-01-01T00:00:00Z","pids_stats":{},"memory_stats":{},
            "blkio_stats":{"io_service_bytes_recursive":null},"cpu_stats":{"cpu_usage":{"total_usage":0}}}"#;
        assert_eq!(reading(stopped), None);
    }
}
