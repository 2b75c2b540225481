//! Which sandbox of a runtime a server gets: one for each distinct profile and trust domain, made for the first who
//! needs it and deleted with the last.
//!
//! Sandboxes are sessions that the runtime forgets by itself when nobody has used them for a while, but not as long
//! as something runs in them. So a journal is written before one is made and struck out when it is gone: the end of
//! the run, the next start or `envdeck gc` delete what is left.

use std::collections::HashSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::actions::{MountMode, Network, Session, SessionSpec};
use super::connection::{Connection, Weak};
use super::debt::Debt;
use super::job::{self, Work};
use super::place::Place;
use super::trouble::Trouble;
use crate::drivers::journal::{self, Journal, Unpaid};
use crate::drivers::sandbox::provide::CLEAR;
use crate::drivers::{Order, Trace};
use crate::model::{
    Failure, InstanceId, RunId, Sandbox, SandboxNetwork, SandboxPhase, SandboxRuntime, Sharing,
    Stage,
};

/// Attempts at a deletion that is refused.
const DELETIONS: u32 = 3;
/// For deleting what killed runs left.
const REAPING: Duration = Duration::from_secs(20);
/// For what the end of a run tries once more.
const SETTLING: Duration = Duration::from_secs(3);

/// All sandboxes of a run, on all runtimes.
pub struct Sites {
    connections: Mutex<Vec<(Place, Weak)>>,
    all: Mutex<Vec<Arc<Site>>>,
    /// Runtimes that are configured or were used.
    known: Mutex<Vec<Place>>,
    journal: Arc<Journal<Debt>>,
    /// Of this run.
    directory: PathBuf,
    /// Removals that nobody waits for.
    tasks: TaskTracker,
}

/// One sandbox, which may have to be made again.
pub struct Site {
    pub connection: Connection,
    pub spec: SessionSpec,
    key: String,
    /// Instances that will need it until they are released.
    tenants: Mutex<HashSet<InstanceId>>,
    /// Locked while it is made or deleted; `None` where it is not there.
    owed: tokio::sync::Mutex<Option<Debt>>,
    journal: Arc<Journal<Debt>>,
}

impl Sites {
    /// As [`super::Runtimes::new`].
    pub fn new(directory: &Path, known: &[SandboxRuntime]) -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        let known = known.iter().filter_map(|runtime| Place::of(runtime).ok());
        Self {
            connections: Mutex::default(),
            all: Mutex::default(),
            known: Mutex::new(known.collect()),
            journal: Arc::new(Journal::of_run(directory)),
            directory: directory.to_owned(),
            tasks,
        }
    }

    /// The sandbox of this order, which is there now; it is kept until the instance is released.
    pub async fn enter(
        &self,
        spec: &Sandbox,
        runtime: &SandboxRuntime,
        order: &Order,
    ) -> Result<(Arc<Site>, Session), Failure> {
        let site = self.site(spec, runtime, order)?;
        let place = site.connection.place().name();
        order
            .steps
            .tell(format!("wait for the Box runtime at {place}"));
        let deadline = Instant::now() + spec.startup_timeout;
        let ready = site.connection.ready(deadline).await;
        ready.map_err(|trouble| trouble.during(SandboxPhase::BoxUnavailable))?;
        let phase = SandboxPhase::SessionCreate;
        order.steps.tell(phase.to_string());
        let mut owed = site.owed.lock().await;
        if owed.is_none() {
            let place = site.connection.place();
            let debt = Debt::new(&site.spec.session_id, place, &runtime.configured_in);
            // What cannot be remembered is not made; and whatever the answer is, it may be there.
            let noted = self.journal.owe(debt.clone());
            noted.map_err(|error| journal::unwritten(phase.stage(), error).at(phase))?;
            *owed = Some(debt);
        }
        let session = site.connection.create_session(&site.spec).await;
        let session = session.map_err(|trouble| trouble.during(phase))?;
        drop(owed);
        Ok((site, session))
    }

    /// From now on the instance counts as a tenant.
    fn site(
        &self,
        spec: &Sandbox,
        runtime: &SandboxRuntime,
        order: &Order,
    ) -> Result<Arc<Site>, Failure> {
        let refused = |text: String| SandboxPhase::SessionCreate.refused(text);
        let place = Place::of(runtime).map_err(refused)?;
        let key = key(spec, &place, order);
        let session = session(spec, &key).map_err(refused)?;
        let connection = self.connection(&place);
        let mut sites = self.all.lock();
        // A key does not tell of tokens.
        let known = sites
            .iter()
            .find(|site| site.key == key && *site.connection.place() == place);
        let site = known.cloned().unwrap_or_else(|| {
            let site = Arc::new(Site {
                connection,
                spec: session,
                key,
                tenants: Mutex::default(),
                owed: tokio::sync::Mutex::default(),
                journal: self.journal.clone(),
            });
            sites.push(site.clone());
            site
        });
        site.tenants.lock().insert(order.instance.clone());
        Ok(site)
    }

    /// One for each runtime, for as long as somebody uses it.
    fn connection(&self, place: &Place) -> Connection {
        let mut connections = self.connections.lock();
        connections.retain(|(_, open)| open.upgrade().is_some());
        let known = connections.iter().find(|(other, _)| other == place);
        if let Some(connection) = known.and_then(|(_, open)| open.upgrade()) {
            return connection;
        }
        let connection = Connection::new(place.clone());
        connections.push((place.clone(), connection.downgrade()));
        let mut known = self.known.lock();
        if !known.contains(place) {
            known.push(place.clone());
        }
        connection
    }

    /// Deletes what dead runs left; tells of what stays.
    pub async fn reap(&self, run: &RunId) -> Result<usize, Failure> {
        let until = Instant::now() + REAPING;
        let pay = |debt: Debt| async move {
            let paid = self.pay(&debt, until).await;
            let left = vec![debt];
            paid.map_err(|failure| Unpaid { failure, left })
        };
        journal::reap(&self.directory, run, pay).await
    }

    pub async fn traces(&self) -> Result<Vec<Trace>, Failure> {
        journal::traces::<Debt>(&self.directory).await
    }

    /// Where a debt is to be paid, if that is configured or was used.
    fn place(&self, debt: &Debt) -> Option<Place> {
        let known = self.known.lock();
        known.iter().find(|place| debt.is_at(place)).cloned()
    }

    async fn pay(&self, debt: &Debt, until: Instant) -> Result<(), Failure> {
        let place = self.place(debt).ok_or_else(|| debt.unknown())?;
        let connection = self.connection(&place);
        let deleted = async {
            connection.ready(until).await?;
            delete(&connection, &debt.session).await
        };
        let late = |_| {
            let (what, after) = ("box_delete_session", REAPING);
            Err(Trouble::Late { what, after })
        };
        let deleted = timeout_at(until, deleted).await.unwrap_or_else(late);
        deleted.map_err(|trouble| debt.unpaid(trouble.at(Stage::Remove)))
    }

    /// It will not be started again: what it had is removed, and the sandbox with its last tenant. The removal begins
    /// at once; the future waits for it.
    pub fn release(
        &self,
        instance: &InstanceId,
    ) -> impl Future<Output = Result<(), Failure>> + use<> {
        let mut sites = self.all.lock();
        let mut all = sites.iter();
        let site = all
            .find(|site| site.tenants.lock().remove(instance))
            .cloned();
        let is_last = site
            .as_ref()
            .is_some_and(|site| site.tenants.lock().is_empty());
        if let Some(site) = site.as_ref().filter(|_| is_last) {
            sites.retain(|other| !Arc::ptr_eq(other, site));
        }
        drop(sites);
        let directory = site.as_ref().map(|site| site.directory(instance));
        let removal = site.zip(directory).map(|(site, directory)| {
            self.tasks.spawn(async move {
                if is_last {
                    site.delete().await
                } else {
                    site.clear(&directory).await
                }
            })
        });
        async move {
            match removal {
                // It only fails to end with the runtime.
                Some(removal) => removal.await.unwrap_or(Ok(())),
                None => Ok(()),
            }
        }
    }

    /// Does something that goes on when nobody waits for it.
    pub fn see_to(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Resolves when nothing is being removed any more, or with what stays.
    pub async fn settle(&self) -> Result<(), Failure> {
        self.tasks.wait().await;
        let until = Instant::now() + SETTLING;
        let mut debts = self.journal.debts();
        let all = self.all.lock().clone();
        debts.retain(|debt| all.iter().all(|site| site.spec.session_id != debt.session));
        let paid = debts.iter().map(|debt| async move {
            let paid = self.pay(debt, until).await;
            paid.map(|()| self.journal.settle(debt, vec![]))
        });
        journal::all_or_told(join_all(paid).await)
    }
}

/// Deletes a session with all that runs in it. One that is not there is deleted.
async fn delete(connection: &Connection, session: &str) -> Result<(), Trouble> {
    let mut tries = DELETIONS;
    loop {
        tries -= 1;
        match connection.delete_session(session).await {
            Err(trouble) if trouble.is_not_found() => return Ok(()),
            // One of 0.4 trips over processes that end in the same moment.
            Err(Trouble::Refused { .. }) if tries > 0 => {}
            done => return done,
        }
    }
}

impl Site {
    /// What those who share it see: `box-1a2b`.
    pub fn name(&self) -> String {
        format!("box-{}", &self.key[..4])
    }

    /// Where the sandbox has what belongs to an instance.
    pub fn directory(&self, instance: &InstanceId) -> String {
        // Nothing else can be written where the rest is read-only.
        let root = if self.spec.read_only_rootfs {
            "/tmp"
        } else {
            "/workspace"
        };
        format!("{root}/.mcp/{instance}")
    }

    pub fn has_others(&self) -> bool {
        self.tenants.lock().len() > 1
    }

    /// With all that runs in it.
    pub async fn delete(&self) -> Result<(), Failure> {
        let mut owed = self.owed.lock().await;
        let Some(debt) = &*owed else {
            return Ok(());
        };
        let deleted = delete(&self.connection, &self.spec.session_id).await;
        deleted.map_err(|trouble| debt.unpaid(trouble.at(Stage::Remove)))?;
        self.journal.settle(debt, vec![]);
        *owed = None;
        Ok(())
    }

    async fn clear(&self, directory: &str) -> Result<(), Failure> {
        let work = Work::new("clear", CLEAR, &[directory]);
        match job::run(self, work, None, None).await {
            Err(trouble) if !trouble.is_not_found() => Err(trouble.at(Stage::Remove)),
            _ => Ok(()),
        }
    }
}

/// Those with the same key share a sandbox.
fn key(spec: &Sandbox, place: &Place, order: &Order) -> String {
    let domain = match spec.sharing {
        Sharing::Session => format!("session {}", order.session),
        Sharing::Shared => "shared".to_owned(),
    };
    let (run, profile) = (&order.run, &spec.profile);
    let digest = Sha256::digest(format!("{run}\0{domain}\0{profile:?}\0{place:?}"));
    format!("{digest:x}")[..16].to_owned()
}

/// What the sandbox must be like, or what of it a runtime has not.
fn session(spec: &Sandbox, key: &str) -> Result<SessionSpec, String> {
    let profile = &spec.profile;
    let network = match &profile.network {
        SandboxNetwork::On => Network::On,
        SandboxNetwork::Off => Network::Off,
        SandboxNetwork::Named(name) => {
            return Err(format!(
                "network {name}: a Box runtime knows only `on` and `off`"
            ));
        }
    };
    Ok(SessionSpec {
        session_id: format!("envdeck-{key}"),
        image: profile.image.clone(),
        network,
        host_path: None,
        host_path_mode: MountMode::None,
        mount_path: "/workspace".to_owned(),
        persistent: false,
        cpus: profile.cpus,
        memory_mb: profile.memory_mb,
        pids_limit: profile.pids_limit,
        read_only_rootfs: profile.read_only_rootfs,
        workspace_quota_mb: 0,
    })
}
