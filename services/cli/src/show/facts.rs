//! Agents, events and numbers, in words.

use conductor_protocol::agent::SandboxView;
use conductor_protocol::control::{AgentRunner, AgentView, LaneState};
use conductor_protocol::event::EventView;
use conductor_protocol::task::{State, reason_text};
use conductor_protocol::text::rfc3339;

use crate::screen::{Table, clean};

/// A table of agents.
pub fn agents(agents: &[AgentView]) -> Table {
    let mut table = Table::new(&["NAME", "STATE", "SLOTS", "FREE", "RUNNERS", "LABELS", "HOST", "VERSION"]);
    for agent in agents {
        let runner = |runner: &AgentRunner| {
            let name = clean(&runner.name);
            if runner.ready { name } else { format!("({name})") }
        };
        table.row([
            clean(&agent.name),
            if agent.disk_full { format!("{}, disk full", clean(&agent.state)) } else { clean(&agent.state) },
            agent.slots.to_string(),
            agent.free.to_string(),
            agent.runners.iter().map(runner).collect::<Vec<_>>().join(","),
            agent.labels.iter().map(|label| clean(label)).collect::<Vec<_>>().join(","),
            clean(&agent.host),
            clean(&agent.version),
        ]);
    }
    table
}

/// A table of what agents can run: versions, credentials and what their sandboxes hold.
pub fn runners(agents: &[AgentView]) -> Table {
    let mut table = Table::new(&["AGENT", "RUNNER", "VERSION", "STATE", "CREDENTIAL", "GATEWAY", "SANDBOX"]);
    for agent in agents {
        for runner in &agent.runners {
            let missing = || runner.missing.as_deref().map_or_else(|| "not ready".to_owned(), clean);
            table.row([
                clean(&agent.name),
                clean(&runner.name),
                runner.version.as_deref().map_or_else(|| "-".to_owned(), clean),
                if runner.ready { "ready".to_owned() } else { missing() },
                credential(runner),
                gateway(runner).to_owned(),
                runner.sandbox.as_ref().map_or_else(|| "-".to_owned(), sandbox),
            ]);
        }
    }
    table
}

fn credential(runner: &AgentRunner) -> String {
    match (runner.credential, runner.lane_state) {
        (Some(false), _) => "missing".to_owned(),
        (_, Some(LaneState::Open)) | (Some(true), None) => "there".to_owned(),
        (_, Some(LaneState::Recovering)) => "recovering".to_owned(),
        (_, Some(LaneState::Resting)) => match runner.lane_until {
            Some(until) => format!("rests until {}", rfc3339(until)),
            None => "rests".to_owned(),
        },
        (_, Some(LaneState::Closed)) => "closed".to_owned(),
        (None, None) => "-".to_owned(),
    }
}

/// Whether a gateway stands between the runs and their model.
fn gateway(runner: &AgentRunner) -> &'static str {
    match runner.gateway {
        Some(true) => "on",
        Some(false) => "off",
        None => "-",
    }
}

fn sandbox(sandbox: &SandboxView) -> String {
    let words = |words: &[String]| words.iter().map(|word| clean(word)).collect::<Vec<_>>().join(", ");
    let mut text = sandbox.mode.as_str().to_owned();
    if sandbox.holds.is_empty() {
        return format!("{text}: nothing holds");
    }
    text.push_str(&format!(": {}", words(&sandbox.holds)));
    if let Some(egress) = sandbox.egress {
        text.push_str(&format!("; egress {}", egress.as_str()));
    }
    if !sandbox.lacks.is_empty() {
        text.push_str(&format!("; lacks {}", words(&sandbox.lacks)));
    }
    text
}

/// How many tasks are in which state, on one line.
pub fn counts(by_state: &[(State, u64)]) -> String {
    let parts: Vec<String> = by_state
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {}", state.as_str()))
        .collect();
    if parts.is_empty() { "no tasks".to_owned() } else { parts.join(", ") }
}

/// A change of state, on one line.
pub fn events_line(event: &EventView) -> String {
    let mut line = format!("{:>8}  {}  {}", event.seq, rfc3339(event.at), clean(&event.kind));
    let mut add = |text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            line.push_str("  ");
            line.push_str(&text);
        }
    };
    add(event.id.as_deref().map(clean));
    add(event.state.map(|state| state.as_str().to_owned()));
    add(event.attempt.map(|attempt| format!("attempt {attempt}")));
    add(event.agent.as_deref().map(|agent| format!("on {}", clean(agent))));
    add(event.failure.as_ref().map(|failure| reason_text(failure.reason).to_owned()));
    add(event.name.as_deref().map(clean));
    add(event.detail.as_deref().map(clean));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_leave_out_what_is_not_there() {
        assert_eq!(
            counts(&[(State::Queued, 3), (State::Running, 0), (State::Failed, 1)]),
            "3 queued, 1 failed"
        );
        assert_eq!(counts(&[]), "no tasks");
    }

    #[test]
    fn an_event_is_one_line_without_controls() {
        let json = serde_json::json!({"seq": 7, "at": "2026-01-31T08:00:00Z", "topic": "tasks",
            "kind": "task_finished", "id": "x", "state": "failed", "attempt": 2, "name": "a\n\u{1b}[2J"});
        let line = events_line(&serde_json::from_value(json).unwrap());
        assert!(line.contains("task_finished") && line.contains("attempt 2"), "{line}");
        assert!(!line.contains(|char: char| char.is_control()), "{line:?}");
    }
}
