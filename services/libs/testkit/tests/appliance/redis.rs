//! The event log in Redis, beside the container.

use std::time::Duration;

use conductor_testkit::appliance::{Options, Stack, docker, until};
use serde_json::json;

use crate::{LATER, SOON};

const REDIS: &str = "conductor-test-redis-1";

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
