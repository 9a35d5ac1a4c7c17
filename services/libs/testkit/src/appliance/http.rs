//! HTTP by curl: what is under test is not what asks.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::until;

/// How long a request may take.
const REQUEST_SECONDS: &str = "70";
/// How many tasks a page of a list has at most.
const PAGE: usize = 500;

/// Whether a task will not change any more.
#[must_use]
pub fn is_terminal(task: &Value) -> bool {
    matches!(task["state"].as_str(), Some("succeeded" | "failed" | "cancelled"))
}

/// One server, asked with one token.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    token: Option<String>,
}

/// What a server answered; the status is 0 when nothing answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Itself, when the status is this one.
    ///
    /// # Panics
    /// When it is another.
    #[must_use]
    pub fn with(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

impl Http {
    pub(super) fn new(port: u16, token: Option<String>) -> Self {
        Self { base: format!("http://127.0.0.1:{port}"), token }
    }

    /// The address of a path.
    pub(super) fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn curl(&self, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-gsS", "--noproxy", "*"]).arg(self.address(path));
        if let Some(token) = &self.token {
            command.arg("-H").arg(format!("Authorization: Bearer {token}"));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn ask(&self, path: &str, args: &[&str], body: Option<&str>) -> Answer {
        let mut command = self.curl(path);
        command.args(["-m", REQUEST_SECONDS, "-w", "\n%{http_code}"]).args(args);
        let mut child = command.spawn().expect("curl is installed");
        let mut input = child.stdin.take().expect("it is a pipe");
        // Curl may have given up before it read everything.
        let _sent = input.write_all(body.unwrap_or_default().as_bytes());
        drop(input);
        let output = child.wait_with_output().expect("curl can be waited for");
        let said = String::from_utf8_lossy(&output.stdout);
        let (body, status) = said.rsplit_once('\n').unwrap_or_default();
        Answer { status: status.parse().unwrap_or_default(), body: body.to_owned() }
    }

    /// Asks for a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[], None)
    }

    /// Sends JSON to a path.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let args = ["-H", "Content-Type: application/json", "--data-binary", "@-"];
        self.ask(path, &args, Some(&body.to_string()))
    }

    /// Submits a task and gives its id.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn submit(&self, task: &Value) -> String {
        let answer = self.post("/v1/tasks", task).with(201).json();
        answer["id"].as_str().expect("an id is a string").to_owned()
    }

    /// Submits so many tasks together and gives their ids.
    ///
    /// # Panics
    /// When they are refused.
    #[must_use]
    pub fn submit_many(&self, count: usize, task: impl Fn(usize) -> Value) -> Vec<String> {
        let tasks: Vec<Value> = (0..count).map(task).collect();
        let answer = self.post("/v1/tasks/batch", &json!({"tasks": tasks})).with(201).json();
        let items = answer["items"].as_array().expect("a list");
        items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// One task as it is now.
    #[must_use]
    pub fn task(&self, id: &str) -> Option<Value> {
        let answer = self.get(&format!("/v1/tasks/{id}"));
        (answer.status == 200).then(|| answer.json())
    }

    /// Waits until a task is in a state.
    ///
    /// # Panics
    /// When it is not in time, or ended otherwise.
    pub fn wait(&self, id: &str, state: &str, limit: Duration) -> Value {
        until(limit, &format!("{id} is {state}"), || {
            let task = self.task(id)?;
            assert!(task["state"] == state || !is_terminal(&task), "{task}");
            (task["state"] == state).then_some(task)
        })
    }

    /// How many tasks there are in each state, by all pages of the list; nothing when it cannot be asked now.
    #[must_use]
    pub fn states(&self) -> Option<BTreeMap<String, usize>> {
        let (mut states, mut cursor) = (BTreeMap::new(), String::new());
        loop {
            let answer = self.get(&format!("/v1/tasks?limit={PAGE}{cursor}"));
            let page = (answer.status == 200).then(|| answer.json())?;
            for task in page["items"].as_array()? {
                *states.entry(task["state"].as_str()?.to_owned()).or_insert(0) += 1;
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Some(states),
            }
        }
    }

    /// Waits until this many tasks are there and all of them succeeded.
    ///
    /// # Panics
    /// When one is lost or ended otherwise, or they do not end in time.
    pub fn all_succeed(&self, count: usize, limit: Duration) {
        until(limit, &format!("{count} tasks succeed"), || {
            let states = self.states()?;
            let bad = states.contains_key("failed") || states.contains_key("cancelled");
            assert!(!bad && states.values().sum::<usize>() == count, "{states:?} of {count}");
            (states.get("succeeded") == Some(&count)).then_some(())
        });
    }

    /// Waits until each of these tasks succeeded.
    ///
    /// # Panics
    /// When one is lost or ended otherwise, or they do not end in time.
    pub fn all_succeed_of(&self, ids: &[String], limit: Duration) {
        let mut left: Vec<&String> = ids.iter().collect();
        until(limit, "all tasks succeed", || {
            left.retain(|id| {
                let answer = self.get(&format!("/v1/tasks/{id}"));
                assert_ne!(answer.status, 404, "{id} is lost");
                let task = if answer.status == 200 { answer.json() } else { Value::Null };
                assert!(task["state"] == "succeeded" || !is_terminal(&task), "{task}");
                !is_terminal(&task)
            });
            left.is_empty().then_some(())
        });
    }

    /// How often each task ended, by all state changes from the first on; reads until so many tasks ended.
    ///
    /// # Panics
    /// When a state change comes twice or out of order.
    #[must_use]
    pub fn ends(&self, tasks: usize) -> BTreeMap<String, u32> {
        let mut command = self.curl("/v1/events?since=0");
        command.args(["-N", "-m", "20", "-H", "Accept: text/event-stream"]);
        let mut child = command.spawn().expect("curl is installed");
        let said = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let (mut ends, mut last) = (BTreeMap::new(), 0);
        for line in said.lines().map_while(Result::ok) {
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(event).expect("an event is JSON");
            if event["kind"].is_null() {
                continue;
            }
            let seq = event["seq"].as_u64().expect("a state change has its number");
            assert!(seq > last, "{event} after {last}");
            last = seq;
            if event["kind"] == "task_finished" {
                *ends.entry(event["id"].as_str().expect("an id").to_owned()).or_insert(0) += 1;
            }
            if ends.len() == tasks {
                break;
            }
        }
        let _ended = child.kill().and_then(|()| child.wait());
        ends
    }
}
