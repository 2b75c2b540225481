//! An append-only file of lines that several processes may share; it is rotated, and bears torn lines.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use memchr::memrchr;

/// A file of this size is put aside, bytes. One older file is kept.
pub const ROTATE: u64 = 16 << 20;

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    rotate: u64,
    /// The last line may lack its end: whoever wrote it died, or the disk was full.
    is_torn: bool,
}

impl Journal {
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let mut file = open(&path)?;
        let is_torn = is_torn(&mut file)?;
        Ok(Self {
            path,
            file,
            rotate: ROTATE,
            is_torn,
        })
    }

    /// Calls `line` with each line that is not empty, until it returns `false`.
    pub fn for_each_newest_first(&self, mut line: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
        for path in [self.path.clone(), aside(&self.path)] {
            let text = match tail(&path, 2 * self.rotate) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                text => text?,
            };
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let start = memrchr(b'\n', rest).map_or(0, |at| at + 1);
                if start < rest.len() && !line(&rest[start..]) {
                    return Ok(());
                }
                rest = &rest[..start.saturating_sub(1)];
            }
        }
        Ok(())
    }

    /// Adds whole lines, with their line breaks, in one write: those of two processes do not mix.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.rotate_if_full()?;
        let result = if self.is_torn {
            self.file.write_all(&[b"\n", lines].concat())
        } else {
            self.file.write_all(lines)
        };
        self.is_torn = result.is_err();
        result
    }

    fn rotate_if_full(&mut self) -> io::Result<()> {
        let ours = self.file.metadata()?;
        if ours.len() < self.rotate {
            return Ok(());
        }
        // Unless another process has done so.
        if fs::metadata(&self.path)
            .is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino()))
        {
            fs::rename(&self.path, aside(&self.path))?;
        }
        self.file = open(&self.path)?;
        self.is_torn = is_torn(&mut self.file)?;
        Ok(())
    }
}

/// Readable by nobody else: arguments of calls may be secret.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Where the older file is.
fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".old");
    name.into()
}

fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The last bytes of a file, at most `max`.
fn tail(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(max)))?;
    let mut text = Vec::new();
    file.take(max).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::*;

    fn journal(path: &Path) -> Journal {
        Journal {
            rotate: 100,
            ..Journal::open(path.to_owned()).unwrap()
        }
    }

    fn lines(journal: &Journal) -> Vec<String> {
        let mut lines = Vec::new();
        let keep = |line: &[u8]| {
            lines.push(String::from_utf8(line.to_vec()).unwrap());
            true
        };
        journal.for_each_newest_first(keep).unwrap();
        lines
    }

    #[test]
    fn a_full_file_is_put_aside_and_still_read() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        let mut journal = journal(&path);
        for n in 0..25 {
            journal.append(format!("line {n:04}\n").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        let wanted: Vec<String> = (10..25).rev().map(|n| format!("line {n:04}")).collect();
        assert_eq!(lines(&journal), wanted);
    }

    #[test]
    fn two_writers_rotate_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        let (mut one, mut two) = (journal(&path), journal(&path));
        one.append(&b"0123456789\n".repeat(10)).unwrap();
        one.append(b"one\n").unwrap();
        two.append(b"two\n").unwrap();
        assert_eq!(lines(&one).len(), 12);
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("journal");
        fs::write(&path, "whole\nto").unwrap();
        let mut journal = journal(&path);
        journal.append(b"next\n").unwrap();
        journal.append(b"last\n").unwrap();
        assert_eq!(lines(&journal), ["last", "next", "to", "whole"]);
    }
}
