//! A project of the host, read for a sandbox: never beyond the project, whatever it links to, and never more than
//! the caps allow.
//!
//! Directories are opened relative to the one that they are in, and no link is ever followed, so that nobody who
//! changes the project meanwhile can make this read something else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use tar::{Builder, EntryType, Header};

use super::Ignored;
use super::paths::real;
use crate::model::{Failure, SandboxPhase, Staging};

/// Directories within one another; each holds an open file while it is read.
const DEEPEST: usize = 64;
/// A larger manifest is none.
const LARGEST_MANIFEST: u64 = 10 << 20;

/// How much of a project goes into a sandbox.
#[derive(Clone, Debug)]
pub struct Caps {
    /// Bytes.
    pub size: u64,
    pub entries: u64,
    pub ignored: Ignored,
}

impl Caps {
    pub fn of(staging: &Staging) -> Self {
        Self {
            size: staging.max_size,
            entries: staging.max_entries,
            ignored: Ignored::with(&staging.ignore),
        }
    }
}

/// What a project says of its dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// `requirements.txt`
    Requirements,
    /// `pyproject.toml`, `setup.py` or `setup.cfg`
    Package,
    /// `package.json`
    Node,
}

impl Manifest {
    /// Whose packages it names, as the script that installs them calls it.
    pub fn kind(self) -> &'static str {
        match self {
            Manifest::Requirements | Manifest::Package => "python",
            Manifest::Node => "node",
        }
    }
}

/// An open project.
#[derive(Debug)]
pub struct Source {
    root: OwnedFd,
    /// Without links.
    pub path: PathBuf,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub bytes: u64,
    pub entries: u64,
    /// Pipes, sockets and devices, which are left out.
    pub special: u64,
}

impl Source {
    /// Opens a directory that is one of `roots` or below one.
    pub fn open(directory: &Path, roots: &[PathBuf]) -> Result<Self, Failure> {
        let shown = directory.display();
        let real_path = directory.canonicalize();
        let Some(path) = real_path.ok().filter(|path| path.is_dir()) else {
            let text = format!("host_path {shown} does not exist or is not a directory");
            return Err(refused(text));
        };
        let mut allowed = roots.iter().filter_map(|root| real(root));
        if !allowed.any(|root| path.starts_with(root)) {
            let text = format!("{shown} is outside of the directories that sandboxes may have");
            return Err(refused(text).hint("add it to allowed_mount_roots"));
        }
        let root = descend(&path).map_err(|error| unreadable(&path, error.into()))?;
        Ok(Self { root, path })
    }

    /// How its dependencies are installed, if it says so. Pinned requirements go before a package, and Python
    /// before Node.
    pub fn manifest(&self) -> Option<Manifest> {
        if self.text("requirements.txt").is_some() {
            return Some(Manifest::Requirements);
        }
        let is_package = self
            .text("pyproject.toml")
            .is_some_and(|text| declares(&text))
            || self.text("setup.py").is_some()
            || self.text("setup.cfg").is_some();
        if is_package {
            return Some(Manifest::Package);
        }
        self.text("package.json").map(|_| Manifest::Node)
    }

    /// A file at its top.
    fn text(&self, name: &str) -> Option<String> {
        let file = open_file(&self.root, Path::new(name)).ok()?;
        let found = file.metadata().ok()?;
        if !found.is_file() || found.len() > LARGEST_MANIFEST {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_MANIFEST).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Writes all of it as a tar stream. Blocks. Ends early when `out` does not take any more.
    pub fn write(&self, caps: &Caps, out: impl Write) -> Result<Tally, Failure> {
        let mut walk = Walk {
            source: self,
            caps,
            archive: Builder::new(out),
            tally: Tally::default(),
            has_package: self.text("package.json").is_some(),
        };
        let root = self.root.try_clone();
        let root = root.map_err(|error| unreadable(&self.path, error))?;
        walk.directory(root, &PathBuf::new(), 0)?;
        let Walk { archive, tally, .. } = walk;
        let flushed = archive.into_inner().and_then(|mut out| out.flush());
        flushed.map(|()| tally).map_err(broken)
    }
}

/// A `pyproject.toml` may be there for the sake of tools alone.
fn declares(pyproject: &str) -> bool {
    const PACKAGE: [&str; 3] = ["[project]", "[build-system]", "[tool.poetry]"];
    pyproject.lines().any(|line| PACKAGE.contains(&line.trim()))
}

struct Walk<'a, W: Write> {
    source: &'a Source,
    caps: &'a Caps,
    archive: Builder<W>,
    tally: Tally,
    /// What the package needs is installed in the sandbox.
    has_package: bool,
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, directory: OwnedFd, path: &Path, depth: usize) -> Result<(), Failure> {
        if depth > DEEPEST {
            let text = format!("{} is too deep", self.shown(path));
            return Err(refused(text).hint("leave it out with box.ignore"));
        }
        let handle = directory.try_clone();
        let handle = handle.map_err(|error| unreadable(&self.shown_path(path), error))?;
        let names = names(directory);
        let names = names.map_err(|error| unreadable(&self.shown_path(path), error.into()))?;
        for name in names {
            self.entry(&handle, Path::new(&name), path, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &Path,
        path: &Path,
        depth: usize,
    ) -> Result<(), Failure> {
        if self.is_ignored(parent, name, depth) {
            return Ok(());
        }
        let path = path.join(name);
        let wrong = |walk: &Self, errno: Errno| unreadable(&walk.shown_path(&path), errno.into());
        let found = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let found = found.map_err(|errno| wrong(self, errno))?;
        self.count(&path)?;
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFLNK {
            let to = readlinkat(parent, name).map_err(|errno| wrong(self, errno))?;
            let mut header = header(EntryType::Symlink, 0o777, 0);
            let appended = self.archive.append_link(&mut header, &path, Path::new(&to));
            return appended.map_err(broken);
        }
        if kind == SFlag::S_IFDIR {
            let directory = open_directory(parent, name).map_err(|errno| wrong(self, errno))?;
            let mut header = header(EntryType::Directory, found.st_mode & 0o777 | 0o700, 0);
            let appended = self.archive.append_data(&mut header, &path, io::empty());
            appended.map_err(broken)?;
            return self.directory(directory, &path, depth + 1);
        }
        if kind == SFlag::S_IFREG {
            return self.file(parent, name, &path);
        }
        self.tally.special += 1;
        Ok(())
    }

    fn file(&mut self, parent: &OwnedFd, name: &Path, path: &Path) -> Result<(), Failure> {
        let shown = self.shown_path(path);
        let file = open_file(parent, name).map_err(|error| unreadable(&shown, error))?;
        let found = file.metadata().map_err(|error| unreadable(&shown, error))?;
        let size = found.len();
        self.tally.bytes += size;
        if self.tally.bytes > self.caps.size {
            let most = self.caps.size;
            let text = format!(
                "{} holds more than {most} bytes",
                self.source.path.display()
            );
            return Err(
                refused(text).hint("leave something out with box.ignore, or raise box.max_size")
            );
        }
        let seconds = u64::try_from(found.mtime()).unwrap_or_default();
        let mut header = header(EntryType::Regular, found.mode() & 0o777, seconds);
        header.set_size(size);
        let mut content = Counted {
            file: file.take(size),
            read: 0,
            error: None,
        };
        let appended = self.archive.append_data(&mut header, path, &mut content);
        match content.error.take() {
            Some(error) => Err(unreadable(&shown, error)),
            None if content.read < size => {
                let text = format!("{} became shorter while it was read", shown.display());
                Err(refused(text))
            }
            None => appended.map_err(broken),
        }
    }

    fn is_ignored(&self, parent: &OwnedFd, name: &Path, depth: usize) -> bool {
        let Some(text) = name.to_str() else {
            return false;
        };
        let holds = |mark: &str| {
            let inside = open_directory(parent, name);
            inside.is_ok_and(|inside| fstatat(&inside, mark, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok())
        };
        let is_installed = self.has_package && depth == 0 && text == "node_modules";
        is_installed || self.caps.ignored.matches(text, holds)
    }

    fn count(&mut self, path: &Path) -> Result<(), Failure> {
        self.tally.entries += 1;
        if self.tally.entries > self.caps.entries {
            let (most, root) = (self.caps.entries, self.source.path.display());
            let text = format!("{root} holds more than {most} files and directories");
            let hint = format!(
                "the last was {}; leave something out with box.ignore, or raise box.max_entries",
                path.display()
            );
            return Err(refused(text).hint(hint));
        }
        Ok(())
    }

    fn shown_path(&self, path: &Path) -> PathBuf {
        self.source.path.join(path)
    }

    fn shown(&self, path: &Path) -> String {
        self.shown_path(path).display().to_string()
    }
}

/// From the top, so that no directory on the way has become a link since the path was found.
fn descend(path: &Path) -> nix::Result<OwnedFd> {
    let mut directory = nix::fcntl::open("/", directory_flags(), Mode::empty())?;
    for part in path.components() {
        if let Component::Normal(name) = part {
            directory = open_directory(&directory, Path::new(name))?;
        }
    }
    Ok(directory)
}

fn directory_flags() -> OFlag {
    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC
}

fn open_directory(parent: impl AsFd, name: &Path) -> nix::Result<OwnedFd> {
    openat(parent, name, directory_flags(), Mode::empty())
}

/// Never waits for the other end of a pipe.
fn open_file(parent: impl AsFd, name: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(parent, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file any more"))
    }
}

/// In one order, so that the same project gives the same stream.
fn names(directory: OwnedFd) -> nix::Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(std::ffi::OsStr::from_bytes(name).to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn header(kind: EntryType, mode: u32, modified: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

/// Remembers why it came to an end.
struct Counted {
    file: io::Take<File>,
    read: u64,
    error: Option<io::Error>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(length) => {
                self.read += length as u64;
                Ok(length)
            }
            Err(error) => {
                let kind = error.kind();
                self.error = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    SandboxPhase::Staging.caused_by(format!("cannot read {}", path.display()), error)
}

/// It will not be better the next time.
pub(crate) fn refused(text: String) -> Failure {
    SandboxPhase::Staging.refused(text)
}

fn broken(error: io::Error) -> Failure {
    SandboxPhase::Staging.caused_by("the sandbox did not take the files", error)
}
