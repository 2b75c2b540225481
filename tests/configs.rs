//! Configuration files: what is accepted, and the complete list of problems of what is not.
//!
//! `invalid/*.txt` holds the problems of the file beside it; `UPDATE_EXPECTED=1` rewrites them.

#![allow(clippy::unwrap_used)] // tests may

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use envdeck::commands::check;
use envdeck::config::{self, Config, Invalid, Origin};
use envdeck::model::{
    Backend, ContainerOptions, GatewayOptions, HealthPolicy, HostPathMode, HttpServer, Install,
    Limits, LocalDocker, LocalProcess, Mode, Mount, MountSource, OAuthClient, RemoteApi,
    RemoteAuth, RestartPolicy, Sandbox, SandboxNetwork, SandboxProfile, SandboxTenant, Scope,
    Secret, Sharing, Staging, TemplateWay, Transport,
};
use proptest::prelude::*;
use serde_json::json;

/// Every secret of the fixtures holds this.
const SECRET: &str = "hunter2";

fn fixtures(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/configs")
        .join(folder)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(fixtures(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn env(name: &str) -> Option<String> {
    let value = match name {
        "STARTS" => "3",
        "BIN" => "/opt/bin",
        "EMPTY" => "",
        "TOKEN" => "hunter2-interpolated",
        "SECONDS" => "1.5",
        "WORD" => "word",
        _ => return None,
    };
    Some(value.to_owned())
}

fn load(file: &Path) -> Result<Config, Invalid> {
    config::load(file, &env)
}

fn valid(name: &str) -> Config {
    load(&fixtures("valid").join(name)).unwrap_or_else(|invalid| panic!("{invalid}"))
}

/// Writes a file of its own and loads it.
fn load_bytes(bytes: &[u8]) -> Result<Config, Invalid> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.yaml");
    fs::write(&file, bytes).unwrap();
    load(&file)
}

/// The only problem of a file, without the name of the file.
fn problem_of(bytes: &[u8]) -> String {
    let invalid = load_bytes(bytes).unwrap_err();
    assert_eq!(invalid.problems.len(), 1, "{invalid}");
    invalid.problems[0].to_string()
}

fn docker(backend: &Backend) -> &LocalDocker {
    let Mode::LocalDocker(docker) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    docker
}

/// The path on the host or the name of the volume.
fn source(mount: &Mount) -> String {
    match &mount.source {
        MountSource::Host(host) => host.path.clone(),
        MountSource::Volume(volume) => volume.name.clone().unwrap_or_default(),
    }
}

fn process(backend: &Backend) -> &LocalProcess {
    let Mode::LocalProcess(process) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    process
}

fn sandbox(backend: &Backend) -> &Sandbox {
    let Mode::Sandbox(sandbox) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    sandbox
}

fn remote(backend: &Backend) -> &RemoteApi {
    let Mode::RemoteHttpApi(remote) = &backend.mode else {
        panic!("{:?}", backend.mode)
    };
    &remote.api
}

#[test]
fn each_invalid_file_gets_exactly_its_problems() {
    let root = format!("{}/", env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for file in files("invalid") {
        let found = match load(&file) {
            Ok(_) => "valid".to_owned(),
            Err(invalid) => invalid.to_string().replace(&root, ""),
        };
        let beside = file.with_extension("txt");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&beside, format!("{found}\n")).unwrap();
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if found != expected.trim_end() {
            wrong.push(format!("--- expected\n{expected}+++ found\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_message_and_no_debug_text_shows_a_secret() {
    for file in files("invalid") {
        let Err(invalid) = load(&file) else { continue };
        let text = format!("{invalid} {invalid:?}");
        assert!(!text.contains(SECRET), "{}: {text}", file.display());
    }
    for file in files("valid") {
        let config = load(&file).unwrap();
        let infos = config::backend_infos(&config);
        let text = format!("{config:?} {infos:?}");
        assert!(!text.contains(SECRET), "{}: {text}", file.display());
    }
}

#[test]
fn every_key_of_the_contract_reaches_the_model() {
    let config = valid("contract.yaml");
    assert_eq!(config.log_level, "warn");
    let [files, duck, by_reference, inline] = &config.backends[..] else {
        panic!("four")
    };

    assert_eq!((&*files.name, &*files.kind), ("files", "filesystem"));
    assert_eq!(
        (files.scope, files.transport),
        (Scope::Session, Transport::Stdio)
    );
    let base = fixtures("valid");
    let spec = docker(files);
    assert_eq!(spec.image, "mcp/filesystem");
    assert_eq!(spec.container_port, None);
    let template = spec.template.as_ref().unwrap();
    assert_eq!(template.source, base.join("data/seed"));
    assert_eq!(
        (&*template.target, template.way),
        ("/data", TemplateWay::Copy)
    );
    assert_eq!(spec.command, Some(vec!["/data".to_owned()]));
    let mount = |mount: &Mount| (source(mount), mount.target.clone(), mount.read_only);
    let relative = base.join("data").to_str().unwrap().to_owned();
    let volumes = [
        (relative, "/extra".to_owned(), true),
        ("/var/lib/shared".to_owned(), "/shared".to_owned(), false),
        ("named".to_owned(), "/named".to_owned(), false),
    ];
    let mounts: Vec<_> = spec.options.storage.mounts.iter().map(mount).collect();
    assert_eq!(mounts, volumes);
    assert_eq!(
        spec.options.environment["API_KEY"].expose(),
        "hunter2-docker"
    );
    assert_eq!(spec.commit_delay, Some(Duration::from_millis(7_500)));
    let check = files.startup_check.as_ref().unwrap();
    assert_eq!(check.tool, "list_directory");
    assert_eq!(
        check.arguments,
        json!({"path": "/data", "depth": 2, "deep": [1.5, null, true]})
    );

    let spec = docker(duck);
    assert_eq!(
        (duck.transport, spec.container_port),
        (Transport::Http, Some(8000))
    );
    let template = spec.template.as_ref().unwrap();
    assert_eq!(
        (&*template.target, template.way),
        ("/data/base.duckdb", TemplateWay::Image)
    );
    assert_eq!(duck.startup_check.as_ref().unwrap().arguments, json!({}));

    assert_eq!(by_reference.scope, Scope::SharedGlobal);
    let api = remote(by_reference);
    assert_eq!(api.create_instance_endpoint, "/v2/instances");
    assert_eq!(
        api.call_tool_endpoint_template.as_deref(),
        Some("/v2/instances/{remote_instance_id}/call")
    );
    assert_eq!(
        (api.timeout.as_secs(), api.connect_timeout.as_secs()),
        (45, 3)
    );
    let RemoteAuth::Bearer(token) = &api.auth else {
        panic!("{:?}", api.auth)
    };
    assert_eq!(token.expose(), "hunter2-token");

    assert_eq!(inline.kind, "my-own_kind2");
    let RemoteAuth::Header { name, value } = &remote(inline).auth else {
        panic!("a header")
    };
    assert_eq!(
        (name.as_str(), value.expose()),
        ("X-Api-Key", "hunter2-header")
    );
}

#[test]
fn the_gateway_is_configured() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let data = fixtures("valid").join("data");
    let expected = GatewayOptions {
        host: "::1".to_owned(),
        port: 9001,
        token: Some(Secret::new("hunter2-gateway")),
        insecure: true,
        allowed_hosts: vec!["deck.internal".to_owned()],
        allowed_origins: vec!["https://deck.internal:8443".to_owned()],
        template_roots: vec![data.clone(), data.join("../data")],
        session_idle_timeout: Some(minutes(30)),
        client_idle_timeout: minutes(120),
        read_timeout: Duration::from_secs(10),
        stream_after: minutes(1),
        max_sessions: 10,
        max_instances: 20,
        max_calls: 30,
        max_clients: 40,
        max_connections: 50,
        max_body: 1 << 20,
    };
    let read = valid("gateway.yaml").gateway;
    let roots = read
        .template_roots
        .iter()
        .map(|root| root.canonicalize().unwrap());
    assert!(roots.eq([data.canonicalize().unwrap(), data.canonicalize().unwrap()]));
    let template_roots = expected.template_roots.clone();
    assert_eq!(
        GatewayOptions {
            template_roots,
            ..read
        },
        expected
    );
    let silent = valid("no_backends.yaml").gateway;
    assert_eq!(silent, GatewayOptions::default());
    assert_eq!((silent.host.as_str(), silent.port), ("127.0.0.1", 8001));
}

#[test]
fn our_own_keys_reach_the_model() {
    let config = valid("local_process.yaml");
    assert_eq!(
        config.limits,
        Limits {
            parallel_starts: 2,
            max_message: 16 << 20
        }
    );
    let [everything, script, demo] = &config.backends[..] else {
        panic!("three")
    };
    let base = fixtures("valid");

    let spec = process(everything);
    assert_eq!(spec.command, "npx");
    assert_eq!(spec.args, ["-y", "@modelcontextprotocol/server-everything"]);
    assert_eq!(spec.env["TOKEN"].expose(), "hunter2-env");
    assert_eq!(spec.cwd, Some(base.join("data")));
    assert_eq!(everything.scope, Scope::SharedGlobal);
    let restart = RestartPolicy::OnFailure {
        attempts: 5,
        backoff: Duration::from_millis(500),
        ceiling: Duration::from_secs(60),
        stable: Duration::ZERO,
    };
    assert_eq!(everything.restart, restart);
    let health = HealthPolicy {
        interval: Duration::from_secs(10),
        timeout: Duration::from_millis(2_500),
        failures: 0,
    };
    assert_eq!(everything.health, health);
    assert_eq!(everything.start_timeout.as_secs(), 120);
    assert_eq!(everything.call_timeout.as_secs(), 3_600);
    assert_eq!(
        everything.call_max_timeout.as_secs(),
        3_600,
        "not below call_timeout"
    );
    assert_eq!(everything.stop_grace, Duration::ZERO);

    assert_eq!(
        process(script).command,
        base.join("data/server.sh").to_str().unwrap()
    );
    assert_eq!(process(script).cwd, Some(base), "the directory of the file");
    assert_eq!(
        (&*script.kind, &script.restart),
        ("process", &RestartPolicy::Never)
    );
    assert_eq!(script.call_max_timeout.as_secs(), 90);

    assert_eq!(
        (&demo.mode, demo.transport),
        (&Mode::Embedded, Transport::Stdio)
    );
    assert_eq!(demo.restart, RestartPolicy::default());
}

#[test]
fn servers_that_somebody_else_runs() {
    let config = valid("external.yaml");
    let [plain, full, login] = &config.backends[..] else {
        panic!("three")
    };
    let (Mode::External(plain_server), Mode::External(server), Mode::External(login)) =
        (&plain.mode, &full.mode, &login.mode)
    else {
        panic!("external")
    };
    assert_eq!(plain.kind, "external");
    assert_eq!(plain.transport, Transport::Http);
    assert_eq!(**plain_server, HttpServer::at("https://mcp.example/mcp"));
    let data = fixtures("valid").join("data");
    let headers: Vec<_> = server
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    assert_eq!(
        headers,
        [
            ("Authorization", "Bearer hunter2-interpolated"),
            ("X-Key", "hunter2-in-a-file")
        ]
    );
    assert_eq!(server.connect_timeout, Duration::from_millis(500));
    assert_eq!(server.ca_file.as_deref(), Some(&*data.join("key")));
    assert!(!server.trust_env && !server.legacy_sse);
    let oauth = OAuthClient {
        id: Some("known".to_owned()),
        secret: Some(Secret::new("hunter2-in-a-file")),
        callback_port: Some(7777),
    };
    assert_eq!(login.oauth, oauth);
    let infos = config::backend_infos(&config);
    assert_eq!(&*infos[1].summary, "http://127.0.0.1:3001/mcp?api_key=•••");
}

#[test]
fn sandboxes_are_configured() {
    let config = valid("box.yaml");
    let [plain, full, remote, encrypted, legacy] = &config.backends[..] else {
        panic!("five")
    };
    let data = fixtures("valid").join("data");
    let seconds = Duration::from_secs;

    let spec = sandbox(plain);
    assert_eq!((&*plain.kind, plain.transport), ("box", Transport::Stdio));
    assert_eq!(plain.restart, RestartPolicy::of_sandboxes());
    assert_eq!(plain.start_timeout, seconds(120));
    let profile = SandboxProfile {
        image: "python:3.12-slim".to_owned(),
        memory_mb: 1_024,
        ..SandboxProfile::default()
    };
    assert_eq!(spec.profile, profile);
    let usual = SandboxProfile::default();
    assert_eq!((usual.memory_mb, usual.pids_limit), (1_536, 128));
    assert!((usual.cpus - 1.0).abs() < f64::EPSILON && !usual.read_only_rootfs);
    let staging = Staging {
        roots: vec![data.clone(), fixtures("valid").join(".")],
        ..Staging::default()
    };
    assert_eq!(spec.staging, staging);
    assert_eq!(spec.install.timeout, Install::default().timeout);
    assert_eq!(spec.install.env["LEVEL"].expose(), "all");
    assert!(spec.enabled && spec.runtime.is_none() && spec.env.is_empty());
    assert_eq!(spec.sharing, Sharing::Session);

    let spec = sandbox(full);
    assert_eq!(spec.command, "./data/seed/server.sh");
    assert_eq!(spec.env["TOKEN"].expose(), "hunter2-interpolated");
    let profile = SandboxProfile {
        image: "node:22".to_owned(),
        network: SandboxNetwork::Off,
        cpus: 0.5,
        memory_mb: 256,
        pids_limit: 64,
        read_only_rootfs: true,
    };
    assert_eq!(spec.profile, profile);
    let staging = Staging {
        host_path: Some(data.join("seed")),
        mode: HostPathMode::Rw,
        roots: vec![data.clone()],
        ignore: vec!["node_modules".to_owned(), ".terraform".to_owned()],
        max_size: 10 << 20,
        max_entries: 100,
        quota_mb: 0,
    };
    assert_eq!(spec.staging, staging);
    assert_eq!(spec.install.env.len(), 2);
    assert_eq!(spec.install.env["LEVEL"].expose(), "one");
    assert_eq!(
        (spec.install.timeout, spec.startup_timeout),
        (seconds(600), seconds(30))
    );
    assert_eq!(full.start_timeout, seconds(10));
    let RestartPolicy::OnFailure {
        attempts, backoff, ..
    } = full.restart
    else {
        panic!("{:?}", full.restart)
    };
    assert_eq!((attempts, backoff), (5, seconds(2)));
    assert_eq!(spec.sharing, Sharing::Shared);

    let runtime = sandbox(remote).runtime.as_ref().unwrap();
    assert_eq!(runtime.endpoint, "ws://127.0.0.1:5410");
    let tenant = SandboxTenant {
        instance: "deck-1".to_owned(),
        workspace: "main".to_owned(),
        generation: 3,
    };
    assert_eq!(runtime.tenant, Some(tenant));
    assert!(runtime.token.is_some());
    assert_eq!(sandbox(remote).startup_timeout, seconds(120));
    assert_eq!(runtime.configured_in, fixtures("valid").join("box.yaml"));
    assert_eq!(runtime.ca_file, None);
    let runtime = sandbox(encrypted).runtime.as_ref().unwrap();
    assert_eq!(runtime.ca_file, Some(data.join("key")));
    let token = runtime.token.as_ref().unwrap().expose();
    assert_eq!(token, "hunter2-hunter2-hunter2-hunter2-from-a-file");
    let runtime = sandbox(legacy).runtime.as_ref().unwrap();
    assert_eq!((&runtime.token, &runtime.tenant), (&None, &None));
    let network = SandboxNetwork::Named("host".to_owned());
    assert_eq!(sandbox(legacy).profile.network, network);
}

#[test]
fn what_is_left_out_has_its_documented_default() {
    let file = fixtures("valid").join("defaults.yaml");
    let config = valid("defaults.yaml");
    assert_eq!(config.origin, Origin::File(file));
    assert_eq!(config.log_level, "info");
    assert_eq!(
        config.limits,
        Limits {
            parallel_starts: 8,
            max_message: 256 << 20
        }
    );
    let [one, two, three] = &config.backends[..] else {
        panic!("three")
    };
    assert_eq!(
        (one.scope, one.transport),
        (Scope::Session, Transport::Stdio)
    );
    assert_eq!(
        (&process(one).args.len(), &process(one).env.len()),
        (&0, &0)
    );
    let seconds = [
        one.start_timeout,
        one.call_timeout,
        one.call_max_timeout,
        one.stop_grace,
    ];
    assert_eq!(
        seconds.map(|duration| duration.as_secs()),
        [60, 60, 1_800, 5]
    );
    assert_eq!(two.transport, Transport::Http);
    assert_eq!(docker(two).commit_delay, None);
    assert_eq!(docker(two).options, ContainerOptions::default());
    let api = remote(three);
    assert_eq!(api.create_instance_endpoint, "/instances");
    assert_eq!(
        api.delete_instance_endpoint_template,
        "/instances/{remote_instance_id}"
    );
    assert_eq!(
        (api.timeout.as_secs(), api.connect_timeout.as_secs()),
        (30, 5)
    );
    assert_eq!(api.auth, RemoteAuth::None);
}

#[test]
fn variables_are_filled_in_also_where_a_number_is_wanted() {
    let config = valid("interpolation.yaml");
    assert_eq!(
        config.limits,
        Limits {
            parallel_starts: 3,
            max_message: 64 << 10
        }
    );
    let backend = &config.backends[0];
    assert_eq!(&*backend.name, "fallback");
    let spec = process(backend);
    assert_eq!(spec.command, "/opt/bin/server");
    assert_eq!(spec.args, ["$HOME", "", "full", "a/opt/binb", "pa$word"]);
    assert_eq!(spec.env["TOKEN"].expose(), "hunter2-interpolated");
    assert_eq!(backend.start_timeout, Duration::from_millis(1_500));
    assert_eq!(backend.call_timeout.as_secs(), 180);
}

#[test]
fn anchors_and_merge_keys_work() {
    let config = valid("anchors.yaml");
    let [first, second, third] = &config.backends[..] else {
        panic!("three")
    };
    assert_eq!(
        (
            process(first).args[0].as_str(),
            process(second).args[0].as_str()
        ),
        ("--fast", "--slow")
    );
    assert_eq!(process(second).env, process(first).env);
    assert_eq!(process(third).args, process(first).args);
    let env = &process(third).env;
    assert_eq!((env["A"].expose(), env["B"].expose()), ("1", "2"));
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let problem = |path: &Path| load(path).unwrap_err().to_string();
    let missing = problem(Path::new("no/such.yaml"));
    assert_eq!(
        missing,
        "no/such.yaml: there is no such file — check the path, or leave out --config for the \
         built-in demo"
    );
    assert!(problem(&fixtures("valid")).ends_with("this is a directory, not a file"));
    #[cfg(target_os = "linux")]
    assert!(problem(Path::new("/dev/zero")).contains("is larger than 1 MiB"));
    assert_eq!(
        problem_of(b"backends: []\n# \xff\n"),
        "is not UTF-8: invalid byte at offset 15 — save the file as UTF-8"
    );
    let large = [b"backends: []\n# ".as_slice(), &vec![b'x'; 1 << 20]].concat();
    assert!(problem_of(&large).starts_with("is larger than 1 MiB"));
}

#[test]
fn bombs_end_quickly_in_a_clear_error() {
    let line = |n: usize| {
        format!(
            "a{n}: &a{n} [{}]\n",
            vec![format!("*a{}", n - 1); 9].join(", ")
        )
    };
    let laughs: String = (1..40).map(line).collect();
    let tags = (0..50_000)
        .map(|n| format!("%TAG !{n:x}! a\n"))
        .collect::<Vec<_>>()
        .concat();
    let indented = (0..1_000)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect::<Vec<_>>()
        .concat();
    let long = "x".repeat(500_000);
    for (text, expected) in [
        (
            format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{laughs}"),
            "holds too much",
        ),
        (
            format!(
                "a: &a [{}]\nb: [{}]\n",
                "x,".repeat(9_000),
                "*a,".repeat(9_000)
            ),
            "holds too much",
        ),
        (
            format!("a: &a {long}\nb: [{}]\n", "*a,".repeat(100_000)),
            "holds too much",
        ),
        (format!("a: [{}]", "x,".repeat(500_000)), "holds too much"),
        ("a: &a [*a]\n".to_owned(), "nests too deeply"),
        ("[".repeat(10_000), "nests too deeply"),
        ("- ".repeat(500_000), "nests too deeply"),
        (indented, "nests too deeply"),
        ("{a: ".repeat(250_000), "opening brackets"),
        (tags, "%TAG directives"),
    ] {
        let started = Instant::now();
        let problem = problem_of(text.as_bytes());
        let start = &text[..20.min(text.len())];
        assert!(problem.contains(expected), "{start}: {problem}");
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{start}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn a_flood_of_problems_is_cut_and_counted() {
    let text = format!("backends:\n{}", "  - x\n".repeat(30_000));
    let started = Instant::now();
    let invalid = load_bytes(text.as_bytes()).unwrap_err();
    assert_eq!((invalid.problems.len(), invalid.more), (100, 29_900));
    assert_eq!(invalid.problems[99].place.unwrap().line, 101);
    assert!(invalid.to_string().ends_with("mcp.yaml: and 29900 more"));
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

fn check(file: &Path) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = check::run(file, &env, &mut out, &mut err).unwrap();
    (
        code,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

#[test]
fn check_summarises_a_valid_file() {
    let file = fixtures("valid").join("defaults.yaml");
    let (code, out, err) = check(&file);
    assert_eq!((code, err.as_str()), (0, ""));
    let expected = "FILE: ok: 3 backends
  one    local_process, stdio, session: server
  two    local_docker, http, session: memory
  three  remote_http_api, http, session: three at http://host
";
    assert_eq!(out.replace(file.to_str().unwrap(), "FILE"), expected);
    let (code, out, _) = check(&fixtures("valid").join("no_backends.yaml"));
    assert_eq!(code, 0);
    assert!(
        out.ends_with("ok, but without backends there is nothing to start\n"),
        "{out}"
    );
}

#[test]
fn check_lists_all_problems_and_fails_with_2() {
    let (code, out, err) = check(&fixtures("invalid").join("wrong_types.yaml"));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.lines().count() > 20 && err.ends_with('\n'), "{err}");
}

/// A place must be one that an editor can go to; YAML also breaks lines at these.
fn lies_inside(text: &str, invalid: &Invalid) -> bool {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let lines: Vec<&str> = text
        .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .collect();
    invalid
        .problems
        .iter()
        .filter_map(|problem| problem.place)
        .all(|place| {
            let line = place.line.checked_sub(1).and_then(|index| lines.get(index));
            line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&place.column))
        })
}

fn mutation() -> impl Strategy<Value = (prop::sample::Index, usize, String)> {
    let piece = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}:,&*!|>'\"%@`#?\\-\n\r\t $~<]{1,4}",
        "\\PC{0,3}",
        Just("\n  - ".to_owned()),
        Just(": &a [*a]".to_owned()),
        Just("${X:-".to_owned()),
        Just("1e999".to_owned()),
        Just("\u{85}".to_owned()),
    ];
    (any::<prop::sample::Index>(), 0..40_usize, piece)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_mutation_of_a_file_panics_or_leaves_the_file(
        original in prop::sample::select(files("valid")),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        let mut text: Vec<char> = fs::read_to_string(original).unwrap().chars().collect();
        for (at, length, piece) in mutations {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            text.splice(at..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(invalid) = load_bytes(text.as_bytes()) {
            prop_assert!(lies_inside(&text, &invalid), "{invalid}");
            prop_assert!(!invalid.problems.is_empty());
        }
    }
}
