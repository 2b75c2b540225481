//! The five tools, as clients of the predecessor use them and as it should have answered.

use std::collections::HashSet;

use envdeck::model::{Caller, Command, Phase};
use serde_json::{Value, json};

use crate::agent::{Agent, at, nth, opened};
use crate::rig::Rig;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_opened_used_and_cleaned_up() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let asks = json!({ "backends": [{ "backend_name_ref": "demo", "num_instances": 2 }] });
    let answer = agent.answer("initialize_session", asks).await;
    assert_eq!(keys(&answer), ["rk_session_id", "initialized_backends"]);
    let backend = &answer["initialized_backends"][0];
    assert_eq!(keys(backend), ["backend_name_ref", "instances"]);
    assert_eq!(backend["backend_name_ref"], "demo");
    let info = &backend["instances"][0];
    assert_eq!(
        keys(info),
        [
            "instance_id",
            "backend_name_ref",
            "orchestration_mode",
            "mcp_transport",
            "internal_instance_details"
        ]
    );
    assert_eq!(info["orchestration_mode"], "embedded");
    assert_eq!(info["mcp_transport"], "stdio");

    let session = opened(&answer);
    assert_eq!(session.instances.len(), 2);
    assert_eq!(session.id.len(), 32);
    for index in 0..2 {
        let call = nth(&session, index, "add", &json!({ "a": 1, "b": 2 }));
        let result = agent.answer("call_backend_tool", call).await;
        assert_eq!(keys(&result), ["content", "structuredContent", "isError"]);
        assert_eq!(result["structuredContent"]["sum"], 3.0);
    }
    let (backend, instance) = &session.instances[0];
    let list = json!({
        "rk_session_id": session.id, "backend_name_ref": backend, "instance_id": instance,
    });
    let list = agent.answer("list_backend_tools", list).await;
    assert_eq!(keys(&list), ["tools"]);
    let echo = &list["tools"][0];
    assert_eq!(echo["name"], "echo");
    assert_eq!(echo["inputSchema"]["type"], "object");

    let cleanup = json!({ "rk_session_id": session.id });
    for status in [
        "cleaned",
        "custom_session_data_not_found_or_already_cleaned",
    ] {
        let answer = agent.answer("cleanup_session", cleanup.clone()).await;
        assert_eq!(
            answer,
            json!({ "status": status, "rk_session_id": session.id })
        );
    }
    assert_eq!(rig.sessions(), []);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_are_accepted_wrapped_in_args() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let asks = json!({ "args": { "backends": [{ "backend_name_ref": "demo" }] } });
    let session = opened(&agent.answer("initialize_session", asks).await);
    let call = at(&session, "echo", &json!({ "text": "hi" }));
    let result = agent
        .answer("call_backend_tool", json!({ "args": call }))
        .await;
    assert_eq!(result["content"][0]["text"], "hi");
    let asked = json!({ "args": { "rk_session_id": session.id } });
    let pong = agent.answer("ping", asked).await;
    assert_eq!(pong, json!({ "reply": "pong", "session_id": session.id }));
    let quoted = json!({ "args": json!({ "rk_session_id": session.id }).to_string() });
    let answer = agent.answer("cleanup_session", quoted).await;
    assert_eq!(answer["status"], "cleaned");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_needs_no_session() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let pong = agent.answer("ping", json!({})).await;
    let transport = agent.session.clone().unwrap();
    assert_eq!(pong, json!({ "reply": "pong", "session_id": transport }));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_backend_that_fails_says_why_and_the_others_work() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let asks = json!({ "backends": [
        { "backend_name_ref": "broken", "num_instances": 2 },
        { "backend_name_ref": "dmeo" },
        { "backend_name_ref": "demo" },
        { "backend_name_ref": "demo", "template_details": "/etc" },
        { "backend_name_ref": "demo", "num_instances": 2 },
    ] });
    let answer = agent.answer("initialize_session", asks).await;
    let backends = answer["initialized_backends"].as_array().unwrap();
    let counts: Vec<_> = backends
        .iter()
        .map(|one| one["instances"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [0, 0, 1, 0, 2]);
    let why = |index: usize| {
        backends[index]["error_message"]
            .as_str()
            .unwrap_or_default()
    };
    assert!(
        why(0).starts_with("2 of 2 instances failed: "),
        "{}",
        why(0)
    );
    assert!(why(0).contains("exited with status 7"), "{}", why(0));
    assert!(why(1).contains("did you mean `demo`?"), "{}", why(1));
    assert_eq!(why(2), "");
    assert!(why(3).contains("template_roots"), "{}", why(3));

    // Each is in the session, and all of them can be told apart.
    let session = opened(&answer);
    let ids: HashSet<_> = session.instances.iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), 3);
    let fleet = rig.fleet();
    let instances = &fleet.sessions[&rig.sessions()[0]].instances;
    assert_eq!(
        instances.len(),
        5,
        "the failed ones are there for the operator to see"
    );
    assert_eq!(
        instances
            .values()
            .filter(|one| one.phase == Phase::Failed)
            .count(),
        2
    );
    agent.close(&session).await;
    assert_eq!(rig.sessions(), []);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_nothing_is_a_session() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    for backends in [json!([]), json!([{ "backend_name_ref": "no such thing" }])] {
        let answer = agent
            .answer("initialize_session", json!({ "backends": backends }))
            .await;
        let session = opened(&answer);
        assert_eq!(session.instances, []);
        agent.close(&session).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_instance_is_the_same_for_all_and_outlives_them() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let one = agent.open(&[("common", 3), ("demo", 1)]).await;
    let two = agent.open(&[("common", 1)]).await;
    let shared: HashSet<_> = one.instances[..3].iter().chain(&two.instances).collect();
    assert_eq!(shared.len(), 1, "{one:?} {two:?}");
    assert_eq!(rig.fleet().instances().count(), 2, "it exists once");
    let hello = json!({ "text": "hello" });
    agent
        .answer("call_backend_tool", at(&one, "echo", &hello))
        .await;
    agent.close(&one).await;
    let result = agent
        .answer("call_backend_tool", at(&two, "echo", &hello))
        .await;
    assert_eq!(result["content"][0]["text"], "hello");
    rig.wait_until("it was made on behalf of the agent's session", |fleet| {
        let last = fleet.calls.values().last();
        last.is_some_and(|call| call.session.as_str() == two.id)
    })
    .await;

    // Who has not asked for it may not use it, and nobody may end it.
    let other = agent.open(&[("demo", 1)]).await;
    let mut call = at(&two, "echo", &hello);
    call["rk_session_id"] = other.id.clone().into();
    let refusal = agent.refusal("call_backend_tool", call).await;
    assert!(refusal.contains("has no instance"), "{refusal}");
    let answer = agent
        .answer("cleanup_session", json!({ "rk_session_id": "shared" }))
        .await;
    assert_eq!(
        answer["status"],
        "custom_session_data_not_found_or_already_cleaned"
    );
    let mut call = at(&two, "echo", &hello);
    call["rk_session_id"] = "shared".into();
    let refusal = agent.refusal("call_backend_tool", call).await;
    assert!(refusal.contains("there is no session"), "{refusal}");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_instance_is_waited_for_where_everything_is_only_just_starting() {
    for _ in 0..10 {
        let rig = Rig::new().await;
        let mut agent = Agent::join(&rig).await;
        let session = agent.open(&[("common", 1)]).await;
        assert_eq!(session.instances.len(), 1);
        rig.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_in_words() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 2)]).await;
    let call = |change: &dyn Fn(&mut Value)| {
        let mut call = at(&session, "echo", &json!({ "text": "x" }));
        change(&mut call);
        call
    };
    let cases: [(Value, &str); 9] = [
        (json!({}), "`rk_session_id` is missing"),
        (json!([1]), "the arguments must be an object, not a list"),
        (
            json!({ "args": 5 }),
            "the arguments must be an object, not a number",
        ),
        (
            call(&|it| it["rk_session_id"] = "nobody".into()),
            "there is no session `nobody`",
        ),
        (
            call(&|it| it["rk_session_id"] = "x".repeat(10_000).into()),
            "there is no session `xxx",
        ),
        (
            call(&|it| it["instance_id"] = "nothing".into()),
            "has no instance `nothing`",
        ),
        (
            call(&|it| it["backend_name_ref"] = "other".into()),
            "is one of `demo`, not of `other`",
        ),
        (
            call(&|it| it["tool_args"] = json!([])),
            "`tool_args` must be an object, not a list",
        ),
        (
            call(&|it| it["tool_name"] = 5.into()),
            "`tool_name` must be text, not a number",
        ),
    ];
    for (arguments, words) in cases {
        let refusal = agent.refusal("call_backend_tool", arguments.clone()).await;
        assert!(refusal.contains(words), "{arguments}: {refusal}");
        assert!(refusal.starts_with("call_backend_tool: "), "{refusal}");
    }
    let cases = [
        (json!({}), "`backends` is missing"),
        (json!({ "backend": [] }), "is `backend` meant to be it?"),
        (
            json!({ "backends": {} }),
            "`backends` must be a list, not an object",
        ),
        (
            json!({ "backends": [5] }),
            "backends[0] must be an object, not a number",
        ),
        (
            json!({ "backends": [{}] }),
            "backends[0]: `backend_name_ref` is missing",
        ),
        (
            json!({ "backends": [{ "backend_name_ref": "demo", "num_instance": 2 }] }),
            "backends[0] knows no `num_instance`; did you mean `num_instances`?",
        ),
        (
            json!({ "backends": [{ "backend_name_ref": "demo", "num_instances": 0 }] }),
            "backends[0]: `num_instances` must be a whole number of at least 1, not 0",
        ),
    ];
    for (arguments, words) in cases {
        let refusal = agent.refusal("initialize_session", arguments.clone()).await;
        assert!(refusal.contains(words), "{arguments}: {refusal}");
    }
    assert_eq!(rig.sessions().len(), 1, "nothing was opened");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_died_says_why() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let crash = at(&session, "crash", &json!({ "status": 3 }));
    let refusal = agent.refusal("call_backend_tool", crash).await;
    assert!(refusal.contains("exited with status 3"), "{refusal}");
    let again = agent
        .refusal(
            "call_backend_tool",
            at(&session, "echo", &json!({ "text": "x" })),
        )
        .await;
    assert!(again.contains("exited with status 3"), "{again}");
    agent.close(&session).await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_are_seen_and_the_operator_shares_their_instances() {
    let rig = Rig::new().await;
    let mut agent = Agent::join(&rig).await;
    let session = agent.open(&[("demo", 1)]).await;
    let shown = rig.wait_until("the client is shown", |fleet| {
        fleet.gateway.is_some_and(|gateway| gateway.clients == 1)
    });
    assert_eq!(shown.await.gateway.unwrap().address, rig.address);
    let fleet = rig.fleet();
    let seen = &fleet.sessions[&rig.sessions()[0]];
    assert_eq!(seen.caller, Caller::Agent("tester".into()));
    let call = at(&session, "echo", &json!({ "text": "x" }));
    agent.answer("call_backend_tool", call).await;
    let calls = rig.wait_until("the call is shown", |fleet| {
        fleet.calls.values().any(|call| !call.is_running())
    });
    let call = calls.await.calls.values().next().unwrap().clone();
    assert_eq!(call.caller, Caller::Agent("tester".into()));
    assert_eq!(&*call.arguments, r#"{"text":"x"}"#);

    // The operator takes the session away, and the agent is told.
    let closing = Command::CloseSession(seen.id.clone());
    rig.handle.request(closing).await.unwrap();
    let refusal = agent
        .refusal("call_backend_tool", at(&session, "echo", &json!({})))
        .await;
    assert!(refusal.contains("there is no session"), "{refusal}");
    rig.end().await;
}
