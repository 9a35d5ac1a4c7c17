//! What a client of the WebSocket asked to hear of.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use conductor_core::TaskId;
use conductor_protocol::json;
use conductor_protocol::{Code, Problem};
use conductor_web::{Caller, Refusal};
use futures_util::StreamExt as _;
use futures_util::future::AbortHandle;
use futures_util::stream::{BoxStream, SelectAll, abortable};
use serde::Deserialize;

use super::output::latest;
use crate::live::{Batch, Source, Story, Text, Topic, UsesFeed};
use crate::server::App;

/// The most outputs that one client follows.
const MAX_OUTPUTS: usize = 16;
/// The most topics of a message.
const MAX_TOPICS: usize = 64;
/// The topic of what tasks that run use, which is not of the log.
const USAGE: &str = "usage";
/// What the topic of a task's output begins with.
const OUTPUT: &str = "output:";

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Said {
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscribe {
    topics: Vec<String>,
    /// The last event seen.
    #[serde(default)]
    since: Option<u64>,
    /// Where to begin in the outputs, by task.
    #[serde(default)]
    offsets: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsubscribe {
    topics: Vec<String>,
}

/// What there is to tell a client.
#[derive(Debug)]
pub(super) enum News {
    /// These texts.
    Frames(Vec<Utf8Bytes>),
    /// Nothing comes any more.
    End,
}

/// What an output brings.
struct Printed {
    task: TaskId,
    event: serde_json::Value,
    /// Whether nothing more comes of it.
    is_last: bool,
}

type Outputs = SelectAll<BoxStream<'static, Printed>>;

/// What a client of the WebSocket asked to hear of.
pub(super) struct Subscriptions {
    app: App,
    caller: Caller,
    topics: HashSet<Topic>,
    story: Option<Story>,
    uses: Option<UsesFeed>,
    outputs: Outputs,
    followed: HashMap<TaskId, AbortHandle>,
}

/// Tells a client what was wrong with what it said.
pub(super) fn refused(detail: &str) -> Utf8Bytes {
    told(&Problem::new(Code::InvalidRequest, detail))
}

fn told(problem: &Problem) -> Utf8Bytes {
    serde_json::json!({"error": problem}).to_string().into()
}

fn resync(topic: Topic, from: u64) -> Utf8Bytes {
    serde_json::json!({"resync": {"topic": topic.as_str(), "from": from}}).to_string().into()
}

impl Subscriptions {
    pub(super) fn new(app: App, caller: Caller) -> Self {
        let (topics, followed) = (HashSet::new(), HashMap::new());
        Self { app, caller, topics, story: None, uses: None, outputs: SelectAll::new(), followed }
    }

    /// Does what a client says; answers what there is to say to that.
    pub(super) async fn take(&mut self, text: &str) -> Vec<Utf8Bytes> {
        let said = match json::read::<Said>(text, "") {
            Ok(said) => said,
            Err(problem) => return vec![told(&problem)],
        };
        let done = match said {
            Said::Subscribe(subscribe) => self.subscribe(subscribe).await,
            Said::Unsubscribe(Unsubscribe { topics }) => {
                self.unsubscribe(&topics);
                Ok(Vec::new())
            }
        };
        done.unwrap_or_else(|Refusal(problem)| vec![told(&problem)])
    }

    async fn subscribe(&mut self, subscribe: Subscribe) -> Result<Vec<Utf8Bytes>, Refusal> {
        if subscribe.topics.len() > MAX_TOPICS {
            return Err(Problem::at("/subscribe/topics", format!("at most {MAX_TOPICS} topics")).into());
        }
        let (mut topics, mut outputs, mut usage) = (HashSet::new(), Vec::new(), false);
        for (index, text) in subscribe.topics.iter().enumerate() {
            let task = text.strip_prefix(OUTPUT).and_then(|id| id.parse::<TaskId>().ok());
            match (Topic::parse(text), task) {
                (Some(topic), _) => drop(topics.insert(topic)),
                (None, Some(task)) => outputs.push(task),
                (None, None) if text == USAGE => usage = true,
                (None, None) => {
                    let pointer = format!("/subscribe/topics/{index}");
                    let detail = format!(
                        "{text:?} is not a topic; there are tasks, agents, queue, schedules, usage, output:<task id>"
                    );
                    return Err(Problem::at(pointer, detail).into());
                }
            }
        }
        for task in outputs {
            let offset = subscribe.offsets.get(&task.to_string()).copied().unwrap_or_default();
            self.follow(task, offset).await?;
        }
        if usage && self.uses.is_none() {
            self.uses = Some(self.app.uses.feed(self.caller.identity.groups.clone()));
        }
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        self.topics.extend(topics.iter().copied());
        if self.story.is_some() && subscribe.since.is_none() {
            return Ok(Vec::new());
        }
        match Story::begin(&self.app, &self.caller, subscribe.since).await {
            Ok(story) => {
                self.story = Some(story);
                Ok(Vec::new())
            }
            // What it missed is not kept any more: it looks anew, and goes on from now.
            Err(refusal) if refusal.0.code == Code::Gone => {
                let story = Story::begin(&self.app, &self.caller, None).await?;
                let from = story.after();
                self.story = Some(story);
                Ok(self.topics.iter().map(|topic| resync(*topic, from)).collect())
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn follow(&mut self, task: TaskId, offset: u64) -> Result<(), Refusal> {
        if self.followed.contains_key(&task) {
            return Ok(());
        }
        if self.followed.len() >= MAX_OUTPUTS {
            let detail = format!("at most {MAX_OUTPUTS} outputs on one connection");
            return Err(Refusal::new(Code::InvalidRequest, detail));
        }
        let attempt = latest(&self.app, &self.caller, task, None).await?;
        let source = Source::Output { id: task, attempt: Some(attempt), follow: true };
        let text = Text::new(source, &self.app.lines, &self.caller, offset);
        let printed = futures_util::stream::unfold(Some(text), move |text| async move {
            let mut text: Text = text?;
            let (event, next) = match text.next().await {
                Ok(Some(told)) => (
                    serde_json::json!({"attempt": attempt, "offset": told.offset,
                        "next_offset": told.next_offset, "text": told.text}),
                    Some(text),
                ),
                Ok(None) => {
                    (serde_json::json!({"attempt": attempt, "offset": text.offset(), "end": true}), None)
                }
                Err(refusal) => (serde_json::json!({"attempt": attempt, "error": refusal.0}), None),
            };
            Some((Printed { task, event, is_last: next.is_none() }, next))
        });
        let (printed, end) = abortable(printed);
        self.outputs.push(printed.boxed());
        self.followed.insert(task, end);
        Ok(())
    }

    fn unsubscribe(&mut self, topics: &[String]) {
        for text in topics.iter().take(MAX_TOPICS) {
            if let Some(topic) = Topic::parse(text) {
                self.topics.remove(&topic);
            } else if text == USAGE {
                self.uses = None;
            } else if let Some(Ok(task)) = text.strip_prefix(OUTPUT).map(str::parse)
                && let Some(end) = self.followed.remove(&task)
            {
                end.abort();
            }
        }
        if self.topics.is_empty() {
            self.story = None;
        }
    }

    /// What is not of the log carries the last number that was told: who comes again with it misses nothing.
    fn beside_the_log(&self, topic: &str, event: &impl Display) -> Utf8Bytes {
        let seq = self.story.as_ref().map_or(0, Story::after);
        format!("{{\"seq\":{seq},\"topic\":\"{topic}\",\"event\":{event}}}").into()
    }

    /// Waits for something to tell. Cancel safe.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let batch = tokio::select! {
                batch = next_batch(&mut self.story) => batch,
                Some(Printed { task, event, is_last }) = self.outputs.next() => {
                    if is_last {
                        self.followed.remove(&task);
                    }
                    return News::Frames(vec![self.beside_the_log(&format!("{OUTPUT}{task}"), &event)]);
                }
                events = next_uses(&mut self.uses) => {
                    let frames = events.iter().map(|event| self.beside_the_log(USAGE, event));
                    return News::Frames(frames.collect());
                }
            };
            let frames: Vec<Utf8Bytes> = match batch {
                Ok(Some(Batch::Entries(entries))) => entries
                    .iter()
                    .filter(|entry| self.topics.contains(&entry.topic))
                    .map(crate::live::Entry::frame)
                    .collect(),
                Ok(Some(Batch::Missed { after: _, from })) => {
                    self.topics.iter().map(|topic| resync(*topic, from)).collect()
                }
                Ok(Some(Batch::Replaced { log, from })) => {
                    let hello = serde_json::json!({"hello": {"log": &*log, "seq": from}}).to_string();
                    let again = self.topics.iter().map(|topic| resync(*topic, from));
                    std::iter::once(hello.into()).chain(again).collect()
                }
                Ok(None) => return News::End,
                Err(Refusal(problem)) => {
                    self.story = None;
                    vec![told(&problem)]
                }
            };
            if !frames.is_empty() {
                return News::Frames(frames);
            }
        }
    }
}

/// Never ends where nobody asked for it.
pub(super) async fn next_uses(uses: &mut Option<UsesFeed>) -> Vec<Arc<str>> {
    match uses {
        Some(feed) => match feed.next().await {
            Some(events) => events,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

async fn next_batch(story: &mut Option<Story>) -> Result<Option<Batch>, Refusal> {
    match story {
        Some(story) => story.next().await,
        None => std::future::pending().await,
    }
}
