//! The user's editor on a text, while the terminal is in its hands.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::process::Child;

use super::signals::{Signals, Stop, nobody_resumes_us, stop};

/// For an editor to save what it has and to give the terminal back, when we are told to end.
const EDITOR_GRACE: Duration = Duration::from_secs(2);

/// The most that a signal of the terminal comes later to us than to the editor.
const SIGNAL_DELAY: Duration = Duration::from_millis(50);

/// Opens the user's editor on the text and returns what it left; `None` if we are told to end meanwhile.
pub async fn edit(
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
                    if let Err(error) = stop() {
                        return Some(Err(error));
                    }
                }
            },
            status = child.wait() => {
                // A Ctrl-C that ended the editor was for the editor; ours may still be on its way.
                let _ = tokio::time::timeout(SIGNAL_DELAY, signals.interrupted()).await;
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
