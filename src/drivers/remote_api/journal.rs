//! What an API owes us the removal of: written down before it can exist, so that it outlives us however we end.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::model::{RemoteApi, RunId};
use crate::paths::private_directory;
use crate::runs;

/// The name of a run's journal, which is beside its directory: that is gone when the run is.
const PREFIX: &str = "remote-";
const SUFFIX: &str = ".json";

/// An instance to be deleted, or a request whose answer is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Of the request that made it.
    pub key: String,
    /// `None` where the request was not answered: what it made can be asked for by its key.
    pub id: Option<String>,
    pub api: Place,
    pub resource: String,
    pub session: String,
    /// Ours.
    pub instance: Option<String>,
    /// The API does not know its key: what it made, if anything, cannot be found out from here.
    #[serde(default)]
    pub is_lost: bool,
    /// The body of the request, as text.
    pub asked: String,
    /// RFC 3339.
    pub since: String,
}

/// Which API it is; its secrets are only in its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Without what is secret.
    pub url: String,
    pub create: String,
    pub delete: String,
    /// The file to find the secrets in.
    pub configured_in: PathBuf,
}

impl Place {
    pub fn of(api: &RemoteApi) -> Self {
        Self {
            url: api.shown_url(),
            create: api.create_instance_endpoint.clone(),
            delete: api.delete_instance_endpoint_template.clone(),
            configured_in: api.configured_in.clone(),
        }
    }

    /// Whether `api` is it, wherever that was configured.
    pub fn is(&self, api: &RemoteApi) -> bool {
        let (url, create) = (api.shown_url(), &api.create_instance_endpoint);
        let delete = &api.delete_instance_endpoint_template;
        (&self.url, &self.create, &self.delete) == (&url, create, delete)
    }
}

impl Debt {
    /// By which it is told from others of its API.
    pub fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.key)
    }

    /// What the request has made.
    pub fn made(&self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self.clone()
        }
    }

    /// The request, once nobody can tell any more what it made.
    pub fn lost(&self) -> Self {
        Self {
            is_lost: true,
            ..self.clone()
        }
    }

    pub fn since() -> String {
        Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// The debts of one run, in memory and in its file.
#[derive(Default)]
pub(super) struct Journal {
    /// `None` outside of a run: nothing is kept.
    file: Option<PathBuf>,
    debts: Mutex<Vec<Debt>>,
}

impl Journal {
    /// Of the run with this directory.
    pub fn of_run(directory: &Path) -> Self {
        let run = runs::beside(directory).zip(runs::id(directory));
        let file = run.map(|(cache, run)| cache.join(format!("{PREFIX}{run}{SUFFIX}")));
        Self {
            file,
            debts: Mutex::default(),
        }
    }

    pub fn debts(&self) -> Vec<Debt> {
        self.debts.lock().clone()
    }

    /// Writes down a request before it is sent.
    pub fn owe(&self, debt: Debt) -> io::Result<()> {
        self.change(|debts| debts.push(debt))
    }

    /// Replaces a debt by what is still owed: what a request made, or nothing.
    pub fn settle(&self, debt: &Debt, left: Vec<Debt>) -> io::Result<()> {
        let is_it = |one: &Debt| (&one.key, &one.id) == (&debt.key, &debt.id);
        self.change(|debts| {
            debts.retain(|debt| !is_it(debt));
            debts.extend(left);
        })
    }

    fn change(&self, how: impl FnOnce(&mut Vec<Debt>)) -> io::Result<()> {
        // A few kilobytes, in order: later states must not be overtaken by earlier ones.
        let mut debts = self.debts.lock();
        how(&mut debts);
        self.file
            .as_deref()
            .map_or(Ok(()), |file| write(file, &debts))
    }
}

/// Replaces the file in one step; without debts there is none.
fn write(file: &Path, debts: &[Debt]) -> io::Result<()> {
    if debts.is_empty() {
        return match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let directory = file.parent().unwrap_or(Path::new("."));
    private_directory(directory)?;
    let new = tempfile::NamedTempFile::new_in(directory)?;
    serde_json::to_writer(&new, debts)?;
    new.persist(file)?;
    Ok(())
}

/// The journal of some run, dead or alive.
pub(super) struct Found {
    pub run: RunId,
    pub is_alive: bool,
    pub debts: Vec<Debt>,
    file: PathBuf,
}

impl Found {
    /// Writes down what is left of it.
    pub fn keep(&self, left: &[Debt]) -> io::Result<()> {
        write(&self.file, left)
    }
}

/// All journals beside this run's directory.
///
/// # Errors
/// Why one cannot be read.
pub(super) fn all(directory: &Path) -> io::Result<Vec<Found>> {
    let Some(cache) = runs::beside(directory) else {
        return Ok(vec![]);
    };
    let entries = match fs::read_dir(cache) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        entries => entries?,
    };
    let mut all = vec![];
    for entry in entries {
        let file = entry?.path();
        let name = file.file_name().and_then(|name| name.to_str());
        let run = name.and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        let run = run.map(RunId::new);
        let Some(run) = run else { continue };
        let debts = match File::open(&file) {
            // Paid in this moment.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            opened => serde_json::from_reader(io::BufReader::new(opened?)),
        };
        let unreadable = |error| {
            let text = format!("{} cannot be read: {error}", file.display());
            io::Error::new(ErrorKind::InvalidData, text)
        };
        all.push(Found {
            is_alive: runs::lives(cache, &run),
            debts: debts.map_err(unreadable)?,
            run,
            file,
        });
    }
    Ok(all)
}

/// The configurations that the journals of killed runs name.
pub fn configurations(directory: &Path) -> Vec<PathBuf> {
    let found = all(directory).unwrap_or_default();
    let dead = found.into_iter().filter(|found| !found.is_alive);
    let mut files: Vec<_> = dead
        .flat_map(|found| found.debts)
        .map(|debt| debt.api.configured_in)
        .collect();
    files.sort();
    files.dedup();
    files
}
