//! The event log in Redis, beside the container.

use std::time::Duration;

use conductor_testkit::appliance::{Options, Stack, docker, until};
use serde_json::json;

use crate::full::{is_refused, one_slot, waits_for_room};
use crate::{LATER, SOON};

const REDIS: &str = "conductor-test-redis-1";
/// What Redis may take in the test that fills it.
const MEMORY: &str = "24mb";

/// What a shell beside Redis says, with `ask` for a call of it.
fn beside_redis(script: &str) -> String {
    let call = format!(r#"ask() {{ REDISCLI_AUTH=$(cat /secret/password) redis-cli "$@"; }}; {script}"#);
    let output = docker(&["exec", REDIS, "sh", "-c", &call]);
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_redis_that_is_killed_and_restarted_under_load_loses_nothing_and_nothing_ends_twice() {
    let Some(stack) = Stack::new(&Options::with_redis()) else { return };
    println!("from up to healthy, with Redis: {:.1} s", stack.up().as_secs_f64());
    let api = stack.api();
    let mut acknowledged = Vec::new();
    let task = |_| json!({"runner": "mock", "prompt": "sleep 100ms; print done"});
    acknowledged.extend(api.submit_many(300, task));
    until(SOON, "some run", || api.states()?.contains_key("running").then_some(()));
    for way in [["kill", REDIS], ["restart", REDIS]] {
        assert!(docker(&way).status.success());
        // While it is away a submit is refused plainly; it is never taken and forgotten.
        let refused = api.post("/v1/tasks", &task(0));
        match refused.status {
            201 => acknowledged.push(refused.json()["id"].as_str().unwrap().to_owned()),
            status => assert!(status == 503, "{refused:?}"),
        }
        assert!(docker(&["start", REDIS]).status.success());
        until(SOON, "submits are taken again", || {
            let answer = api.post("/v1/tasks", &task(0));
            let taken = answer.status == 201;
            taken.then(|| acknowledged.push(answer.json()["id"].as_str().unwrap().to_owned()))
        });
    }
    api.all_succeed_of(&acknowledged, LATER);
    let ends = api.ends(acknowledged.len());
    for id in &acknowledged {
        assert_eq!(ends.get(id), Some(&1), "{id} did not end exactly once");
    }

    // And over the end of everything.
    stack.must(&["kill"]);
    stack.up();
    stack.api().all_succeed_of(&acknowledged, Duration::from_secs(30));
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_redis_that_is_nearly_full_refuses_submits_lets_work_complete_and_takes_room_again() {
    let mut options = one_slot().compose_variable("CONDUCTOR_REDIS_MAXMEMORY", MEMORY);
    options.redis = true;
    let Some(stack) = Stack::new(&options) else { return };
    stack.up();
    let api = stack.api();
    let running =
        api.submit(&json!({"command": ["sh", "-c", "until test -e /tmp/go; do sleep 0.1; done; echo over"]}));
    let waiting = api.submit(&json!({"prompt": "print later", "runner": "mock"}));
    api.wait(&running, "running", SOON);
    let filled = beside_redis(
        r#"most=$(ask info memory | tr -d '\r' | sed -n 's/^maxmemory://p'); n=0
        while used=$(ask info memory | tr -d '\r' | sed -n 's/^used_memory://p'); [ "$used" -lt $((most - most / 20)) ]; do
            n=$((n + 1)); head -c 65536 /dev/zero | tr '\0' x | ask -x set filler:$n >/dev/null
        done; echo "$n""#,
    );
    assert!(filled.parse::<u32>().unwrap() > 100, "{filled} were enough");
    until(SOON, "submits are refused", || is_refused(&api).then_some(()));
    stack.say("touch /tmp/go");
    api.wait(&running, "succeeded", SOON);
    waits_for_room(&api, &waiting, "state");
    assert!(stack.say("conductor healthcheck").contains("the storage is full"));

    beside_redis("ask --scan --pattern 'filler:*' | while read -r key; do ask del $key; done >/dev/null");
    api.wait(&waiting, "succeeded", SOON);
    until(SOON, "submits are taken again", || (!is_refused(&api)).then_some(()));
    assert_eq!(docker(&["inspect", "--format", "{{.RestartCount}}", REDIS]).stdout, b"0\n");
}
