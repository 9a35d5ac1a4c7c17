//! State changes as they become durable, each with the group that it belongs to.

use std::collections::HashMap;

use conductor_core::{Event, EventKind, Name, ScheduleId, Seq, TaskId};
use conductor_protocol::control::Events;
use conductor_protocol::event::EventView;
use conductor_protocol::{Code, Problem};
use conductor_store::log::Read;
use tokio::sync::broadcast::error::RecvError;

use super::super::caller::Caller;
use super::super::session::Items;
use super::super::{Context, groups};
use crate::view::{self, Subject};

/// Events read from the log together.
const READ_EVENTS: usize = 2_000;
/// Tasks whose groups a stream remembers; beyond them it forgets all and asks again.
const MAX_KNOWN: usize = 100_000;

/// State changes after a number, and on: none is missed and none comes twice. A caller of some groups is told of what
/// belongs to these, and of what belongs to nobody.
pub(in crate::control) async fn events(
    context: &Context,
    caller: &Caller,
    call: Events,
    items: Items,
) -> Result<(), Problem> {
    let mut stream = Stream { context, caller, items, known: Known::default() };
    let mut published = context.engine.subscribe();
    let mut seq = match call.since {
        Some(since) => Seq(since),
        None => *context.engine.durable().borrow(),
    };
    loop {
        seq = stream.send_kept(seq).await?;
        if !call.follow {
            return Ok(());
        }
        loop {
            match published.recv().await {
                Ok(batch) if batch.batch.last_seq() <= seq => {}
                // Something lies between what was sent and this batch: the log has it.
                Ok(batch) if batch.first > seq.next() => break,
                Ok(batch) => {
                    let known = usize::try_from(seq.0 + 1 - batch.first.0).unwrap_or(usize::MAX);
                    let new = batch.batch.events.get(known..).unwrap_or_default();
                    stream.send(seq.next(), new).await?;
                    seq = batch.batch.last_seq();
                }
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return Ok(()),
            }
        }
    }
}

/// One follower.
struct Stream<'a> {
    context: &'a Context,
    caller: &'a Caller,
    items: Items,
    known: Known,
}

/// The groups that a stream met, so that most events are placed without asking anybody.
#[derive(Default)]
struct Known {
    tasks: HashMap<TaskId, Name>,
    schedules: HashMap<ScheduleId, Name>,
}

impl Stream<'_> {
    /// Sends what the log keeps after a number; answers the last number sent.
    async fn send_kept(&mut self, mut seq: Seq) -> Result<Seq, Problem> {
        loop {
            let log = self.context.log.clone();
            let read = tokio::task::spawn_blocking(move || log.read_after(seq, READ_EVENTS)).await;
            let stretch = match read {
                Ok(Ok(Read::Events(stretch))) => stretch,
                Ok(Ok(Read::Trimmed { first })) => {
                    let last = first.0 - 1;
                    let detail =
                        format!("events up to {last} are not kept any more; the first kept is {first}");
                    return Err(Problem::new(Code::Gone, detail));
                }
                Ok(Err(error)) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "failed to read the event log");
                    return Err(Problem::new(Code::Internal, "the event log cannot be read"));
                }
                Err(_) => return Err(Problem::new(Code::Internal, "the event log cannot be read")),
            };
            if stretch.events.is_empty() {
                return Ok(seq);
            }
            self.send(stretch.first, &stretch.events).await?;
            seq = stretch.last();
        }
    }

    /// Sends what the caller may see of these events.
    async fn send(&mut self, first: Seq, events: &[Event]) -> Result<(), Problem> {
        if events.is_empty() {
            return Ok(());
        }
        let last = Seq(first.0 + events.len() as u64 - 1);
        self.learn(last, events).await?;
        for (seq, event) in (first.0..).zip(events) {
            if let Some(shown) = self.shown(Seq(seq), event) {
                self.items.item(&shown).await?;
            }
            if let EventKind::TaskFinished { task, .. } = &event.kind {
                self.known.tasks.remove(task);
            }
        }
        Ok(())
    }

    fn shown(&self, seq: Seq, event: &Event) -> Option<EventView> {
        let mut shown = view::event_view(seq, event)?;
        let group = match view::subject(&event.kind) {
            Subject::Everybody => return Some(shown),
            Subject::Task(task) => self.known.tasks.get(&task),
            Subject::Schedule(schedule) => self.known.schedules.get(&schedule),
            // They may be of many groups, and are known no more.
            Subject::Tasks => None,
        };
        shown.group = group.map(ToString::to_string);
        let seen = self.caller.sees_everything() || group.is_some_and(|group| self.caller.sees(group));
        seen.then_some(shown)
    }

    /// Finds out the groups of all that these events are about.
    async fn learn(&mut self, last: Seq, events: &[Event]) -> Result<(), Problem> {
        if self.known.tasks.len() > MAX_KNOWN {
            self.known.tasks.clear();
        }
        let (mut tasks, mut schedules) = (Vec::new(), Vec::new());
        for event in events {
            match &event.kind {
                EventKind::TaskSubmitted { task, .. } => {
                    self.known.tasks.insert(task.id, task.group.clone());
                }
                EventKind::ScheduleAdded { schedule, .. } => {
                    self.known.schedules.insert(schedule.id, schedule.group.clone());
                }
                other => match view::subject(other) {
                    Subject::Task(task) if !self.known.tasks.contains_key(&task) => tasks.push(task),
                    Subject::Schedule(id) if !self.known.schedules.contains_key(&id) => schedules.push(id),
                    Subject::Task(_) | Subject::Schedule(_) | Subject::Tasks | Subject::Everybody => {}
                },
            }
        }
        if !tasks.is_empty() {
            tasks.sort_unstable();
            tasks.dedup();
            let found = groups::groups_of(self.context, tasks.clone(), Some(last)).await?;
            let found = tasks.into_iter().zip(found);
            self.known.tasks.extend(found.filter_map(|(task, group)| Some((task, group?))));
        }
        if !schedules.is_empty() {
            let looked = self.context.engine.look(move |machine, _| {
                let group = |id: ScheduleId| Some((id, machine.state().schedule(id)?.group.clone()));
                schedules.into_iter().filter_map(group).collect::<Vec<_>>()
            });
            self.known.schedules.extend(looked.await?);
        }
        Ok(())
    }
}
