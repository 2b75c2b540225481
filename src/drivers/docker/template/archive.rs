//! A template as the tar stream that an engine takes as an upload.

use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::tree::{Entry, Kind, Tree, open, problem, shrunk};
use super::work::Control;
use crate::model::{Failure, Stage};

/// Of what is on its way; the engine unpacks as fast as it comes.
const CHUNK: usize = 256 << 10;

/// Where a template goes in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// An existing directory, into which the archive is unpacked.
    pub folder: String,
    /// Directories to make on the way, and then the name that the template's root gets; empty: its contents go
    /// right into the folder.
    pub names: Vec<String>,
}

/// The parts of an archive as they are written; an error breaks the upload off.
pub type Parts = mpsc::Receiver<io::Result<Bytes>>;

/// A channel for an archive: writer and reader.
pub fn channel() -> (mpsc::Sender<io::Result<Bytes>>, Parts) {
    mpsc::channel(4)
}

/// Writes the archive; all in it belongs to `owner`. Blocks. Fails when the reader is gone. It ends for the reader
/// when the last sender is dropped.
pub fn write(
    tree: &Tree,
    destination: &Destination,
    owner: (u32, u32),
    sender: &mpsc::Sender<io::Result<Bytes>>,
    control: &Control,
) -> Result<(), Failure> {
    let out = Out {
        sender: sender.clone(),
    };
    let written = write_to(
        tree,
        destination,
        owner,
        BufWriter::with_capacity(CHUNK, out),
        control,
    );
    if written.is_err() {
        // Without its end the engine must not take it for whole.
        let _ = sender.blocking_send(Err(io::Error::other("the template could not be read")));
    }
    written
}

fn write_to(
    tree: &Tree,
    destination: &Destination,
    owner: (u32, u32),
    out: impl Write,
    control: &Control,
) -> Result<(), Failure> {
    let mut archive = Builder::new(out);
    let mut root = PathBuf::new();
    if let Some((_, parents)) = destination.names.split_last() {
        for name in parents {
            root.push(name);
            let mut header = header(EntryType::Directory, 0o755, 0, (0, 0));
            archive
                .append_data(&mut header, &root, io::empty())
                .map_err(broken)?;
        }
    }
    root.extend(destination.names.last());
    for entry in &tree.entries {
        let name = root.join(&entry.path);
        if !name.as_os_str().is_empty() {
            append(&mut archive, tree, entry, &name, owner, control)?;
        }
        control.advance(1, 0)?;
    }
    archive
        .into_inner()
        .and_then(|mut out| out.flush())
        .map_err(broken)
}

fn append(
    archive: &mut Builder<impl Write>,
    tree: &Tree,
    entry: &Entry,
    name: &Path,
    owner: (u32, u32),
    control: &Control,
) -> Result<(), Failure> {
    let seconds = u64::try_from(entry.modified.0).unwrap_or_default();
    match &entry.kind {
        Kind::Directory => {
            let mut header = header(EntryType::Directory, entry.mode, seconds, owner);
            archive
                .append_data(&mut header, name, io::empty())
                .map_err(broken)
        }
        Kind::Link { to } => {
            let mut header = header(EntryType::Symlink, 0o777, seconds, owner);
            archive.append_link(&mut header, name, to).map_err(broken)
        }
        Kind::File { size } => {
            let mut header = header(EntryType::Regular, entry.mode, seconds, owner);
            header.set_size(*size);
            let source = tree.locate(entry);
            let file = open(&source).map_err(|error| problem("read", &source, error))?;
            let mut content = Content {
                file,
                left: *size,
                control,
                error: None,
            };
            let appended = archive.append_data(&mut header, name, &mut content);
            match content.error.take() {
                Some(Wrong::Control(failure)) => Err(failure),
                Some(Wrong::Read(error)) => Err(problem("read", &source, error)),
                None if content.left > 0 => Err(shrunk(&source)),
                None => appended.map_err(broken),
            }
        }
    }
}

fn header(kind: EntryType, mode: u32, modified: u64, (uid, gid): (u32, u32)) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(modified);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_size(0);
    header
}

/// As many bytes of a file as it had when the template was read.
struct Content<'a> {
    file: std::fs::File,
    left: u64,
    control: &'a Control,
    error: Option<Wrong>,
}

enum Wrong {
    Control(Failure),
    Read(io::Error),
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        match self.file.read(&mut buffer[..most]) {
            Ok(length) => {
                self.left -= length as u64;
                if let Err(failure) = self.control.advance(0, length as u64) {
                    self.error = Some(Wrong::Control(failure));
                    return Err(io::Error::other("given up"));
                }
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.error = Some(Wrong::Read(error));
                Err(kind.into())
            }
        }
    }
}

/// The one who reads the archive has gone, and says why.
fn broken(error: io::Error) -> Failure {
    Failure::caused_by(
        Stage::Prepare,
        "the upload of the template broke off",
        error,
    )
}

struct Out {
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes);
        match self.sender.blocking_send(Ok(part)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A path in a container without `.`, `..` and double slashes.
pub fn segments(path: &str) -> Vec<String> {
    let mut segments: Vec<String> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

/// `/a/b`
pub fn path(segments: &[String]) -> String {
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::super::work;
    use super::*;

    fn names(destination: &Destination, root: &Path) -> BTreeMap<String, (u32, u64)> {
        let (control, _told, _cancel) = work::channel();
        let tree = Tree::read(root, &control).expect("read");
        let mut bytes = Vec::new();
        write_to(&tree, destination, (7, 8), &mut bytes, &control).expect("written");
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().expect("entries");
        let shown = entries.map(|entry| {
            let entry = entry.expect("an entry");
            let name = entry.path().expect("a path");
            let name = name.to_string_lossy().trim_end_matches('/').to_owned();
            let header = entry.header();
            (
                name,
                (header.mode().expect("mode"), header.uid().expect("uid")),
            )
        });
        shown.collect()
    }

    #[test]
    fn everything_goes_where_it_belongs_and_to_its_owner() {
        let root = tempfile::tempdir().expect("a directory");
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o750)).expect("set");
        fs::write(root.path().join("file"), "content").expect("written");
        symlink("nowhere", root.path().join("link")).expect("linked");
        let long = "d".repeat(200);
        fs::create_dir(root.path().join(&long)).expect("made");
        let destination = Destination {
            folder: "/".into(),
            names: vec!["srv".into(), "data".into()],
        };
        let found = names(&destination, root.path());
        assert_eq!(found["srv"], (0o755, 0));
        assert_eq!(found["srv/data"], (0o750, 7));
        assert_eq!(found["srv/data/link"], (0o777, 7));
        assert!(
            found.contains_key("srv/data/file") && found.contains_key(&format!("srv/data/{long}"))
        );
        let destination = Destination {
            folder: "/".into(),
            names: Vec::new(),
        };
        let found = names(&destination, root.path());
        assert_eq!(found.len(), 3);
        assert!(found.contains_key("file"));
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_named() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("file"), "content").expect("written");
        let (control, _told, _cancel) = work::channel();
        let tree = Tree::read(root.path(), &control).expect("read");
        fs::write(root.path().join("file"), "").expect("written");
        let destination = Destination {
            folder: "/".into(),
            names: Vec::new(),
        };
        let failure =
            write_to(&tree, &destination, (0, 0), io::sink(), &control).expect_err("changed");
        assert!(
            failure.to_string().contains("file became shorter"),
            "{failure}"
        );
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(path(&segments("//a/./b/../c/")), "/a/c");
        assert_eq!(path(&segments("/../..")), "/");
    }
}
