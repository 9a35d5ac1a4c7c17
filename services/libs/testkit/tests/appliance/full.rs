//! Volumes that are full.

use conductor_testkit::appliance::{Http, Options, Stack, docker, until};
use serde_json::json;

use crate::SOON;

/// Fills a folder of the container to the last byte.
fn fill(stack: &Stack, file: &str) {
    let script = format!(
        "for size in 1M 4k 1; do dd if=/dev/zero bs=$size of={file} oflag=append conv=notrunc; done 2>&1; :"
    );
    let said = stack.say(&script);
    assert!(said.contains("No space left"), "{said}");
}

fn is_refused(api: &Http) -> bool {
    let answer = api.post("/v1/tasks", &json!({"prompt": "one more", "runner": "mock"}));
    let refused = answer.status == 503 && answer.json()["code"] == "storage_full";
    assert!(refused || answer.status == 201 || answer.status == 0 || answer.status == 503, "{answer:?}");
    refused
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn on_a_full_state_volume_submits_are_refused_work_completes_reads_are_served_and_room_is_taken_again() {
    let options = Options::default()
        .small_volume("state", 96)
        .variable("CONDUCTOR__RETENTION__FREE_FLOOR_BYTES", "16777216");
    let Some(mut stack) = Stack::new(&options) else { return };
    stack.up();
    stack.keep("state");
    let api = stack.api();
    let running =
        api.submit(&json!({"command": ["sh", "-c", "until test -e /tmp/go; do sleep 0.1; done; echo over"]}));
    let waiting = api.submit_many(10, |_| json!({"runner": "mock", "prompt": "print 20KB"}));
    api.wait(&running, "running", SOON);
    fill(&stack, "/var/lib/conductor/filler");
    until(SOON, "submits are refused", || is_refused(&api).then_some(()));
    let before = api.states().unwrap().values().sum::<usize>();
    stack.say("touch /tmp/go");
    api.wait(&running, "succeeded", SOON);
    waiting.iter().for_each(|id| drop(api.wait(id, "succeeded", SOON)));

    // The container starts on the full volume, and no program is given up for it.
    assert!(docker(&["restart", stack.container()]).status.success());
    let api = until(SOON, "it answers", || {
        let token = stack.shell("conductor token show");
        token.status.success().then(|| stack.api()).filter(|api| api.states().is_some())
    });
    assert_eq!(api.states().unwrap().values().sum::<usize>(), before, "reads are served");
    assert!(is_refused(&api));
    assert_eq!(api.task(&running).unwrap()["state"], "succeeded");
    assert!(!stack.log().contains("could not be kept running"), "a full disk is no reason to give up");

    stack.say("rm /var/lib/conductor/filler");
    until(SOON, "submits are taken again", || (!is_refused(&api)).then_some(()));
    let after = api.submit(&json!({"prompt": "print back", "runner": "mock"}));
    api.wait(&after, "succeeded", SOON);
    assert_eq!(stack.inspect("{{.RestartCount}}"), "0");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn on_a_full_workspace_volume_what_runs_ends_reads_are_served_and_room_is_taken_again() {
    let Some(mut stack) = Stack::new(&Options::default().small_volume("workspace", 32)) else { return };
    stack.up();
    stack.keep("workspace");
    let api = stack.api();
    let running =
        api.submit(&json!({"command": ["sh", "-c", "until test -e /tmp/go; do sleep 0.1; done; true"]}));
    api.wait(&running, "running", SOON);
    fill(&stack, "/workspace/filler");
    stack.say("touch /tmp/go");
    let ended =
        until(SOON, "what runs ends", || api.task(&running).filter(|task| !task["finished_at"].is_null()));
    let reason = ended["failure"]["reason"].as_str().unwrap_or("none").to_owned();
    assert!(ended["state"] == "succeeded" || reason == "disk_full", "{ended}");

    assert!(docker(&["restart", stack.container()]).status.success());
    let api = until(SOON, "it answers", || {
        let token = stack.shell("conductor token show");
        token.status.success().then(|| stack.api()).filter(|api| api.states().is_some())
    });
    assert_eq!(api.task(&running).unwrap()["state"], ended["state"], "reads are served");
    assert!(!stack.log().contains("could not be kept running"), "a full disk is no reason to give up");

    stack.say("rm /workspace/filler");
    let after = until(SOON, "submits are taken", || {
        let answer = api.post("/v1/tasks", &json!({"prompt": "print back", "runner": "mock"}));
        (answer.status == 201).then(|| answer.json()["id"].as_str().unwrap().to_owned())
    });
    api.wait(&after, "succeeded", SOON);
}
