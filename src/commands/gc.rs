//! `envdeck gc`: removes what killed runs left, and tells what that was.

use std::io::Write;
use std::path::Path;

use futures::future::join_all;

use super::exit::{self, Ending};
use super::progress::Progress;
use super::ps::leftovers;
use super::survey::{Leftover, Survey};
use crate::config;
use crate::drivers::{Elsewhere, Installed};
use crate::model::{Failure, RunId};
use crate::paths::Paths;
use crate::runs;
use crate::stores::lines::clean;

/// Removes it, or only tells of it; returns how the program ends.
pub fn run(is_dry: bool, paths: &Paths, out: &mut dyn Write) -> anyhow::Result<Ending> {
    let directory = runs::directory(&paths.cache, &RunId::new("none"));
    let (elsewhere, mut problems) = if is_dry {
        (Elsewhere::default(), vec![])
    } else {
        elsewhere(&directory)
    };
    let drivers = Installed::knowing(&directory, elsewhere, None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let before = runtime.block_on(Survey::take(paths, &drivers))?;
    let left = before.left();
    let blind = before
        .blind
        .iter()
        .map(|(driver, failure)| format!("{driver}: {failure}"));
    problems.extend(blind);
    if is_dry {
        tell(out, "would remove", &left)?;
    } else {
        let failed = runtime.block_on(remove(&drivers));
        // What cannot be asked cannot be told to remove anything either; once is enough.
        let is_news =
            |(driver, _): &(&str, Failure)| before.blind.iter().all(|(it, _)| it != driver);
        let news = failed.into_iter().filter(is_news);
        problems.extend(news.map(|(driver, failure)| format!("{driver}: {failure}")));
        runs::sweep(&paths.cache)?;
        let after = runtime.block_on(Survey::take(paths, &drivers))?.left();
        let is_there = |one: &Leftover| {
            after
                .iter()
                .any(|left| (left.kind, &left.id) == (one.kind, &one.id))
        };
        let (there, gone): (Vec<_>, Vec<_>) = left.into_iter().partition(is_there);
        if !gone.is_empty() || there.is_empty() {
            tell(out, "removed", &gone)?;
        }
        problems.extend(
            there
                .iter()
                .map(|one| format!("{} {}: still there", one.kind, one.id)),
        );
    }
    for problem in &problems {
        Progress::new().line(&format!("envdeck: {}", clean(problem)));
    }
    let code = if problems.is_empty() {
        exit::OK
    } else {
        exit::ENVIRONMENT
    };
    Ok(Ending::Code(code))
}

/// Who made things elsewhere for killed runs, with the credentials, from where they were configured then; and what
/// of these files cannot be read.
fn elsewhere(directory: &Path) -> (Elsewhere, Vec<String>) {
    let env = |name: &str| std::env::var(name).ok();
    let (mut known, mut problems) = (Elsewhere::default(), vec![]);
    for file in Installed::configurations(directory) {
        match config::load(&file, &env) {
            Ok(config) => {
                known.apis.extend(config.remote_apis());
                known.runtimes.extend(config.sandbox_runtimes());
            }
            Err(invalid) => problems.push(invalid.to_string()),
        }
    }
    (known, problems)
}

/// Has all drivers remove what nobody owns any more; returns what went wrong.
async fn remove(drivers: &Installed) -> Vec<(&'static str, Failure)> {
    // No run of ours: everything that is to stay belongs to one that lives.
    let nobody = RunId::new("");
    let reaped = drivers.all().into_iter().map(|driver| {
        let nobody = nobody.clone();
        async move {
            let failure = driver.reap(&nobody).await.err()?;
            Some((driver.kind(), failure))
        }
    });
    join_all(reaped).await.into_iter().flatten().collect()
}

fn tell(out: &mut dyn Write, done: &str, left: &[Leftover]) -> std::io::Result<()> {
    if left.is_empty() {
        return writeln!(out, "nothing is left by killed runs");
    }
    write!(out, "{done}:\n{}", leftovers(left))
}
