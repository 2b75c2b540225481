//! What the console costs: frames over a large fleet under a flood, a flood's memory, a huge result,
//! and the real program from the outside. `cargo bench` prints a table; numbers vary with the machine,
//! so compare within one run.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a bench may, and prints its table
#![allow(clippy::cast_precision_loss)] // figures are rounded anyway

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use envdeck::console::msg::Msg;
use envdeck::console::testing::{self, Harness};
use envdeck::model::{
    Event, Fleet, Happening, InstanceId, Level, Notice, Phase, Sample, SessionId,
};
use envdeck::stores::logs::{LogStore, Source};
use envdeck::stores::results::{Opened, ResultStore};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};

const INSTANCES: usize = 10_000;
const LINES_PER_SECOND: u64 = 100_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let _inside = runtime.enter();
    frames_over_a_large_fleet();
    flood_memory(Duration::from_secs(60));
    for megabytes in [10, 100] {
        huge_result(megabytes);
    }
    the_program();
}

fn row(what: &str, figure: &str) {
    println!("{what:<58} {figure}");
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("median {:?}  p99 {:?}  max {:?}", at(50), at(99), at(100))
}

/// Resident memory of a process, MiB.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or_default()
        / 1024.0
}

fn results() -> ResultStore {
    ResultStore::new(std::env::temp_dir().join(format!("envdeck-bench-{}", std::process::id())))
}

/// A fleet of ready instances in sessions of 100.
fn large_fleet() -> (Fleet, Vec<InstanceId>) {
    let backend = testing::fleet::backend("filesystem");
    let mut fleet = Fleet::new([backend.clone()].into());
    let mut ids = Vec::with_capacity(INSTANCES);
    let mut apply = |what| {
        fleet.apply(&Event {
            at: jiff::Timestamp::UNIX_EPOCH,
            what,
        })
    };
    for index in 0..INSTANCES {
        let session = SessionId::new(format!("{:06x}", index / 100));
        if index % 100 == 0 {
            apply(Happening::SessionOpened {
                session: session.clone(),
                caller: envdeck::model::Caller::Operator,
            });
        }
        let instance = InstanceId::new(format!("{index:08x}"));
        apply(Happening::InstanceAdded {
            session,
            instance: instance.clone(),
            backend: backend.clone(),
        });
        for phase in [Phase::Starting, Phase::Ready] {
            apply(Happening::PhaseChanged {
                instance: instance.clone(),
                phase,
            });
        }
        ids.push(instance);
    }
    (fleet, ids)
}

/// Writes `LINES_PER_SECOND` lines in batches until told to stop; returns how many.
fn flood(
    logs: &LogStore,
    instance: &InstanceId,
    stop: Arc<AtomicBool>,
) -> std::thread::JoinHandle<u64> {
    let writer = logs.writer(instance);
    std::thread::spawn(move || {
        let begin = Instant::now();
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = begin.elapsed().as_secs() * LINES_PER_SECOND
                + u64::from(begin.elapsed().subsec_millis()) * LINES_PER_SECOND / 1000;
            let mut batch = String::new();
            for n in written..due {
                let _ = writeln!(
                    batch,
                    "WARN flood line {n:09} the quick brown fox jumps over it"
                );
            }
            writer.chunk(Source::Stderr, batch.as_bytes());
            written = due.max(written);
            std::thread::sleep(Duration::from_millis(5));
        }
        written
    })
}

fn frames_over_a_large_fleet() {
    let (fleet, ids) = large_fleet();
    let mut harness = Harness::new(200, 60, results()).given(fleet.clone());
    let stop = Arc::new(AtomicBool::new(false));
    harness.logs.watch(Some(&ids[0]));
    let flooding = flood(&harness.logs, &ids[0], stop.clone());
    let mut fleet = fleet;
    let mut times = Vec::new();
    for frame in 0..300 {
        // A frame's worth of 10 000 events a second.
        for event in 0..167 {
            let instance = ids[(frame * 167 + event) % ids.len()].clone();
            let sample = Sample {
                at: jiff::Timestamp::UNIX_EPOCH,
                cpu: event as f32,
                memory: 1 << 20,
                memory_limit: None,
                processes: 1,
                network: None,
                disk: None,
            };
            fleet.apply(&Event {
                at: jiff::Timestamp::UNIX_EPOCH,
                what: Happening::Sampled { instance, sample },
            });
        }
        let picture = Arc::new(fleet.clone());
        let begin = Instant::now();
        harness.send(Msg::Fleet(picture));
        harness.send(Msg::Data);
        times.push(begin.elapsed() / 2);
        black_box(harness.buffer());
        std::thread::sleep(Duration::from_millis(10));
    }
    stop.store(true, Ordering::Relaxed);
    flooding.join().unwrap();
    row(
        "frame, 10 000 instances, 100 000 lines/s, 10 000 events/s",
        &spread(times),
    );
    let key = |harness: &mut Harness| {
        let begin = Instant::now();
        harness.send(Msg::Notice(Notice::new(Level::Info, "a key")));
        begin.elapsed()
    };
    let keys = (0..300).map(|_| key(&mut harness)).collect();
    row("message to drawn frame, 10 000 instances", &spread(keys));
}

fn flood_memory(length: Duration) {
    let logs = LogStore::default();
    let instance = InstanceId::new("flooded");
    logs.watch(Some(&instance));
    let stop = Arc::new(AtomicBool::new(false));
    let flooding = flood(&logs, &instance, stop.clone());
    std::thread::sleep(length / 4);
    let early = resident(std::process::id());
    std::thread::sleep(length * 3 / 4);
    let late = resident(std::process::id());
    stop.store(true, Ordering::Relaxed);
    let written = flooding.join().unwrap();
    let window = logs.tail(&instance, usize::MAX);
    let exact = window.dropped + window.lines.len() as u64 == written;
    row(
        &format!("flood of {length:?}, {written} lines: RSS after a quarter, at the end"),
        &format!(
            "{early:.0} MiB, {late:.0} MiB; dropped {} (exact: {exact})",
            window.dropped
        ),
    );
}

fn huge_result(megabytes: usize) {
    let line = r#"{"id": 12345678, "name": "row", "tags": ["a", "b"], "text": "the quick brown fox jumps over it"}, "#;
    let rows = line.repeat((megabytes << 20) / line.len());
    let raw = format!(r#"{{"content": [], "structuredContent": {{"rows": [{rows}0]}}}}"#);
    let before = resident(std::process::id());
    let store = results();
    let begin = Instant::now();
    let meta = store.insert(Bytes::from(raw), false);
    let document = loop {
        match store.open(meta.id) {
            Opened::Ready(document) => break document,
            Opened::Loading => std::thread::yield_now(),
            Opened::Gone(why) => panic!("{why}"),
        }
    };
    black_box(document.root());
    let after = resident(std::process::id());
    row(
        &format!("a result of {megabytes} MiB: kept and open"),
        &format!("{:?}, {:+.0} MiB", begin.elapsed(), after - before),
    );
}

/// The release binary on a pseudo-terminal: time to the first frame, then an idle while.
fn the_program() {
    let home = tempfile::tempdir().unwrap();
    let mut times = Vec::new();
    for _ in 0..20 {
        let (begin, mut reader, mut child, _master) = open(home.path());
        let mut chunk = vec![0; 65536];
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("Instances") {
            let read = reader.read(&mut chunk).unwrap();
            seen.extend_from_slice(&chunk[..read]);
        }
        times.push(begin.elapsed());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    row("exec to first frame, embedded demo", &spread(times));

    let (_, mut reader, mut child, _master) = open(home.path());
    let written = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = written.clone();
    std::thread::spawn(move || {
        let mut chunk = vec![0; 65536];
        while let Ok(read @ 1..) = reader.read(&mut chunk) {
            counter.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    std::thread::sleep(Duration::from_secs(8));
    let pid = child.process_id().unwrap();
    let (bytes, ticks) = (written.load(Ordering::Relaxed), cpu_ticks(pid));
    std::thread::sleep(Duration::from_secs(10));
    let idle = (
        written.load(Ordering::Relaxed) - bytes,
        cpu_ticks(pid) - ticks,
    );
    row(
        "idle for 10 s: bytes to the terminal, CPU, RSS",
        &format!(
            "{} B, {:.1} %, {:.1} MiB",
            idle.0,
            idle.1 as f64 / 10.0,
            resident(pid)
        ),
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

type Opening = (
    Instant,
    Box<dyn Read + Send>,
    Box<dyn portable_pty::Child + Send + Sync>,
    Box<dyn portable_pty::MasterPty + Send>,
);

fn open(home: &std::path::Path) -> Opening {
    let pair = native_pty_system()
        .openpty(PtySize {
            rows: 45,
            cols: 160,
            pixel_width: 0,
            pixel_height: 0,
        })
        .unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_envdeck"));
    command.env("HOME", home);
    command.env("TERM", "xterm-256color");
    let reader = pair.master.try_clone_reader().unwrap();
    let begin = Instant::now();
    let child = pair.slave.spawn_command(command).unwrap();
    (begin, reader, child, pair.master)
}

/// User and system time of a process in ticks of 10 ms.
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    [11, 12]
        .iter()
        .filter_map(|index| fields.get(*index)?.parse::<u64>().ok())
        .sum()
}
