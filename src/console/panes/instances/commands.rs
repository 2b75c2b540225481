//! What can be done to an instance, with a question first where something would be lost.

use std::sync::Arc;

use crate::console::action::Action;
use crate::console::effect::{Effect, Intent};
use crate::console::modals::confirm::Confirm;
use crate::console::modals::death_card::DeathCardPage;
use crate::console::modals::inspect::Inspect;
use crate::console::panes::{Cx, PaneKind};
use crate::console::widgets::text::{cut, plural};
use crate::model::{Command, Instance, Level, Notice, Phase, fact};
use crate::stores::lines::clean;

/// Columns of a copied command that are told.
const COMMAND: usize = 60;

/// What an action means for an instance; `None`: nothing.
pub fn act(action: Action, instance: &Arc<Instance>, cx: &Cx) -> Option<Vec<Intent>> {
    let intents = match action {
        Action::Open => open(instance),
        Action::Inspect => inspect(instance),
        Action::OpenShell => vec![shell(instance)],
        Action::RunAgain => restart(instance),
        Action::StopStart => stop_or_start(instance),
        Action::PauseResume => vec![pause_or_resume(instance)],
        Action::Remove => remove(instance),
        Action::Copy => vec![Intent::copy(
            instance.id.as_str(),
            format!("instance id {}", clean(instance.id.short())),
        )],
        Action::CopyCommand => vec![copy_command(instance, cx)],
        _ => return None,
    };
    Some(intents)
}

/// How to start the same from a shell; what runs inside envdeck is started with it.
fn copy_command(instance: &Instance, cx: &Cx) -> Intent {
    let (command, what) = match instance.fact("command") {
        Some(command) => (
            command.to_owned(),
            format!("the command of {}", name(instance)),
        ),
        None => (
            cx.about.invocation.open(),
            "the command that opens this configuration".to_owned(),
        ),
    };
    let what = format!("{what}: {}", cut(&clean(&command), COMMAND));
    Intent::copy(command, what)
}

fn shell(instance: &Instance) -> Intent {
    Intent::Run(Effect::OpenShell {
        instance: instance.id.clone(),
        name: name(instance),
    })
}

/// The tools of a living one, the evidence of a dead one.
pub fn open(instance: &Arc<Instance>) -> Vec<Intent> {
    match instance.phase {
        Phase::Failed | Phase::Waiting => evidence(instance),
        _ => vec![Intent::Focus(PaneKind::Tools)],
    }
}

/// Everything about it; the evidence first if it failed.
fn inspect(instance: &Arc<Instance>) -> Vec<Intent> {
    if instance.phase == Phase::Failed {
        evidence(instance)
    } else {
        Inspect::open(instance)
    }
}

/// The death card, or the plain facts if nothing died.
pub fn evidence(instance: &Arc<Instance>) -> Vec<Intent> {
    match DeathCardPage::new(instance) {
        Some(page) => vec![Intent::Open(Box::new(page))],
        None => Inspect::open(instance),
    }
}

/// `filesystem a1b2c3d4`.
fn name(instance: &Instance) -> String {
    clean(&format!(
        "{} {}",
        instance.backend.name,
        instance.id.short()
    ))
    .into_owned()
}

fn calls_lost(instance: &Instance) -> Vec<String> {
    let running = instance.in_flight as usize;
    let line = format!("{} will be cancelled", plural(running, "running call"));
    if running > 0 { vec![line] } else { Vec::new() }
}

/// At once, unless calls would be lost.
fn restart(instance: &Instance) -> Vec<Intent> {
    let restart = Intent::send(Command::Restart(instance.id.clone()));
    let lost = calls_lost(instance);
    if lost.is_empty() {
        return vec![restart];
    }
    let question = format!("Restart {}?", name(instance));
    vec![Intent::Open(Box::new(Confirm::new(
        question,
        lost,
        vec![restart],
    )))]
}

/// Stopping asks; starting does not.
fn stop_or_start(instance: &Instance) -> Vec<Intent> {
    let id = instance.id.clone();
    match instance.phase {
        Phase::Stopped | Phase::Failed => vec![Intent::send(Command::Start(id))],
        Phase::Stopping => vec![Intent::Tell(Notice::new(
            Level::Info,
            format!("{} is stopping already", name(instance)),
        ))],
        Phase::Pending | Phase::Starting | Phase::Ready | Phase::Waiting => {
            let mut lost = vec!["its state will be lost; s starts it again".to_owned()];
            lost.extend(calls_lost(instance));
            let question = format!("Stop {}?", name(instance));
            vec![Intent::Open(Box::new(Confirm::new(
                question,
                lost,
                vec![Intent::send(Command::Stop(id))],
            )))]
        }
    }
}

/// Neither loses anything.
fn pause_or_resume(instance: &Instance) -> Intent {
    let id = instance.id.clone();
    if instance.phase != Phase::Ready {
        let text = format!("{} is {}, not ready", name(instance), instance.phase);
        return Intent::Tell(Notice::new(Level::Info, text));
    }
    Intent::send(if instance.fact(fact::STATUS) == Some(fact::PAUSED) {
        Command::Resume(id)
    } else {
        Command::Pause(id)
    })
}

/// Asks.
fn remove(instance: &Instance) -> Vec<Intent> {
    let mut lost = vec![format!(
        "it is taken out of session {}, with its log and tool list",
        clean(instance.session.short())
    )];
    if !instance.phase.is_settled() {
        lost.insert(0, "it will be stopped and its state lost".to_owned());
    }
    lost.extend(calls_lost(instance));
    let question = format!("Remove {}?", name(instance));
    vec![Intent::Open(Box::new(Confirm::new(
        question,
        lost,
        vec![Intent::send(Command::Remove(instance.id.clone()))],
    )))]
}
