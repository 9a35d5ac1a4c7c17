//! What it is told while it runs, as Claude Code is: lines of JSON on standard input.

use serde_json::{Value, json};

use crate::play::{event, print};
use crate::steps::Step;
use crate::{Dialect, acp};

/// What came of a question.
pub enum May {
    Yes,
    No(String),
    /// The whole turn is to be left.
    Leave,
}

/// A conversation.
#[derive(Debug)]
pub struct Talk {
    dialect: Dialect,
    /// What it was told while it waited for an answer.
    kept: Vec<String>,
    /// The session that it was told to have.
    session: Option<String>,
}

impl Talk {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, kept: Vec::new(), session: None }
    }

    /// The session that it was told to have.
    pub fn session(&self) -> Option<String> {
        self.session.clone()
    }

    /// What it is told next; none when there is nothing more.
    pub fn told(&mut self) -> Option<String> {
        if self.dialect == Dialect::Acp {
            return acp::prompt(&mut self.session);
        }
        if !self.kept.is_empty() {
            return Some(self.kept.remove(0));
        }
        loop {
            let line = line()?;
            if line["type"] == "user" {
                return Some(taken(&line));
            }
        }
    }

    /// Asks whether it may run a command, if the step says so.
    pub fn may(&mut self, step: &Step, id: &str, command: &str) -> May {
        let takes_back = match step {
            Step::Ask(_) => false,
            Step::TakeBack(_) => true,
            _ => return May::Yes,
        };
        if self.dialect == Dialect::Acp {
            return acp::may(id, command, takes_back);
        }
        let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": command}});
        print(&event("control_request", json!({"request_id": id, "request": request})).to_string());
        if takes_back {
            until("asked");
            print(&event("control_cancel_request", json!({"request_id": id})).to_string());
            return May::No("it took its question back".to_owned());
        }
        while let Some(line) = line() {
            if line["type"] == "user" {
                self.kept.push(taken(&line));
                continue;
            }
            let response = &line["response"]["response"];
            return match response["behavior"].as_str() {
                Some("allow") => May::Yes,
                _ => May::No(response["message"].as_str().unwrap_or_default().to_owned()),
            };
        }
        May::No("nobody answered".to_owned())
    }
}

/// Waits until there is a file of this name in the work folder.
pub fn until(name: &str) {
    while !std::path::Path::new(name).exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

pub fn line() -> Option<Value> {
    let mut line = String::new();
    let count = std::io::stdin().read_line(&mut line).ok()?;
    if count == 0 { None } else { serde_json::from_str(&line).ok() }
}

/// Says that it took a message up, and gives its text.
fn taken(line: &Value) -> String {
    let again = json!({"isReplay": true, "uuid": line["uuid"], "message": line["message"]});
    print(&event("user", again).to_string());
    line["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}
