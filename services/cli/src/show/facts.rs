//! Agents, events and numbers, in words.

use conductor_protocol::control::AgentView;
use conductor_protocol::event::EventView;
use conductor_protocol::task::{State, reason_text};
use conductor_protocol::text::rfc3339;

use crate::screen::{Table, clean};

/// A table of agents.
pub fn agents(agents: &[AgentView]) -> Table {
    let mut table = Table::new(&["NAME", "STATE", "SLOTS", "FREE", "RUNNERS", "LABELS", "HOST", "VERSION"]);
    for agent in agents {
        let runner = |runner: &conductor_protocol::agent::RunnerView| {
            let name = clean(&runner.name);
            if runner.ready { name } else { format!("({name})") }
        };
        table.row([
            clean(&agent.name),
            clean(&agent.state),
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
