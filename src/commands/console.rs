//! The default front end: the console over an orchestrator of its own.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use super::exit;
use crate::cli::{Console, Source};
use crate::config::{self, Config, Origin};
use crate::console::model::{Model, Setup};
use crate::console::panes::About;
use crate::console::preferences::Preferences;
use crate::console::terminal::{Terminal, install_panic_hook};
use crate::console::theme::{ColorDepth, Theme};
use crate::console::{Looks, run as run_console};
use crate::drivers::Installed;
use crate::model::{Ask, Caller, Command, Failure, HttpServer, InstanceId, RunId};
use crate::orchestrator::{self, Handle, Orchestrator};
use crate::paths::{Paths, RunDirectory, private_directory};
use crate::stores::history::History;
use crate::stores::lines::clean;
use crate::stores::logs::EVENTS_LOG;
use crate::stores::results::ResultStore;
use crate::telemetry;

/// Runs the console; returns the exit code. What is wrong is told on stderr, before the screen opens.
pub fn run(options: &Console, paths: &Paths) -> anyhow::Result<u8> {
    let env = |name: &str| std::env::var(name).ok();
    let mut problems = Vec::new();
    let config = match options.source() {
        Source::File(file) => config::load(file, &env)
            .map_err(|invalid| problems.push(invalid.to_string()))
            .ok(),
        Source::Url(at) => config::of_url(at, &env)
            .map_err(|found| problems.extend(found.iter().map(|one| format!("envdeck: {one}"))))
            .ok(),
        Source::Command { command, args } => Some(config::of_command(command, args)),
        Source::Demo => Some(config::demo()),
    };
    let preferences = Preferences::load(&paths.config.join("console.yaml"))
        .map_err(|mut found| problems.append(&mut found))
        .ok();
    let looks = Looks {
        themes: Some(paths.config.join("themes")),
        depth: ColorDepth::detect(env),
    };
    let name = options
        .theme
        .clone()
        .or_else(|| preferences.as_ref().map(|(p, _)| p.theme.clone()));
    // Without a name the settings could not be read, which is said already.
    let theme = name.and_then(|name| {
        Theme::load(&name, looks.themes.as_deref(), looks.depth)
            .map_err(|problem| problems.push(problem))
            .ok()
    });
    problems.extend(options.log.as_deref().and_then(|filter| {
        let problem = telemetry::problem(filter)?;
        Some(format!("envdeck: the log filter `{filter}`: {problem}"))
    }));
    problems.extend(unusable_terminal(env));
    let (Some(config), Some((preferences, keymap)), Some(theme), []) =
        (config, preferences, theme, &problems[..])
    else {
        for problem in problems {
            eprintln!("{problem}");
        }
        return Ok(exit::USAGE);
    };

    let run = RunId::new(format!("{:016x}", rand::random::<u64>()));
    let directory = RunDirectory::create(&paths.cache, &run)
        .with_context(|| format!("{} can't be used", paths.cache.display()))?;
    let runtime = core_runtime()?;
    let config = Arc::new(config);
    let drivers = Arc::new(Installed::new());
    let orchestrator = {
        let _inside = runtime.enter();
        orchestrator::start(orchestrator::Setup {
            config: config.clone(),
            drivers: drivers.clone(),
            run: run.clone(),
            results: ResultStore::new(directory.path()),
            history: history(paths),
        })
    };
    let handle = orchestrator.handle();
    let filter = options.log.as_deref().unwrap_or(&config.log_level);
    let events = handle.logs().writer(&InstanceId::new(EVENTS_LOG));
    let _flush = telemetry::start(&paths.log(), filter, events)
        .with_context(|| format!("{} can't be written", paths.log().display()))?;
    clear_up(&runtime, &drivers, &run);
    open_first_session(&config, &handle);

    let mouse = preferences.mouse && !options.no_mouse;
    let about = About {
        origin: origin(&config),
        log_path: paths.log().display().to_string(),
        invocation: invocation(options),
        zone: Some(jiff::tz::TimeZone::system()),
    };
    install_panic_hook(about.log_path.clone());
    // Its own statement: a borrow that lived as long as the console would block every later picture.
    let fleet = handle.fleet().borrow().clone();
    let outcome = show(
        Setup {
            fleet,
            logs: handle.logs().clone(),
            results: handle.results().clone(),
            theme: Arc::new(theme),
            keymap,
            about,
            clock: Box::new(jiff::Timestamp::now),
            size: Terminal::size()?,
            mouse,
        },
        &handle,
        looks,
    );
    let left = shut_down(&runtime, orchestrator);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let mut err = io::stderr().lock();
    for failure in &left {
        // Not `eprintln!`: it panics where the terminal is gone. What failed may quote a server.
        let _ = writeln!(err, "left behind: {}", clean(&failure.to_string()));
    }
    outcome.context("the terminal failed")?;
    Ok(if left.is_empty() {
        exit::OK
    } else {
        exit::ENVIRONMENT
    })
}

/// Calls are kept across runs where that is possible; a console without is better than none.
fn history(paths: &Paths) -> Option<History> {
    let opened = private_directory(&paths.state).and_then(|()| History::open(paths.history()));
    opened
        .map_err(|error| {
            eprintln!(
                "envdeck: calls are not kept: {}: {error}",
                paths.history().display()
            );
        })
        .ok()
}

/// Why the console can't be drawn here, if it can't.
fn unusable_terminal(env: impl Fn(&str) -> Option<String>) -> Option<String> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Some("envdeck: the console needs a terminal on stdin and stdout".to_owned());
    }
    (env("TERM").as_deref() == Some("dumb")).then(|| {
        "envdeck: the console can't draw on TERM=dumb; set TERM to your terminal's type".to_owned()
    })
}

/// The console on this thread, with a runtime of its own that the core's work can't delay.
fn show(setup: Setup, handle: &Handle, looks: Looks) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let terminal = Terminal::enter(setup.mouse)?;
    runtime.block_on(run_console(
        Model::new(setup),
        handle.clone(),
        terminal,
        looks,
    ))
}

/// Two threads of the core's own: what they do never delays the console's.
fn core_runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("core")
        .enable_all()
        .build()
}

/// Ends in the background what killed runs left; what belongs to a run that lives is not touched.
fn clear_up(runtime: &Runtime, drivers: &Installed, run: &RunId) {
    for driver in drivers.all() {
        let run = run.clone();
        runtime.spawn(async move {
            match driver.reap(&run).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::warn!("{}: removed {count} left by killed runs", driver.kind());
                }
                Err(failure) => tracing::warn!("{}: leftovers stay: {failure}", driver.kind()),
            }
        });
    }
}

/// The demo and an ad-hoc server are up when the console opens.
fn open_first_session(config: &Config, handle: &Handle) {
    if matches!(config.origin, Origin::File(_)) {
        return;
    }
    let asks = config
        .backends
        .iter()
        .map(|backend| Ask {
            backend: backend.name.clone(),
            count: 1,
        })
        .collect();
    if let Err(busy) = handle.send(Command::OpenSession {
        caller: Caller::Operator,
        asks,
    }) {
        tracing::error!("the first session was not opened: {busy}");
    }
}

fn origin(config: &Config) -> String {
    match &config.origin {
        Origin::File(path) => path.display().to_string(),
        Origin::AdHoc => config
            .backends
            .first()
            .map(|backend| backend.name.to_string())
            .unwrap_or_default(),
        Origin::Demo => "demo".to_owned(),
    }
}

/// How to open the same from a shell.
fn invocation(options: &Console) -> String {
    match options.source() {
        Source::File(file) => format!("envdeck --config {}", file.display()),
        // Its query and its headers may hold secrets.
        Source::Url(at) => format!("envdeck --url {}", HttpServer::at(at.url)),
        Source::Command { command, args } => std::iter::once("envdeck --")
            .chain([command])
            .chain(args.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" "),
        Source::Demo => "envdeck".to_owned(),
    }
}

/// Takes everything down with a line of progress; a signal meanwhile insists.
fn shut_down(runtime: &Runtime, orchestrator: Orchestrator) -> Vec<Failure> {
    runtime.block_on(async {
        let report = |progress: orchestrator::Progress| {
            if progress.of > 0 {
                let mut err = io::stderr().lock();
                let _ = write!(
                    err,
                    "\rstopped {} of {} instances",
                    progress.gone, progress.of
                );
                let _ = err.flush();
                if progress.gone == progress.of {
                    let _ = writeln!(err);
                }
            }
        };
        orchestrator.shutdown(report, second_signal()).await
    })
}

/// Listens from now on, not from the first poll on: whoever reads that we stop may insist at once.
fn second_signal() -> impl Future<Output = ()> {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async {
        if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        } else {
            std::future::pending::<()>().await;
        }
    }
}
