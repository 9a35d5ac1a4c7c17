//! The event log in Redis: Redis is killed, is away, forgets, and is wanted by two. Each test starts a server of its own, and
//! passes without one where none is installed, saying so.

use std::fs;
use std::time::Duration;

use conductor_client::{Control, Error};
use conductor_protocol::Code;
use conductor_protocol::control::Submit;
use conductor_protocol::task::State;
use conductor_store::conformance::redis_server::RedisServer;
use conductor_testkit::seed::{Seed, scale};
use conductor_testkit::world::{self, Ledger, Workload, World, body, eventually, submit_one};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(90);

/// How long a submit may take that is answered at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A world whose event log is in this Redis.
fn world_on(server: &RedisServer) -> World {
    World::new().with("storage.event_log", "redis").with("redis.url", server.url())
}

fn server(folder: &tempfile::TempDir, settings: &[(&str, &str)]) -> Option<RedisServer> {
    RedisServer::start(folder.path(), settings)
}

/// The code with which a submit is refused at once; none when it is taken, or waits for Redis.
async fn refused(control: &Control, mark: &str) -> Option<Code> {
    let submit = Submit { tasks: vec![body(&json!({"prompt": "one more"}), mark)], key: None };
    match tokio::time::timeout(AT_ONCE, control.submit(submit)).await {
        Ok(Err(Error::Refused(problem))) => {
            assert!(problem.retry_after_seconds.is_some(), "{problem:?}");
            Some(problem.code)
        }
        Ok(Ok(_)) | Err(_) => None,
        Ok(Err(other)) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mixed_tasks_survive_kills_of_redis_and_of_the_orchestrator() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = server(&folder, &[]) else { return };
    let mut seed = Seed::from_env();
    let load = Workload::mixed(&mut seed, 100 * usize::try_from(scale()).unwrap(), true);
    let world = world_on(&server).with("redis.require_fsync", true).with("agent.slots", 4);
    let mut orchestrator = world.orchestrator().await;
    let ledger = Ledger::follow(&world);
    let _agents = [world.agent("one"), world.agent("two")];
    let mut questions = world.link();
    let answering = tokio::spawn(async move { world::answer_questions(&mut questions).await });
    let mut link = world.link();
    let (submitted, mark) = (load.clone(), world.mark().to_owned());
    let submitting = tokio::spawn(async move { submitted.submit(&mut link, &mark).await });

    for kill in 0..8 * scale() {
        tokio::time::sleep(seed.millis(20, 700)).await;
        server.kill();
        tokio::time::sleep(seed.millis(0, 900)).await;
        // Now and then nobody remembers what was under way.
        let both = kill % 4 == 3;
        if both {
            orchestrator.kill();
        }
        server.restart();
        if both {
            orchestrator = world.orchestrator().await;
        }
    }
    submitting.await.unwrap();
    ledger.finished(LIMIT * u32::try_from(scale()).unwrap(), load.len()).await;
    answering.abort();
    assert!(orchestrator.ended().is_none(), "{}", orchestrator.said());

    let told = ledger.check(&world).await;
    load.check(&told);
}

#[tokio::test]
async fn while_redis_is_away_submits_are_refused_and_what_runs_goes_on_and_is_reported_later() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = server(&folder, &[]) else { return };
    let world = world_on(&server).with("agent.slots", 1);
    let mut orchestrator = world.orchestrator().await;
    let _agent = world.agent("one");
    let control = world.connect().await;
    let go = world.folder().join("go");
    let script = format!("until test -e {}; do sleep 0.02; done; echo went on", go.display());
    let id = submit_one(&control, &json!({"command": ["sh", "-c", script]}), world.mark()).await;
    eventually(LIMIT, "the command runs", async || {
        (control.get(id).await.ok()?.state == State::Running).then_some(())
    })
    .await;

    server.kill();
    eventually(LIMIT, "submits are refused", async || {
        (refused(&control, world.mark()).await == Some(Code::Unavailable)).then_some(())
    })
    .await;
    fs::write(&go, "").unwrap();
    let result = world.home().workspace.join(format!("tasks/{id}/attempts/1/result.json"));
    eventually(LIMIT, "the result is written", async || result.exists().then_some(())).await;
    assert_eq!(refused(&control, world.mark()).await, Some(Code::Unavailable));

    server.restart();
    eventually(LIMIT, "submits are taken again", async || {
        refused(&control, world.mark()).await.is_none().then_some(())
    })
    .await;
    let mut link = world.link();
    let task = link.wait(id).await.unwrap();
    assert_eq!((task.state, task.attempt), (State::Succeeded, 1), "{task:?}");
    let after = submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    assert_eq!(link.wait(after).await.unwrap().state, State::Succeeded);
    assert!(orchestrator.ended().is_none());
}

#[tokio::test]
async fn a_second_orchestrator_on_the_same_redis_is_refused_in_one_line_that_names_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = server(&folder, &[]) else { return };
    let (one, two) = (world_on(&server), world_on(&server));
    let mut first = one.orchestrator().await;
    let line = refusal(&two).await;
    assert!(line.contains(&format!("process {}", first.pid())) && line.contains("leads"), "{line}");
    assert!(first.ended().is_none());
    submit_one(&one.connect().await, &json!({"prompt": "Say hello"}), one.mark()).await;
    first.kill();
    let mut next = one.orchestrator().await;
    assert!(next.ended().is_none(), "the same home need not wait for the lease");
    next.terminate(LIMIT).await;
    let mut other = two.orchestrator().await;
    assert!(other.ended().is_none(), "one that stopped gives its lease back");
}

#[tokio::test]
async fn what_redis_lost_is_reported_by_task_and_not_started_over() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = server(&folder, &[("appendonly", "no")]) else { return };
    let world = world_on(&server);
    let mut orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    let kept = submit_one(&control, &json!({"prompt": "kept"}), world.mark()).await;
    assert_eq!(server.ask("SAVE"), "+OK");
    let lost = submit_one(&control, &json!({"prompt": "lost"}), world.mark()).await;
    // What History saw, the next start can name.
    control.get(lost).await.unwrap();
    server.restart();
    // Whatever is written next shows it.
    let submit = Submit { tasks: vec![body(&json!({"prompt": "late"}), world.mark())], key: None };
    assert!(control.submit(submit).await.is_err());
    let status = eventually(LIMIT, "the orchestrator ends", async || orchestrator.ended()).await;
    assert_eq!(status.code(), Some(1));
    let said = orchestrator.said();
    let report = said.lines().find(|line| line.contains("lost what was acknowledged")).unwrap_or_default();
    assert!(report.contains(&lost.to_string()) && !report.contains(&kept.to_string()), "{said}");
    for _ in 0..2 {
        let line = refusal(&world).await;
        assert!(line.contains(&lost.to_string()) && !line.contains(&kept.to_string()), "{line}");
    }
}

#[tokio::test]
async fn the_password_of_redis_is_in_no_log_and_no_view_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = server(&folder, &[("requirepass", "ThePassword")]) else { return };
    let mut world = world_on(&server);
    world.set("redis.url", server.url().replace("redis://", "redis://:ThePassword@"));
    world.set("telemetry.log_level", "trace");
    let mut orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    assert!(!control.config().await.unwrap().get().contains("ThePassword"));
    server.kill();
    eventually(LIMIT, "submits are refused", async || {
        (refused(&control, world.mark()).await == Some(Code::Unavailable)).then_some(())
    })
    .await;
    orchestrator.kill();
    assert!(!orchestrator.said().contains("ThePassword"));
    world.set("redis.url", server.url().replace("redis://", "redis://:TheWrongOne@"));
    server.restart();
    let line = refusal(&world).await;
    assert!(!line.contains("TheWrongOne") && line.contains("127.0.0.1"), "{line}");
}

#[tokio::test]
async fn over_tls_the_certificate_of_redis_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let settings = [
        ("tls-port", port.as_str()),
        ("tls-cert-file", cert.to_str().unwrap()),
        ("tls-key-file", key.to_str().unwrap()),
        ("tls-ca-cert-file", cert.to_str().unwrap()),
        ("tls-auth-clients", "no"),
    ];
    let Some(server) = server(&folder, &settings) else { return };
    assert_eq!(server.ask("ACL SETUSER conductor on >hidden ~* +@all"), "+OK");
    let mut world = World::new().with("storage.event_log", "redis");
    world.set("redis.url", format!("rediss://conductor:hidden@localhost:{port}/0"));
    world.set_variable("SSL_CERT_FILE", cert.display());
    let mut orchestrator = world.orchestrator().await;
    let control = world.connect().await;
    submit_one(&control, &json!({"prompt": "Say hello"}), world.mark()).await;
    orchestrator.terminate(LIMIT).await;
    // Another bundle, which does not hold the certificate.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&cert, other.cert.pem()).unwrap();
    let line = refusal(&world).await;
    assert!(line.contains(&format!("rediss://localhost:{port}/0")), "{line}");
}

/// What an orchestrator says that must not start, in one line.
async fn refusal(world: &World) -> String {
    let (code, said) = world.refused_orchestrator().await;
    assert_eq!(code, 1, "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}
