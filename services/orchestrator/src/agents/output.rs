//! Output of agents that work on another disk: it is written into the run folder as it comes, under the lease it was
//! written under and at the offset it names.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use conductor_core::{AgentId, Lease, TaskId};
use conductor_protocol::agent::{Answer, OutputHello, ToAgent};
use conductor_protocol::frame::OutputFrame;
use conductor_runtime::lifecycle::Shutdown;
use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::Message;

use super::Context;
use crate::socket::{self, Error, Socket, Stream};

/// Bytes that may be under way; granted anew as they are written.
const GRANT: u64 = 1 << 20;

/// Serves an output connection until it ends. Frames under a lease that the agent does not hold are dropped.
pub(super) async fn serve<S: Stream>(
    socket: &mut Socket<S>,
    hello: OutputHello,
    context: &Context,
    shutdown: &Shutdown,
) -> Result<(), Error> {
    socket::send(socket, &Answer::OutputReady { grant: GRANT }).await?;
    let mut written = 0;
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            () = shutdown.draining() => return Ok(()),
        };
        let bytes = match message {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Text(_))) => return Err(Error::Message("text on an output connection".into())),
            Some(Ok(Message::Close(_))) | None => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        };
        let frame = OutputFrame::decode(&bytes).map_err(|error| Error::Message(error.to_string()))?;
        match run_of(context, hello.agent_id, frame.lease).await {
            Some((task, attempt)) if attempt == frame.attempt => write(context, task, &frame).await?,
            Some(_) | None => tracing::warn!(lease = %frame.lease, "output under a stale lease was refused"),
        }
        written += frame.bytes.len() as u64;
        // A frame without bytes asks what was taken so far: it is answered at once.
        if written >= GRANT / 2 || frame.bytes.is_empty() {
            let grant = ToAgent { grant: Some(written), ..ToAgent::default() };
            socket::send(socket, &grant).await?;
            written = 0;
        }
    }
}

/// The run that an agent holds a lease on, as the machine knows it now.
async fn run_of(context: &Context, agent: AgentId, lease: Lease) -> Option<(TaskId, u32)> {
    let look = context.engine.look(move |machine, _| {
        let state = machine.state();
        let (_, task) = state.leases(agent).find(|(held, _)| *held == lease)?;
        Some((task, state.task(task)?.attempt))
    });
    look.await.ok().flatten()
}

async fn write(context: &Context, task: TaskId, frame: &OutputFrame<'_>) -> Result<(), Error> {
    let path = output_path(&context.workspace, task, frame.attempt);
    let (offset, bytes) = (frame.offset, frame.bytes.to_vec());
    let end = offset + bytes.len() as u64;
    let done = tokio::task::spawn_blocking(move || write_at(&path, offset, &bytes)).await;
    match done {
        Ok(Ok(())) => {
            context.hub.assigned(frame.lease, task, frame.attempt);
            context.hub.grew(frame.lease, end);
            Ok(())
        }
        Ok(Err(error)) => Err(Error::Message(format!("failed to write the output of {task}: {error}"))),
        Err(_) => Err(Error::Message("the writing of output panicked".into())),
    }
}

fn output_path(workspace: &Path, task: TaskId, attempt: u32) -> PathBuf {
    workspace
        .join("tasks")
        .join(task.to_string())
        .join("attempts")
        .join(attempt.to_string())
        .join("output.log")
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let file: File = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .custom_flags(nofollow)
        .open(path)?;
    file.write_all_at(bytes, offset)
}
