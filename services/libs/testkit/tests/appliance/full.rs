//! Volumes that are full.

use conductor_testkit::appliance::{Http, Options, Stack, docker, is_terminal, until};
use serde_json::json;

use crate::SOON;

/// What has to be free on a volume.
const FLOOR_BYTES: &str = "16777216";

/// Fills a folder of the container to the last byte.
fn fill(stack: &Stack, file: &str) {
    let script = format!(
        "for size in 1M 4k 1; do dd if=/dev/zero bs=$size of={file} oflag=append conv=notrunc; done 2>&1; :"
    );
    let said = stack.say(&script);
    assert!(said.contains("No space left"), "{said}");
}

pub fn is_refused(api: &Http) -> bool {
    let answer = api.post("/v1/tasks", &json!({"prompt": "one more", "runner": "mock"}));
    let refused = answer.status == 503 && answer.json()["code"] == "storage_full";
    assert!(refused || answer.status == 201 || answer.status == 0 || answer.status == 503, "{answer:?}");
    refused
}

/// One slot in all, so that what waits behind a run is queued.
pub fn one_slot() -> Options {
    Options::default().variable("CONDUCTOR_AGENTS", "1").variable("CONDUCTOR__AGENT__SLOTS", "1")
}

/// The same with a small volume, of which little has to be free.
fn on_a_small(volume: &str, mib: u32) -> Options {
    one_slot().small_volume(volume, mib).variable("CONDUCTOR__RETENTION__FREE_FLOOR_BYTES", FLOOR_BYTES)
}

/// Waits until a queued task says that it waits for room on this volume.
pub fn waits_for_room(api: &Http, id: &str, volume: &str) {
    let said = format!("the {volume} volume has less free space");
    until(SOON, &said, || {
        let task = api.task(id)?;
        assert_eq!((&task["state"], &task["attempt"]), (&json!("queued"), &json!(0)), "{task}");
        task["pending_reason"].as_str().is_some_and(|why| why.contains(&said)).then_some(())
    });
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn on_a_full_state_volume_submits_are_refused_work_completes_reads_are_served_and_room_is_taken_again() {
    let options = on_a_small("state", 96);
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
    waits_for_room(&api, &waiting[0], "state");
    assert!(stack.say("conductor healthcheck").contains("the storage is full"));

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
    waits_for_room(&api, &waiting[0], "state");
    until(SOON, "the container is healthy on a full volume", || {
        (stack.inspect("{{.State.Health.Status}}") == "healthy").then_some(())
    });

    stack.say("rm /var/lib/conductor/filler");
    waiting.iter().for_each(|id| drop(api.wait(id, "succeeded", SOON)));
    until(SOON, "submits are taken again", || (!is_refused(&api)).then_some(()));
    let after = api.submit(&json!({"prompt": "print back", "runner": "mock"}));
    api.wait(&after, "succeeded", SOON);
    assert_eq!(stack.inspect("{{.RestartCount}}"), "0");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn on_a_full_workspace_volume_what_runs_ends_nothing_starts_reads_are_served_and_room_is_taken_again() {
    let Some(mut stack) = Stack::new(&on_a_small("workspace", 48)) else { return };
    stack.up();
    stack.keep("workspace");
    let api = stack.api();
    let running =
        api.submit(&json!({"command": ["sh", "-c", "until test -e /tmp/go; do sleep 0.1; done; true"]}));
    let waiting = api.submit(&json!({"prompt": "print later", "runner": "mock"}));
    api.wait(&running, "running", SOON);
    fill(&stack, "/workspace/filler");
    until(SOON, "submits are refused", || is_refused(&api).then_some(()));
    stack.say("touch /tmp/go");
    let ended = until(SOON, "what runs ends", || api.task(&running).filter(is_terminal));
    let reason = ended["failure"]["reason"].as_str().unwrap_or("none").to_owned();
    assert!(ended["state"] == "succeeded" || reason == "disk_full", "{ended}");
    assert!(!ended["finished_at"].is_null(), "{ended}");
    waits_for_room(&api, &waiting, "workspace");

    assert!(docker(&["restart", stack.container()]).status.success());
    let api = until(SOON, "it answers", || {
        let token = stack.shell("conductor token show");
        token.status.success().then(|| stack.api()).filter(|api| api.states().is_some())
    });
    assert_eq!(api.task(&running).unwrap()["state"], ended["state"], "reads are served");
    waits_for_room(&api, &waiting, "workspace");
    assert!(!stack.log().contains("could not be kept running"), "a full disk is no reason to give up");

    stack.say("rm /workspace/filler");
    api.wait(&waiting, "succeeded", SOON);
    let after = until(SOON, "submits are taken", || {
        let answer = api.post("/v1/tasks", &json!({"prompt": "print back", "runner": "mock"}));
        (answer.status == 201).then(|| answer.json()["id"].as_str().unwrap().to_owned())
    });
    api.wait(&after, "succeeded", SOON);
}
