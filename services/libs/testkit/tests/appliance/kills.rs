//! Programs that are killed in the container.

use conductor_testkit::appliance::{Browser, Options, Stack, until};
use serde_json::json;

use crate::{LATER, SOON};

/// Every program by what its call holds; the worker is below the agent's monitor.
const PROGRAMS: [&str; 6] = [
    "conductor-orchestrator",
    "conductor-api",
    "conductor-dashboard",
    "conductor-agent --name agent-1",
    "__agent-worker --name=agent-2",
    "conductor supervise-events",
];

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn a_program_that_is_killed_is_started_again_no_task_is_lost_and_the_page_reconnects() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    let api = stack.api();
    let browser = Browser::start().inspect(|browser| {
        browser.go(&format!("{}/login", stack.dashboard_url()));
        browser.type_into("[name=token]", &stack.token());
        browser.click("form button.primary");
        browser.until("the page is live", "document.querySelector('#live')?.dataset.state === 'on'");
        browser.go(&format!("{}/tasks", stack.dashboard_url()));
        browser.until("the list is live", "document.querySelector('#live')?.dataset.state === 'on'");
        assert!(browser.run("window.sameView = true").is_some());
    });
    let mut count = 0;
    for program in PROGRAMS {
        let ids = api.submit_many(40, |_| json!({"runner": "mock", "prompt": "sleep 100ms; print done"}));
        count += ids.len();
        until(SOON, "some run", || api.states()?.contains_key("running").then_some(()));
        stack.kill_program(program);
        until(SOON, "the API answers", || api.states());
    }
    api.all_succeed(count, LATER);
    let ends = api.ends(count);
    assert_eq!(ends.len(), count);
    assert!(ends.values().all(|times| *times == 1), "a task ended twice: {ends:?}");
    if let Some(browser) = browser {
        browser.until("the page is live again", "document.querySelector('#live')?.dataset.state === 'on'");
        let id = api.submit(&json!({"name": "after all", "prompt": "print over", "runner": "mock"}));
        api.wait(&id, "succeeded", SOON);
        let told = format!("document.querySelector('a[href$=\"{id}\"]')");
        browser.until("the list tells of it", &told);
        assert_eq!(browser.run("return window.sameView"), Some(json!(true)), "the page was loaded anew");
    }
    assert_eq!(stack.inspect("{{.RestartCount}}"), "0", "supervisord does it, not the engine");
}

#[test]
#[ignore = "needs a Docker Engine: scripts/test appliance"]
fn when_supervisord_is_killed_the_engine_starts_the_container_again_and_nothing_is_lost() {
    let Some(stack) = Stack::new(&Options::default()) else { return };
    stack.up();
    let ids = stack.api().submit_many(40, |_| json!({"runner": "mock", "prompt": "sleep 100ms; print done"}));
    let supervisord = stack.process("/usr/bin/supervisord").unwrap();
    // The container may be gone before the shell in it can answer.
    let _gone = stack.shell(&format!("kill -9 {}", supervisord.pid));
    until(SOON, "it is started again", || {
        (stack.inspect("{{.RestartCount}} {{.State.Health.Status}}") == "1 healthy").then_some(())
    });
    stack.api().all_succeed(ids.len(), LATER);
}
