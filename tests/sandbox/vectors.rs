//! What was recorded of the functions that this mode is modelled on: where they were right, ours give the same; where
//! they were wrong, ours are better, and each such row is named here with the better answer.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use envdeck::drivers::sandbox::workspace::{
    Manifest, Place, Source, infer, rewrite_argument, rewrite_command, unwrap_environment,
};
use serde_json::{Value, json};

const INSIDE: &str = "/workspace";

fn vectors(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("path-vectors.json")).unwrap();
    all[group].as_array().unwrap().clone()
}

/// The files that the rows were recorded with.
struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let tree = Self { root };
        for file in [
            "proj/server.py",
            "proj/requirements.txt",
            "proj/src/main.py",
            "proj/bin/run.sh",
            "proj/.venv/bin/python",
            "proj/.venv/bin/python3.12",
            "proj/.venv/bin/mcp-tool",
            "proj/.venv/bin/pythonw-tool",
            "proj/sub/.venv/bin/python",
            "proj/env/bin/python3",
            "proj/venv/Scripts/python.exe",
            "proj2/x.py",
            "other/tool.py",
            "real/s.py",
            "lv/server.py",
            "pkg/pyproject.toml",
            "setuppy/setup.py",
            "setupcfg/setup.cfg",
            "node/package.json",
            "empty/readme",
            "onlyvenv/.venv/bin/python",
        ] {
            tree.write(
                file,
                if file.ends_with("toml") {
                    "[project]\n"
                } else {
                    ""
                },
            );
        }
        tree.link("real", "link");
        fs::create_dir_all(tree.path("lv/.venv/bin")).unwrap();
        tree.link("/bin/sh", "lv/.venv/bin/python");
        tree.link("/etc/passwd", "proj/evil-link");
        tree
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, to: &str, path: &str) {
        symlink(to, self.path(path)).unwrap();
    }

    /// The recorded text with our root; paths as they are without links.
    fn fill(&self, text: &str) -> String {
        let root = self.root.path().canonicalize().unwrap();
        text.replace("$R", root.to_str().unwrap())
    }

    fn text(&self, value: &Value) -> Option<String> {
        value.as_str().map(|text| self.fill(text))
    }

    fn infer(&self, row: &Value) -> Result<Option<PathBuf>, PathBuf> {
        let command = self.text(&row["command"]).unwrap();
        let args = row["args"].as_array().unwrap();
        let args: Vec<_> = args.iter().map(|arg| self.text(arg).unwrap()).collect();
        infer(&command, &args, None).map_err(|wide| wide.directory)
    }

    fn rewrite(&self, row: &Value, how: fn(&str, &Place) -> String, key: &str) -> String {
        let text = self.text(&row[key]).unwrap();
        let host = self.text(&row["host_path"]).unwrap_or_default();
        match Place::new(Path::new(&host), INSIDE) {
            Some(place) => how(&text, &place),
            None => text,
        }
    }
}

/// Whether this row is one of the wrong ones; `better` are inputs.
fn is_better(row: &Value, better: &[Value]) -> bool {
    better.contains(&row["in"])
}

#[test]
fn projects_are_inferred_as_recorded() {
    let tree = Tree::new();
    let mut rows = 0;
    for row in vectors("infer_host_path") {
        if is_better(&row, &wrongly_inferred()) {
            continue;
        }
        let expected = tree.text(&row["out"]).map(PathBuf::from);
        assert_eq!(tree.infer(&row["in"]), Ok(expected), "{row}");
        rows += 1;
    }
    assert_eq!(rows, 15);
}

fn wrongly_inferred() -> Vec<Value> {
    vec![
        json!({"command": "/usr/bin/python3", "args": ["$R/proj/server.py"]}),
        json!({"command": "/usr/bin/python3", "args": ["-m", "x"]}),
        json!({"command": "python", "args": ["$R/proj"]}),
        json!({"command": "python", "args": ["$R/proj/server.py", "$R/other/tool.py"]}),
    ]
}

#[test]
fn better_than_recorded_interpreters_of_the_system_belong_to_no_project() {
    let tree = Tree::new();
    let [with_script, alone, ..] = &wrongly_inferred()[..] else {
        panic!()
    };
    assert_eq!(
        tree.infer(with_script),
        Ok(Some(tree.fill("$R/proj").into()))
    );
    assert_eq!(tree.infer(alone), Ok(None));
}

#[test]
fn better_than_recorded_a_directory_counts_as_itself() {
    let tree = Tree::new();
    assert_eq!(
        tree.infer(&wrongly_inferred()[2]),
        Ok(Some(tree.fill("$R/proj").into()))
    );
}

#[test]
fn better_than_recorded_what_two_projects_are_in_is_too_wide() {
    let tree = Tree::new();
    assert_eq!(
        tree.infer(&wrongly_inferred()[3]),
        Err(tree.fill("$R").into())
    );
    // Unless it is a project itself.
    tree.write("package.json", "{}");
    assert_eq!(
        tree.infer(&wrongly_inferred()[3]),
        Ok(Some(tree.fill("$R").into()))
    );
}

#[test]
fn temporary_directories_homes_and_the_root_are_too_wide() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let script = [file.path().to_str().unwrap().to_owned()];
    assert!(infer("python", &script, None).is_err());
    let tree = Tree::new();
    let script = [tree.fill("$R/proj/server.py")];
    for home in ["$R/proj", "$R/proj/src"] {
        let home = PathBuf::from(tree.fill(home));
        assert!(infer("python", &script, Some(&home)).is_err());
    }
    let elsewhere = PathBuf::from(tree.fill("$R/other"));
    assert!(infer("python", &script, Some(&elsewhere)).is_ok());
}

#[test]
fn environments_are_unwrapped_as_recorded() {
    for row in vectors("unwrap_venv_path") {
        let (path, expected) = (row["in"].as_str().unwrap(), row["out"].as_str().unwrap());
        if path != ".venv/bin" {
            assert_eq!(unwrap_environment(path), Path::new(expected), "{path}");
        }
    }
}

#[test]
fn better_than_recorded_an_environment_beside_us_is_not_at_the_root() {
    assert_eq!(unwrap_environment(".venv/bin"), Path::new("."));
}

#[test]
fn arguments_are_rewritten_as_recorded() {
    let tree = Tree::new();
    for row in vectors("rewrite_path") {
        let expected = tree.text(&row["out"]).unwrap();
        let found = tree.rewrite(&row["in"], rewrite_argument, "path");
        assert_eq!(found, expected, "{row}");
    }
}

#[test]
fn better_than_recorded_only_absolute_arguments_are_candidates() {
    let tree = Tree::new();
    let place = Place::new(&tree.path("proj"), INSIDE).unwrap();
    // As if the program had been started in the project, which it never matters.
    for row in vectors("relative_args_when_cwd_is_host_path") {
        if let Some(command) = row["command"].as_str() {
            assert_eq!(rewrite_command(command, &place), command);
        } else {
            let argument = row["in"].as_str().unwrap();
            assert_eq!(rewrite_argument(argument, &place), argument);
        }
    }
}

fn wrongly_rewritten() -> Vec<(Value, &'static str)> {
    let row = |command: &str, host: &str| json!({"command": command, "host_path": host});
    vec![
        (row("$R/lv/.venv/bin/python", "$R/lv"), "python"),
        (row("$R/proj/.venv/bin/mcp-tool", "$R/proj"), "mcp-tool"),
        (
            row("$R/proj/.venv/bin/pythonw-tool", "$R/proj"),
            "pythonw-tool",
        ),
        (row("$R/proj/sub/.venv/bin/python", "$R/proj"), "python"),
    ]
}

#[test]
fn commands_are_rewritten_as_recorded() {
    let tree = Tree::new();
    let wrong: Vec<_> = wrongly_rewritten()
        .into_iter()
        .map(|(row, _)| row)
        .collect();
    let mut rows = 0;
    for row in vectors("rewrite_command") {
        if is_better(&row, &wrong) {
            continue;
        }
        let expected = tree.text(&row["out"]).unwrap();
        let found = tree.rewrite(&row["in"], rewrite_command, "command");
        assert_eq!(found, expected, "{row}");
        rows += 1;
    }
    assert_eq!(rows, 10);
}

#[test]
fn better_than_recorded_programs_of_an_environment_are_found_by_name() {
    let tree = Tree::new();
    for (row, better) in wrongly_rewritten() {
        assert_eq!(
            tree.rewrite(&row, rewrite_command, "command"),
            better,
            "{row}"
        );
    }
}

#[test]
fn manifests_are_found_as_recorded() {
    let tree = Tree::new();
    let roots = [tree.root.path().to_owned()];
    for row in vectors("classify") {
        let Some(path) = tree.text(&row["in"]).filter(|path| !path.trim().is_empty()) else {
            continue;
        };
        let found = Source::open(Path::new(&path), &roots).ok();
        let found = found.and_then(|source| source.manifest());
        let expected = match row["kind"].as_str() {
            Some("requirements") => Some(Manifest::Requirements),
            Some("package") => Some(Manifest::Package),
            // Better than recorded: what Node needs is installed, too.
            None if path.ends_with("/node") => Some(Manifest::Node),
            _ => None,
        };
        // A `setup.cfg` of the row is empty, but there.
        assert_eq!(found, expected, "{row}");
    }
}

#[test]
fn a_pyproject_for_tools_alone_is_no_package() {
    let tree = Tree::new();
    tree.write("tools/pyproject.toml", "[tool.black]\nline-length = 100\n");
    let source = Source::open(&tree.path("tools"), &[tree.root.path().to_owned()]).unwrap();
    assert_eq!(source.manifest(), None);
}
