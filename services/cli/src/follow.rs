//! A task's output as it comes, over attempts and lost connections.

use std::time::Duration;

use conductor_client::{Link, Options, WhenFull};
use conductor_core::TaskId;
use conductor_protocol::control::{Call, Id, Output, Wait};
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::{Code, Problem};
use serde_json::value::RawValue;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;
use crate::server::{Need, Server};

/// The first pause between two looks at a task that does not run; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two looks at a task that does not run.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What a follower does with what it sees.
pub trait Watcher {
    /// Bytes of output.
    fn output(&mut self, bytes: &[u8]) -> Result<(), Failure>;

    /// The task does not run now.
    fn stands(&mut self, task: &TaskView);

    /// An attempt began whose output follows.
    fn begins(&mut self, task: &TaskView, attempt: u32);
}

/// Makes a link whose pace is that of the screen, for one output.
pub fn paced(link: &Link) -> Link {
    link.another(Options { when_full: WhenFull::Wait, ..link.options().clone() })
}

/// Follows every attempt of a task from the first one on until the task has ended.
pub async fn task(link: &mut Link, id: TaskId, watcher: &mut impl Watcher) -> Result<TaskView, Failure> {
    let mut next = 1;
    let mut pause = FIRST_PAUSE;
    let mut task: TaskView = link.ask(&Call::Get(Id { id })).await?;
    loop {
        if task.attempt >= next && has_begun(&task, next) {
            watcher.begins(&task, next);
            let output = Output { id, attempt: Some(next), offset: 0, follow: true, limit: None };
            match link.output(output, async |bytes: &[u8]| watcher.output(bytes)).await {
                // The folder of an old run may be gone; its record tells how it ended.
                Err(Failure::Refused(problem)) if is_gone(&problem) => {}
                other => drop(other?),
            }
            next += 1;
            pause = FIRST_PAUSE;
            task = link.ask(&Call::Get(Id { id })).await?;
            continue;
        }
        if task.state.is_terminal() {
            return Ok(task);
        }
        watcher.stands(&task);
        // A wait in place of a sleep: it ends at once when the task does.
        let timeout_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        task = link.ask(&Call::Wait(Wait { id, timeout_ms })).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn is_gone(problem: &Problem) -> bool {
    matches!(problem.code, Code::NotFound | Code::Gone)
}

/// Whether an attempt has an output by now.
fn has_begun(task: &TaskView, attempt: u32) -> bool {
    match task.state {
        State::Running | State::Waiting => true,
        State::Blocked | State::Scheduled | State::Queued => task.attempt > attempt || is_over(task, attempt),
        State::Succeeded | State::Failed | State::Cancelled => true,
    }
}

fn is_over(task: &TaskView, attempt: u32) -> bool {
    task.attempts.iter().any(|one| one.number == attempt && one.finished_at.is_some())
}

/// Shows output and nothing else.
struct Plain<'a> {
    screen: &'a mut Screen,
}

impl Watcher for Plain<'_> {
    fn output(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.screen.output(bytes)
    }

    fn stands(&mut self, task: &TaskView) {
        self.screen.progress(crate::show::standing(task));
    }

    fn begins(&mut self, _: &TaskView, attempt: u32) {
        if attempt > 1 {
            self.screen.note(format!("attempt {attempt}"));
        }
    }
}

/// `logs`
pub async fn logs(context: &mut Context<'_>, args: &args::Logs) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    if args.follow && server.is_own() {
        crate::tasks::has_ended(&mut server.link, args.id).await?;
    }
    if args.events {
        run_events(context, &mut server, args).await?;
    } else if args.follow && args.attempt.is_none() {
        let mut plain = Plain { screen: context.screen };
        task(&mut paced(&server.link), args.id, &mut plain).await?;
        context.screen.end_output()?;
    } else {
        let output =
            Output { id: args.id, attempt: args.attempt, offset: 0, follow: args.follow, limit: None };
        let screen = &mut *context.screen;
        paced(&server.link).output(output, async |bytes: &[u8]| screen.output(bytes)).await?;
        context.screen.end_output()?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn run_events(
    context: &mut Context<'_>,
    server: &mut Server,
    args: &args::Logs,
) -> Result<(), Failure> {
    let output = Output { id: args.id, attempt: args.attempt, offset: 0, follow: args.follow, limit: None };
    let control = paced(&server.link).control().await?;
    let mut events = control.run_events(output).await?;
    while let Some(event) = events.next().await? {
        let event: Box<RawValue> = event;
        if context.screen.is_json() {
            context.screen.json(&event)?;
        } else {
            context.screen.output(event.get().as_bytes())?;
            context.screen.output(b"\n")?;
        }
    }
    Ok(())
}
