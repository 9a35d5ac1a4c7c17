//! How the container ends: asked to, killed, or for want of a program.

use std::time::{Duration, Instant};

use conductor_testkit::appliance::{Options, Stack, docker, until};
use serde_json::json;

use crate::{LATER, SOON};

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_stop_lets_work_end_gives_the_rest_back_unspent_and_exits_with_0() {
    let options = Options::default().variable("CONDUCTOR__ORCHESTRATOR__DRAIN_SECONDS", "6");
    let Some(stack) = Stack::new(&options) else { return };
    stack.up();
    let api = stack.api();
    let long = api.submit(&json!({"command": ["sh", "-c", "sleep 20"]}));
    let short = api.submit(&json!({"command": ["sh", "-c", "sleep 3; echo over"]}));
    api.wait(&long, "running", SOON);
    api.wait(&short, "running", SOON);
    let queued = api.submit_many(20, |_| json!({"command": ["sh", "-c", "sleep 0.1"], "runner": "command"}));
    let begin = Instant::now();
    assert!(docker(&["stop", stack.container()]).status.success());
    let took = begin.elapsed();
    assert_eq!(stack.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"), "0 false", "after {took:?}");
    assert!(took < Duration::from_secs(60), "{took:?}: nothing of the grace but the drain is used");
    println!("docker stop with a drain of 6 s: {:.1} s", took.as_secs_f64());

    stack.up();
    let api = stack.api();
    let short = api.task(&short).unwrap();
    assert_eq!((&short["state"], &short["attempt"]), (&json!("succeeded"), &json!(1)), "{short}");
    // With one attempt in all, one that was spent would have ended it.
    api.wait(&long, "succeeded", SOON);
    api.all_succeed(queued.len() + 2, LATER);
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_container_that_is_killed_among_five_hundred_tasks_loses_none() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    let api = stack.api();
    let ids = api.submit_many(500, |_| json!({"runner": "mock", "prompt": "sleep 20ms; print done"}));
    let amid = |least: usize| {
        until(SOON, "it is amid them", || {
            let ended = stack.api().states()?.get("succeeded").copied().unwrap_or_default();
            assert!(ended < ids.len(), "they ended before anything was killed");
            (ended >= least).then_some(())
        });
    };
    for least in [30, 150] {
        amid(least);
        assert!(docker(&["kill", stack.container()]).status.success());
        stack.up();
    }
    let api = stack.api();
    api.all_succeed(ids.len(), LATER);
    let ends = api.ends(ids.len());
    assert!(ends.len() == ids.len() && ends.values().all(|times| *times == 1), "{ends:?}");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_program_that_cannot_start_takes_the_container_down_with_a_line_that_says_which() {
    let options = Options::default()
        .line("restart: \"no\"")
        .variable("CONDUCTOR__TLS__CERT_FILE", "/etc/conductor/none.pem")
        .variable("CONDUCTOR__TLS__KEY_FILE", "/etc/conductor/none.key");
    let Some(stack) = Stack::new(&options) else { return };
    stack.must(&["up", "--detach", "--no-build", "conductor"]);
    until(SOON, "the container ended", || {
        (stack.inspect("{{.State.Status}} {{.State.ExitCode}}") == "exited 1").then_some(())
    });
    let log = stack.log();
    let line = "could not be kept running; the container stops";
    assert!(log.lines().any(|said| said.starts_with("conductor: ") && said.contains(line)), "{log}");
    assert!(log.contains("none.pem"), "the reason is in the log: {log}");
}
