//! Tools of the demo server that take their time, talk meanwhile, or never answer.
// MCP deprecates logging from 2026-07-28 on; servers still send log notifications, so the demo does.
#![expect(deprecated)]

use std::future::pending;
use std::time::Duration;

use rmcp::model::{
    CallToolResult, ErrorData, LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::catalog::{Arguments, text};
use super::server::{DemoServer, LEVELS};
use crate::stores::logs::Source;

type Context = RequestContext<RoleServer>;
type Answer = Result<CallToolResult, ErrorData>;

/// One line of stderr for so many log notifications.
const NOTIFICATIONS_A_LINE: u64 = 5;

#[derive(Deserialize)]
#[serde(default)]
struct Countdown {
    seconds: f64,
    steps: u32,
    stubborn: bool,
}

impl Default for Countdown {
    fn default() -> Self {
        Self {
            seconds: 10.0,
            steps: 10,
            stubborn: false,
        }
    }
}

/// Reports its progress step by step. It stops when it is cancelled, unless it is stubborn.
pub async fn countdown(arguments: Arguments, context: &Context) -> Answer {
    let Countdown {
        seconds,
        steps,
        stubborn,
    } = arguments.read()?;
    let (seconds, steps) = (seconds.clamp(0.0, 3600.0), steps.clamp(1, 10_000));
    let pause = Duration::from_secs_f64(seconds) / steps;
    for step in 1..=steps {
        tokio::select! {
            () = sleep(pause) => {}
            () = context.ct.cancelled(), if !stubborn => return Err(cancelled()),
        }
        let message = format!("step {step} of {steps}");
        report(context, f64::from(step), f64::from(steps), message).await;
    }
    Ok(CallToolResult::success(vec![text(format!(
        "counted {steps} steps in {seconds} s"
    ))]))
}

async fn report(context: &Context, done: f64, total: f64, message: String) {
    let Some(token) = context.meta.get_progress_token() else {
        return;
    };
    let progress = ProgressNotificationParam::new(token, done)
        .with_total(total)
        .with_message(message);
    // It fails only when the connection is gone, and then nobody waits for it.
    let _ = context.peer.notify_progress(progress).await;
}

#[derive(Deserialize)]
#[serde(default)]
struct Chatter {
    rate: f64,
    seconds: f64,
}

impl Default for Chatter {
    fn default() -> Self {
        Self {
            rate: 10.0,
            seconds: 5.0,
        }
    }
}

/// Sends log notifications of all levels in turn, and now and then a line to stderr.
pub async fn chatter(server: &DemoServer, arguments: Arguments, context: &Context) -> Answer {
    let Chatter { rate, seconds } = arguments.read()?;
    let (rate, seconds) = (rate.clamp(0.1, 20_000.0), seconds.clamp(0.0, 3600.0));
    let started = Instant::now();
    let (mut said, mut sent) = (0, 0);
    loop {
        let elapsed = started.elapsed().as_secs_f64();
        let due = whole(elapsed.min(seconds) * rate);
        while said < due {
            sent += u64::from(say(server, context, said).await);
            said += 1;
        }
        if elapsed >= seconds {
            break;
        }
        tokio::select! {
            // At high rates in batches: a timer has a resolution of 1 ms.
            () = sleep(Duration::from_secs_f64((1.0 / rate).max(0.01))) => {}
            () = context.ct.cancelled() => return Err(cancelled()),
        }
    }
    let lines = said.div_ceil(NOTIFICATIONS_A_LINE);
    let told = json!({ "notifications": sent, "stderr_lines": lines });
    Ok(CallToolResult::structured(told))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rate and seconds are clamped: 0 to 72 million"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// Returns whether it sent a notification.
async fn say(server: &DemoServer, context: &Context, n: u64) -> bool {
    if n.is_multiple_of(NOTIFICATIONS_A_LINE) {
        server.log.line(
            Source::Stderr,
            &format!("chatter: worker {} handled request {n}", n % 4),
        );
    }
    let level = usize::try_from(n % 8).unwrap_or_default();
    if !server.wants(level, context) {
        return false;
    }
    let data = json!({ "message": format!("chatter {n}"), "worker": n % 4 });
    let line = LoggingMessageNotificationParam::new(LEVELS[level], data).with_logger("chatter");
    // It fails only when the connection is gone, and then nobody listens.
    context.peer.notify_logging_message(line).await.is_ok()
}

/// Never answers; ends only when it is cancelled.
pub async fn hang(context: &Context) -> Answer {
    context.ct.cancelled().await;
    Err(cancelled())
}

#[derive(Deserialize)]
#[serde(default)]
struct Crash {
    status: i32,
}

impl Default for Crash {
    fn default() -> Self {
        Self { status: 3 }
    }
}

const TRACEBACK: &str = r#"Traceback (most recent call last):
  File "/srv/demo/server.py", line 212, in call_tool
    return self.tools[name](**arguments)
  File "/srv/demo/tools/crash.py", line 17, in crash
    raise SystemExit(status)
SystemExit: the demo server crashes because it was asked to"#;

/// Takes the whole instance down, with a last word on stderr and no answer.
pub async fn crash(server: &DemoServer, arguments: Arguments) -> Answer {
    let Crash { status } = arguments.read()?;
    server.log.line(Source::Stderr, TRACEBACK);
    server.life.end(status.clamp(0, 255));
    pending().await
}

fn cancelled() -> ErrorData {
    ErrorData::internal_error("cancelled", None)
}
