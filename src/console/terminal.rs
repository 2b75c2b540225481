//! The terminal: enter, leave, draw. The only file that touches its modes.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use nix::sys::signal::{SigSet, Signal};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// The terminal in our hands; dropping it gives it back clean.
pub struct Terminal {
    shown: Buffer,
    next: Buffer,
    /// `None`: hidden.
    cursor: Option<Position>,
    mouse: bool,
}

/// What has to be undone. Left twice, the terminal would put the cursor where it was before the console, over
/// what has been printed since: a panic is reported between the hook and the drop.
static HELD: AtomicU8 = AtomicU8::new(FREE);
const FREE: u8 = 0;
/// In our hands: raw, on the alternate screen.
const TAKEN: u8 = 1;
/// In the hands of a program that edits lines itself: raw.
const LENT: u8 = 2;

impl Terminal {
    /// Takes the terminal over: raw mode, alternate screen, bracketed paste, and the mouse if wanted.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        let mut terminal = Self {
            shown: Buffer::default(),
            next: Buffer::default(),
            cursor: None,
            mouse,
        };
        terminal.reenter()?;
        Ok(terminal)
    }

    /// Takes it over again after [`Terminal::leave`]; the next frame paints every cell.
    pub fn reenter(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        HELD.store(TAKEN, Ordering::Relaxed);
        execute!(
            io::stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            Hide
        )?;
        self.cursor = None;
        self.repaint()?;
        self.capture_mouse(self.mouse)
    }

    /// Gives it back, for another program, a suspension or good.
    pub fn leave(&mut self) {
        restore();
    }

    /// Gives the screen to a program at the other end of a connection: what is typed stays raw.
    pub fn lend(&mut self) -> io::Result<()> {
        restore();
        enable_raw_mode()?;
        HELD.store(LENT, Ordering::Relaxed);
        Ok(())
    }

    /// Writes bytes as they are: for a program that it is lent to.
    pub fn write(bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    pub fn capture_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on {
            execute!(io::stdout(), EnableMouseCapture)
        } else {
            execute!(io::stdout(), DisableMouseCapture)
        }
    }

    /// Columns and rows.
    pub fn size() -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Forgets what is shown, so that the next frame paints every cell.
    pub fn repaint(&mut self) -> io::Result<()> {
        let (width, height) = Self::size()?;
        self.resize(width, height)
    }

    /// Goes on at another size; the next frame paints every cell.
    pub fn resize(&mut self, width: u16, height: u16) -> io::Result<()> {
        let area = Rect::new(0, 0, width, height);
        self.shown = Buffer::empty(area);
        self.next = Buffer::empty(area);
        execute!(io::stdout(), Clear(ClearType::All))
    }

    /// Lets `paint` fill the next frame and say where the cursor is, and writes what differs, in one
    /// piece. Writes nothing where nothing differs: an idle console costs the terminal nothing.
    pub fn draw(&mut self, paint: impl FnOnce(&mut Buffer) -> Option<Position>) -> io::Result<()> {
        self.next.reset();
        let cursor = paint(&mut self.next);
        let mut updates = self.shown.diff_iter(&self.next).peekable();
        if updates.peek().is_none() && cursor == self.cursor {
            return Ok(());
        }
        let mut bytes = Vec::new();
        queue!(bytes, BeginSynchronizedUpdate)?;
        if self.cursor.is_some() {
            queue!(bytes, Hide)?;
        }
        if updates.peek().is_some() {
            CrosstermBackend::new(&mut bytes).draw(updates)?;
        }
        if let Some(at) = cursor {
            queue!(bytes, MoveTo(at.x, at.y), Show)?;
        }
        queue!(bytes, EndSynchronizedUpdate)?;
        self.cursor = cursor;
        std::mem::swap(&mut self.shown, &mut self.next);
        Self::write(&bytes)
    }

    /// Puts text on the terminal's clipboard (OSC 52), which works over ssh and in tmux.
    pub fn copy(text: &str) -> io::Result<()> {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        Self::write(format!("\x1b]52;c;{encoded}\x07").as_bytes())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // After a panic the hook has done so; leaving the alternate screen twice would put the cursor back
        // over the report.
        if !std::thread::panicking() {
            self.leave();
        }
    }
}

/// Undoes everything that was done to it, once. Errors are ignored: there is nobody left to tell.
fn restore() {
    let held = HELD.swap(FREE, Ordering::Relaxed);
    // A shell that is ended takes the terminal back before we have undone anything. That would stop us, for ever.
    let in_background = SigSet::from(Signal::SIGTTOU);
    let is_blocked = held != FREE && in_background.thread_block().is_ok();
    if held == TAKEN {
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
    }
    if held != FREE {
        let _ = disable_raw_mode();
    }
    if is_blocked {
        let _ = in_background.thread_unblock();
    }
}

/// A panic is logged; one of the console's own thread also gives the terminal back first, then prints
/// a report that names the log. Panics of the core's tasks become failures of their instance.
pub fn install_panic_hook(log_path: String) {
    let before = std::panic::take_hook();
    let console = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        tracing::error!(
            "panic: {info}\n{}",
            std::backtrace::Backtrace::force_capture()
        );
        if std::thread::current().id() == console {
            restore();
            before(info);
            let _ = writeln!(
                io::stderr(),
                "envdeck has a bug; please report it with {log_path}"
            );
        }
    }));
}
