//! The last state changes, kept once for all who follow them.

use std::collections::VecDeque;

use axum::extract::ws::Utf8Bytes;
use conductor_protocol::control::Groups;
use conductor_protocol::event::EventView;

/// The most events that are kept.
const MAX_EVENTS: usize = 16_384;
/// The most bytes of events that are kept.
const MAX_BYTES: usize = 16 << 20;

/// A state change, written once for all who follow.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) topic: Topic,
    group: Option<std::sync::Arc<str>>,
    /// As it goes over a WebSocket.
    frame: Utf8Bytes,
    /// Where in the frame the event itself stands.
    event: (usize, usize),
}

/// What state changes are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    Tasks,
    Agents,
    Queue,
    Schedules,
}

impl Topic {
    pub(crate) const ALL: [Self; 4] = [Self::Tasks, Self::Agents, Self::Queue, Self::Schedules];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Agents => "agents",
            Self::Queue => "queue",
            Self::Schedules => "schedules",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == text)
    }
}

impl Entry {
    /// Writes a state change; nothing when nobody here knows what it is about.
    pub(crate) fn new(view: &EventView) -> Option<Self> {
        let topic = Topic::parse(&view.topic)?;
        let event = serde_json::to_string(view).ok()?;
        let head = format!("{{\"seq\":{},\"topic\":\"{}\",\"event\":", view.seq, topic.as_str());
        let place = (head.len(), head.len() + event.len());
        let frame = Utf8Bytes::from(format!("{head}{event}}}"));
        Some(Self { seq: view.seq, topic, group: view.group.as_deref().map(Into::into), frame, event: place })
    }

    /// As it goes over a WebSocket.
    pub(crate) fn frame(&self) -> Utf8Bytes {
        self.frame.clone()
    }

    /// The event itself, as JSON.
    pub(crate) fn event(&self) -> &str {
        self.frame.as_str().get(self.event.0..self.event.1).unwrap_or_default()
    }

    /// Whether who reaches these groups may see it. What belongs to no group is of the whole.
    pub(crate) fn is_for(&self, groups: &Groups) -> bool {
        let Groups::Only(only) = groups else { return true };
        match (self.topic, &self.group) {
            (_, Some(group)) => only.iter().any(|known| **known == **group),
            (Topic::Agents | Topic::Queue, None) => true,
            (Topic::Tasks | Topic::Schedules, None) => false,
        }
    }
}

/// The last state changes, complete after some number.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Everything after this one, up to the head, is here.
    base: u64,
    head: u64,
}

impl Ring {
    /// Nothing yet, complete after `base`.
    pub(crate) fn after(base: u64) -> Self {
        Self { base, head: base, ..Self::default() }
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Takes in the next one; the oldest go.
    pub(crate) fn push(&mut self, seq: u64, entry: Option<Entry>) {
        self.head = self.head.max(seq);
        let Some(entry) = entry else { return };
        self.bytes += entry.frame.len();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.frame.len();
            self.base = oldest.seq;
        }
    }

    /// The next ones after a number, at most so many; nothing when some of them are not here any more.
    pub(crate) fn read(&self, after: u64, most: usize) -> Option<Vec<Entry>> {
        if after < self.base {
            return None;
        }
        let start = self.entries.partition_point(|entry| entry.seq <= after);
        Some(self.entries.range(start..).take(most).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, topic: &str, group: Option<&str>) -> EventView {
        serde_json::from_value(serde_json::json!({
            "seq": seq, "at": "2026-01-31T08:00:00Z", "topic": topic, "kind": "k", "group": group,
        }))
        .expect("an event")
    }

    #[test]
    fn the_oldest_go_and_are_missed_by_who_comes_late() {
        let mut ring = Ring::after(10);
        for seq in 11..=(10 + MAX_EVENTS as u64 + 5) {
            ring.push(seq, Entry::new(&event(seq, "tasks", None)));
        }
        assert_eq!((ring.base(), ring.head()), (15, 10 + MAX_EVENTS as u64 + 5));
        assert!(ring.read(14, 10).is_none());
        let seqs: Vec<u64> = ring.read(15, 3).expect("kept").iter().map(|entry| entry.seq).collect();
        assert_eq!(seqs, [16, 17, 18]);
        assert!(ring.read(ring.head(), 3).expect("kept").is_empty());
    }

    #[test]
    fn a_frame_holds_its_event() {
        let entry = Entry::new(&event(7, "tasks", Some("a"))).expect("a known topic");
        let frame: serde_json::Value = serde_json::from_str(&entry.frame()).expect("JSON");
        assert_eq!((&frame["seq"], &frame["topic"]), (&7.into(), &"tasks".into()));
        let event: serde_json::Value = serde_json::from_str(entry.event()).expect("JSON");
        assert_eq!(frame["event"], event);
    }

    #[test]
    fn a_task_of_another_group_is_not_shown() {
        let only = Groups::Only(vec!["a".into()]);
        let shows = |topic: &str, group| Entry::new(&event(1, topic, group)).expect("known").is_for(&only);
        assert!(shows("tasks", Some("a")) && shows("agents", None) && shows("queue", None));
        assert!(!shows("tasks", Some("b")) && !shows("tasks", None) && !shows("schedules", Some("b")));
        assert!(Entry::new(&event(1, "tasks", None)).expect("known").is_for(&Groups::All));
    }
}
