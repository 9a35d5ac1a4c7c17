//! Streams: output as it grows, files.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use conductor_core::{StageImage, TaskId};
use conductor_protocol::control::{FileCall, Output, OutputEnd};
use conductor_protocol::limits::MAX_OUTPUT_FRAME_BYTES;
use conductor_protocol::{Code, Problem};
use serde_json::value::RawValue;
use tokio::sync::broadcast::error::RecvError;

use super::super::Context;
use super::super::session::Items;
use super::one;
use crate::run_files::RunFiles;

/// A follower looks at the file by itself this often, should a notice be lost.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The longest line of a run's events that is passed on.
const MAX_LINE_BYTES: usize = 1 << 20;

/// Where an attempt stands, as far as its output goes.
enum Attempt {
    /// It may still write.
    Running(u32),
    /// It writes no more.
    Over(u32),
    /// There is none yet.
    NotYet,
}

/// The attempt that is asked for, or the latest.
async fn attempt(context: &Context, task: TaskId, asked: Option<u32>) -> Result<Attempt, Problem> {
    let live = context
        .engine
        .look(move |machine, _| {
            let image = machine.state().task(task)?;
            let running = matches!(image.stage, StageImage::Running(_));
            Some((image.attempt, running))
        })
        .await?;
    let (latest, running) = match live {
        Some(known) => known,
        None => (one::get(context, task).await?.attempt, false),
    };
    match asked {
        Some(0) => Err(Problem::at("/attempt", "attempts count from 1")),
        Some(number) if number < latest => Ok(Attempt::Over(number)),
        Some(number) if number > latest && live.is_none() => {
            Err(Problem::new(Code::NotFound, format!("task {task} had {latest} attempts")))
        }
        Some(number) if number > latest => Ok(Attempt::NotYet),
        Some(_) | None if latest == 0 && live.is_some() => Ok(Attempt::NotYet),
        Some(_) | None if running => Ok(Attempt::Running(latest)),
        Some(_) | None => Ok(Attempt::Over(latest)),
    }
}

/// Output of an attempt from an offset; when followed, until the attempt is over.
pub(super) async fn output(context: &Context, call: Output, items: Items) -> Result<OutputEnd, Problem> {
    let mut sender = ByteSender::new(items, call.offset, call.limit);
    let (attempt, bytes) = follow(context, call, "output.log", &mut sender).await?;
    Ok(OutputEnd { attempt, offset: sender.offset, bytes })
}

/// What the runner reported, line by line.
pub(super) async fn run_events(context: &Context, call: Output, items: Items) -> Result<OutputEnd, Problem> {
    let end = call.limit.map_or(u64::MAX, |limit| call.offset.saturating_add(limit));
    let mut sender = LineSender { items, offset: call.offset, partial: Vec::new(), whole: call.offset, end };
    let (attempt, bytes) = follow(context, call, "events.ndjson", &mut sender).await?;
    Ok(OutputEnd { attempt, offset: sender.whole, bytes })
}

/// What takes in the bytes of a file as it grows.
trait Sink {
    fn offset(&self) -> u64;
    /// How many bytes more it takes at most.
    fn room(&self) -> u64;
    async fn take(&mut self, bytes: &[u8]) -> Result<(), Problem>;
}

struct ByteSender {
    items: Items,
    offset: u64,
    /// The offset that it does not go beyond.
    end: u64,
}

impl ByteSender {
    fn new(items: Items, offset: u64, limit: Option<u64>) -> Self {
        Self { items, offset, end: limit.map_or(u64::MAX, |limit| offset.saturating_add(limit)) }
    }
}

impl Sink for ByteSender {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn room(&self) -> u64 {
        self.end - self.offset
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.items.bytes(self.offset, bytes).await?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

struct LineSender {
    items: Items,
    offset: u64,
    partial: Vec<u8>,
    /// The offset after the last whole line.
    whole: u64,
    /// No line is begun at or after it.
    end: u64,
}

impl Sink for LineSender {
    fn offset(&self) -> u64 {
        self.offset
    }

    fn room(&self) -> u64 {
        // A line that was begun is read to its end.
        if self.whole < self.end { u64::MAX } else { 0 }
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.room() == 0 {
                return Ok(());
            }
            self.offset += piece.len() as u64;
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                // A line that is no JSON was written by something else; it is passed over.
                if let Ok(line) = serde_json::from_slice::<Box<RawValue>>(&self.partial) {
                    self.items.item(&line).await?;
                }
                self.partial.clear();
                self.whole = self.offset;
            } else if self.partial.len() > MAX_LINE_BYTES {
                self.partial.clear();
            }
        }
        Ok(())
    }
}

/// Sends a file of an attempt from an offset on; answers which attempt it was, and how many bytes the file has.
async fn follow(
    context: &Context,
    call: Output,
    name: &str,
    sink: &mut impl Sink,
) -> Result<(u32, u64), Problem> {
    let files = RunFiles::new(&context.workspace, call.id);
    let mut grew = context.hub.follow();
    let mut chosen = call.attempt;
    loop {
        // Where the attempt stands is asked before its file is read: what it wrote before its end is read then.
        let stands = attempt(context, call.id, chosen).await?;
        let (number, over) = match stands {
            Attempt::Running(number) => (number, false),
            Attempt::Over(number) => (number, true),
            Attempt::NotYet if !call.follow => return Ok((0, 0)),
            Attempt::NotYet => {
                pause(context, call.id, &mut grew).await;
                continue;
            }
        };
        chosen = Some(number);
        let mut bytes = 0;
        if let Some(file) = files.attempt_file(number, name).await? {
            bytes = send_rest(&file, sink).await?;
        }
        if over || !call.follow || sink.room() == 0 {
            return Ok((number, bytes));
        }
        pause(context, call.id, &mut grew).await;
    }
}

/// Waits until there may be more: a notice about the task, its end, or a while.
async fn pause(
    context: &Context,
    task: TaskId,
    grew: &mut tokio::sync::broadcast::Receiver<crate::hub::Grew>,
) {
    let notice = async {
        loop {
            match grew.recv().await {
                Ok(notice) if notice.task == task => return,
                Ok(_) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            }
        }
    };
    tokio::select! {
        () = notice => {}
        _ = context.engine.watch(task) => {}
        () = tokio::time::sleep(LOOK_AGAIN) => {}
    }
}

/// Sends what a file holds after the sink's offset, as far as the sink has room; answers how many bytes the file has.
async fn send_rest(file: &File, sink: &mut impl Sink) -> Result<u64, Problem> {
    loop {
        let (file, offset) = (clone(file)?, sink.offset());
        let most = usize::try_from(sink.room()).unwrap_or(usize::MAX).min(MAX_OUTPUT_FRAME_BYTES);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; most];
            let length = file.metadata()?.len();
            let count = if offset < length { file.read_at(&mut bytes, offset)? } else { 0 };
            bytes.truncate(count);
            Ok::<_, std::io::Error>((bytes, length))
        });
        let (bytes, length) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_) => return Err(Problem::new(Code::Internal, "the reading panicked")),
        };
        if bytes.is_empty() {
            return Ok(length);
        }
        sink.take(&bytes).await?;
    }
}

fn clone(file: &File) -> Result<File, Problem> {
    file.try_clone().map_err(|error| unreadable(&error))
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(Code::Internal, format!("the file cannot be read: {error}"))
}

/// What a run changed.
pub(super) async fn diff(context: &Context, call: Output, items: Items) -> Result<OutputEnd, Problem> {
    let number = match attempt(context, call.id, call.attempt).await? {
        Attempt::Running(number) | Attempt::Over(number) => number,
        Attempt::NotYet => 0,
    };
    let files = RunFiles::new(&context.workspace, call.id);
    let file = files.attempt_file(number, "diff.patch").await?;
    let Some(file) = file else {
        return Err(Problem::new(Code::NotFound, format!("task {} has no diff yet", call.id)));
    };
    let mut sender = ByteSender::new(items, call.offset, call.limit);
    let bytes = send_rest(&file, &mut sender).await?;
    Ok(OutputEnd { attempt: number, offset: sender.offset, bytes })
}

/// Bytes of one file of the work folder.
pub(super) async fn file(context: &Context, call: FileCall, items: Items) -> Result<OutputEnd, Problem> {
    conductor_protocol::submit::check_path(&call.path).map_err(|detail| Problem::at("/path", detail))?;
    let view = one::get(context, call.id).await?;
    let files = RunFiles::new(&context.workspace, call.id);
    let Some(file) = files.work_file(&call.path).await? else {
        return Err(Problem::new(Code::NotFound, format!("task {} has no file {:?}", call.id, call.path)));
    };
    let mut sender = ByteSender::new(items, call.offset, call.limit);
    let bytes = send_rest(&file, &mut sender).await?;
    Ok(OutputEnd { attempt: view.attempt, offset: sender.offset, bytes })
}
