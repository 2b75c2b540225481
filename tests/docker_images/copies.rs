//! Templates by copy: true, private, and gone with the instance.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

use envdeck::drivers::docker::template::{Applied, Templates};
use envdeck::drivers::docker::{Address, Engine};
use envdeck::model::{Stage, TemplateWay};
use futures::future::join_all;

use crate::lab::{Lab, TINY, docker, fill, inside, run, tiny_with};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn age(path: &Path, days: u64) -> SystemTime {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + days * 86_400);
    File::open(path)
        .unwrap()
        .set_times(FileTimes::new().set_modified(time))
        .unwrap();
    time
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_copy_is_true_and_shares_nothing() {
    let lab = Lab::new();
    let template = lab.template();
    fs::create_dir_all(template.join("deep/er")).unwrap();
    fs::write(template.join("deep/er/file"), "content").unwrap();
    fs::hard_link(template.join("deep/er/file"), template.join("twin")).unwrap();
    fs::write(template.join("empty"), "").unwrap();
    fs::set_permissions(template.join("deep/er/file"), Permissions::from_mode(0o751)).unwrap();
    fs::set_permissions(template.join("deep"), Permissions::from_mode(0o2750)).unwrap();
    symlink("deep/er/file", template.join("link")).unwrap();
    symlink("nowhere", template.join("dangling")).unwrap();
    let times = [
        age(&template.join("deep/er/file"), 1),
        age(&template.join("deep"), 2),
        age(&template, 3),
    ];

    let applied = lab
        .apply(&tiny_with(&lab, TemplateWay::Copy))
        .await
        .unwrap();
    let [copy] = &lab.copies()[..] else {
        panic!("one copy")
    };
    assert_eq!(
        fs::read_to_string(copy.join("deep/er/file")).unwrap(),
        "content"
    );
    assert_eq!(
        (mode(&copy.join("deep/er/file")), mode(&copy.join("deep"))),
        (0o751, 0o2750)
    );
    assert_eq!(
        fs::read_link(copy.join("link")).unwrap(),
        Path::new("deep/er/file")
    );
    assert_eq!(
        fs::read_link(copy.join("dangling")).unwrap(),
        Path::new("nowhere")
    );
    let modified = |path: &str| fs::metadata(copy.join(path)).unwrap().modified().unwrap();
    assert_eq!(
        [modified("deep/er/file"), modified("deep"), modified("")],
        times
    );
    for path in ["deep/er/file", "twin", "empty"] {
        let (ours, theirs) = (
            fs::metadata(copy.join(path)).unwrap(),
            fs::metadata(template.join(path)).unwrap(),
        );
        assert_eq!(ours.nlink(), 1, "{path}");
        assert_ne!(ours.ino(), theirs.ino(), "{path}");
    }
    fs::write(copy.join("deep/er/file"), "changed").unwrap();
    assert_eq!(
        fs::read_to_string(template.join("deep/er/file")).unwrap(),
        "content"
    );
    applied.remove().await.unwrap();
    assert!(lab.copies().is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_template_may_be_one_file() {
    let lab = Lab::new();
    let file = lab.template().join("settings.json");
    fs::write(&file, "{}").unwrap();
    let mut docker = tiny_with(&lab, TemplateWay::Copy);
    let template = docker.template.as_mut().unwrap();
    (template.source, template.target) = (file, "/etc/settings.json".into());
    let applied = lab.apply(&docker).await.unwrap();
    assert_eq!(inside(&lab, &applied, "cat /etc/settings.json"), "{}");
    drop(applied);
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn instances_do_not_see_each_other() {
    let lab = Lab::new();
    fs::write(lab.template().join("file"), "template").unwrap();
    let spec = tiny_with(&lab, TemplateWay::Copy);
    let (one, two) = (
        lab.apply(&spec).await.unwrap(),
        lab.apply(&spec).await.unwrap(),
    );
    let write = "echo one > /srv/data/file; mkdir /srv/data/new; cat /srv/data/file";
    assert_eq!(inside(&lab, &one, write), "one");
    assert_eq!(
        inside(&lab, &two, "cat /srv/data/file; ls /srv/data"),
        "templatefile"
    );
    assert_eq!(
        fs::read_to_string(lab.template().join("file")).unwrap(),
        "template"
    );
    drop(one);
    assert_eq!(inside(&lab, &two, "cat /srv/data/file"), "template");
    two.remove().await.unwrap();
    lab.is_clean().await;
}

/// What links point to outside of the template is neither copied, nor reached from the container, nor removed.
#[tokio::test]
#[ignore = "needs an engine"]
async fn links_lead_nowhere_outside() {
    let lab = Lab::new();
    let outside = lab.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "of the host").unwrap();
    let template = lab.template();
    symlink(&outside, template.join("directory")).unwrap();
    symlink(outside.join("secret"), template.join("absolute")).unwrap();
    symlink("../outside/secret", template.join("relative")).unwrap();
    symlink("..", template.join("up")).unwrap();
    let applied = lab
        .apply(&tiny_with(&lab, TemplateWay::Copy))
        .await
        .unwrap();
    let [copy] = &lab.copies()[..] else {
        panic!("one copy")
    };
    assert_eq!(
        fs::read_link(copy.join("absolute")).unwrap(),
        outside.join("secret")
    );
    let look = "cd /srv/data; cat directory/secret absolute relative up/outside/secret 2>/dev/null; \
                echo written > absolute; ls -A /srv; ln -s / root; echo end";
    let said = inside(&lab, &applied, look);
    assert!(!said.contains("of the host"), "{said}");
    assert!(said.ends_with("data\nend"), "{said}");
    // A link that a server made, to what the host's root could reach.
    symlink(&outside, copy.join("planted")).unwrap();
    applied.remove().await.unwrap();
    assert_eq!(
        fs::read_to_string(outside.join("secret")).unwrap(),
        "of the host"
    );
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_cannot_be_copied_is_refused_by_name_and_nothing_is_left() {
    let lab = Lab::new();
    fill(&lab.template(), 20);
    let spec = tiny_with(&lab, TemplateWay::Copy);
    let _socket = UnixListener::bind(lab.template().join("d7/socket")).unwrap();
    let failure = lab.apply(&spec).await.err().unwrap();
    assert_eq!(failure.stage, Stage::Prepare);
    assert!(failure.to_string().contains("holds a socket"), "{failure}");
    assert!(failure.to_string().contains("d7/socket"), "{failure}");
    fs::remove_file(lab.template().join("d7/socket")).unwrap();
    assert!(
        run("mkfifo", &[lab.template().join("pipe").to_str().unwrap()])
            .status
            .success()
    );
    let failure = lab.apply(&spec).await.err().unwrap();
    assert!(
        failure.to_string().contains("holds a named pipe"),
        "{failure}"
    );
    fs::remove_dir_all(lab.template()).unwrap();
    let failure = lab.apply(&spec).await.err().unwrap();
    assert!(
        failure
            .to_string()
            .contains(lab.template().to_str().unwrap()),
        "{failure}"
    );
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_engine_elsewhere_cannot_have_a_copy() {
    let lab = Lab::new();
    let spec = tiny_with(&lab, TemplateWay::Copy);
    let image = lab.tiny().await;
    let engine = Engine::at(Address::parse("tcp://192.0.2.1:2375").unwrap());
    let templates = Templates::new(engine, lab.folder.path().join("run-x/copies"));
    let (order, _told) = lab.order(&spec);
    let applied = templates.apply(spec.template.as_ref().unwrap(), &spec, &image, &order);
    let failure = applied.await.err().unwrap();
    assert!(failure.to_string().contains("192.0.2.1"), "{failure}");
    assert!(
        failure.to_string().contains("container_template_data_path"),
        "{failure}"
    );
}

/// One thread drives everything: if the copies were made there, nothing else could happen meanwhile.
#[tokio::test(flavor = "current_thread")]
#[ignore = "needs an engine"]
async fn copies_of_five_thousand_files_keep_nobody_waiting() {
    let lab = Lab::new();
    fill(&lab.template(), 5_000);
    let spec = tiny_with(&lab, TemplateWay::Copy);
    let mut others = 0;
    let ticking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            others += 1;
        }
    };
    let applied = tokio::select! {
        applied = join_all((0..3).map(|_| lab.apply(&spec))) => applied,
        () = ticking => unreachable!(),
    };
    assert!(others >= 20, "only {others} others had their turn");
    assert_eq!(lab.copies().len(), 3);
    for copy in lab.copies() {
        let is_whole = |number: &usize| {
            let file = copy.join(format!("d{}/f{number}", number % 50));
            fs::read_to_string(file).is_ok_and(|text| text == format!("content of {number}"))
        };
        assert_eq!((0..5_000).filter(is_whole).count(), 5_000);
    }
    for one in applied {
        one.unwrap().remove().await.unwrap();
    }
    lab.is_clean().await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn the_user_of_the_container_may_write_to_its_copy() {
    let lab = Lab::new();
    fs::create_dir(lab.template().join("folder")).unwrap();
    fs::write(lab.template().join("folder/file"), "before").unwrap();
    for user in ["1000:1000", "app"] {
        let mut spec = tiny_with(&lab, TemplateWay::Copy);
        spec.options.user = Some(user.into());
        let applied = lab.apply(&spec).await.unwrap();
        let Applied::Copy { .. } = &applied else {
            panic!("a copy")
        };
        let [copy] = &lab.copies()[..] else {
            panic!("one copy")
        };
        let volume = format!("{}:/srv/data", copy.display());
        let write = "echo after > /srv/data/folder/file && touch /srv/data/new && cat /srv/data/folder/file";
        let said = docker(&[
            "run",
            "--rm",
            "--user",
            user,
            "--cap-drop",
            "ALL",
            "--volume",
            &volume,
            TINY,
            "sh",
            "-c",
            write,
        ]);
        assert_eq!(said, "after", "{user}");
        applied.remove().await.unwrap();
    }
    let mut spec = tiny_with(&lab, TemplateWay::Copy);
    spec.options.user = Some("nobody-knows".into());
    let failure = lab.apply(&spec).await.err().unwrap();
    assert!(
        failure
            .to_string()
            .contains("has no user or group nobody-knows"),
        "{failure}"
    );
    lab.is_clean().await;
}
