//! What of a project goes into a sandbox, and what never does.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use envdeck::drivers::sandbox::workspace::{Caps, Source};
use envdeck::model::{Failure, SandboxPhase, Staging};

struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("project")).unwrap();
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn roots(&self) -> Vec<PathBuf> {
        vec![self.directory.path().to_owned()]
    }

    fn source(&self) -> Source {
        Source::open(&self.path(), &self.roots()).unwrap()
    }

    /// Paths in the stream, with their content, or `-> ` and where they lead.
    fn staged(&self, staging: &Staging) -> Result<BTreeMap<String, String>, Failure> {
        let mut bytes = Vec::new();
        self.source().write(&Caps::of(staging), &mut bytes)?;
        let mut archive = tar::Archive::new(&*bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            if let Some(to) = entry.link_name().unwrap() {
                content = format!("-> {}", to.display());
            }
            (path, content)
        });
        Ok(entries.collect())
    }
}

fn paths(staged: &BTreeMap<String, String>) -> Vec<&str> {
    staged
        .keys()
        .map(|path| path.trim_end_matches('/'))
        .collect()
}

#[test]
fn what_is_made_for_the_host_is_left_out() {
    let project = Project::new();
    for file in [
        "server.py",
        ".env",
        ".git/config",
        ".venv/pyvenv.cfg",
        "src/__pycache__/x.pyc",
        "src/x.py",
        "env/pyvenv.cfg",
        "environment/env/settings.py",
        "data/big.bin",
        "node_modules/left-pad/index.js",
    ] {
        project.write(file, "text");
    }
    let staging = Staging {
        ignore: vec!["data".into()],
        ..Staging::default()
    };
    let staged = project.staged(&staging).unwrap();
    let expected = [
        ".env",
        "environment",
        "environment/env",
        "environment/env/settings.py",
        "node_modules",
        "node_modules/left-pad",
        "node_modules/left-pad/index.js",
        "server.py",
        "src",
        "src/x.py",
    ];
    assert_eq!(paths(&staged), expected);
    // With a package they are installed in the sandbox.
    project.write("package.json", "{}");
    let staged = project.staged(&staging).unwrap();
    assert!(!staged.keys().any(|path| path.contains("node_modules")));
}

#[test]
fn links_are_kept_and_never_followed() {
    let project = Project::new();
    project.write("in/file", "inside");
    fs::write(project.directory.path().join("secret"), "hunter2").unwrap();
    let link = |to: &str, name: &str| symlink(to, project.path().join(name)).unwrap();
    link("in", "directory");
    link("../secret", "out");
    link("/etc", "absolute");
    link("nowhere", "dangling");
    link(".", "loop");
    let staged = project.staged(&Staging::default()).unwrap();
    assert_eq!(staged["directory"], "-> in");
    assert_eq!(staged["out"], "-> ../secret");
    assert_eq!(staged["absolute"], "-> /etc");
    assert_eq!(staged["dangling"], "-> nowhere");
    assert_eq!(staged["loop"], "-> .");
    assert_eq!(staged.len(), 7, "{staged:?}");
    assert!(!staged.values().any(|text| text.contains("hunter2")));
}

#[test]
fn a_directory_that_becomes_a_link_leads_nowhere() {
    let project = Project::new();
    project.write("server.py", "");
    let source = project.source();
    // The project is another one now; what is open stays what it was.
    let moved = project.directory.path().join("moved");
    fs::rename(project.path(), &moved).unwrap();
    symlink("/etc", project.path()).unwrap();
    let mut bytes = Vec::new();
    let caps = Caps::of(&Staging::default());
    let tally = source.write(&caps, &mut bytes).unwrap();
    assert_eq!(tally.entries, 1);
    fs::remove_file(project.path()).unwrap();
}

#[test]
fn pipes_and_sockets_are_left_out_and_counted() {
    let project = Project::new();
    project.write("server.py", "");
    let fifo = project.path().join("pipe");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let socket = project.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    let caps = Caps::of(&Staging::default());
    let tally = project.source().write(&caps, Vec::new()).unwrap();
    assert_eq!(tally.special, 2);
    let staged = project.staged(&Staging::default()).unwrap();
    assert_eq!(paths(&staged), ["server.py"]);
}

#[test]
fn modes_go_along_without_what_gives_rights() {
    let project = Project::new();
    project.write("run.sh", "");
    let run = project.path().join("run.sh");
    fs::set_permissions(&run, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut bytes = Vec::new();
    let caps = Caps::of(&Staging::default());
    project.source().write(&caps, &mut bytes).unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.header().mode().unwrap(), 0o755);
}

#[test]
fn too_much_is_refused_and_told() {
    let project = Project::new();
    project.write("a", "12345");
    project.write("b", "12345");
    let most = |max_size, max_entries| Staging {
        max_size,
        max_entries,
        ..Staging::default()
    };
    assert!(project.staged(&most(10, 2)).is_ok());
    for (staging, word) in [(most(9, 2), "9 bytes"), (most(10, 1), "1 files")] {
        let failure = project.staged(&staging).unwrap_err();
        assert_eq!(failure.phase, Some(SandboxPhase::Staging));
        let text = failure.to_string();
        assert!(
            text.starts_with("staging: ") && text.contains(word),
            "{text}"
        );
        assert!(failure.is_lasting());
    }
}

#[test]
fn only_directories_below_the_roots_are_opened() {
    let project = Project::new();
    project.write("file", "");
    let open = |path: &Path, roots: &[PathBuf]| {
        Source::open(path, roots).map_err(|failure| failure.to_string())
    };
    assert!(open(&project.path(), &project.roots()).is_ok());
    assert!(open(&project.path(), &[project.path()]).is_ok());
    let beside = vec![project.directory.path().join("proj")];
    for (path, roots, why) in [
        (project.path(), vec![], "outside"),
        (project.path(), beside, "outside"),
        (project.path().join(".."), vec![project.path()], "outside"),
        (
            project.path().join("none"),
            project.roots(),
            "does not exist",
        ),
        (
            project.path().join("file"),
            project.roots(),
            "not a directory",
        ),
    ] {
        let text = open(&path, &roots).unwrap_err();
        assert!(
            text.starts_with("staging: ") && text.contains(why),
            "{text}"
        );
    }
    // A link out of the roots is what it leads to.
    symlink("/etc", project.directory.path().join("link")).unwrap();
    let link = project.directory.path().join("link");
    assert!(
        open(&link, &project.roots())
            .unwrap_err()
            .contains("outside")
    );
}
