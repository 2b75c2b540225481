//! The service as a test sees it: starts it, tells it how to behave, asks what it heard; and backends that use it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use envdeck::model::{
    Backend, Failure, InstanceId, Mode, RemoteApi, RemoteAuth, RemoteHttpApi, Secret, Transport,
};
use tempfile::TempDir;

use crate::common::{DEADLINE, eventually};
use crate::deck::{self, Deck};
use crate::service::{self, Heard, LISTENS, Manner, Orders, ROLE, Report};

/// The service, in a process of its own; dropping it ends it.
pub struct Service {
    /// Of its API.
    pub url: String,
    control: String,
    child: Child,
    _stdin: Option<ChildStdin>,
    home: TempDir,
}

/// Not a test: the process of the service, where it is told to be that.
#[test]
#[ignore = "needs to be told to be the service; started by other tests"]
fn the_service() {
    let Some(file) = std::env::var_os(ROLE) else {
        return;
    };
    let file = (!file.is_empty()).then(|| PathBuf::from(file));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(service::run(file));
    runtime.shutdown_background();
}

impl Service {
    pub fn start() -> Self {
        Self::launch(false)
    }

    /// With a certificate that nobody knows.
    pub fn start_tls() -> Self {
        Self::launch(true)
    }

    fn launch(is_encrypted: bool) -> Self {
        let home = TempDir::with_prefix("envdeck-service-").unwrap();
        let file = home.path().join("ca.pem");
        let role = if is_encrypted {
            file.as_os_str()
        } else {
            "".as_ref()
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bench::the_service", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let line = lines.find_map(|line| line.strip_prefix(LISTENS).map(str::to_owned));
        let line = line.expect("the service listens");
        let (url, control) = line.split_once(' ').unwrap();
        Self {
            url: format!("{url}/api"),
            control: format!("{control}/orders"),
            _stdin: child.stdin.take(),
            child,
            home,
        }
    }

    pub fn ca_file(&self) -> PathBuf {
        self.home.path().join("ca.pem")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Ends the process.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `host:port`
    pub fn place(&self) -> &str {
        let place = self.url.split("://").nth(1).unwrap();
        place.trim_end_matches("/api")
    }

    pub async fn tell(&self, orders: Orders) {
        let body = serde_json::to_vec(&orders).unwrap();
        let put = client().put(&self.control).body(body);
        let put = put.header("content-type", "application/json").send().await;
        assert!(put.unwrap().status().is_success());
    }

    pub async fn report(&self) -> Report {
        let got = client().get(&self.control).send().await.unwrap();
        serde_json::from_slice(&got.bytes().await.unwrap()).unwrap()
    }

    /// The requests of this method to a path that ends so.
    pub async fn heard(&self, method: &str, end: &str) -> Vec<Heard> {
        let mut all = self.report().await.heard;
        all.retain(|heard| heard.method == method && heard.path.ends_with(end));
        all
    }

    pub async fn creates(&self) -> Vec<Heard> {
        self.heard("POST", "/api/instances").await
    }

    pub async fn deletes(&self) -> Vec<Heard> {
        self.heard("DELETE", "")
            .await
            .into_iter()
            .filter(|heard| heard.path.starts_with("/api"))
            .collect()
    }

    pub async fn wait_until_empty(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let left = self.report().await.instances;
            if left.is_empty() {
                return;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "still there: {left:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The same from outside of a runtime.
    pub fn is_empty(&self) -> bool {
        block(self.report()).instances.is_empty()
    }

    #[track_caller]
    pub fn assert_empty_soon(&self) {
        assert!(eventually(DEADLINE, || self.is_empty()));
    }

    pub fn api(&self) -> RemoteApi {
        RemoteApi {
            base_url: Secret::new(&self.url),
            create_instance_endpoint: "/instances".to_owned(),
            delete_instance_endpoint_template: "/instances/{remote_instance_id}".to_owned(),
            call_tool_endpoint_template: None,
            auth: RemoteAuth::None,
            timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            ca_file: None,
            trust_env: false,
            configured_in: "envdeck.yaml".into(),
        }
    }

    /// A deck with the backend `remote`, as `tune` has it.
    pub fn deck(&self, tune: impl FnOnce(&mut RemoteApi)) -> Deck {
        let mut api = self.api();
        tune(&mut api);
        Deck::real(vec![backend(api)])
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something in a thread without a runtime.
pub fn block<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

pub fn client() -> reqwest::Client {
    let tls = envdeck_tls();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .unwrap()
}

/// What is never used: the control is not encrypted.
fn envdeck_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub fn backend(api: RemoteApi) -> Backend {
    Backend {
        mode: Mode::RemoteHttpApi(Box::new(RemoteHttpApi {
            api: Arc::new(api),
            resource_type: "everything-v1".to_owned(),
            template_details: None,
        })),
        transport: Transport::Http,
        stop_grace: Duration::from_secs(1),
        ..deck::backend("remote")
    }
}

/// Creates that behave so, one after the other.
pub fn creates(manners: impl IntoIterator<Item = Manner>) -> Orders {
    Orders {
        create: manners.into_iter().collect(),
        ..Orders::default()
    }
}

/// Why the only instance of a new session failed.
pub async fn failure(deck: &Deck) -> Failure {
    let id = deck.open_one("remote").await;
    failure_of(deck, &id)
}

pub fn failure_of(deck: &Deck, id: &InstanceId) -> Failure {
    let instance = deck.instance(id);
    let death = instance.death.clone();
    death
        .unwrap_or_else(|| panic!("it is {}", instance.phase))
        .failure
        .clone()
}

/// The words of a failure without the address of the service.
pub fn words(service: &Service, failure: &Failure) -> String {
    failure.to_string().replace(service.place(), "SERVICE")
}
