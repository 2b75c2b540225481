//! The loop, and only the loop: messages in, frames and effects out.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::editor::edit;
use super::effect::Effect;
use super::frame::FrameClock;
use super::input::{Input, bytes};
use super::model::Model;
use super::msg::{Done, Inspected, Msg};
use super::shell::{Left, visit, window};
use super::signals::{Signals, Stop, nobody_resumes_us, stop};
use super::terminal::Terminal;
use super::theme::{ColorDepth, Theme};
use crate::model::{Command, Failure, InstanceId, Notice};
use crate::orchestrator::{Handle, Reply};
use crate::signals::Ends;

/// Where themes of the user's own are, and how many colours there are.
pub struct Looks {
    pub themes: Option<std::path::PathBuf>,
    pub depth: ColorDepth,
}

/// Runs the console until the user quits or a signal ends it.
pub async fn run(
    mut model: Model,
    handle: Handle,
    mut terminal: Terminal,
    looks: Looks,
    ends: &mut Ends,
) -> io::Result<()> {
    let signals = Signals::new(ends)?;
    let resizes = signal(SignalKind::window_change())?;
    // Changes of the size are heard from here on; what it became since the start is seen now.
    let (width, height) = Terminal::size()?;
    terminal.resize(width, height)?;
    model.update(Msg::Resize(width, height));
    let mut fleet = handle.fleet();
    let mut notices = handle.notices();
    let (done_tx, mut done) = mpsc::unbounded_channel();
    let runner = Runner {
        handle: handle.clone(),
        looks,
        done: done_tx,
    };
    let mut desk = Desk {
        model,
        terminal,
        input: Input::new()?,
        signals,
        resizes,
        opening: None,
        runner,
    };
    let mut frame = FrameClock::default();
    frame.request();
    loop {
        let tick = desk.model.next_tick();
        let msg = tokio::select! {
            biased;
            () = frame.ready() => {
                desk.draw()?;
                frame.drawn();
                continue;
            }
            event = desk.input.next() => match event {
                Some(Ok(event)) => match message(event) {
                    Some(msg) => msg,
                    None => continue,
                },
                // The terminal is gone: there is nobody left to talk to.
                Some(Err(_)) | None => return Ok(()),
            },
            signal = desk.signals.next() => match signal {
                Stop::End | Stop::Interrupt => return Ok(()),
                Stop::Suspend if nobody_resumes_us() => continue,
                Stop::Suspend => {
                    desk.suspend().await?;
                    Msg::Done(Done::Resumed)
                }
            },
            Some(()) = desk.resizes.recv() => resized()?,
            Ok(()) = fleet.changed() => Msg::Fleet(fleet.borrow_and_update().clone()),
            notice = notices.recv() => match from_notice(notice) {
                Some(msg) => msg,
                None => return Ok(()),
            },
            Some(done) = done.recv() => Msg::Done(done),
            (opening, answer) = opened(&mut desk.opening) => {
                match desk.visit(opening, answer).await? {
                    Some(done) => Msg::Done(done),
                    None => return Ok(()),
                }
            }
            () = handle.logs().changed() => Msg::Data,
            () = handle.results().changed() => Msg::Data,
            () = after(tick) => Msg::Tick,
        };
        if let Msg::Resize(width, height) = msg {
            desk.terminal.resize(width, height)?;
        }
        let effects = desk.model.update(msg);
        if desk.perform(effects).await?.is_break() {
            return Ok(());
        }
        frame.request();
    }
}

/// What the loop has in its hands.
struct Desk<'a> {
    model: Model,
    terminal: Terminal,
    input: Input,
    signals: Signals<'a>,
    resizes: Signal,
    /// The shell that was asked for.
    opening: Option<Opening>,
    runner: Runner,
}

/// A shell on its way; what is typed meanwhile is for it.
struct Opening {
    name: String,
    ahead: Vec<u8>,
    answer: AbortOnDropHandle<Result<Reply, Failure>>,
}

impl Desk<'_> {
    fn draw(&mut self) -> io::Result<()> {
        let effects = self.model.sync();
        self.terminal.draw(|buf| self.model.draw(buf))?;
        for effect in effects {
            self.runner.run(effect, &mut self.terminal)?;
        }
        Ok(())
    }

    /// Breaks if the program is to end.
    async fn perform(&mut self, effects: Vec<Effect>) -> io::Result<ControlFlow<()>> {
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(ControlFlow::Break(())),
                Effect::Edit { text, suffix } => {
                    self.input.set_aside().await;
                    self.terminal.leave();
                    let Some(edited) = edit(&text, suffix, &mut self.signals).await else {
                        return Ok(ControlFlow::Break(()));
                    };
                    self.take_over()?;
                    self.runner.tell(Done::Edited(edited));
                }
                Effect::OpenShell { instance, name } => self.open_shell(instance, name).await?,
                effect => self.runner.run(effect, &mut self.terminal)?,
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Asks for a shell. What is typed from now on stays in the terminal until it opens.
    async fn open_shell(&mut self, instance: InstanceId, name: String) -> io::Result<()> {
        let (handle, size) = (self.runner.handle.clone(), window()?);
        let command = Command::OpenShell { instance, size };
        let answer = tokio::spawn(async move { handle.request(command).await });
        self.opening = Some(Opening {
            name,
            ahead: bytes(&self.input.set_aside().await),
            answer: AbortOnDropHandle::new(answer),
        });
        Ok(())
    }

    /// Lends the terminal to a shell that has opened; `None` if we are told to end meanwhile.
    async fn visit(
        &mut self,
        opening: Opening,
        answer: Result<Reply, Failure>,
    ) -> io::Result<Option<Done>> {
        let shell = match answer {
            Ok(Reply::Shell(shell)) => shell,
            refused => {
                self.input.resume()?;
                let why = refused.err().map(|failure| failure.to_string());
                return Ok(Some(Done::Visited(Err(why.unwrap_or_default()))));
            }
        };
        let Opening { name, ahead, .. } = opening;
        let (terminal, signals) = (&mut self.terminal, &mut self.signals);
        let left = visit(shell, &name, ahead, terminal, signals, &mut self.resizes).await?;
        let Left::Over(end) = left else {
            return Ok(None);
        };
        self.take_over()?;
        Ok(Some(Done::Visited(end)))
    }

    async fn suspend(&mut self) -> io::Result<()> {
        self.input.set_aside().await;
        self.terminal.leave();
        stop()?;
        self.take_over()
    }

    /// Takes the terminal again after it was given away, as large as it is now.
    fn take_over(&mut self) -> io::Result<()> {
        self.terminal.reenter()?;
        self.input.resume()?;
        self.model.update(resized()?);
        Ok(())
    }
}

/// The shell that was asked for, or why there is none; pending while none is. Cancel-safe.
async fn opened(opening: &mut Option<Opening>) -> (Opening, Result<Reply, Failure>) {
    let answer = match opening {
        Some(opening) => (&mut opening.answer).await,
        None => std::future::pending().await,
    };
    let lost = |error| Failure::caused_by(crate::model::Stage::Run, "the request was lost", error);
    let answer = answer.unwrap_or_else(|error| Err(lost(error)));
    match opening.take() {
        Some(opening) => (opening, answer),
        None => unreachable!("it was there a moment ago"),
    }
}

fn resized() -> io::Result<Msg> {
    let (width, height) = Terminal::size()?;
    Ok(Msg::Resize(width, height))
}

fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) => Some(Msg::Key(key)),
        Event::Mouse(mouse) => Some(Msg::Mouse(mouse)),
        Event::Paste(text) => Some(Msg::Paste(text)),
        // Lost where it comes together with keys (crossterm 0.29): we listen to the signal ourselves.
        Event::Resize(..) | Event::FocusGained | Event::FocusLost => None,
    }
}

fn from_notice(notice: Result<Notice, broadcast::error::RecvError>) -> Option<Msg> {
    match notice {
        Ok(notice) => Some(Msg::Notice(notice)),
        Err(broadcast::error::RecvError::Lagged(count)) => Some(Msg::NoticesSkipped(count)),
        Err(broadcast::error::RecvError::Closed) => None,
    }
}

async fn after(tick: Option<Duration>) {
    match tick {
        Some(tick) => tokio::time::sleep(tick).await,
        None => std::future::pending().await,
    }
}

/// Runs the effects that need neither the input nor another program.
struct Runner {
    handle: Handle,
    looks: Looks,
    done: mpsc::UnboundedSender<Done>,
}

impl Runner {
    /// The receiving end lives as long as the loop, which owns us.
    fn tell(&self, done: Done) {
        let _ = self.done.send(done);
    }

    fn inspect(&self, instance: InstanceId) {
        let (handle, done) = (self.handle.clone(), self.done.clone());
        tokio::spawn(async move {
            let told = match handle.request(Command::Inspect(instance.clone())).await {
                Ok(Reply::Inspected(json)) => Ok(json),
                Ok(_) => Ok(None),
                Err(failure) => Err(failure.to_string()),
            };
            // The loop may be over.
            let _ = done.send(Done::Inspected(Inspected { instance, told }));
        });
    }

    fn run(&mut self, effect: Effect, terminal: &mut Terminal) -> io::Result<()> {
        match effect {
            Effect::Send(command) => {
                if self.handle.send(command).is_err() {
                    self.tell(Done::Busy);
                }
            }
            Effect::Copy { text, what } => {
                Terminal::copy(&text)?;
                self.tell(Done::Copied { what });
            }
            Effect::Inspect(instance) => self.inspect(instance),
            Effect::WatchLog(instance) => {
                self.handle.logs().watch(instance.as_ref());
                // A refused wish to sample more often is no loss: the next selection asks again.
                let _ = self.handle.send(Command::Watch(instance));
            }
            Effect::CaptureMouse(on) => terminal.capture_mouse(on)?,
            Effect::Repaint => terminal.repaint()?,
            Effect::LoadTheme(name) => {
                let theme = Theme::load(&name, self.looks.themes.as_deref(), self.looks.depth);
                self.tell(Done::Theme(theme.map(Arc::new)));
            }
            Effect::Suspend if nobody_resumes_us() => self.tell(Done::Failed(
                "not suspended: there is no shell here to come back from".to_owned(),
            )),
            // The whole foreground group, so that a parent such as `cargo run` stops with us; the
            // signal comes back to the loop, which does the rest.
            Effect::Suspend => {
                nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(0),
                    nix::sys::signal::Signal::SIGTSTP,
                )?;
            }
            Effect::Edit { .. } | Effect::OpenShell { .. } | Effect::Quit => {
                unreachable!("the loop runs these itself")
            }
        }
        Ok(())
    }
}
