//! The health pane.

use std::sync::Arc;
use std::time::Duration;

use envdeck::console::effect::Effect;
use envdeck::console::testing::Harness;
use envdeck::console::testing::fleet::{FAILED, READY, instance};
use envdeck::model::{Command, Failure, Happening, Phase, Probe, Sample, Stage, Traffic, fact};

use crate::common::*;

fn sampled(harness: &Harness, cpu: f32, memory: u64) -> Happening {
    Happening::Sampled {
        instance: instance(READY),
        sample: Sample {
            at: harness.now(),
            cpu,
            memory,
            memory_limit: Some(2 << 30),
            processes: 11,
            network: None,
            disk: None,
        },
    }
}

fn probed(harness: &Harness, result: Result<Duration, Arc<Failure>>) -> Happening {
    Happening::Probed {
        instance: instance(READY),
        probe: Probe {
            at: harness.now(),
            result,
            how: "ping",
        },
    }
}

#[test]
fn it_shows_curves_probe_and_server() {
    insta::assert_snapshot!(body(&full(80, 15).press("6z")), @r#"
    ┌ 6 Health ─ filesystem a1b2c3d4 ──────────────────────────────────────────────┐
    │ state  ● ready · 3m                                                          │
    │ cpu      ▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁     0% │
    │ mem      ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ 48M/2G │
    │ procs  11 · restarts 0                                                       │
    │ probe  ok <1 ms · ping                                                       │
    │ MCP    2025-11-25                                                            │
    │ server secure-filesystem-server 0.2.0                                        │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    │                                                                              │
    └──────────────────────────────────────────────────────────────────────────────┘
    "#);
    insta::assert_snapshot!(columns(&full(120, 36), 28, 36).lines().skip(24).collect::<Vec<_>>().join("\n"), @r#"
    ├ 6 Health ─ filesystem a1…┤
    │ state  ● ready · 3m      │
    │ cpu    ▁▁▁▁▁▃▁▁▁▁     0% │
    │ mem    ▁▁▁▁▁▁▁▁▁▁ 48M/2G │
    │ procs  11 · restarts 0   │
    │ probe  ok <1 ms · ping   │
    │ MCP    2025-11-25        │
    │ server secure-filesystem │
    │        -server 0.2.0     │
    │                          │
    └──────────────────────────┴
     enter open  r run again  s
    "#);
}

#[test]
fn it_says_what_is_wrong() {
    insta::assert_snapshot!(text(&full(80, 15).press("2jj6z")), @r#"
    state  ✖ failed · start: exited with status 137 — raise the memory limit
    cpu    not measured
    procs  – · restarts 0
    probe  none yet
    "#);
    let harness = full(80, 15).happening(Happening::StdoutNoise {
        instance: instance(READY),
        lines: 12,
    });
    let silent = || Err(Arc::new(Failure::other(Stage::Run, "no answer to ping")));
    let first = probed(&harness, silent());
    let second = probed(&harness, silent());
    let screen = harness
        .happening(first)
        .happening(second)
        .press("6z")
        .screen();
    assert!(screen.contains("the server writes to stdout (not JSON-RPC): 12 lines"));
    assert!(screen.contains("failed ×2 · ping · run: no answer to ping"));
}

#[test]
fn an_idle_instance_does_not_change_the_screen() {
    let mut harness = full(80, 24).press("6z");
    // The curves fill up first.
    for _ in 0..120 {
        let sample = sampled(&harness, 0.3, 48 << 20);
        harness = harness.happening(sample);
    }
    let before = harness.screen();
    for (cpu, memory, micros) in [(0.1, 48, 400), (0.4, 48, 900), (0.0, 48, 20)] {
        let sample = sampled(&harness, cpu, (memory << 20) + micros);
        let probe = probed(&harness, Ok(Duration::from_micros(micros)));
        harness = harness
            .happening(sample)
            .happening(probe)
            .after_millis(1_000);
    }
    // The other instances show seconds: the health pane alone is on this screen.
    assert_eq!(before, harness.screen());
}

#[test]
fn what_is_on_screen_is_sampled_often() {
    let watches = |harness: &Harness| -> Vec<_> {
        let watch = |effect: &Effect| match effect {
            Effect::Send(Command::Watch(id)) => Some(id.clone()),
            _ => None,
        };
        harness.effects.iter().filter_map(watch).collect()
    };
    let harness = full(120, 36);
    assert_eq!(watches(&harness), [Some(instance(READY))]);
    let harness = harness.press("2jj");
    assert_eq!(watches(&harness).last(), Some(&Some(instance(FAILED))));
    assert_eq!(watches(&harness.press("z")).last(), Some(&None));
}

#[test]
fn it_shows_how_a_container_is_where_it_knows() {
    let described = |facts: &[(&str, &str)]| Happening::Described {
        instance: instance(READY),
        facts: facts
            .iter()
            .map(|(name, text)| ((*name).into(), (*text).into()))
            .collect(),
    };
    let calm = [
        (fact::STATUS, fact::RUNNING),
        (fact::HEALTH, "healthy"),
        ("image", "tiny"),
    ];
    let traffic = |inward, outward| Some(Traffic { inward, outward });
    let harness = full(60, 20).press("6z");
    let Happening::Sampled {
        instance,
        mut sample,
    } = sampled(&harness, 1.0, 48 << 20)
    else {
        unreachable!("it is a sample");
    };
    (sample.network, sample.disk) = (traffic(1_234, 800), traffic(0, 48_000_000));
    let harness = harness
        .happening(described(&calm))
        .happening(Happening::Sampled { instance, sample });
    insta::assert_snapshot!(text(&harness), @r#"
    state  ● ready · 3m
    health healthy
    cpu    ▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁     1%
    mem    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ 48M/2G
    procs  11 · restarts 0
    probe  ok <1 ms · ping
    net    1.2k↓ 0.8k↑
    disk   0 r 48M w
    MCP    2025-11-25
    server secure-filesystem-server 0.2.0
    "#);
    let bad = [
        (fact::ENGINE, "unreachable since 14:03:22"),
        (fact::STATUS, "paused"),
        (fact::HEALTH, "unhealthy ×3 · no route to host"),
        (fact::OUT_OF_MEMORY, "the kernel killed a process in it"),
    ];
    let harness = harness.happening(described(&bad));
    insta::assert_snapshot!(text(&harness), @r#"
    state  ? no engine · 3m
    engine unreachable since 14:03:22
    status paused
    health unhealthy ×3 · no route to host
    oom    the kernel killed a process in it
    cpu    ▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁▁▁▁▁▃▁▁▁▁▁     1%
    mem    ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁ 48M/2G
    procs  11 · restarts 0
    probe  ok <1 ms · ping
    net    1.2k↓ 0.8k↑
    disk   0 r 48M w
    MCP    2025-11-25
    server secure-filesystem-server 0.2.0
    "#);
    let gone = harness
        .happening(phase(READY, Phase::Stopping))
        .happening(phase(READY, Phase::Stopped));
    assert!(!text(&gone).contains("unreachable") && !text(&gone).contains("net"));
}

#[test]
fn what_has_ended_uses_nothing_any_more() {
    let harness = full(80, 15).press("6z");
    let used = ["48M/2G", "procs  11", "probe  ok"];
    assert!(used.iter().all(|text| body(&harness).contains(text)));
    let harness = harness
        .happening(phase(READY, Phase::Stopping))
        .happening(phase(READY, Phase::Stopped));
    let shown = body(&harness);
    assert!(used.iter().all(|text| !shown.contains(text)), "{shown}");
    assert!(shown.contains("probe  last: ok"), "{shown}");
}
