//! `conductor mcp`, with a client of the SDK at its stdin and stdout.

use std::process::Stdio;

use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::service::{RoleClient, RunningService};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::place::{LIMIT, Place};

/// A coding agent's side of `conductor mcp`.
struct Agent {
    service: RunningService<RoleClient, ()>,
    child: Child,
}

impl Agent {
    async fn start(command: std::process::Command) -> Self {
        let mut command = Command::from(command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (read, write) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let served = tokio::time::timeout(LIMIT, ().serve((read, write))).await;
        Self { service: served.expect("in time").expect("it speaks MCP"), child }
    }

    async fn call(&self, tool: &'static str, input: Value) -> CallToolResult {
        let Value::Object(input) = input else { panic!("{tool} takes an object") };
        let request = CallToolRequestParams::new(tool).with_arguments(input);
        tokio::time::timeout(LIMIT, self.service.call_tool(request)).await.expect("in time").unwrap()
    }

    async fn value(&self, tool: &'static str, input: Value) -> Value {
        let result = self.call(tool, input).await;
        result.structured_content.clone().unwrap_or_else(|| panic!("{tool}: {result:?}"))
    }

    /// Submits a prompt, and reads what its task printed at its end.
    async fn run(&self, prompt: &str) -> String {
        let id = self.value("submit", json!({"prompt": prompt, "runner": "mock"})).await["id"].clone();
        let ended = self.value("wait", json!({"id": id, "wait_seconds": 50})).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
        let read = self.call("read_output", json!({"id": id})).await;
        read.content[0].as_text().unwrap().text.clone()
    }

    /// Goes away, and waits for the end of the command.
    async fn leave(self) -> Option<i32> {
        let Self { service, mut child } = self;
        service.cancel().await.unwrap();
        tokio::time::timeout(LIMIT, child.wait()).await.expect("in time").unwrap().code()
    }
}

#[tokio::test]
async fn a_coding_agent_hands_work_to_the_server_of_this_home() {
    let place = Place::new();
    let _up = place.up(&[]);
    let agent = Agent::start(place.command(&["mcp"])).await;
    assert_eq!(agent.service.list_all_tools().await.unwrap().len(), 8);
    assert!(agent.run("print from the queue").await.contains("from the queue"));
    assert_eq!(agent.leave().await, Some(0));
}

#[tokio::test]
async fn it_outlasts_a_restart_of_the_server() {
    let place = Place::new();
    let up = place.up(&[]);
    let agent = Agent::start(place.command(&["mcp"])).await;
    agent.run("print before").await;
    drop(up);
    let _up = place.up(&[]);
    assert!(agent.run("print after").await.contains("after"));
    assert_eq!(agent.leave().await, Some(0));
}

#[tokio::test]
async fn without_a_server_it_is_one_for_as_long_as_its_client_stays() {
    let place = Place::new();
    let agent = Agent::start(place.command(&["mcp"])).await;
    assert!(agent.run("print on my own").await.contains("on my own"));
    assert_eq!(agent.leave().await, Some(0));
    place.is_left_clean();
}

#[test]
fn a_client_that_says_nothing_leaves_nothing_behind() {
    let place = Place::new();
    let ended = place.feed(&["mcp"], b"").with(0);
    assert_eq!(ended.text(), "", "stdout is for MCP alone");
    place.is_left_clean();
}
