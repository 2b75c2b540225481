//! A true copy of a template on this host: nothing is shared with it but blocks that the file system separates
//! by itself when either side writes.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::unistd::geteuid;

use super::tree::{Entry, Kind, Tree, below, open, problem, shrunk};
use super::work::Control;
use crate::model::Failure;

/// Between two looks at whether somebody still waits.
const CHUNK: u64 = 16 << 20;

/// Copies `tree` to `target`, which must not exist. Modes, times and links are kept as they are; owners, too, where
/// we may set them, unless `owner` is to have it all. A copy that fails is left for the caller to remove.
pub fn copy(
    tree: &Tree,
    target: &Path,
    owner: Option<(u32, u32)>,
    control: &Control,
) -> Result<(), Failure> {
    let mut copying = Copying {
        tree,
        target,
        owner,
        may_own: geteuid().is_root(),
        shares_blocks: true,
    };
    for entry in &tree.entries {
        copying.make(entry, control)?;
        control.advance(1, 0)?;
    }
    // Last and upwards: what is made in a directory changes its time, and needs its permission.
    for entry in tree
        .entries
        .iter()
        .rev()
        .filter(|entry| entry.kind == Kind::Directory)
    {
        copying.finish_directory(entry)?;
    }
    Ok(())
}

struct Copying<'a> {
    tree: &'a Tree,
    target: &'a Path,
    owner: Option<(u32, u32)>,
    may_own: bool,
    /// Until the file system says that it does not.
    shares_blocks: bool,
}

impl Copying<'_> {
    fn make(&mut self, entry: &Entry, control: &Control) -> Result<(), Failure> {
        let place = self.place(entry);
        let wrong = |error| problem("write", &place, error);
        match &entry.kind {
            Kind::Directory => DirBuilder::new().mode(0o700).create(&place).map_err(wrong),
            Kind::Link { to } => {
                symlink(to, &place).map_err(wrong)?;
                self.own(entry, |uid, gid| lchown(&place, uid, gid))
                    .map_err(wrong)
            }
            Kind::File { size } => self.file(entry, *size, &place, control),
        }
    }

    fn file(
        &mut self,
        entry: &Entry,
        size: u64,
        place: &Path,
        control: &Control,
    ) -> Result<(), Failure> {
        let source = self.tree.locate(entry);
        let from = open(&source).map_err(|error| problem("read", &source, error))?;
        let wrong = |error| problem("write", place, error);
        let to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(place)
            .map_err(wrong)?;
        let mut left = if self.share(&from, &to) { 0 } else { size };
        while left > 0 {
            // The kernel copies.
            match io::copy(&mut (&from).take(left.min(CHUNK)), &mut &to).map_err(wrong)? {
                0 => return Err(shrunk(&source)),
                copied => {
                    left -= copied;
                    control.advance(0, copied)?;
                }
            }
        }
        // First the owner: changing it takes setuid away.
        self.own(entry, |uid, gid| std::os::unix::fs::fchown(&to, uid, gid))
            .map_err(wrong)?;
        to.set_permissions(Permissions::from_mode(entry.mode))
            .map_err(wrong)?;
        to.set_times(times(entry)).map_err(wrong)
    }

    /// Whether the file system made `to` share the blocks of `from`.
    fn share(&mut self, from: &File, to: &File) -> bool {
        self.shares_blocks = self.shares_blocks && reflink_copy::reflink_file(from, to).is_ok();
        self.shares_blocks
    }

    fn finish_directory(&self, entry: &Entry) -> Result<(), Failure> {
        let place = self.place(entry);
        let wrong = |error| problem("write", &place, error);
        self.own(entry, |uid, gid| chown(&place, uid, gid))
            .map_err(wrong)?;
        let directory = File::open(&place).map_err(wrong)?;
        directory.set_times(times(entry)).map_err(wrong)?;
        fs::set_permissions(&place, Permissions::from_mode(entry.mode)).map_err(wrong)
    }

    fn own(
        &self,
        entry: &Entry,
        set: impl FnOnce(Option<u32>, Option<u32>) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.may_own {
            return Ok(());
        }
        let (uid, gid) = self.owner.unwrap_or(entry.owner);
        set(Some(uid), Some(gid))
    }

    fn place(&self, entry: &Entry) -> PathBuf {
        below(self.target, &entry.path)
    }
}

fn times(entry: &Entry) -> FileTimes {
    let (seconds, nanoseconds) = entry.modified;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let modified =
        second.and_then(|time| time.checked_add(Duration::from_nanos(nanoseconds.into())));
    let modified = modified.unwrap_or(UNIX_EPOCH);
    FileTimes::new()
        .set_modified(modified)
        .set_accessed(SystemTime::now().max(UNIX_EPOCH))
}
