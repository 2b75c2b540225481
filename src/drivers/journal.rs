//! What others owe us the removal of: written down before it can exist, so that it outlives us however we end.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use futures::future::join_all;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Life, Trace};
use crate::model::{Cause, Failure, RunId, Stage};
use crate::paths::private_directory;
use crate::runs;

const SUFFIX: &str = ".json";

/// Something elsewhere that is to be removed.
pub trait Debt: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Tells journals of this kind from others: `remote`.
    const KIND: &'static str;

    /// The file to find the secrets in that its removal takes.
    fn configured_in(&self) -> &Path;

    /// How it is shown.
    fn trace(&self, run: &RunId, life: Life) -> Trace;
}

/// Why something could not be removed.
pub struct Unpaid<D> {
    pub failure: Failure,
    /// What is still owed of it, and can be removed at another time.
    pub left: Vec<D>,
}

/// Now, as it is written down: RFC 3339.
pub fn since() -> String {
    Timestamp::now().to_string()
}

/// The debts of one run, in memory and in its file.
pub struct Journal<D> {
    /// `None` outside of a run: nothing is kept.
    file: Option<PathBuf>,
    debts: Mutex<Vec<D>>,
}

impl<D: Debt> Journal<D> {
    /// Of the run with this directory; the file is beside it, as the directory is gone when the run is.
    pub fn of_run(directory: &Path) -> Self {
        let run = runs::beside(directory).zip(runs::id(directory));
        let file = run.map(|(cache, run)| cache.join(format!("{}-{run}{SUFFIX}", D::KIND)));
        Self {
            file,
            debts: Mutex::default(),
        }
    }

    pub fn debts(&self) -> Vec<D> {
        self.debts.lock().clone()
    }

    /// Writes down what is about to be made.
    pub fn owe(&self, debt: D) -> io::Result<()> {
        self.change(|debts| debts.push(debt))
    }

    /// Replaces a debt by what is still owed of it: nothing once it is gone. A journal that keeps too much is better
    /// than one that stops us.
    pub fn settle(&self, debt: &D, left: Vec<D>) {
        let settled = self.change(|debts| {
            debts.retain(|one| one != debt);
            debts.extend(left);
        });
        if let Err(error) = settled {
            tracing::warn!("{}", unwritten(Stage::Remove, error));
        }
    }

    fn change(&self, how: impl FnOnce(&mut Vec<D>)) -> io::Result<()> {
        // A few kilobytes, in order: later states must not be overtaken by earlier ones.
        let mut debts = self.debts.lock();
        how(&mut debts);
        self.file
            .as_deref()
            .map_or(Ok(()), |file| write(file, &debts))
    }
}

/// Replaces the file in one step; without debts there is none.
fn write(file: &Path, debts: &[impl Serialize]) -> io::Result<()> {
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
struct Found<D> {
    run: RunId,
    is_alive: bool,
    /// Or why its file cannot be read: the others must not suffer from that.
    debts: io::Result<Vec<D>>,
    file: PathBuf,
}

/// All journals beside this run's directory.
fn all<D: Debt>(directory: &Path) -> io::Result<Vec<Found<D>>> {
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
        let rest = name.and_then(|name| name.strip_prefix(D::KIND)?.strip_prefix('-'));
        let run = rest.and_then(|rest| rest.strip_suffix(SUFFIX));
        let Some(run) = run.map(RunId::new) else {
            continue;
        };
        let debts = match File::open(&file) {
            // Paid in this moment.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => Err(error),
            Ok(open) => serde_json::from_reader(io::BufReader::new(open)).map_err(io::Error::from),
        };
        all.push(Found {
            is_alive: runs::lives(cache, &run),
            debts,
            run,
            file,
        });
    }
    Ok(all)
}

async fn look<D: Debt>(directory: &Path) -> Result<Vec<Found<D>>, Failure> {
    let directory = directory.to_owned();
    // The directories of runs may be locked for a moment.
    let found = tokio::task::spawn_blocking(move || all(&directory)).await;
    let found = found.unwrap_or_else(|error| Err(io::Error::other(error)));
    found.map_err(|error| {
        let text = format!("the journals of what is {}", D::KIND);
        Failure::caused_by(Stage::Remove, text, error)
    })
}

/// The configurations that the journals of killed runs name.
pub fn configurations<D: Debt>(directory: &Path) -> Vec<PathBuf> {
    let found = all::<D>(directory).unwrap_or_default();
    let dead = found.into_iter().filter(|found| !found.is_alive);
    let debts = dead.flat_map(|found| found.debts).flatten();
    debts.map(|debt| debt.configured_in().to_owned()).collect()
}

/// Everything in the journals of all runs.
pub async fn traces<D: Debt>(directory: &Path) -> Result<Vec<Trace>, Failure> {
    let found = look::<D>(directory).await?;
    let traces = found.into_iter().flat_map(|found| {
        let life = if found.is_alive {
            Life::Lives
        } else {
            Life::Dead
        };
        let run = found.run;
        let debts = found.debts.into_iter().flatten();
        debts.map(move |debt| debt.trace(&run, life))
    });
    Ok(traces.collect())
}

/// Has `pay` remove what dead runs left, `run` not being one; tells of what stays and keeps it in their journals.
pub async fn reap<D: Debt, F>(
    directory: &Path,
    run: &RunId,
    pay: impl Fn(D) -> F,
) -> Result<usize, Failure>
where
    F: Future<Output = Result<(), Unpaid<D>>>,
{
    let found = look::<D>(directory).await?;
    let dead = found
        .into_iter()
        .filter(|found| !found.is_alive && found.run != *run);
    let paid = join_all(dead.map(|found| settle(found, &pay))).await;
    let (mut count, mut failures) = (0, vec![]);
    for (done, failed) in paid {
        count += done;
        failures.extend(failed);
    }
    all_or_told(failures.into_iter().map(Err).collect())?;
    Ok(count)
}

async fn settle<D: Debt, F>(found: Found<D>, pay: &impl Fn(D) -> F) -> (usize, Vec<Failure>)
where
    F: Future<Output = Result<(), Unpaid<D>>>,
{
    let debts = match found.debts {
        Ok(debts) => debts,
        Err(error) => {
            let text = format!("{} cannot be read", found.file.display());
            let hint =
                "what it kept is not known any more: look for it yourself, then delete the file";
            let failure = Failure::caused_by(Stage::Remove, text, error).hint(hint);
            return (0, vec![failure]);
        }
    };
    let count = debts.len();
    let paid = join_all(debts.into_iter().map(pay)).await;
    let (mut left, mut failures) = (vec![], vec![]);
    for unpaid in paid.into_iter().filter_map(Result::err) {
        left.extend(unpaid.left);
        failures.push(unpaid.failure);
    }
    if let Err(error) = write(&found.file, &left) {
        failures.push(unwritten(Stage::Remove, error));
    }
    (count.saturating_sub(left.len()), failures)
}

/// Nothing can be remembered.
pub fn unwritten(stage: Stage, error: io::Error) -> Failure {
    let text = "the journal of what is made elsewhere cannot be written";
    Failure::caused_by(stage, text, error)
}

/// The first failure, and how many more there are.
pub fn all_or_told(results: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let mut failures = results.into_iter().filter_map(Result::err);
    let Some(mut first) = failures.next() else {
        return Ok(());
    };
    let more = failures.count();
    if more > 0 {
        let text = format!("{} (and {more} more)", first.cause);
        first.cause = Cause::Other(text);
    }
    Err(first)
}
