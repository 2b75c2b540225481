//! Servers that want a login: it is given in a browser, which here is the test, kept, renewed, and never shown.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use envdeck::drivers::{Elsewhere, Installed};
use envdeck::mcp::http::{Browser, Logins};
use envdeck::model::{
    Backend, Command, Failure, HttpServer, InstanceId, Limits, Mode, OAuthClient, Outcome, Phase,
    RunId, Secret, Transport,
};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::common::DEADLINE;
use crate::common::operator::Operator;
use crate::deck::{self, Deck};
use crate::provider::Provider;

/// A deck whose user has a browser that the test is.
fn deck(provider: &Provider, home: &Path, browser: Browser) -> Deck {
    deck_as(OAuthClient::default(), provider, home, browser)
}

/// The same, as a client that is registered there.
fn deck_as(oauth: OAuthClient, provider: &Provider, home: &Path, browser: Browser) -> Deck {
    let logins = Logins::new(&home.join("logins"), browser);
    let drivers = Installed::knowing(home, Elsewhere::default(), Some(logins));
    let server = HttpServer {
        oauth,
        ..HttpServer::at(&provider.url)
    };
    let backend = Backend {
        mode: Mode::External(Box::new(server)),
        transport: Transport::Http,
        ..deck::backend("server")
    };
    let run = RunId::new("test");
    Deck::on(Arc::new(drivers), run, vec![backend], Limits::default())
}

/// Opens nothing: the address is in the log.
fn told() -> Browser {
    Browser::Command("true".to_owned())
}

/// Begins a session with so many instances; returns the first of them.
async fn begin(deck: &Deck, count: usize) -> InstanceId {
    deck.handle.send(deck::open(&[("server", count)])).unwrap();
    let has_all = |fleet: &envdeck::model::Fleet| fleet.instances().count() == count;
    let fleet = deck.wait_until("the instances are there", has_all).await;
    let mut instances = fleet.instances();
    instances.next().unwrap().id.clone()
}

/// The address that the user is told, once it is.
async fn address(deck: &Deck) -> String {
    loop {
        for instance in deck.fleet().instances() {
            let log = deck.log(&instance.id);
            let mut words = log.split_whitespace();
            if let Some(url) = words.find(|word| word.contains("/authorize?")) {
                return url.to_owned();
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The address that the user is told after another one.
async fn address_after(deck: &Deck, id: &InstanceId, first: &str) -> String {
    loop {
        let log = deck.log(id);
        let mut words = log.split_whitespace();
        match words.rfind(|word| word.contains("/authorize?")) {
            Some(url) if url != first => return url.to_owned(),
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// What a browser does: goes there, and wherever it is sent; returns the last page.
async fn visit(url: &str) -> String {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ));
    let tls = tls.with_safe_default_protocol_versions().unwrap();
    let tls = tls
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy();
    let page = client.build().unwrap().get(url).send().await.unwrap();
    page.text().await.unwrap()
}

async fn ready(deck: &Deck, id: &InstanceId) {
    deck.wait_for_phase(id, Phase::Ready).await;
}

async fn failed(deck: &Deck, id: &InstanceId) -> Failure {
    let instance = deck.wait_for_phase(id, Phase::Failed).await;
    instance.death.as_ref().unwrap().failure.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_logs_in_once_for_all_instances_and_for_the_next_time() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 3).await;
    let url = address(&deck).await;
    // Somebody else's page comes first, and is sent away.
    let asked = url::Url::parse(&url).unwrap();
    let back = asked
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri")
        .unwrap()
        .1;
    let page = visit(&format!("{back}?code=forged&state=other")).await;
    assert!(page.contains("There is nothing here."), "{page}");
    let page = visit(&url).await;
    assert!(page.contains("Back to envdeck"), "{page}");
    deck.wait_until("all are ready", |fleet| {
        fleet
            .instances()
            .all(|instance| instance.phase == Phase::Ready)
    })
    .await;
    assert!(matches!(deck.call(&id, "t", "{}").await, Outcome::Done(_)));
    {
        let book = provider.book.lock();
        assert_eq!((book.visits.len(), book.exchanges.len()), (1, 1));
        assert_eq!(book.visits[0]["code_challenge_method"], "S256");
        assert_eq!(book.visits[0]["resource"], provider.url);
        assert_eq!(book.visits[0]["scope"], "tools");
        assert_eq!(book.exchanges[0]["resource"], provider.url);
    }
    // Kept, where only the user can read it, and shown nowhere.
    let files: Vec<_> = fs::read_dir(home.path().join("logins"))
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(files.len(), 1);
    let mode = files[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        fs::read_to_string(files[0].path())
            .unwrap()
            .contains("hush-1")
    );
    for instance in deck.fleet().instances() {
        let shown = format!("{}{:?}", deck.log(&instance.id), instance.facts);
        assert!(!shown.contains("hush"), "{shown}");
    }
    drop(deck);

    let next = self::deck(&provider, home.path(), Browser::Nobody);
    let id = begin(&next, 1).await;
    ready(&next, &id).await;
    assert_eq!(provider.book.lock().visits.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_over_is_renewed_in_silence() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    visit(&address(&deck).await).await;
    ready(&deck, &id).await;
    provider.book.lock().expire();
    assert!(matches!(deck.call(&id, "t", "{}").await, Outcome::Done(_)));
    {
        let book = provider.book.lock();
        assert_eq!((book.visits.len(), book.exchanges.len()), (1, 2));
        assert_eq!(book.exchanges[1]["grant_type"], "refresh_token");
    }
    drop(deck);
    // Another run has to find out first where that is done.
    provider.book.lock().expire();
    let next = self::deck(&provider, home.path(), Browser::Nobody);
    let id = begin(&next, 1).await;
    ready(&next, &id).await;
    assert_eq!(provider.book.lock().exchanges.len(), 3);
    assert_eq!(provider.book.lock().registrations, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_cannot_be_renewed_is_told_and_given_again_at_a_restart() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    let first = address(&deck).await;
    visit(&first).await;
    ready(&deck, &id).await;
    {
        let mut book = provider.book.lock();
        book.expire();
        book.refuses_renewal = true;
    }
    let Outcome::Failed(failure) = deck.call(&id, "t", "{}").await else {
        panic!("it did not fail")
    };
    assert_eq!(failure.cause.kind(), "auth");
    let place = HttpServer::at(&provider.url).place();
    assert_eq!(
        failure.to_string(),
        format!("call: {place} asks for a login — restart it to log in again")
    );
    deck.handle.send(Command::Restart(id.clone())).unwrap();
    deck.wait_for_phase(&id, Phase::Starting).await;
    visit(&address_after(&deck, &id, &first).await).await;
    ready(&deck, &id).await;
    assert!(matches!(deck.call(&id, "t", "{}").await, Outcome::Done(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_says_no_is_heard() {
    let provider = Provider::start().await;
    provider.book.lock().refuses_user = true;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    let page = visit(&address(&deck).await).await;
    assert!(page.contains("The login was refused."), "{page}");
    let failure = failed(&deck, &id).await;
    assert_eq!(
        failure.to_string(),
        "connect: the login was refused: access_denied (not today)"
    );
    assert_eq!(failure.cause.kind(), "auth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_is_there_to_log_in_it_says_what_to_do() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), Browser::Nobody);
    let id = begin(&deck, 1).await;
    let place = HttpServer::at(&provider.url).place();
    assert_eq!(
        failed(&deck, &id).await.to_string(),
        format!(
            "connect: {place} asks for a login in a browser \
             — run `envdeck tools --url {}` in a terminal once, or set `headers`",
            provider.url
        )
    );
    assert_eq!(provider.book.lock().registrations, 0);

    // Somebody does it elsewhere.
    let other = self::deck(&provider, home.path(), told());
    begin(&other, 1).await;
    visit(&address(&other).await).await;
    other
        .wait_until("it is ready", |fleet| {
            fleet.instances().all(|one| one.phase == Phase::Ready)
        })
        .await;
    deck.handle.send(Command::Restart(id.clone())).unwrap();
    ready(&deck, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_without_a_place_to_log_in_at_is_told_as_it_is() {
    let provider = Provider::start().await;
    provider.book.lock().is_silent = true;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    let place = HttpServer::at(&provider.url).place();
    assert_eq!(
        failed(&deck, &id).await.to_string(),
        format!(
            "connect: {place} answered 401 Unauthorized: who are you? \
             — check the credentials in `headers`"
        )
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_elses_start_waits_for_a_login() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let logins = Logins::new(&home.path().join("logins"), told());
    let drivers = Installed::knowing(home.path(), Elsewhere::default(), Some(logins));
    let server = Backend {
        mode: Mode::External(Box::new(HttpServer::at(&provider.url))),
        transport: Transport::Http,
        ..deck::backend("server")
    };
    let demo = Backend {
        mode: Mode::Embedded,
        ..deck::backend("demo")
    };
    let limits = Limits {
        parallel_starts: 1,
        ..Limits::default()
    };
    let run = RunId::new("test");
    let deck = Deck::on(Arc::new(drivers), run, vec![server, demo], limits);
    let id = begin(&deck, 1).await;
    let url = address(&deck).await;
    deck.handle.send(deck::open(&[("demo", 3)])).unwrap();
    deck.wait_until("the others are ready", |fleet| {
        let ready = fleet.instances().filter(|one| one.phase == Phase::Ready);
        ready.count() == 3
    })
    .await;
    visit(&url).await;
    ready(&deck, &id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_needs_more_rights_asks_the_user_and_goes_on() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    let first = address(&deck).await;
    visit(&first).await;
    ready(&deck, &id).await;
    let call = deck.begin(&id, "admin", "{}").await;
    visit(&address_after(&deck, &id, &first).await).await;
    let outcome = deck.end_of(call).await.outcome().cloned();
    assert!(matches!(outcome, Some(Outcome::Done(_))), "{outcome:?}");
    // Once is enough, and takes nothing away.
    for tool in ["admin", "t"] {
        assert!(matches!(deck.call(&id, tool, "{}").await, Outcome::Done(_)));
    }
    let book = provider.book.lock();
    assert_eq!(book.visits.len(), 2);
    assert_eq!(book.visits[1]["scope"], "tools admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_grants_no_more_rights_keeps_what_there_is() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    let first = address(&deck).await;
    visit(&first).await;
    ready(&deck, &id).await;
    provider.book.lock().refuses_user = true;
    let call = deck.begin(&id, "admin", "{}").await;
    visit(&address_after(&deck, &id, &first).await).await;
    let outcome = deck.end_of(call).await.outcome().cloned();
    let Some(Outcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(
        failure.to_string(),
        "call: the login was refused: access_denied (not today)"
    );
    assert!(matches!(deck.call(&id, "t", "{}").await, Outcome::Done(_)));
    deck.handle.send(Command::Restart(id.clone())).unwrap();
    deck.wait_for(&id, "it was started again", |instance| {
        instance.restarts == 1 && instance.phase == Phase::Ready
    })
    .await;
    assert_eq!(provider.book.lock().visits.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_registered_already_logs_in_and_renews_as_that() {
    let provider = Provider::start().await;
    provider.book.lock().client = Some(("known".to_owned(), "hush-secret".to_owned()));
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let nobody = deck(&provider, home.path(), told());
    let id = begin(&nobody, 1).await;
    let failure = failed(&nobody, &id).await.to_string();
    assert!(
        failure.starts_with("connect: the login failed: "),
        "{failure}"
    );
    assert!(
        failure.ends_with("configure `oauth` with the client_id"),
        "{failure}"
    );

    let port = crate::remote::free_port();
    let oauth = OAuthClient {
        id: Some("known".to_owned()),
        secret: Some(Secret::new("hush-secret")),
        callback_port: Some(port),
    };
    let known = deck_as(oauth.clone(), &provider, home.path(), told());
    let id = begin(&known, 1).await;
    visit(&address(&known).await).await;
    ready(&known, &id).await;
    {
        let mut book = provider.book.lock();
        assert_eq!(book.visits[0]["client_id"], "known");
        let back = format!("http://127.0.0.1:{port}/callback");
        assert_eq!(book.visits[0]["redirect_uri"], back);
        assert_eq!(book.registrations, 0);
        book.expire();
    }
    let next = deck_as(oauth, &provider, home.path(), Browser::Nobody);
    let id = begin(&next, 1).await;
    ready(&next, &id).await;
    // What the configuration has is not written down.
    for file in fs::read_dir(home.path().join("logins")).unwrap().flatten() {
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains("hush-secret"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_came_with_the_registration_renews_in_the_next_run() {
    let provider = Provider::start().await;
    provider.book.lock().secret = Some("hush-client".to_owned());
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    visit(&address(&deck).await).await;
    ready(&deck, &id).await;
    drop(deck);
    provider.book.lock().expire();
    let next = self::deck(&provider, home.path(), Browser::Nobody);
    let id = begin(&next, 1).await;
    ready(&next, &id).await;
    assert_eq!(provider.book.lock().registrations, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_with_a_key_that_is_over_try_once_to_renew_it() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let deck = deck(&provider, home.path(), told());
    let id = begin(&deck, 1).await;
    visit(&address(&deck).await).await;
    ready(&deck, &id).await;
    {
        let mut book = provider.book.lock();
        book.expire();
        book.refuses_renewal = true;
    }
    let calls = (0..16).map(|_| deck.call(&id, "t", "{}"));
    let outcomes = futures::future::join_all(calls).await;
    let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
    assert!(outcomes.iter().all(failed), "{outcomes:?}");
    assert_eq!(provider.book.lock().exchanges.len(), 2);
}

/// A browser that only notes where it is sent: to `told`, below `home`.
fn noting(home: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let (script, told) = (home.join("browser"), home.join("told"));
    let text = format!(
        "#!/bin/sh\necho \"$1\" > '{0}.new'; mv '{0}.new' '{0}'\n",
        told.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    (script, told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_is_told_to_log_in_and_goes_on() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let (script, told) = noting(home.path());
    let url = provider.url.clone();
    let operator = tokio::task::spawn_blocking(move || {
        let browser = script.to_str().unwrap();
        let operator = Operator::run(&["--url", &url], &[("BROWSER", browser)]);
        operator.pty.wait_for("log in with the browser", DEADLINE);
        operator
    });
    let operator = operator.await.unwrap();
    while !told.exists() {
        sleep(Duration::from_millis(10)).await;
    }
    visit(fs::read_to_string(&told).unwrap().trim()).await;
    let end = tokio::task::spawn_blocking(move || {
        operator.pty.wait_for("● ready", DEADLINE);
        operator.choose("t");
        let screen = operator.send("t", "ok");
        assert!(!screen.contains("hush"), "{screen}");
        operator.quit();
    });
    end.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_logs_in_with_the_browser_that_is_named() {
    let provider = Provider::start().await;
    let home = TempDir::with_prefix("envdeck-login-").unwrap();
    let (script, told) = noting(home.path());
    let envdeck = |browser: Option<&Path>| {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_envdeck"));
        command
            .args(["call", "t", "--url", &provider.url])
            .env_clear();
        command
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(browser) = browser {
            command.env("BROWSER", browser);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let ended = envdeck(None).wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(
        said.contains("asks for a login in a browser — run `envdeck tools"),
        "{said}"
    );

    let running = envdeck(Some(&script));
    while !told.exists() {
        sleep(Duration::from_millis(10)).await;
    }
    visit(fs::read_to_string(&told).unwrap().trim()).await;
    let ended = running.wait_with_output().await.unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    assert!(said.contains("done"), "{said} {:?}", ended.stderr);
    // The next one needs no browser.
    let ended = envdeck(None).wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(0));
}
