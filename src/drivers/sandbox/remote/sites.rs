//! Which sandbox of a runtime a server gets: one for each distinct profile and trust domain, made for the first who
//! needs it and deleted with the last.
//!
//! Sandboxes are sessions that the runtime forgets by itself when nobody has used them for a while. Their names tell
//! who made them, so that whoever comes next deletes what killed runs left running.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::actions::{MountMode, Network, Session, SessionSpec};
use super::connection::{Connection, Weak};
use super::job::{self, Work};
use super::place::Place;
use super::trouble::Trouble;
use crate::drivers::docker::labels;
use crate::drivers::{Life, Order};
use crate::model::{
    Failure, InstanceId, Sandbox, SandboxNetwork, SandboxPhase, SandboxRuntime, Sharing, Stage,
};

/// What the names of our sessions begin with.
const OURS: &str = "envdeck-";
/// Before the digest of what a session is like.
const KIND: &str = "-box-";

/// Attempts at a deletion that is refused.
const DELETIONS: u32 = 3;

/// All sandboxes of a run, on all runtimes.
pub struct Sites {
    connections: Mutex<Vec<(Place, Weak)>>,
    all: Mutex<Vec<Arc<Site>>>,
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
    /// Locked while it is made or deleted; whether it may be there.
    made: tokio::sync::Mutex<bool>,
}

impl Sites {
    pub fn new() -> Self {
        let tasks = TaskTracker::new();
        tasks.close();
        Self {
            connections: Mutex::default(),
            all: Mutex::default(),
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
        let mut made = site.made.lock().await;
        // Whatever the answer is.
        *made = true;
        let session = site.connection.create_session(&site.spec).await;
        let session = session.map_err(|trouble| trouble.during(phase))?;
        drop(made);
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
                made: tokio::sync::Mutex::default(),
            });
            sites.push(site.clone());
            site
        });
        site.tenants.lock().insert(order.instance.clone());
        Ok(site)
    }

    /// One for each runtime, for as long as somebody uses it; a new one looks for what killed runs left.
    fn connection(&self, place: &Place) -> Connection {
        let mut connections = self.connections.lock();
        connections.retain(|(_, open)| open.upgrade().is_some());
        let known = connections.iter().find(|(other, _)| other == place);
        if let Some(connection) = known.and_then(|(_, open)| open.upgrade()) {
            return connection;
        }
        let connection = Connection::new(place.clone());
        connections.push((place.clone(), connection.downgrade()));
        self.see_to(reap(connection.clone()));
        connection
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

    /// Resolves when nothing is being removed any more.
    pub async fn settle(&self) {
        self.tasks.wait().await;
    }
}

impl Site {
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
        let mut made = self.made.lock().await;
        if !std::mem::take(&mut *made) {
            return Ok(());
        }
        let mut tries = DELETIONS;
        loop {
            tries -= 1;
            match self.connection.delete_session(&self.spec.session_id).await {
                Ok(()) => return Ok(()),
                Err(trouble) if trouble.is_not_found() => return Ok(()),
                // One of 0.4 trips over processes that end in the same moment.
                Err(Trouble::Refused { .. }) if tries > 0 => {}
                Err(trouble) => {
                    *made = true;
                    let name = &self.spec.session_id;
                    let hint = format!("session {name} may be left on the Box runtime");
                    return Err(trouble.at(Stage::Remove).hint(hint));
                }
            }
        }
    }

    async fn clear(&self, directory: &str) -> Result<(), Failure> {
        let work = Work::new(
            "clear",
            r#"chmod -R u+rwX "$1" 2>/dev/null; rm -rf "$1""#,
            &[directory],
        );
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
        session_id: format!("{OURS}{}{KIND}{key}", labels::tag()),
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

/// Deletes the sessions of killed runs, if the runtime is there.
async fn reap(connection: Connection) {
    let reaped = async {
        connection.ready(Instant::now()).await?;
        let mut count = 0;
        for session in connection.sessions().await? {
            if is_left_behind(&session.session_id) {
                connection.delete_session(&session.session_id).await?;
                count += 1;
            }
        }
        Ok::<_, Trouble>(count)
    };
    let name = connection.place().name();
    match reaped.await {
        Ok(0) => {}
        Ok(count) => tracing::info!("{name}: deleted {count} sessions that killed runs left"),
        Err(trouble) => tracing::debug!("{name}: not looked for leftovers: {trouble}"),
    }
}

fn is_left_behind(session: &str) -> bool {
    let tag = session
        .strip_prefix(OURS)
        .and_then(|rest| rest.split_once(KIND));
    tag.is_some_and(|(tag, _)| labels::life_of(tag) == Life::Dead)
}
