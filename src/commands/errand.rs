//! One instance for one errand: brought up, used, taken down, with progress on stderr.

use std::io::Write;
use std::sync::Arc;

use tokio::time::timeout;

use super::exit::{self, Ending, Trouble};
use super::host::{FrontEnd, Host};
use super::onlooker::{Onlooker, last_words};
use crate::cli::Errand;
use crate::config::Config;
use crate::model::{
    Ask, Backend, Caller, Command, Failure, Fleet, Instance, Phase, RestartPolicy, Scope, Stage,
    ToolSpec,
};
use crate::nearest::nearest;
use crate::orchestrator::{Handle, Reply};
use crate::paths::Paths;
use crate::stores::lines::clean;
use crate::telemetry;

/// What an errand works with.
pub struct Desk {
    pub handle: Handle,
    /// Ready.
    pub instance: Arc<Instance>,
    pub onlooker: Onlooker,
}

impl Desk {
    pub fn tools(&self) -> &[Arc<ToolSpec>] {
        self.instance.tools.as_deref().unwrap_or_default()
    }

    pub fn tool(&self, name: &str) -> Result<&ToolSpec, Trouble> {
        let names = || self.tools().iter().map(|tool| &*tool.name);
        let found = self.tools().iter().find(|tool| *tool.name == *name);
        found.map(|tool| &**tool).ok_or_else(|| {
            Trouble::Usage(format!(
                "there is no tool `{name}`; {}",
                hint(name, names())
            ))
        })
    }
}

/// What there is instead of `name`.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Brings an instance of `backend` up (of the only one if there is no choice), lets `work` use it, takes it down.
/// `name` is that of the subcommand.
pub fn run(
    name: &str,
    errand: &Errand,
    backend: Option<&str>,
    paths: &Paths,
    work: impl AsyncFnOnce(&mut Desk) -> Result<u8, Trouble>,
) -> anyhow::Result<Ending> {
    let config = match configuration(errand, backend) {
        Ok(config) => config,
        Err(problem) => return Ok(refused(&problem)),
    };
    let mut host = Host::start(
        FrontEnd::Errand(name),
        paths,
        config,
        errand.logging.log.as_deref(),
    )?;
    let handle = host.handle();
    let backend = host.config().backends[0].clone();
    let outcome = host.run(async {
        let done = async {
            let mut onlooker = Onlooker::new(handle.clone(), errand.verbose);
            let instance = bring_up(&handle, &backend, &mut onlooker).await?;
            let mut desk = Desk {
                handle: handle.clone(),
                instance,
                onlooker,
            };
            work(&mut desk).await
        };
        match errand.timeout {
            Some(limit) => timeout(limit, done)
                .await
                .unwrap_or(Err(Trouble::Late(limit))),
            None => done.await,
        }
    });
    let ending = match outcome.unwrap_or_else(|signal| Err(Trouble::Signal(signal))) {
        Ok(code) => Ending::Code(code),
        Err(trouble) => {
            complain(&trouble);
            if !errand.verbose && trouble.is_of_the_server() {
                for line in last_words(&handle) {
                    say(&format!("  {line}"));
                }
            }
            trouble.ending()
        }
    };
    let code = host.end(matches!(ending, Ending::Signal(_)));
    Ok(if code == exit::OK {
        ending
    } else {
        Ending::Code(code)
    })
}

/// Tells what was asked for wrongly.
pub fn refused(problem: &str) -> Ending {
    complain(&Trouble::Usage(problem.to_owned()));
    Ending::Code(exit::USAGE)
}

fn complain(trouble: &Trouble) {
    for line in trouble.to_string().lines() {
        // What failed may quote a server.
        say(&format!("envdeck: {}", clean(line)));
    }
}

/// Not `eprintln!`: it panics where the terminal is gone.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Only the backend that is meant, and as long as this errand lasts: not shared, not restarted.
fn configuration(errand: &Errand, backend: Option<&str>) -> Result<Config, String> {
    let env = |name: &str| std::env::var(name).ok();
    if let Some(problem) = telemetry::problem(errand.logging.log.as_deref()) {
        return Err(bare(&problem));
    }
    let loaded = errand.target.load(&env);
    let mut config = loaded.map_err(|invalid| bare(&invalid.to_string()))?;
    let chosen = choose(&config, backend)?;
    let mut only = Backend::clone(&chosen);
    only.scope = Scope::Session;
    only.restart = RestartPolicy::Never;
    if let Some(limit) = errand.timeout {
        only.start_timeout = limit;
        only.call_timeout = limit;
        only.call_max_timeout = limit;
    }
    config.backends = vec![Arc::new(only)];
    Ok(config)
}

/// Without the program's name, which every complaint begins with.
fn bare(problem: &str) -> String {
    let lines = problem.lines();
    let bare = lines.map(|line| line.strip_prefix("envdeck: ").unwrap_or(line));
    bare.collect::<Vec<_>>().join("\n")
}

fn choose(config: &Config, name: Option<&str>) -> Result<Arc<Backend>, String> {
    let names = || config.backends.iter().map(|backend| &*backend.name);
    match (name, &config.backends[..]) {
        (_, []) => Err("the configuration has no backends".to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, _) => {
            let names: Vec<_> = names().collect();
            Err(format!("which backend? There are {}", names.join(", ")))
        }
        (Some(name), backends) => {
            let found = backends.iter().find(|backend| *backend.name == *name);
            found
                .cloned()
                .ok_or_else(|| format!("there is no backend `{name}`; {}", hint(name, names())))
        }
    }
}

async fn bring_up(
    handle: &Handle,
    backend: &Backend,
    onlooker: &mut Onlooker,
) -> Result<Arc<Instance>, Trouble> {
    let open = Command::OpenSession {
        caller: Caller::CommandLine,
        asks: vec![Ask::new(backend.name.clone(), 1)],
    };
    let step = |fleet: &Fleet| {
        let instance = fleet.instances().next()?;
        let step = instance.step.as_deref()?;
        Some(format!("{}: {step}", backend.name))
    };
    let reply = onlooker.during(step, handle.request(open)).await?;
    let fleet = handle.fleet().borrow().clone();
    let opened = match &reply {
        Reply::Opened(session, _) => fleet.sessions.get(session),
        _ => None,
    };
    let instance = opened.and_then(|session| session.instances.values().next());
    let gone = || Failure::other(Stage::Start, "the instance is gone");
    let instance = instance.ok_or_else(gone)?;
    if instance.phase == Phase::Ready {
        return Ok(instance.clone());
    }
    let death = instance.death.as_ref().map(|card| card.failure.clone());
    Err(death.unwrap_or_else(gone).into())
}
