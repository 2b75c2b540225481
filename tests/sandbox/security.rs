//! What servers in sandboxes cannot do: to the host, to one another, and to what is cleared up after them.

use std::time::{Duration, Instant};

use envdeck::model::{Command, Secret};

use crate::bench::PATIENCE;
use crate::lab::{
    Lab, assert_ready, fact, inside, is_in_a_command_line, lasting, once, only, ready_for_the,
    snapshot,
};

const SECRET: &str = "hunter2-of-the-sandbox-tests";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn servers_that_share_a_sandbox_cannot_read_or_touch_one_another() {
    let lab = Lab::new().await;
    let mut victim = lab.projects.tiny_sandbox("victim");
    victim.env.insert("TOKEN".into(), Secret::new(SECRET));
    lab.projects.write("victim/.env", "KEY=also-secret");
    let thief = lab.projects.tiny_sandbox("thief");
    let deck = lab.deck(vec![lasting("victim", victim), lasting("thief", thief)]);
    deck.open(&[("victim", 1), ("thief", 1)]).await;
    let (victim, thief) = (only(&deck, "victim"), only(&deck, "thief"));
    assert_eq!(lab.sandboxes().await.len(), 1);
    let own = inside(
        &deck,
        &victim,
        "tr '\\0' '\\n' </proc/$PPID/environ | grep TOKEN",
    )
    .await;
    assert_eq!(own, format!("TOKEN={SECRET}"));

    let place = format!("/workspace/.mcp/{victim}");
    let theft = format!(
        "cat /proc/[0-9]*/environ {place}/workspace/.env; ls -R {place}; grep -a '' /proc/[0-9]*/mem"
    );
    let stolen = inside(&deck, &thief, &theft).await;
    assert!(
        !stolen.contains(SECRET) && !stolen.contains("also-secret"),
        "{stolen}"
    );
    assert!(stolen.contains("Permission denied"), "{stolen}");
    // No forged answers in its streams, no signals, none of its files.
    let harm = format!(
        "for one in /proc/[0-9]*/fd/1; do echo forged > $one; done; kill -KILL -1; \
         mv {place} {place}.stolen; rm -rf {place}; ln -s /etc {place}/x; echo done"
    );
    inside(&deck, &victim, "true").await;
    let _ = deck
        .call(
            &thief,
            "sh",
            &serde_json::json!({"script": harm}).to_string(),
        )
        .await;
    assert_ready(&deck, "victim");
    let files = inside(&deck, &victim, "ls -A").await;
    assert_eq!(files, ".env\nserver.py");
    assert!(
        deck.instance(&victim).death.is_none(),
        "{}",
        deck.log(&victim)
    );
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn other_sessions_are_in_other_sandboxes() {
    let lab = Lab::new().await;
    let mut sandbox = lab.projects.tiny_sandbox("tiny");
    sandbox.env.insert("TOKEN".into(), Secret::new(SECRET));
    let deck = lab.deck(vec![once("tiny", sandbox)]);
    let one = deck.open_one("tiny").await;
    let two = deck.open_one("tiny").await;
    assert_eq!(lab.sandboxes().await.len(), 2);
    let places = inside(&deck, &two, "ls /workspace/.mcp; cat /proc/[0-9]*/cmdline").await;
    assert!(!places.contains(one.as_str()), "{places}");
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn links_planted_inside_lead_neither_staging_nor_clearing_up_astray() {
    let lab = Lab::new().await;
    lab.projects.write("kept/precious.txt", "precious");
    let planter = lab.projects.tiny_sandbox("planter");
    let other = lab.projects.tiny_sandbox("other");
    let deck = lab.deck(vec![once("planter", planter), once("other", other)]);
    deck.open(&[("planter", 1), ("other", 1)]).await;
    let (planter, other) = (only(&deck, "planter"), only(&deck, "other"));
    let before = snapshot(&lab.projects.path(""));
    let host = lab.projects.path("kept").display().to_string();
    let plant = format!(
        "cd .. && mv workspace real && ln -s {host} workspace && ln -s /workspace/.mcp/{other} next && \
         ln -s /etc last && ln -s /workspace/.mcp/{other}/workspace real/.venv; ls -l"
    );
    let shown = inside(&deck, &planter, &plant).await;
    assert!(shown.contains("workspace ->"), "{shown}");
    // A new copy is put in the place of what was planted.
    deck.request(Command::Restart(planter.clone()))
        .await
        .unwrap();
    ready_for_the(2, &deck, &planter).await;
    let kind = inside(&deck, &planter, "test -L ../workspace || ls").await;
    assert_eq!(kind, "server.py");
    assert_eq!(snapshot(&lab.projects.path("")), before);
    assert_eq!(inside(&deck, &other, "ls").await, "server.py");

    // And in the place itself, when it is removed while others live.
    inside(
        &deck,
        &planter,
        &plant.replace("cd .. &&", "cd .. && rm -rf next last real &&"),
    )
    .await;
    deck.request(Command::Remove(planter.clone()))
        .await
        .unwrap();
    deck.wait_until("it is gone", |fleet| fleet.instance(&planter).is_none())
        .await;
    // It goes while nobody waits for it.
    let deadline = Instant::now() + PATIENCE;
    while inside(&deck, &other, "ls /workspace/.mcp").await != other.as_str() {
        assert!(Instant::now() < deadline, "its place is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(inside(&deck, &other, "ls").await, "server.py");
    assert_eq!(snapshot(&lab.projects.path("")), before);
    lab.down(deck).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Docker engine and images"]
async fn no_command_line_of_the_host_holds_a_secret() {
    let lab = Lab::new().await;
    let script = lab.projects.tiny("project");
    // Both while dependencies are installed, and afterwards.
    lab.projects.write(
        "project/requirements.txt",
        "--index-url http://127.0.0.1:9/simple\nidna\n",
    );
    let mut sandbox = lab
        .projects
        .sandbox(crate::lab::PYTHON, "python", &[&script]);
    sandbox.env.insert("TOKEN".into(), Secret::new(SECRET));
    let installing = format!("{SECRET}-of-the-installation");
    sandbox
        .install
        .env
        .insert("PIP_PASSWORD".into(), Secret::new(&installing));
    let mut running = lab.projects.tiny_sandbox("running");
    running.env.insert("TOKEN".into(), Secret::new(SECRET));
    let deck = lab.deck(vec![once("installing", sandbox), once("running", running)]);
    let opening = deck.asking(crate::deck::open(&[("installing", 1), ("running", 1)]));
    let mut looks = 0;
    while !opening.is_finished() {
        assert!(!is_in_a_command_line(SECRET));
        looks += 1;
        tokio::task::yield_now().await;
    }
    assert!(looks > 0);
    opening.await.unwrap().unwrap();
    assert_ready(&deck, "running");
    assert!(!is_in_a_command_line(SECRET));
    let shown = format!(
        "{:?} {} {}",
        deck.fleet(),
        deck.log(&only(&deck, "running")),
        deck.log(&only(&deck, "installing"))
    );
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!fact(&deck, "running", "command").contains(SECRET));
    lab.down(deck).await;
}
