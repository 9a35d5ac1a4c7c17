//! A credential that comes while an agent is connected.

use std::time::Duration;

use conductor_protocol::task::State;
use conductor_runtime::secrets::{Secret, Secrets};
use conductor_testkit::world::{MARK, World, eventually, submit_one};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_task_that_waits_for_a_credential_runs_once_it_is_set() {
    let mut world = World::new();
    let tool =
        json!({"command": ["sh", "-c", "test -n \"$TOOL_KEY\" && echo used"], "credentials": ["TOOL_KEY"]});
    let config = json!({"sandbox": {"mode": "off"}, "runners": {"tool": tool}});
    std::fs::create_dir_all(&world.home().config).unwrap();
    std::fs::write(world.home().config_file(), config.to_string()).unwrap();
    world.set_variable("TOOL_KEY", "");
    let _programs = [world.orchestrator().await, world.agent("one")];
    let control = world.connect().await;
    let body = json!({"prompt": "x", "runner": "tool", "env": {MARK: world.mark()}});
    let id = submit_one(&control, &body, world.mark()).await;
    eventually(LIMIT, "the task says what is missing", async || {
        let reason = control.get(id).await.unwrap().pending_reason.unwrap_or_default();
        reason.contains("TOOL_KEY").then_some(())
    })
    .await;
    let secrets = Secrets::open(world.home().secrets()).unwrap();
    secrets.set(&"TOOL_KEY".parse().unwrap(), &Secret::new("value-of-the-key")).unwrap();
    let task = control.wait(id, u64::try_from(LIMIT.as_millis()).unwrap()).await.unwrap();
    assert_eq!(task.state, State::Succeeded, "{task:#?}");
}
