//! What a template holds: its files, directories and links, in one order, without following any link.

use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::work::Control;
use crate::model::{Failure, Stage};

/// A template, read.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Without links in it.
    pub root: PathBuf,
    /// Parents before their children; the first is the root itself.
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    /// Below the root; empty for the root itself.
    pub path: PathBuf,
    pub kind: Kind,
    /// The permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    pub owner: (u32, u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File {
        size: u64,
    },
    /// Kept as it is written, wherever it points: it means something else in the container.
    Link {
        to: PathBuf,
    },
}

impl Tree {
    /// Reads what is below `source`, which may itself be a link.
    pub fn read(source: &Path, control: &Control) -> Result<Self, Failure> {
        let root = fs::canonicalize(source).map_err(|error| problem("read", source, error))?;
        let mut entries = Vec::new();
        let mut below = vec![PathBuf::new()];
        while let Some(path) = below.pop() {
            let entry = Entry::read(&root, path)?;
            if entry.kind == Kind::Directory {
                below.extend(children(&root, &entry.path)?);
            }
            entries.push(entry);
            control.advance(1, 0)?;
        }
        Ok(Self { root, entries })
    }

    pub fn is_directory(&self) -> bool {
        self.entries
            .first()
            .is_some_and(|root| root.kind == Kind::Directory)
    }

    /// Where an entry is.
    pub fn locate(&self, entry: &Entry) -> PathBuf {
        below(&self.root, &entry.path)
    }

    /// The SHA-256 of all paths, kinds, modes and contents, in hexadecimal.
    pub fn digest(&self, control: &Control) -> Result<String, Failure> {
        let mut sum = Sha256::new();
        for entry in &self.entries {
            let path = entry.path.as_os_str().as_bytes();
            sum.update((path.len() as u64).to_le_bytes());
            sum.update(path);
            sum.update(entry.mode.to_le_bytes());
            match &entry.kind {
                Kind::Directory => sum.update(b"d"),
                Kind::Link { to } => {
                    let to = to.as_os_str().as_bytes();
                    sum.update(b"l");
                    sum.update((to.len() as u64).to_le_bytes());
                    sum.update(to);
                }
                Kind::File { .. } => {
                    sum.update(b"f");
                    sum.update(self.content(entry, control)?);
                }
            }
        }
        Ok(format!("{:x}", sum.finalize()))
    }

    fn content(&self, entry: &Entry, control: &Control) -> Result<impl AsRef<[u8]>, Failure> {
        let path = self.locate(entry);
        let wrong = |error| problem("read", &path, error);
        let mut file = open(&path).map_err(wrong)?;
        let mut sum = Sha256::new();
        let mut buffer = vec![0; 256 << 10];
        loop {
            match io::Read::read(&mut file, &mut buffer).map_err(wrong)? {
                0 => break,
                length => {
                    sum.update(&buffer[..length]);
                    control.advance(0, length as u64)?;
                }
            }
        }
        control.advance(1, 0)?;
        Ok(sum.finalize())
    }
}

impl Entry {
    fn read(root: &Path, path: PathBuf) -> Result<Self, Failure> {
        let place = below(root, &path);
        let wrong = |error| problem("read", &place, error);
        let found = fs::symlink_metadata(&place).map_err(wrong)?;
        let kind = if found.is_dir() {
            Kind::Directory
        } else if found.is_file() {
            Kind::File { size: found.len() }
        } else if found.is_symlink() {
            let to = fs::read_link(&place).map_err(wrong)?;
            Kind::Link { to }
        } else {
            return Err(special(&place, found.file_type()));
        };
        Ok(Self {
            path,
            kind,
            mode: found.mode() & 0o7777,
            modified: modified(&found),
            owner: (found.uid(), found.gid()),
        })
    }
}

fn modified(found: &Metadata) -> (i64, u32) {
    // The kernel gives less than 10⁹.
    (
        found.mtime(),
        u32::try_from(found.mtime_nsec()).unwrap_or_default(),
    )
}

/// Paths below the root, the last in order first, as a stack needs them.
fn children(root: &Path, directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let place = below(root, directory);
    let wrong = |error| problem("read", &place, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(&place).map_err(wrong)? {
        names.push(entry.map_err(wrong)?.file_name());
    }
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// `Path::join` with an empty path would append a slash.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(path)
    }
}

/// Opens a file to read it, unless it has become a link meanwhile.
pub fn open(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let no_follow = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(no_follow.bits())
        .open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("it is no file any more"))
    }
}

fn special(path: &Path, kind: FileType) -> Failure {
    let kind = if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    let text = format!(
        "the template holds {kind}, which cannot be copied: {}",
        path.display()
    );
    Failure::other(Stage::Prepare, text).hint("remove it from the template")
}

/// It has fewer bytes than it had when the template was read.
pub fn shrunk(path: &Path) -> Failure {
    let text = format!("{} became shorter while it was read", path.display());
    Failure::other(Stage::Prepare, text).hint("leave the template alone while instances start")
}

/// What the system says, with the file that it is about.
pub fn problem(doing: &str, path: &Path, error: io::Error) -> Failure {
    let hint = match error.kind() {
        ErrorKind::NotFound => Some("was it moved or deleted?"),
        ErrorKind::PermissionDenied => Some("envdeck must be able to read all of the template"),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some("free some space"),
        _ => None,
    };
    let failure = Failure::caused_by(
        Stage::Prepare,
        format!("cannot {doing} {}", path.display()),
        error,
    );
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::work::channel;
    use super::*;

    fn digest(root: &Path) -> String {
        let (control, _told, _cancel) = channel();
        Tree::read(root, &control)
            .expect("read")
            .digest(&control)
            .expect("digest")
    }

    fn template() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("b")).expect("made");
        fs::write(root.path().join("b/file"), "one").expect("written");
        fs::write(root.path().join("b!"), "two").expect("written");
        symlink("/etc/passwd", root.path().join("link")).expect("linked");
        root
    }

    #[test]
    fn parents_come_first_and_links_are_not_followed() {
        let root = template();
        symlink("..", root.path().join("b/up")).expect("linked");
        let (control, _told, _cancel) = channel();
        let tree = Tree::read(root.path(), &control).expect("read");
        let paths: Vec<_> = tree
            .entries
            .iter()
            .map(|entry| entry.path.to_str().expect("text"))
            .collect();
        assert_eq!(paths, ["", "b", "b/file", "b/up", "b!", "link"]);
        assert_eq!(
            tree.entries[5].kind,
            Kind::Link {
                to: "/etc/passwd".into()
            }
        );
        assert_eq!(control.tally().files, 6);
    }

    #[test]
    fn the_digest_is_of_paths_modes_links_and_contents() {
        let root = template();
        let before = digest(root.path());
        assert_eq!(
            before,
            digest(template().path()),
            "the same elsewhere and at another time"
        );
        let file = root.path().join("b/file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
        let executable = digest(root.path());
        fs::write(&file, "eno").expect("written");
        let written = digest(root.path());
        fs::rename(&file, root.path().join("b/elif")).expect("moved");
        let moved = digest(root.path());
        fs::remove_file(root.path().join("link")).expect("removed");
        symlink("/etc/group", root.path().join("link")).expect("linked");
        let linked = digest(root.path());
        let mut all = vec![before, executable, written, moved, linked];
        all.dedup();
        assert_eq!(all.len(), 5);
    }

    #[test]
    fn what_is_neither_file_nor_directory_nor_link_is_refused_by_name() {
        let root = template();
        let socket = root.path().join("b/socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let (control, _told, _cancel) = channel();
        let failure = Tree::read(root.path(), &control).expect_err("refused");
        assert!(failure.to_string().contains("holds a socket"), "{failure}");
        assert!(failure.to_string().contains("b/socket"), "{failure}");
    }

    #[test]
    fn nobody_waits_for_a_tree_that_is_given_up() {
        let root = template();
        let (control, _told, cancel) = channel();
        cancel.cancel();
        assert!(Tree::read(root.path(), &control).is_err());
    }
}
