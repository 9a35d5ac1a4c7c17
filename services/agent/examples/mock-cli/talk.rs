//! What it is told while it runs, as Claude Code is: lines of JSON on standard input.

use serde_json::{Value, json};

use crate::play::{event, print};

/// A conversation.
#[derive(Debug, Default)]
pub struct Talk {
    /// What it was told while it waited for an answer.
    kept: Vec<String>,
}

impl Talk {
    /// What it is told next; none when there is nothing more.
    pub fn told(&mut self) -> Option<String> {
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

    /// Asks whether it may run a command.
    pub fn may(&mut self, id: &str, command: &str) -> Result<(), String> {
        let request = json!({"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": command}});
        print(&event("control_request", json!({"request_id": id, "request": request})).to_string());
        while let Some(line) = line() {
            if line["type"] == "user" {
                self.kept.push(taken(&line));
                continue;
            }
            let response = &line["response"]["response"];
            return match response["behavior"].as_str() {
                Some("allow") => Ok(()),
                _ => Err(response["message"].as_str().unwrap_or_default().to_owned()),
            };
        }
        Err("nobody answered".to_owned())
    }
}

fn line() -> Option<Value> {
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
