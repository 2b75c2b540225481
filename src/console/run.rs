//! The loop, and only the loop: messages in, frames and effects out.

use std::io;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{Event, EventStream};
use futures::StreamExt;
use tempfile::NamedTempFile;
use tokio::process::Child;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc};

use super::effect::Effect;
use super::frame::FrameClock;
use super::model::Model;
use super::msg::{Done, Msg};
use super::terminal::Terminal;
use super::theme::{ColorDepth, Theme};
use crate::model::{Command, Notice};
use crate::orchestrator::Handle;
use crate::signals::Ends;

/// For an editor to save what it has and to give the terminal back, when we are told to end.
const EDITOR_GRACE: Duration = Duration::from_secs(2);

/// The most that a signal of the terminal comes later to us than to the editor.
const SIGNAL_DELAY: std::time::Duration = std::time::Duration::from_millis(50);

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
    let mut signals = Signals::new(ends)?;
    let mut resizes = signal(SignalKind::window_change())?;
    // Changes of the size are heard from here on; what it became since the start is seen now.
    let (width, height) = Terminal::size()?;
    terminal.resize(width, height)?;
    model.update(Msg::Resize(width, height));
    let mut input = EventStream::new();
    let mut fleet = handle.fleet();
    let mut notices = handle.notices();
    let (done_tx, mut done) = mpsc::unbounded_channel();
    let mut runner = Runner {
        handle: handle.clone(),
        looks,
        done: done_tx,
    };
    let mut frame = FrameClock::default();
    frame.request();
    loop {
        let tick = model.next_tick();
        let msg = tokio::select! {
            biased;
            () = frame.ready() => {
                let effects = model.sync();
                terminal.draw(|buf| model.draw(buf))?;
                frame.drawn();
                for effect in effects {
                    runner.run(effect, &mut terminal)?;
                }
                continue;
            }
            event = input.next() => match event {
                Some(Ok(event)) => match message(event) {
                    Some(msg) => msg,
                    None => continue,
                },
                // The terminal is gone: there is nobody left to talk to.
                Some(Err(_)) | None => return Ok(()),
            },
            signal = signals.next() => match signal {
                Stop::End | Stop::Interrupt => return Ok(()),
                Stop::Suspend if nobody_resumes_us() => continue,
                Stop::Suspend => {
                    drop(input);
                    suspend(&mut terminal)?;
                    input = EventStream::new();
                    model.update(resized()?);
                    Msg::Done(Done::Resumed)
                }
            },
            Some(()) = resizes.recv() => resized()?,
            Ok(()) = fleet.changed() => Msg::Fleet(fleet.borrow_and_update().clone()),
            notice = notices.recv() => match from_notice(notice) {
                Some(msg) => msg,
                None => return Ok(()),
            },
            Some(done) = done.recv() => Msg::Done(done),
            () = handle.logs().changed() => Msg::Data,
            () = handle.results().changed() => Msg::Data,
            () = after(tick) => Msg::Tick,
        };
        if let Msg::Resize(width, height) = msg {
            terminal.resize(width, height)?;
        }
        for effect in model.update(msg) {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Edit { text, suffix } => {
                    drop(input);
                    terminal.leave();
                    let Some(edited) = edit(&text, suffix, &mut signals).await else {
                        return Ok(());
                    };
                    terminal.reenter()?;
                    input = EventStream::new();
                    runner.tell(Done::Edited(edited));
                }
                effect => runner.run(effect, &mut terminal)?,
            }
        }
        frame.request();
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

async fn after(tick: Option<std::time::Duration>) {
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
            Effect::Edit { .. } | Effect::Quit => unreachable!("the loop runs these itself"),
        }
        Ok(())
    }
}

/// What a signal asks for.
enum Stop {
    End,
    /// Ctrl-C of a terminal that is not in raw mode, or somebody's SIGINT.
    Interrupt,
    Suspend,
}

struct Signals<'a> {
    /// Heard since before the console opened: a request that came meanwhile counts.
    ends: &'a mut Ends,
    suspend: Signal,
}

impl<'a> Signals<'a> {
    fn new(ends: &'a mut Ends) -> io::Result<Self> {
        let suspend = signal(SignalKind::from_raw(
            nix::sys::signal::Signal::SIGTSTP as i32,
        ))?;
        Ok(Self { ends, suspend })
    }

    async fn next(&mut self) -> Stop {
        tokio::select! {
            signal = self.ends.next() => match signal {
                nix::sys::signal::Signal::SIGINT => Stop::Interrupt,
                _ => Stop::End,
            },
            _ = self.suspend.recv() => Stop::Suspend,
        }
    }
}

/// Gives the terminal back, stops this process until `SIGCONT`, takes the terminal again.
fn suspend(terminal: &mut Terminal) -> io::Result<()> {
    terminal.leave();
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP)?;
    terminal.reenter()
}

/// Whether a stop would be for ever: a session leader (`docker run`, `ssh -t`, the command of a tmux pane)
/// has no shell above it with an `fg`.
fn nobody_resumes_us() -> bool {
    nix::unistd::getsid(None).is_ok_and(|session| session == nix::unistd::getpid())
}

/// Opens the user's editor on the text and returns what it left; `None` if we are told to end meanwhile.
async fn edit(
    text: &str,
    suffix: &'static str,
    signals: &mut Signals<'_>,
) -> Option<Result<String, String>> {
    let opened = open_editor(text, suffix);
    let (editor, file, mut child) = match opened {
        Ok(opened) => opened,
        Err(problem) => return Some(Err(problem)),
    };
    let status = attend(&mut child, signals).await?;
    Some(match status {
        Err(error) => Err(format!("{editor}: {error}")),
        Ok(status) if !status.success() => {
            Err(format!("{editor}: {status}; the text is unchanged"))
        }
        Ok(_) => std::fs::read_to_string(file.path())
            .map_err(|error| format!("{}: {error}", file.path().display())),
    })
}

fn open_editor(text: &str, suffix: &'static str) -> Result<(String, NamedTempFile, Child), String> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|v| !v.trim().is_empty()));
    let editor = editor.ok_or("no editor: set EDITOR")?;
    let file = tempfile::Builder::new()
        .prefix("envdeck-")
        .suffix(suffix)
        .tempfile()
        .map_err(|e| e.to_string())?;
    std::fs::write(file.path(), text).map_err(|e| e.to_string())?;
    // Through the shell, because EDITOR may carry arguments: `code --wait`; and in the shell's place, so
    // that a signal for it reaches the editor. `env` bears what `exec` does not: `LANG=C vi`.
    let child = tokio::process::Command::new("sh")
        .args(["-c", &format!("exec env {editor} \"$1\""), "sh"])
        .arg(file.path())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{editor}: {error}"))?;
    Ok((editor, file, child))
}

/// Waits for the editor. It shares our process group, so the signals of its keys reach us, too: its
/// Ctrl-C is not for us, and with its Ctrl-Z we stop as well, or the shell would not get its turn.
/// `None` if we are told to end: the editor then was told first, so that it can tidy the terminal.
async fn attend(child: &mut Child, signals: &mut Signals<'_>) -> Option<io::Result<ExitStatus>> {
    loop {
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Stop::End => break,
                Stop::Interrupt => {}
                Stop::Suspend if nobody_resumes_us() => {}
                Stop::Suspend => {
                    if let Err(error) = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP) {
                        return Some(Err(error.into()));
                    }
                }
            },
            status = child.wait() => {
                // A Ctrl-C that ended the editor was for the editor; ours may still be on its way.
                let _ = tokio::time::timeout(SIGNAL_DELAY, signals.ends.interrupted()).await;
                return Some(status);
            }
        }
    }
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended in this moment.
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        );
    }
    let _ = tokio::time::timeout(EDITOR_GRACE, child.wait()).await;
    None
}
