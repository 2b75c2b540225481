//! Registries that ask who is there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use envdeck::drivers::Steps;
use envdeck::drivers::docker::image::{Image, Logins};
use envdeck::model::{Failure, Pull};
use tokio::time::timeout;

use crate::lab::{Lab, PATIENCE, wanted};
use crate::registry::{PASSWORD, Registry, USER};

async fn pull(config: &Path, name: &str) -> Result<Image, Failure> {
    let lab = Lab::with(Logins::at(config, config), Duration::from_secs(60));
    let steps = Steps::new().0;
    let wanted = wanted(name, Pull::Missing);
    timeout(PATIENCE, lab.images.ensure(&wanted, &steps))
        .await
        .expect("it ends")
}

fn helper(folder: &Path, script: &str) {
    let path = folder.join("docker-credential-test");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
#[ignore = "needs an engine, docker-registry and htpasswd"]
async fn the_login_in_the_file_opens_the_registry() {
    let registry = Registry::with_login();
    let pushed = registry.push("private/image", 100);
    let config = registry.login(&registry.basic(PASSWORD));
    assert_eq!(*pull(&config, &pushed.name).await.unwrap().id, pushed.id);
}

#[tokio::test]
#[ignore = "needs an engine, docker-registry and htpasswd"]
async fn a_credential_helper_opens_the_registry() {
    let registry = Registry::with_login();
    let pushed = registry.push("private/image", 100);
    let config = registry.login(r#"{"credsStore": "test"}"#);
    helper(
        &config,
        &format!(r#"echo '{{"Username": "{USER}", "Secret": "{PASSWORD}"}}'"#),
    );
    assert_eq!(*pull(&config, &pushed.name).await.unwrap().id, pushed.id);
}

#[tokio::test]
#[ignore = "needs an engine, docker-registry and htpasswd"]
async fn without_a_good_login_the_failure_says_where_to_log_in_and_no_secret() {
    let registry = Registry::with_login();
    let pushed = registry.push("private/image", 100);
    let hint = format!("docker login 127.0.0.1:{}", registry.port);
    let config = registry.login("{}");
    let failure = pull(&config, &pushed.name).await.unwrap_err();
    assert!(failure.to_string().contains(&hint), "{failure}");

    let config = registry.login(&registry.basic("wrong-password"));
    let failure = pull(&config, &pushed.name).await.unwrap_err();
    assert!(failure.to_string().contains(&hint), "{failure}");
    assert!(
        !format!("{failure:?}").contains("wrong-password"),
        "{failure:?}"
    );

    let config = registry.login(r#"{"credsStore": "test"}"#);
    helper(&config, "echo the key ring is locked; exit 1");
    let failure = pull(&config, &pushed.name).await.unwrap_err();
    assert!(
        failure
            .to_string()
            .contains("docker-credential-test: exit status: 1: the key ring is locked"),
        "{failure}"
    );
}
