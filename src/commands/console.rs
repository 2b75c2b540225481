//! The default front end: the console over an orchestrator of its own.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Builder;

use super::exit;
use super::host::{FrontEnd, Host};
use super::progress::Progress;
use super::register::origin;
use crate::cli::Console;
use crate::config::{Config, Origin};
use crate::console::invocation::Invocation;
use crate::console::model::{Model, Setup};
use crate::console::panes::About;
use crate::console::preferences::Preferences;
use crate::console::terminal::{Terminal, install_panic_hook};
use crate::console::theme::{ColorDepth, Theme};
use crate::console::{Looks, run as run_console};
use crate::model::{Ask, Caller, Command};
use crate::orchestrator::Handle;
use crate::paths::Paths;
use crate::signals::Ends;
use crate::telemetry;

/// Runs the console; returns the exit code. What is wrong is told on stderr, before the screen opens.
pub fn run(options: &Console, paths: &Paths) -> anyhow::Result<u8> {
    let env = |name: &str| std::env::var(name).ok();
    let mut problems = Vec::new();
    let config = options
        .target
        .load(&env)
        .map_err(|invalid| problems.push(invalid.to_string()))
        .ok();
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
    let config = config.and_then(|config| {
        let configured = options.listen.configure(config);
        configured
            .map_err(|problem| problems.push(format!("envdeck: {problem}")))
            .ok()
    });
    problems.extend(telemetry::problem(options.logging.log.as_deref()));
    problems.extend(unusable_terminal(env));
    let (Some(config), Some((preferences, keymap)), Some(theme), []) =
        (config, preferences, theme, &problems[..])
    else {
        for problem in problems {
            Progress::new().line(&problem);
        }
        return Ok(exit::USAGE);
    };

    let mut host = Host::start(
        FrontEnd::Console,
        paths,
        config,
        options.logging.log.as_deref(),
    )?;
    if options.listen.listen.is_some()
        && let Err(failure) = host.listen()
    {
        Progress::new().line(&format!("envdeck: {failure}"));
        host.end(false);
        return Ok(exit::code(&failure));
    }
    let handle = host.handle();
    open_first_session(host.config(), &handle);
    let about = About {
        origin: origin(host.config()),
        log_path: host.log_path(),
        invocation: Invocation {
            target: options.target.words(),
            is_ad_hoc: options.target.is_ad_hoc(),
        },
        zone: Some(jiff::tz::TimeZone::system()),
    };
    install_panic_hook(about.log_path.clone());
    // Its own statement: a borrow that lived as long as the console would block every later picture.
    let fleet = handle.fleet().borrow().clone();
    let setup = Setup {
        fleet,
        logs: handle.logs().clone(),
        results: handle.results().clone(),
        theme: Arc::new(theme),
        keymap,
        about,
        clock: Box::new(jiff::Timestamp::now),
        size: Terminal::size()?,
        mouse: preferences.mouse && !options.no_mouse,
    };
    let outcome = show(setup, &handle, looks, host.ends());
    let code = host.end(true);
    outcome.context("the terminal failed")?;
    Ok(code)
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
fn show(setup: Setup, handle: &Handle, looks: Looks, ends: &mut Ends) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let terminal = Terminal::enter(setup.mouse)?;
    runtime.block_on(run_console(
        Model::new(setup),
        handle.clone(),
        terminal,
        looks,
        ends,
    ))
}

/// The demo and an ad-hoc server are up when the console opens.
fn open_first_session(config: &Config, handle: &Handle) {
    if matches!(config.origin, Origin::File(_)) {
        return;
    }
    let asks = config
        .backends
        .iter()
        .map(|backend| Ask::new(backend.name.clone(), 1))
        .collect();
    if let Err(busy) = handle.send(Command::OpenSession {
        caller: Caller::Operator,
        asks,
    }) {
        tracing::error!("the first session was not opened: {busy}");
    }
}
