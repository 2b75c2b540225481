//! Everything that runs of this user made on this machine and in its engines: by run, dead or alive.

use std::io;

use futures::future::join_all;

use crate::drivers::{Installed, Life, Trace};
use crate::model::{Failure, RunId};
use crate::paths::Paths;
use crate::runs::{self, Run};

/// One look at all of it.
pub struct Survey {
    /// As their directories show them.
    pub runs: Vec<Run>,
    pub traces: Vec<Trace>,
    /// Drivers that could not be asked, and why.
    pub blind: Vec<(&'static str, Failure)>,
}

/// Something that a killed run left.
pub struct Leftover {
    pub kind: &'static str,
    pub id: String,
    pub what: String,
    pub run: Option<RunId>,
}

impl Survey {
    /// Looks at the directories and asks all drivers.
    pub async fn take(paths: &Paths, drivers: &Installed) -> io::Result<Self> {
        let asked = drivers.all().into_iter().map(|driver| async move {
            let traces = driver.traces().await;
            traces.map_err(|failure| (driver.kind(), failure))
        });
        let (mut traces, mut blind) = (vec![], vec![]);
        for answer in join_all(asked).await {
            match answer {
                Ok(found) => traces.extend(found),
                Err(failed) => blind.push(failed),
            }
        }
        Ok(Self {
            runs: runs::all(&paths.cache)?,
            traces,
            blind,
        })
    }

    /// What belongs to a run that is dead.
    pub fn left(&self) -> Vec<Leftover> {
        let traces = self.traces.iter().filter(|trace| trace.life == Life::Dead);
        let traces = traces.map(|trace| Leftover {
            kind: trace.kind,
            id: trace.id.clone(),
            what: trace.what.clone(),
            run: trace.run.clone(),
        });
        let dead = self.runs.iter().filter(|run| !run.is_alive);
        let directories = dead.map(|run| Leftover {
            kind: "directory",
            id: format!("run-{}", run.id),
            what: run
                .about
                .as_ref()
                .map(|about| format!("{} {}", about.front_end, about.origin))
                .unwrap_or_default(),
            run: Some(run.id.clone()),
        });
        traces.chain(directories).collect()
    }
}
