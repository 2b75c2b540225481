//! Output, environment and resource use of processes.

use std::fs;
use std::time::{Duration, Instant};

use envdeck::model::{Mode, Secret};
use tokio::time::{sleep, timeout};

use crate::bench::{Bench, PATIENCE, is_alive, program, python, shell};
use crate::wire::Wire;

#[tokio::test]
async fn a_flood_on_stderr_is_counted_exactly() {
    let script = "i=0; while [ $i -lt 100 ]; do seq 1000 >&2; i=$((i+1)); done; echo last >&2";
    let mut bench = Bench::start(shell(script)).await.unwrap();
    bench.wait().await;
    let window = bench.logs.tail(&bench.id, 1);
    assert_eq!(window.end, 100_001);
    assert_eq!(&*window.lines[0].line.text, "last");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_huge_line_without_an_end_is_one_line() {
    let script = "head -c 50000000 /dev/zero | tr '\\0' x >&2";
    let mut bench = Bench::start(shell(script)).await.unwrap();
    bench.wait().await;
    let window = bench.logs.tail(&bench.id, 2);
    assert_eq!(window.end, 1);
    let length = window.lines[0].line.text.len();
    assert!((1000..100_000).contains(&length), "cut to {length}");
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn a_closed_stdout_is_not_the_end() {
    let mut bench = Bench::start(shell("exec >&-; echo closed >&2; exec sleep 600"))
        .await
        .unwrap();
    let mut wire = Wire::open(&mut bench.running);
    assert_eq!(wire.next().await, None);
    bench.logged("closed").await;
    assert!(
        timeout(Duration::from_millis(100), bench.running.wait())
            .await
            .is_err()
    );
    let pid = bench.pid();
    bench.stop().await.unwrap();
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn the_environment_reaches_the_child_and_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().canonicalize().unwrap();
    let mut spec = program(
        "sh",
        &[
            "-c",
            "printf %s \"$TOKEN\" > seen; echo run $ENVDECK_RUN >&2; sleep 600",
        ],
    );
    spec.env.insert("TOKEN".into(), Secret::new("s3cr3t"));
    spec.cwd = Some(place.clone());
    let bench = Bench::start(Mode::LocalProcess(spec)).await.unwrap();
    assert_eq!(bench.logged("run").await, "test-run");
    assert_eq!(fs::read_to_string(place.join("seen")).unwrap(), "s3cr3t");
    let facts = format!("{:?} {:?}", bench.running.facts(), bench.log());
    assert!(
        facts.contains("TOKEN") && !facts.contains("s3cr3t"),
        "{facts}"
    );
    assert_eq!(*bench.fact("directory"), *place.to_str().unwrap());
    assert!(bench.fact("command").starts_with("sh -c '"));
    bench.stop().await.unwrap();
}

#[tokio::test]
async fn children_do_not_ask_on_our_terminal_unless_told_to() {
    let said = |set: Option<(&'static str, &'static str)>| async move {
        let script = "echo asks $GIT_TERMINAL_PROMPT $SSH_ASKPASS_REQUIRE $SSH_ASKPASS >&2; cat";
        let mut spec = program("sh", &["-c", script]);
        spec.env
            .extend(set.map(|(name, value)| (name.to_owned(), Secret::new(value))));
        let bench = Bench::start(Mode::LocalProcess(spec)).await.unwrap();
        let said = bench.logged("asks").await;
        bench.stop().await.unwrap();
        said
    };
    assert_eq!(said(None).await, "0 force false");
    let set = Some(("GIT_TERMINAL_PROMPT", "1"));
    assert_eq!(said(set).await, "1 force false");
}

#[tokio::test]
async fn use_is_measured_over_the_whole_family() {
    let script = "import subprocess, sys\n\
        subprocess.Popen([sys.executable, '-c', 'x = bytearray(60_000_000)\\nwhile True: pass'])\n\
        print('up', file=sys.stderr, flush=True)\n\
        sys.stdin.read()";
    let mut bench = Bench::start(python(script)).await.unwrap();
    bench.logged("up").await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let usage = bench.running.usage().await.unwrap().unwrap();
        if usage.processes == 2 && usage.memory > 60_000_000 && usage.cpu > 5.0 {
            break;
        }
        assert!(Instant::now() < deadline, "{usage:?}");
        sleep(Duration::from_millis(100)).await;
    }
    bench.stop().await.unwrap();
}
