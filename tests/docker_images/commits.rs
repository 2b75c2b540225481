//! Templates by image: made once, shared, and gone with the last user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use envdeck::drivers::docker::template::Applied;
use envdeck::model::{
    Cause, Failure, HealthCheck, HealthTest, LocalDocker, Mount, StartupCheck, TemplateWay,
};
use futures::future::join_all;
use serde_json::json;

use crate::lab::{Lab, TINY, backend, docker, fill, inside, tiny_with};

fn committed(applied: &Applied) -> String {
    applied.image().expect("an image").id().to_string()
}

async fn fails(lab: &Lab, spec: &LocalDocker, words: &str) -> Failure {
    let failure = lab.apply(spec).await.err().expect("it fails");
    assert!(
        failure.to_string().contains(words),
        "{words:?} is not in: {failure}"
    );
    failure
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn the_data_is_in_the_image_with_its_modes_and_links() {
    let lab = Lab::new();
    let template = lab.template();
    fs::create_dir(template.join("folder")).unwrap();
    fs::write(template.join("folder/file"), "content").unwrap();
    fs::set_permissions(template.join("folder/file"), Permissions::from_mode(0o640)).unwrap();
    symlink("/etc/passwd", template.join("link")).unwrap();
    let applied = lab
        .apply(&tiny_with(&lab, TemplateWay::Image))
        .await
        .unwrap();
    assert!(applied.mount().is_none());
    let reference = applied.image().unwrap().reference().to_string();
    assert_eq!(
        docker(&["image", "inspect", "--format", "{{.Id}}", &reference]),
        committed(&applied)
    );
    let look =
        "cd /srv/data; cat folder/file; stat -c %a folder/file; readlink link; grep -c root: link";
    assert_eq!(inside(&lab, &applied, look), "content640\n/etc/passwd\n1");
    // The image is the base image otherwise.
    let format = "{{.Config.Cmd}} {{.Config.Env}}";
    let config = |image: &str| docker(&["image", "inspect", "--format", format, image]);
    assert_eq!(config(&reference), config(TINY));
    drop(applied);
    lab.is_clean().await;
    assert!(docker(&["image", "ls", "--quiet", &reference]).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn eight_at_once_share_one_image_and_nothing_else() {
    let lab = Lab::new();
    fill(&lab.template(), 200);
    let spec = tiny_with(&lab, TemplateWay::Image);
    let all: Vec<Applied> = join_all((0..8).map(|_| lab.apply(&spec)))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(
        all.iter()
            .all(|applied| committed(applied) == committed(&all[0]))
    );
    assert_eq!(lab.left().len(), 1, "{:?}", lab.left());
    let write = "cat /srv/data/d1/f1; echo mine > /srv/data/d1/f1; cat /srv/data/d1/f1";
    for applied in &all {
        assert_eq!(inside(&lab, applied, write), "content of 1mine");
    }
    assert_eq!(
        fs::read_to_string(lab.template().join("d1/f1")).unwrap(),
        "content of 1"
    );
    let mut all = all.into_iter();
    let last = all.next_back();
    drop(all);
    // One that comes later shares what is still there.
    let late = lab.apply(&spec).await.unwrap();
    assert_eq!(committed(&late), committed(last.as_ref().unwrap()));
    drop((last, late));
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn another_content_is_another_image_and_a_later_time_is_not() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "one").unwrap();
    let spec = tiny_with(&lab, TemplateWay::Image);
    let one = lab.apply(&spec).await.unwrap();
    fs::write(lab.template().join("file"), "one").unwrap();
    let same = lab.apply(&spec).await.unwrap();
    fs::write(lab.template().join("file"), "two").unwrap();
    let two = lab.apply(&spec).await.unwrap();
    assert_eq!(committed(&one), committed(&same));
    assert_ne!(committed(&one), committed(&two));
    assert_eq!(inside(&lab, &one, "cat /srv/data/file"), "one");
    assert_eq!(inside(&lab, &two, "cat /srv/data/file"), "two");
    drop((one, same, two));
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn the_image_stays_until_its_last_container_is_gone() {
    let lab = Lab::new();
    let applied = lab
        .apply(&tiny_with(&lab, TemplateWay::Image))
        .await
        .unwrap();
    let label = format!("envdeck.run={}", lab.run);
    let container = docker(&[
        "run",
        "--detach",
        "--init",
        "--label",
        &label,
        &committed(&applied),
        "sleep",
        "60",
    ]);
    drop(applied);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(lab.left().len(), 2, "{:?}", lab.left());
    docker(&["rm", "--force", &container]);
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn five_thousand_files_are_uploaded_and_large_ones_whole() {
    let lab = Lab::new();
    fill(&lab.template(), 5_000);
    let large: Vec<u8> = (0..40_000_000_u32)
        .map(|number| number.to_le_bytes()[1])
        .collect();
    fs::write(lab.template().join("large"), &large).unwrap();
    let applied = lab
        .apply(&tiny_with(&lab, TemplateWay::Image))
        .await
        .unwrap();
    let look = "cd /srv/data; find . -type f | wc -l; cat d33/f4983; echo; sha256sum < large";
    let said = inside(&lab, &applied, look);
    let sum = sha256(&lab.template().join("large"));
    assert_eq!(said, format!("5001\ncontent of 4983\n{sum}  -"));
    drop(applied);
    lab.is_clean().await;
}

fn sha256(path: &Path) -> String {
    let output = crate::lab::run("sha256sum", &[path.to_str().unwrap()]);
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn it_goes_where_the_image_has_nothing_or_a_link_or_a_directory() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "content").unwrap();
    // `/lib` is a link to `usr/lib` in the image, `/data` an empty directory.
    for target in ["/a/b/c", "/lib/data", "/data", "/data/", "/"] {
        let mut spec = tiny_with(&lab, TemplateWay::Image);
        spec.template.as_mut().unwrap().target = target.into();
        let applied = lab.apply(&spec).await.unwrap();
        let look = format!("cat {target}/file; test -L /lib && test -x /bin/sh && echo whole");
        assert_eq!(inside(&lab, &applied, &look), "contentwhole", "{target}");
    }
    let mut spec = tiny_with(&lab, TemplateWay::Image);
    let template = spec.template.as_mut().unwrap();
    (template.source, template.target) = (lab.template().join("file"), "/etc/new/one".into());
    let applied = lab.apply(&spec).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /etc/new/one"), "content");
    drop(applied);
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn it_belongs_to_the_user_of_the_container() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "content").unwrap();
    let mut spec = tiny_with(&lab, TemplateWay::Image);
    spec.template.as_mut().unwrap().target = "/data".into();
    for (user, shown) in [("app", "1000 1000"), ("1234:5", "1234 5")] {
        spec.options.user = Some(user.into());
        let applied = lab.apply(&spec).await.unwrap();
        assert_eq!(
            inside(&lab, &applied, "stat -c '%u %g' /data /data/file"),
            format!("{shown}\n{shown}")
        );
    }
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_is_no_part_of_an_image_is_refused() {
    let lab = Lab::new();
    let mut spec = tiny_with(&lab, TemplateWay::Image);
    spec.options
        .storage
        .mounts
        .push(Mount::of_host("/tmp", "/srv"));
    fails(&lab, &spec, "/srv is a volume of the container").await;
    spec.options.storage.mounts.clear();
    spec.options
        .storage
        .tmpfs
        .insert("/srv/data".into(), String::new());
    fails(&lab, &spec, "/srv/data is a volume of the container").await;
    let spec = tiny_with(&lab, TemplateWay::Image);
    let built = derived(&lab, "VOLUME /srv/data/db");
    fails(
        &lab,
        &LocalDocker {
            image: built.0.clone(),
            ..spec
        },
        "/srv/data/db is a volume",
    )
    .await;
    let mut spec = tiny_with(&lab, TemplateWay::Image);
    spec.template.as_mut().unwrap().target = "/etc/passwd".into();
    fails(&lab, &spec, "cannot upload the template").await;
    lab.is_clean().await;
}

/// The tiny image with one more line.
struct Built(String);

fn derived(lab: &Lab, line: &str) -> Built {
    let name = format!("envdeck-tests/derived-{:08x}", rand::random::<u32>());
    let folder = lab.folder.path().join("build");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), format!("FROM {TINY}\n{line}\n")).unwrap();
    let output = std::process::Command::new("docker")
        .args([
            "build",
            "--quiet",
            "--force-rm",
            "--tag",
            &name,
            folder.to_str().unwrap(),
        ])
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Built(name)
}

impl Drop for Built {
    fn drop(&mut self) {
        crate::lab::run("docker", &["rmi", "--force", &self.0]);
    }
}

/// A server that makes an index of its data first.
fn indexing(lab: &Lab) -> LocalDocker {
    let script = "ls /srv/data > /srv/index; test -e /srv/data/ill && exit 3; echo ready > /tmp/ready; exec serve";
    LocalDocker {
        command: Some(["sh", "-c", script].map(str::to_owned).into()),
        ..tiny_with(lab, TemplateWay::Image)
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_template_container_runs_until_it_is_healthy() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "").unwrap();
    let mut spec = indexing(&lab);
    let probe = HealthCheck {
        test: Some(HealthTest::Shell("test -e /tmp/ready".into())),
        interval: Some(Duration::from_millis(100)),
        retries: Some(1),
        ..HealthCheck::default()
    };
    spec.options.health = probe.clone();
    let applied = lab.apply(&spec).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /srv/index"), "file");
    drop(applied);
    let test = Some(HealthTest::Shell("echo no index; exit 1".into()));
    spec.options.health = HealthCheck { test, ..probe };
    fails(&lab, &spec, "is unhealthy: no index").await;
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_template_container_runs_until_its_start_up_check_succeeds_and_may_be_tried_again() {
    let lab = Lab::new();
    let check = |tool: &str, path: &str| StartupCheck {
        tool: tool.into(),
        arguments: json!({ "path": path }),
    };
    let mut backend = backend(indexing(&lab));
    backend.startup_check = Some(check("read", "/srv/data/file"));
    let failure = lab.apply_of(backend.clone()).await.err().unwrap();
    assert!(
        failure
            .to_string()
            .contains("start-up check `read` of the template"),
        "{failure}"
    );
    assert!(failure.to_string().contains("No such file"), "{failure}");
    fs::write(lab.template().join("file"), "").unwrap();
    let applied = lab.apply_of(backend.clone()).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /srv/index"), "file");
    drop(applied);
    backend.startup_check = Some(check("nothing", ""));
    let failure = lab.apply_of(backend).await.err().unwrap();
    assert!(
        failure.to_string().contains("the server has no such tool"),
        "{failure}"
    );
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_delay_that_is_configured_is_kept_and_an_early_end_is_judged_by_its_status() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "").unwrap();
    let mut spec = indexing(&lab);
    spec.commit_delay = Some(Duration::from_secs(1));
    let applied = lab.apply(&spec).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /srv/index"), "file");
    drop(applied);
    fs::write(lab.template().join("ill"), "").unwrap();
    let failure = lab.apply(&spec).await.err().unwrap();
    assert!(
        matches!(&failure.cause, Cause::Exited(exit) if exit.code == Some(3)),
        "{failure}"
    );
    spec.command = Some(
        ["sh", "-c", "ls /srv/data > /srv/index"]
            .map(str::to_owned)
            .into(),
    );
    let applied = lab.apply(&spec).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /srv/index"), "file\nill");
    drop(applied);
    lab.is_clean().await;
}
