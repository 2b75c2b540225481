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

use serde_json::Value;
use tempfile::TempDir;

/// A server, and one call whose answer is known.
#[derive(Clone, Debug)]
pub struct RealServer {
    pub name: &'static str,
    /// Program and arguments.
    pub command: Vec<String>,
    pub env: Vec<(&'static str, String)>,
    /// How many tools it lists at least.
    pub tools: usize,
    pub tool: &'static str,
    pub arguments: Value,
    /// Stands in the text of the tool's answer, and nowhere in its arguments.
    pub expect: &'static str,
    /// Another call, for a form.
    pub form: FormCall,
    /// Stands in what the server writes to stderr; empty for servers that write nothing.
    pub stderr: &'static str,
}

/// A call as an operator makes it with the form.
#[derive(Clone, Debug)]
pub struct FormCall {
    pub tool: &'static str,
    /// As [`super::operator::Operator::fill`] takes them.
    pub fields: Vec<String>,
    /// Stands in the answer, and nowhere in the fields.
    pub expect: &'static str,
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
        let known = |(name, command): (String, Vec<String>)| {
            let known = KNOWN.iter().find(|known| known.name == name);
            known
                .unwrap_or_else(|| panic!("{name} is missing in {}", file!()))
                .server(command, data.path(), &url)
        };
        let servers = manifest().into_iter().map(known).collect();
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

/// Program and arguments of the server of that name, as installed.
pub fn command(name: &str) -> Vec<String> {
    let found = manifest().into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no server `{name}`")).1
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

/// A server as the manifest names it; `{data}` and `{url}` are put in when the test runs.
struct Known {
    name: &'static str,
    /// Arguments behind those of the manifest.
    extra: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    tools: usize,
    tool: &'static str,
    arguments: &'static str,
    expect: &'static str,
    /// Another call by form: tool, fields, what the answer says.
    form: (&'static str, &'static [&'static str], &'static str),
    stderr: &'static str,
}

const KNOWN: [Known; 7] = [
    Known {
        name: "everything",
        extra: &[],
        env: &[],
        tools: 13,
        tool: "get-sum",
        arguments: r#"{"a": 19, "b": 23}"#,
        expect: "19 and 23 is 42",
        form: ("get-sum", &["20", "21"], "20 and 21 is 41"),
        stderr: "Starting default (STDIO) server",
    },
    Known {
        name: "filesystem",
        extra: &["{data}"],
        env: &[],
        tools: 14,
        tool: "read_text_file",
        arguments: r#"{"path": "{data}/hello.txt"}"#,
        expect: HELLO,
        form: ("list_directory", &["{data}"], "[FILE] hello.txt"),
        stderr: "Secure MCP Filesystem Server running on stdio",
    },
    Known {
        name: "memory",
        extra: &[],
        env: &[("MEMORY_FILE_PATH", "{data}/memory.json")],
        tools: 9,
        tool: "create_entities",
        arguments: r#"{"entities": [{"name": "envdeck", "entityType": "project", "observations": ["a console"]}]}"#,
        expect: "a console",
        form: ("read_graph", &[], "relations"),
        stderr: "Knowledge Graph MCP Server running on stdio",
    },
    Known {
        name: "time",
        extra: &["--local-timezone", "UTC"],
        env: &[],
        tools: 2,
        tool: "convert_time",
        arguments: r#"{"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}"#,
        expect: "T21:00:00+09:00",
        form: ("get_current_time", &["UTC"], "is_dst"),
        stderr: "",
    },
    Known {
        name: "git",
        extra: &[],
        env: &[],
        tools: 12,
        tool: "git_status",
        arguments: r#"{"repo_path": "{data}/repository"}"#,
        expect: "new.txt",
        form: (
            "git_add",
            &["{data}/repository", "+new.txt"],
            "staged successfully",
        ),
        stderr: "",
    },
    Known {
        name: "fetch",
        // It refuses private addresses unless told otherwise, and would ask for robots.txt first.
        extra: &["--ignore-robots-txt", "--allow-private-ips"],
        env: &[],
        tools: 1,
        tool: "fetch",
        arguments: r#"{"url": "{url}"}"#,
        expect: HELLO,
        form: ("fetch", &["{url}", "10"], "start_index of 10"),
        stderr: "",
    },
    Known {
        name: "motherduck",
        extra: &["--db-path", ":memory:", "--read-write"],
        // Its framework would ask the package index for a newer version at each start.
        env: &[("FASTMCP_CHECK_FOR_UPDATES", "off")],
        tools: 4,
        tool: "execute_query",
        arguments: r#"{"sql": "SELECT 'raw' || '-made' AS answer"}"#,
        expect: "raw-made",
        form: (
            "execute_query",
            &["SELECT 'form' || '-made' AS answer"],
            "form-made",
        ),
        stderr: "Waiting for client connection",
    },
];

impl Known {
    fn server(&self, mut command: Vec<String>, data: &Path, url: &str) -> RealServer {
        let data = data.to_str().expect("a temporary directory is UTF-8");
        let fill = |text: &str| text.replace("{data}", data).replace("{url}", url);
        command.extend(self.extra.iter().map(|word| fill(word)));
        RealServer {
            name: self.name,
            command,
            env: self
                .env
                .iter()
                .map(|(name, value)| (*name, fill(value)))
                .collect(),
            tools: self.tools,
            tool: self.tool,
            arguments: serde_json::from_str(&fill(self.arguments)).expect("the table holds JSON"),
            expect: self.expect,
            form: FormCall {
                tool: self.form.0,
                fields: self.form.1.iter().map(|field| fill(field)).collect(),
                expect: self.form.2,
            },
            stderr: self.stderr,
        }
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
