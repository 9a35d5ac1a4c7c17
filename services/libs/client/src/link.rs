//! A way to an orchestrator that outlasts its restarts.

use std::future::Future;
use std::time::Duration;

use conductor_core::TaskId;
use conductor_protocol::control::{Call, Id, Output, OutputEnd, Submit, Submitted};
use conductor_protocol::limits::MAX_WAIT_SECONDS;
use conductor_protocol::task::TaskView;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::control::{Control, Options};
use crate::error::Error;
use crate::stream::Chunk;
use crate::target::Target;

/// The first pause between two attempts to connect; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long a caller bears with an orchestrator that is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Not at all: what fails fails at once.
    None,
    /// This long each time.
    For(Duration),
}

/// A way to an orchestrator: it connects when needed, again when a connection is lost, and repeats what may be repeated.
#[derive(Debug)]
pub struct Link {
    target: Target,
    options: Options,
    patience: Patience,
    control: Option<Control>,
}

impl Link {
    /// Makes a link. It does not connect yet.
    #[must_use]
    pub fn new(target: Target, options: Options, patience: Patience) -> Self {
        Self { target, options, patience, control: None }
    }

    /// Makes a link that begins with a connection that is there already.
    #[must_use]
    pub fn over(target: Target, options: Options, patience: Patience, control: Control) -> Self {
        Self { target, options, patience, control: Some(control) }
    }

    /// Another link to the same orchestrator with a connection of its own.
    #[must_use]
    pub fn another(&self, options: Options) -> Self {
        Self::new(self.target.clone(), options, self.patience)
    }

    /// Where it leads.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The options that its connections are opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Gives the connection, a new one when there is none or it was lost.
    ///
    /// # Errors
    /// When none can be had within the patience.
    pub async fn control(&mut self) -> Result<Control, Error> {
        self.repeat(async |control| Ok(control)).await
    }

    /// Asks, and asks again on a new connection when one is lost. Only for calls that do no harm when they are carried
    /// out twice.
    ///
    /// # Errors
    /// When the orchestrator refuses, or is away for longer than the patience.
    pub async fn ask<T: DeserializeOwned>(&mut self, call: &Call) -> Result<T, Error> {
        self.repeat(async |control| control.ask_by(call).await).await
    }

    /// Submits tasks once, however often the connection is lost on the way: without a key of the caller's it makes one.
    ///
    /// # Errors
    /// When the orchestrator refuses, or is away for longer than the patience.
    pub async fn submit(&mut self, mut submit: Submit) -> Result<Submitted, Error> {
        submit.key.get_or_insert_with(|| format!("once-{}", uuid::Uuid::new_v4()));
        self.ask(&Call::Submit(submit)).await
    }

    /// Waits until a task has ended.
    ///
    /// # Errors
    /// When the orchestrator refuses, or is away for longer than the patience.
    pub async fn wait(&mut self, id: TaskId) -> Result<TaskView, Error> {
        loop {
            let wait = conductor_protocol::control::Wait { id, timeout_ms: MAX_WAIT_SECONDS * 1_000 };
            let task: TaskView = self.ask(&Call::Wait(wait)).await?;
            if task.state.is_terminal() {
                return Ok(task);
            }
        }
    }

    /// Reads or follows the output of an attempt to its end and hands over every byte once and in order, over any
    /// number of lost connections. Without an attempt it is the one that is the latest now, to its end.
    ///
    /// # Errors
    /// When the orchestrator refuses, is away for longer than the patience, or leaves bytes out; and what `write` says.
    pub async fn output<E>(
        &mut self,
        mut output: Output,
        mut write: impl AsyncFnMut(&[u8]) -> Result<(), E>,
    ) -> Result<OutputEnd, E>
    where
        E: From<Error>,
    {
        if output.attempt.is_none() {
            let task: TaskView = self.ask(&Call::Get(Id { id: output.id })).await?;
            output.attempt = Some(task.attempt.max(1));
        }
        let mut pause = FIRST_PAUSE;
        loop {
            let control = self.control().await?;
            let before = output.offset;
            match follow(&control, &mut output, &mut write).await? {
                Ok(end) => return Ok(end),
                Err(Error::Slow) => continue,
                Err(error) if error.is_of_the_connection() && self.patience != Patience::None => {
                    self.control = None;
                }
                Err(error) => return Err(error.into()),
            }
            // Who lets one in and hangs up at once is not asked without a pause.
            pause = if output.offset > before { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::time::sleep(pause).await;
        }
    }

    /// Does something with a connection, again with a new one when it is lost.
    async fn repeat<T, F>(&mut self, mut act: impl FnMut(Control) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut until = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let result = match self.connection().await {
                Ok(control) => act(control).await,
                Err(error) => Err(error),
            };
            let error = match result {
                Err(error) if error.is_of_the_connection() => error,
                other => return other,
            };
            self.control = None;
            let now = Instant::now();
            let Patience::For(patience) = self.patience else { return Err(error) };
            let until = *until.get_or_insert(now + patience);
            if now + pause > until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn connection(&mut self) -> Result<Control, Error> {
        if let Some(control) = self.control.as_ref().filter(|control| !control.is_lost()) {
            return Ok(control.clone());
        }
        let control = self.target.connect(self.options.clone()).await?;
        self.control = Some(control.clone());
        Ok(control)
    }
}

/// Follows an output on one connection and moves `output` forward by what it brings.
async fn follow<E>(
    control: &Control,
    output: &mut Output,
    write: &mut impl AsyncFnMut(&[u8]) -> Result<(), E>,
) -> Result<Result<OutputEnd, Error>, E> {
    let mut chunks = match control.output(*output).await {
        Ok(chunks) => chunks,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        let chunk = match chunks.next().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => return Ok(Err(error)),
        };
        match unread(&chunk, output.offset) {
            Ok(bytes) => {
                write(bytes).await?;
                output.offset += bytes.len() as u64;
            }
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(chunks.end().ok_or_else(|| Error::malformed("an output without an end")))
}

/// The bytes of a chunk from `offset` on.
fn unread(chunk: &Chunk, offset: u64) -> Result<&[u8], Error> {
    let Some(known) = offset.checked_sub(chunk.offset) else {
        let left_out = format!("bytes {offset} to {} of the output were left out", chunk.offset);
        return Err(Error::malformed(left_out));
    };
    let known = usize::try_from(known).unwrap_or(usize::MAX).min(chunk.bytes.len());
    Ok(&chunk.bytes[known..])
}
