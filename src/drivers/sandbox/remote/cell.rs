//! What one server has in a sandbox of a runtime: a directory, and a mark on all that runs for it. Everything travels
//! through relays, so that the runtime may be anywhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::job::{self, Done, MARK, Work};
use super::mark::Mark;
use super::sites::{Site, Sites};
use super::trouble::Trouble;
use crate::drivers::Order;
use crate::drivers::sandbox::cell::is_name;
use crate::drivers::sandbox::provide::{Home, INSTALL, PLACE, UNPACK, ended_well};
use crate::model::{Exit, Failure, Install, SandboxPhase, Secret};
use crate::stores::logs::LogWriter;

pub struct Cell {
    pub site: Arc<Site>,
    /// What everything has in its environment that is started for it.
    pub mark: Mark,
    directory: String,
}

impl Cell {
    pub fn new(sites: &Arc<Sites>, site: Arc<Site>, order: &Order) -> Result<Self, Failure> {
        let name = order.instance.as_str();
        if !is_name(name) {
            let text = format!("{name:?} cannot be the name of a directory");
            return Err(SandboxPhase::Staging.refused(text));
        }
        Ok(Self {
            mark: Mark::new(sites, &site),
            directory: site.directory(&order.instance),
            site,
        })
    }

    /// Of all that is started for it.
    pub fn env(&self) -> impl Iterator<Item = (String, Secret)> {
        let mark = (MARK, self.mark.text.clone());
        let all = self.variables().into_iter().chain([mark]);
        all.map(|(name, value)| (name.to_owned(), Secret::new(value)))
    }
}

impl Home for Cell {
    fn directory(&self) -> &str {
        &self.directory
    }

    async fn furnish(&self) -> Result<(), Failure> {
        // The place of all of them may be missing, too.
        let script = format!("mkdir -p \"${{1%/*}}\" || exit\n{PLACE}");
        let work = Work::new("place", &script, &[&self.directory]);
        let done = job::run(&self.site, work, None, None).await;
        was_done(done, "make its directory")
    }

    async fn unpack(&self, parts: mpsc::Receiver<Bytes>) -> Result<(), Failure> {
        let mut work = Work::with_input("staging", UNPACK, &[&self.directory]);
        work.env.extend(self.env());
        let done = job::run(&self.site, work, Some(parts), None).await;
        was_done(done, "unpack the project")
    }

    async fn install(
        &self,
        kind: &str,
        options: &Install,
        log: &LogWriter,
    ) -> Result<Exit, Failure> {
        let mark = format!("{}/installed", self.directory);
        let mut work = Work::new("install", INSTALL, &[kind, &mark]);
        work.directory = self.workspace();
        work.env.extend(self.env());
        work.env.extend(options.env.clone());
        let done = job::run(&self.site, work, None, Some(log)).await;
        let done = done.map_err(|trouble| trouble.during(SandboxPhase::DepInstall))?;
        Ok(done.exit)
    }

    async fn quit(&self) {
        let _ = self.mark.end(Duration::ZERO).await;
    }
}

fn was_done(done: Result<Done, Trouble>, what: &str) -> Result<(), Failure> {
    let done = done.map_err(|trouble| trouble.during(SandboxPhase::Staging))?;
    ended_well(&done.exit, &done.said, what)
}
