//! The MCP servers nobody here wrote: how to start each, one call with its answer, and where its files live.
//!
//! `tests/servers/install` installs them. Tests that need them are `#[ignore]`d, and fail when they are missing.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A server, and one call whose answer is known.
#[derive(Clone, Debug)]
pub struct RealServer {
    pub name: &'static str,
    /// Program and arguments.
    pub command: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    /// How many tools it lists.
    pub tools: usize,
    pub tool: &'static str,
    pub arguments: Value,
    /// Stands in the text of the tool's answer.
    pub expect: &'static str,
    /// Stands in what the server writes to stderr; empty for servers that write nothing.
    pub stderr: &'static str,
}

/// The installed servers with what their calls need: files, a repository, a page on the loopback interface.
pub struct RealServers {
    pub servers: Vec<RealServer>,
    /// Holds `hello.txt`, a git repository `repository` and the memory server's file.
    pub data: TempDir,
}

/// What `hello.txt` and the page say.
pub const HELLO: &str = "hello from the loopback interface";

impl RealServers {
    /// Reads the manifest and prepares the data.
    ///
    /// # Panics
    /// When the servers are not installed: a test that was asked for is never skipped.
    pub fn prepare() -> Self {
        let data = TempDir::with_prefix("envdeck-data-").unwrap();
        fs::write(data.path().join("hello.txt"), HELLO).unwrap();
        let git = Command::new("git")
            .args(["init", "--quiet", "--initial-branch=trunk", "repository"])
            .current_dir(data.path())
            .status();
        assert!(git.expect("git must be installed").success());
        fs::write(data.path().join("repository/new.txt"), "new").unwrap();
        let url = serve_page();
        let servers = manifest()
            .into_iter()
            .map(|(name, command)| known(&name, command, data.path(), &url))
            .collect();
        Self { servers, data }
    }

    /// The server of that name.
    #[track_caller]
    pub fn get(&self, name: &str) -> &RealServer {
        self.servers
            .iter()
            .find(|server| server.name == name)
            .unwrap_or_else(|| panic!("no server `{name}`"))
    }
}

/// `ENVDECK_TEST_SERVERS` or where `tests/servers/install` puts them.
fn directory() -> PathBuf {
    std::env::var_os("ENVDECK_TEST_SERVERS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mcp-servers"),
        PathBuf::from,
    )
}

fn manifest() -> Vec<(String, Vec<String>)> {
    let path = directory().join("manifest.tsv");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; run tests/servers/install first",
            path.display()
        )
    });
    let row = |line: &str| {
        let mut words = line.split('\t').map(str::to_owned);
        (words.next().unwrap(), words.collect())
    };
    text.lines().map(row).collect()
}

/// What we know about a server of the manifest.
fn known(name: &str, command: Vec<String>, data: &Path, url: &str) -> RealServer {
    let path = |file: &str| {
        data.join(file)
            .to_str()
            .expect("a temporary directory is UTF-8")
            .to_owned()
    };
    let server = |name, extra: &[&str], tools, tool, arguments, expect, stderr| RealServer {
        name,
        command: command
            .iter()
            .cloned()
            .chain(extra.iter().map(|&word| word.to_owned()))
            .collect(),
        env: Vec::new(),
        tools,
        tool,
        arguments,
        expect,
        stderr,
    };
    match name {
        "everything" => server(
            "everything",
            &[],
            13,
            "get-sum",
            json!({ "a": 19, "b": 23 }),
            "42",
            "Starting default (STDIO) server",
        ),
        "filesystem" => {
            let call = json!({ "path": path("hello.txt") });
            server(
                "filesystem",
                &[&path("")],
                14,
                "read_text_file",
                call,
                HELLO,
                "Secure MCP Filesystem Server running on stdio",
            )
        }
        "memory" => {
            let entity = json!({ "name": "envdeck", "entityType": "project", "observations": ["a console"] });
            let call = json!({ "entities": [entity] });
            let mut memory = server(
                "memory",
                &[],
                9,
                "create_entities",
                call,
                "a console",
                "Knowledge Graph MCP Server running on stdio",
            );
            memory.env = vec![("MEMORY_FILE_PATH", path("memory.json"))];
            memory
        }
        "time" => {
            let call = json!({ "source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
            server(
                "time",
                &["--local-timezone", "UTC"],
                2,
                "convert_time",
                call,
                "T21:00:00+09:00",
                "",
            )
        }
        "git" => server(
            "git",
            &[],
            12,
            "git_status",
            json!({ "repo_path": path("repository") }),
            "new.txt",
            "",
        ),
        "fetch" => {
            // It refuses private addresses unless told otherwise, and would ask for robots.txt first.
            let flags = ["--ignore-robots-txt", "--allow-private-ips"];
            server(
                "fetch",
                &flags,
                1,
                "fetch",
                json!({ "url": url }),
                HELLO,
                "",
            )
        }
        "motherduck" => {
            let flags = ["--db-path", ":memory:", "--read-write"];
            let call = json!({ "sql": "SELECT 6 * 7 AS answer" });
            let mut motherduck = server(
                "motherduck",
                &flags,
                4,
                "execute_query",
                call,
                "42",
                "Waiting for client connection",
            );
            // Its framework would ask the package index for a newer version at each start.
            motherduck.env = vec![("FASTMCP_CHECK_FOR_UPDATES", "off".to_owned())];
            motherduck
        }
        other => panic!("tests/common/servers.rs does not know `{other}` of the manifest"),
    }
}

/// Serves [`HELLO`] on a free port of the loopback interface for as long as the tests run; returns the URL.
fn serve_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let length = HELLO.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{HELLO}"
            );
        }
    });
    url
}
