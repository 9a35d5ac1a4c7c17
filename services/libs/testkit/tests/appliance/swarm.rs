//! The stack on a swarm of one node.

use std::time::Instant;

use conductor_testkit::appliance::{IMAGE, Swarm, docker, until};
use serde_json::json;

use crate::load::{Load, task};
use crate::{LATER, SOON};

/// The image under test by another name, so that a service is replaced.
const NEXT: &str = "conductor-stack-test:next";
/// What a release replaces.
const REPLACED: [&str; 4] = ["orchestrator", "api", "dashboard", "agent"];

/// Waits until everything runs and two agents are there.
fn serves(swarm: &Swarm) {
    until(LATER, "the stack serves", || {
        let replicas = swarm.replicas();
        let is_full =
            |(role, count): (&String, &String)| count == if role == "agent" { "2/2" } else { "1/1" };
        (replicas.len() == 6 && replicas.iter().all(is_full)).then_some(())
    });
    until(SOON, "two agents are there", || {
        let answer = swarm.api().get("/v1/agents");
        let agents = (answer.status == 200).then(|| answer.json())?;
        let connected = |agent: &&serde_json::Value| agent["state"] == "connected";
        (agents["items"].as_array()?.iter().filter(connected).count() == 2).then_some(())
    });
}

fn became(swarm: &Swarm, state: &str) {
    for role in REPLACED {
        until(LATER, &format!("{role}: {state}"), || {
            let now = swarm.update_state(role);
            assert!(!now.contains("paused"), "{role}: {now}");
            (now == state).then_some(())
        });
    }
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_stack_says_what_it_lacks_comes_up_and_an_update_and_a_rollback_under_load_lose_nothing() {
    let Some(swarm) = Swarm::new() else { return };
    let refused = swarm.deploy(&[]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("secret not found"), "{said}");
    swarm.bring_token();

    // Nothing was there before, so the orchestrator does not believe that this is the right node.
    let deployed = swarm.deploy(&[]);
    assert!(deployed.status.success(), "{}", String::from_utf8_lossy(&deployed.stderr));
    until(LATER, "the orchestrator refuses an empty volume", || {
        swarm.log("orchestrator").contains("holds no state").then_some(())
    });
    let begin = Instant::now();
    assert!(swarm.deploy(&[("CONDUCTOR_EXPECT_STATE", "false")]).status.success());
    serves(&swarm);
    println!("from stack deploy to serving: {:.1} s", begin.elapsed().as_secs_f64());
    let api = swarm.api();
    let id = api.submit(&json!({"command": ["sh", "-c", "echo kept > kept.txt"]}));
    api.wait(&id, "succeeded", SOON);
    assert_eq!(swarm.files().get(&format!("/tasks/{id}/work/kept.txt")).with(200).body.trim(), "kept");
    let _page = swarm.dashboard().get("/login").with(200);

    // A release and its way back, while work goes on.
    assert!(docker(&["tag", IMAGE, NEXT]).status.success());
    let mut acknowledged = api.submit_many(300, task);
    let load = Load::start(swarm.api());
    for role in REPLACED {
        swarm.change(role, &["update", "--no-resolve-image", "--image", NEXT]);
    }
    became(&swarm, "completed");
    assert_eq!(swarm.image("agent"), NEXT);
    acknowledged.extend(swarm.api().submit_many(200, task));
    for role in REPLACED {
        swarm.change(role, &["rollback"]);
    }
    became(&swarm, "rollback_completed");
    assert_eq!(swarm.image("agent"), IMAGE);
    let meanwhile = load.end();
    println!("{} tasks were acknowledged during the update and the rollback", meanwhile.len());
    acknowledged.extend(meanwhile);
    serves(&swarm);
    let api = swarm.api();
    api.all_succeed_of(&acknowledged, LATER);
    let ends = api.ends(acknowledged.len() + 1);
    for id in &acknowledged {
        assert_eq!(ends.get(id), Some(&1), "{id} did not end exactly once");
    }

    // Deployed anew it expects its state, and finds it; without its volume it does not start.
    swarm.remove_services();
    assert!(swarm.deploy(&[]).status.success());
    serves(&swarm);
    assert!(swarm.api().task(&id).is_some(), "the volumes were kept");
    swarm.remove_services();
    swarm.lose_volume("state");
    assert!(swarm.deploy(&[]).status.success());
    until(LATER, "the orchestrator refuses the empty volume", || {
        swarm.log("orchestrator").contains("holds no state").then_some(())
    });
    assert_ne!(swarm.api().get("/readyz").status, 200);
    docker(&["image", "rm", NEXT]);
}
