//! `remote_http_api`: instances that a provisioning API makes on request and deletes on request.
//!
//! ```text
//! start ── create (those of one moment in one request) ──▶ answer ──▶ owned ──▶ running
//!            │ journal: asked for            journal: made   │ stopped, dropped
//!            ▼                                               ▼
//!          client (repeats, budget, words) ◀───────────── delete ──▶ journal: gone
//! ```
//!
//! The journal is written before a request is sent and struck out when an instance is gone, so that whatever happens
//! to us somebody knows what to delete: the end of the run, the next start, or `envdeck gc`.

mod answer;
mod budget;
mod call;
mod client;
mod create;
mod delete;
mod journal;
mod owned;
mod running;
mod words;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

pub use self::journal::Debt;

use self::client::Api;
use self::create::Creates;
use self::owned::World;
use self::running::Remote;
use super::journal::{self as debts, Journal, Unpaid};
use super::{Driver, HttpEndpoint, Order, Running, Task, Trace};
use crate::mcp::http::ready;
use crate::model::{Failure, HttpServer, Mode, RemoteApi, RemoteAuth, RunId, Secret, Stage};

/// Of the time for a start, until when a new instance must answer: the rest is for the handshake.
const WAITING: f64 = 0.8;
/// For requests that are under way at the end of a run; what comes of them later, the journal knows.
const FINISHING: Duration = Duration::from_secs(12);
/// For deleting what killed runs left.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what the end of a run tries once more.
const SETTLING: Duration = Duration::from_secs(3);

/// Makes instances by request.
pub struct RemoteApis {
    world: Arc<World>,
    creates: Creates,
    /// Those that were used, with their connections.
    apis: Mutex<Vec<Arc<Api>>>,
    /// Those that are configured, for what killed runs left.
    known: Vec<Arc<RemoteApi>>,
    /// Of this run.
    directory: PathBuf,
}

impl RemoteApis {
    /// `directory` is that of this run; what killed runs left with `known` APIs can be removed.
    pub fn new(directory: &Path, known: Vec<Arc<RemoteApi>>) -> Self {
        Self {
            world: Arc::new(World::new(Journal::of_run(directory))),
            creates: Creates::default(),
            apis: Mutex::default(),
            known,
            directory: directory.to_owned(),
        }
    }

    /// One client for each API, however many backends use it.
    fn api(&self, config: &Arc<RemoteApi>) -> Result<Arc<Api>, Failure> {
        let mut apis = self.apis.lock();
        if let Some(api) = apis.iter().find(|api| *api.config == **config) {
            return Ok(api.clone());
        }
        let api = Arc::new(Api::new(config.clone())?);
        apis.push(api.clone());
        Ok(api)
    }

    /// The API of a debt, if it is configured here.
    fn api_of(&self, debt: &Debt) -> Result<Arc<Api>, Failure> {
        let used = self.apis.lock().clone();
        if let Some(api) = used.into_iter().find(|api| debt.api.is(&api.config)) {
            return Ok(api);
        }
        let known = self.known.iter().find(|api| debt.api.is(api));
        self.api(known.ok_or_else(|| words::unknown(debt))?)
    }

    /// Removes what a debt stands for; else tells why that is not possible, and what is still owed.
    async fn pay(&self, debt: &Debt, until: Instant) -> Result<(), Unpaid<Debt>> {
        let api = self.api_of(debt).map_err(|failure| Unpaid {
            failure,
            left: vec![debt.clone()],
        })?;
        let paid = api.pay(debt, until).await;
        paid.map_err(|delete::Unpaid { cause, left }| Unpaid {
            failure: words::unpaid(debt, &cause),
            left,
        })
    }

    async fn begin(&self, order: Order) -> Result<Box<dyn Running>, Failure> {
        let deadline = Instant::now() + order.backend.start_timeout.mul_f64(WAITING);
        let Mode::RemoteHttpApi(remote) = &order.backend.mode else {
            let text = format!("{} is not a remote_http_api", order.backend.mode.name());
            return Err(Failure::other(Stage::Create, text));
        };
        let api = self.api(&remote.api)?;
        let creates = &self.creates;
        let owned = creates.create(&self.world, &api, remote, &order).await?;
        let endpoint = HttpEndpoint {
            if_refused: Some(if_refused(&api, &owned.url)),
            ..HttpEndpoint::from(server(&api, &owned.url))
        };
        order
            .steps
            .tell(format!("wait for {}", endpoint.server.place()));
        // If it does not come up, it is dropped, and so deleted.
        ready(&endpoint, deadline).await?;
        Ok(Box::new(Remote::new(owned, endpoint, order.log)?))
    }
}

/// An instance's MCP server. Our credentials go there only if it is at the API's own origin.
fn server(api: &Api, url: &reqwest::Url) -> HttpServer {
    let of_api = api.config.server();
    HttpServer {
        url: Secret::new(url.as_str()),
        headers: if api.is_at_origin_of(url) {
            of_api.headers
        } else {
            vec![]
        },
        ..of_api
    }
}

/// What can be done about an instance that refuses the credentials which it gets.
fn if_refused(api: &Api, url: &reqwest::Url) -> &'static str {
    if !api.is_at_origin_of(url) {
        "the credentials in `auth_details` go to the API's own origin only, and this is another"
    } else if api.config.auth == RemoteAuth::None {
        "it gets the credentials in `auth_details`, and there are none"
    } else {
        "it gets the credentials in `auth_details`: check them"
    }
}

impl Driver for RemoteApis {
    fn kind(&self) -> &'static str {
        "remote_http_api"
    }

    /// The contract has nothing to ask an API but for instances.
    fn check(&self) -> Task<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn start(&self, order: Order) -> Task<'_, Box<dyn Running>> {
        Box::pin(self.begin(order))
    }

    fn reap(&self, run: &RunId) -> Task<'_, usize> {
        let run = run.clone();
        Box::pin(async move {
            let until = Instant::now() + PATIENCE;
            // What is lost is told, and then there is nothing more that could be done about it.
            let pay = |debt| async move {
                let mut paid = self.pay(&debt, until).await;
                if let Err(unpaid) = &mut paid {
                    unpaid.left.retain(|debt| !debt.is_lost);
                }
                paid
            };
            debts::reap(&self.directory, &run, pay).await
        })
    }

    fn traces(&self) -> Task<'_, Vec<Trace>> {
        Box::pin(async { debts::traces::<Debt>(&self.directory).await })
    }

    fn settle(&self) -> Task<'_, ()> {
        Box::pin(async move {
            self.world.tasks.close();
            if timeout(FINISHING, self.world.tasks.wait()).await.is_err() {
                return Err(words::unfinished(FINISHING));
            }
            let until = Instant::now() + SETTLING;
            let debts = self.world.unheld();
            let paid = debts.iter().map(|debt| async move {
                let paid = self.pay(debt, until).await;
                let (paid, left) = match paid {
                    Ok(()) => (Ok(()), vec![]),
                    Err(Unpaid { failure, left }) => (Err(failure), left),
                };
                self.world.settle(debt, left);
                paid
            });
            debts::all_or_told(join_all(paid).await)
        })
    }
}
