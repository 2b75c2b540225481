//! Somebody who is not root, and servers that are.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use envdeck::model::{RunId, TemplateWay};
use envdeck::runs;
use nix::unistd::geteuid;

use crate::lab::{Lab, TINY, docker, tiny_with};

/// Runs this very test once more as a user who may use the engine and nothing else, if root runs it; returns
/// whether that was done.
fn done_by_another(test: &str) -> bool {
    if !geteuid().is_root() {
        return false;
    }
    // Where everybody may execute it.
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let socket = fs::metadata("/var/run/docker.sock").expect("the usual socket");
    let group = socket.gid().to_string();
    let output = Command::new("setpriv")
        .args(["--reuid=1000", "--regid", &group, "--clear-groups"])
        .arg(&program)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("HOME", folder.path())
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .output()
        .expect("setpriv");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{errors}"
    );
    true
}

/// As a server that runs as root does.
fn write_as_root(folder: &Path) {
    let volume = format!("{}:/there", folder.display());
    let script = "mkdir -m 700 /there/private && echo secret > /there/private/file && echo done";
    assert_eq!(
        docker(&["run", "--rm", "--volume", &volume, TINY, "sh", "-c", script]),
        "done"
    );
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_a_server_wrote_as_root_is_removed_with_its_copy() {
    if done_by_another("users::what_a_server_wrote_as_root_is_removed_with_its_copy") {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "").unwrap();
    let spec = tiny_with(&lab, TemplateWay::Copy);
    let applied = [
        lab.apply(&spec).await.unwrap(),
        lab.apply(&spec).await.unwrap(),
        lab.apply(&spec).await.unwrap(),
    ];
    for copy in lab.copies() {
        write_as_root(&copy);
        assert!(fs::remove_dir_all(&copy).is_err(), "only root can");
    }
    let [one, two, three] = applied;
    drop((one, two));
    three.remove().await.unwrap();
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_copy_belongs_to_whoever_runs_in_the_container() {
    if done_by_another("users::a_copy_belongs_to_whoever_runs_in_the_container") {
        return;
    }
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "").unwrap();
    let mut spec = tiny_with(&lab, TemplateWay::Copy);
    spec.options.user = Some("1234:1234".into());
    let applied = lab.apply(&spec).await.unwrap();
    let [copy] = &lab.copies()[..] else {
        panic!("one copy")
    };
    let found = fs::metadata(copy.join("file")).unwrap();
    assert_eq!((found.uid(), found.gid()), (1234, 1234));
    applied.remove().await.unwrap();
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn copies_of_killed_runs_are_removed_and_those_of_living_ones_stay() {
    if done_by_another("users::copies_of_killed_runs_are_removed_and_those_of_living_ones_stay") {
        return;
    }
    let lab = Lab::new();
    let cache = lab.folder.path();
    let copy = |run: &str| {
        let copy = cache.join(run).join("copies/test-1");
        fs::create_dir_all(&copy).unwrap();
        write_as_root(&copy);
        fs::File::create(cache.join(run).join("lock")).unwrap()
    };
    copy("run-killed");
    let living = copy("run-living");
    living.lock().unwrap();
    let killed = runs::sweep(cache).unwrap();
    assert_eq!(killed, [RunId::new("killed")]);
    assert!(
        cache.join("gone-killed").exists(),
        "only root can remove it"
    );
    assert_eq!(lab.templates.reap(&lab.run).await.unwrap(), 1);
    assert!(!cache.join("gone-killed").exists());
    assert!(cache.join("run-living/copies/test-1/private").exists());
    drop(living);
    runs::sweep(cache).unwrap();
    assert_eq!(lab.templates.reap(&lab.run).await.unwrap(), 1);
    assert_eq!(lab.templates.reap(&lab.run).await.unwrap(), 0);
    lab.is_clean().await;
}
