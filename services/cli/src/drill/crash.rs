//! `drill`: kills an orchestrator and its agents under load, in a home of its own on the same disk, and compares what came of
//! the tasks with what was acknowledged.

mod processes;
mod programs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use conductor_client::{Error, Link, Options, Patience, Target, Told};
use conductor_core::TaskId;
use conductor_protocol::control::{Call, Events, Submit};
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::task::State;
use serde::Serialize;
use tokio::time::timeout;

use self::programs::{Programs, Victim};
use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::Screen;

/// How long an orchestrator may be away.
const AWAY: Duration = Duration::from_secs(60);
/// How long what was submitted may take after the last kill.
const REST: Duration = Duration::from_secs(300);
/// How often it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(100);
/// The pause before each kill: at least this, and up to so much more.
const LEAST_PAUSE_MS: u64 = 200;
const MORE_PAUSE_MS: u64 = 700;

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    acknowledged: usize,
    kills: BTreeMap<&'static str, usize>,
    /// Attempts that were lost with what ran them, and repeated.
    crashed: usize,
    /// Tasks that were acknowledged and are not known any more, or did not succeed.
    lost: Vec<String>,
    /// What may never be: a second completion, a second lease, a change after the end.
    faults: Vec<String>,
    /// Processes that outlived the end of everything.
    left: Vec<u32>,
    /// The longest that the orchestrator was away after a kill.
    longest_away_ms: u64,
}

/// `drill`: exits with 1 where a task was lost or completed twice, or a process was left.
pub async fn run(context: &mut Context<'_>, args: &args::Drill) -> Result<Exit, Failure> {
    let beside = &context.loaded.home.state;
    std::fs::create_dir_all(beside).map_err(|error| failed(format!("{}: {error}", beside.display())))?;
    // On the disk on which it matters.
    let folder = tempfile::Builder::new().prefix(".drill-").tempdir_in(beside);
    let mut folder = folder.map_err(|error| failed(format!("{}: {error}", beside.display())))?;
    let shutdown = context.signals()?;
    let mut programs = Programs::start(folder.path()).map_err(|error| failed(error.to_string()))?;
    let outcome = tokio::select! {
        outcome = drill(context, args, &mut programs) => Some(outcome),
        () = shutdown.draining() => None,
    };
    programs.end();
    let Some(outcome) = outcome else { return Ok(Exit::Cancelled) };
    if !outcome.as_ref().is_ok_and(|outcome| outcome.ok) {
        folder.disable_cleanup(true);
        context.screen.note(format!("what is left of it is in {}", folder.path().display()));
    }
    let outcome = outcome?;
    report(context.screen, &outcome)?;
    Ok(if outcome.ok { Exit::Succeeded } else { Exit::Failed })
}

async fn drill(
    context: &mut Context<'_>,
    args: &args::Drill,
    programs: &mut Programs,
) -> Result<Outcome, Failure> {
    let mut link = programs.link();
    context.screen.progress("drill: the programs start");
    ready(&mut link, programs).await?;
    let submitting = submit_all(programs.link(), args.tasks, args.kills);
    let killing = kill_all(context, args.kills, programs, &mut link);
    let (ids, (kills, longest_away)) = tokio::try_join!(submitting, killing)?;
    let told = settle(context, &mut link, ids.len()).await?;
    context.screen.progress("drill: everything ends");
    programs.end();
    let left = processes::below(programs.folder());
    context.screen.clear_progress();
    let finished = |id: &String| told.tasks.get(id).and_then(|task| task.finished);
    let ids = ids.iter().map(TaskId::to_string);
    let lost: Vec<_> = ids.clone().filter(|id| finished(id) != Some(State::Succeeded)).collect();
    let crashed = told.tasks.values().map(|task| task.ends.len().saturating_sub(1)).sum();
    Ok(Outcome {
        ok: lost.is_empty() && told.faults.is_empty() && left.is_empty(),
        acknowledged: ids.len(),
        kills,
        crashed,
        lost,
        faults: told.faults,
        left,
        longest_away_ms: u64::try_from(longest_away.as_millis()).unwrap_or(u64::MAX),
    })
}

/// Waits until the orchestrator answers.
async fn ready(link: &mut Link, programs: &mut Programs) -> Result<(), Failure> {
    loop {
        match timeout(LOOK, link.ask::<serde_json::Value>(&Call::Status)).await {
            Ok(status) => return Ok(status.map(drop)?),
            Err(_) => {
                if let Some(said) = programs.fault() {
                    return Err(failed(format!("a program of the drill ended: {said}")));
                }
            }
        }
    }
}

/// Kills one after the other at random; answers how many of each, and the longest that the orchestrator was away.
async fn kill_all(
    context: &mut Context<'_>,
    count: u32,
    programs: &mut Programs,
    link: &mut Link,
) -> Result<(BTreeMap<&'static str, usize>, Duration), Failure> {
    let (mut kills, mut longest_away) = (BTreeMap::new(), Duration::ZERO);
    for number in 1..=count {
        let at_random = programs::at_random();
        tokio::time::sleep(Duration::from_millis(LEAST_PAUSE_MS + at_random % MORE_PAUSE_MS)).await;
        let victim = Victim::of(at_random);
        context.screen.progress(format!("drill: kill {number} of {count}: {}", victim.name()));
        *kills.entry(victim.name()).or_insert(0) += 1;
        let since = Instant::now();
        programs.kill(victim).map_err(|error| failed(error.to_string()))?;
        ready(link, programs).await?;
        longest_away = longest_away.max(since.elapsed());
    }
    Ok((kills, longest_away))
}

/// Submits tasks over about the time that the kills take; answers those that were acknowledged.
async fn submit_all(mut link: Link, tasks: u32, kills: u32) -> Result<Vec<TaskId>, Failure> {
    let whole = (LEAST_PAUSE_MS + MORE_PAUSE_MS / 2) * u64::from(kills);
    let pause = Duration::from_millis(whole / u64::from(tasks.max(1)));
    let mut ids = Vec::new();
    for number in 0..tasks {
        let body = serde_json::value::to_raw_value(&task(number)).expect("a task can be written");
        let submitted = link.submit(Submit { tasks: vec![body], key: None }).await?;
        ids.extend(submitted.ids);
        tokio::time::sleep(pause).await;
    }
    Ok(ids)
}

/// Programs and simulations of different lengths, so that a kill finds them in different places.
fn task(number: u32) -> SubmitTask {
    let ms = u64::from(number) * 37 % 400;
    let name = Some(format!("drill {number}"));
    if number.is_multiple_of(2) {
        let prompt = Some(format!("print {number}; sleep {ms}ms; write {number}.txt it lasted"));
        return SubmitTask { prompt, name, runner: Some("mock".to_owned()), ..SubmitTask::default() };
    }
    let script = format!("echo {number}; (setsid sleep 0.{ms:03} &); sleep 0.{ms:03}; echo it lasted > file");
    let command = Some(["sh", "-c", &script].map(str::to_owned).into());
    SubmitTask { command, name, runner: Some("command".to_owned()), ..SubmitTask::default() }
}

/// Waits until so many tasks have ended; answers all that was ever told.
async fn settle(context: &mut Context<'_>, link: &mut Link, count: usize) -> Result<Told, Failure> {
    let until = Instant::now() + REST;
    loop {
        let told = read(link).await?;
        let ended = told.finished();
        context.screen.progress(format!("drill: {ended} of {count} tasks have ended"));
        if ended >= count || Instant::now() >= until {
            return Ok(told);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Reads every event since the first.
async fn read(link: &mut Link) -> Result<Told, Failure> {
    let control = link.control().await?;
    let read = async {
        let mut events = control.events(Events { since: Some(0), follow: false }).await?;
        let mut told = Told::default();
        while let Some(event) = events.next().await? {
            told.take(&event);
        }
        Ok::<_, Error>(told)
    };
    match timeout(AWAY, read).await {
        Ok(told) => Ok(told?),
        Err(_) => Err(failed("the events could not be read in time".to_owned())),
    }
}

fn report(screen: &mut Screen, outcome: &Outcome) -> Result<(), Failure> {
    if screen.is_json() {
        return screen.json(outcome);
    }
    lines(outcome).into_iter().try_for_each(|line| screen.line(line))
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let kills: Vec<_> = outcome.kills.iter().map(|(what, count)| format!("{what} {count}")).collect();
    let held = |is_held: bool| if is_held { "held" } else { "BROKEN" };
    let mut lines = vec![
        format!("killed with signal 9: {}", kills.join(", ")),
        format!("acknowledged: {} tasks", outcome.acknowledged),
        format!("repeated after a crash: {} attempts", outcome.crashed),
        format!("longest without an orchestrator: {} ms", outcome.longest_away_ms),
        format!("none lost, each ended: {}", held(outcome.lost.is_empty())),
        format!("none completed twice: {}", held(outcome.faults.is_empty())),
        format!("no process left: {}", held(outcome.left.is_empty())),
    ];
    lines.extend(outcome.lost.iter().map(|id| format!("lost: {id}")));
    lines.extend(outcome.faults.iter().cloned());
    lines.extend(outcome.left.iter().map(|pid| format!("left: process {pid}")));
    lines
}

fn failed(message: String) -> Failure {
    Failure::Failed(message)
}

/// Options of a link that bears with kills.
fn link(target: Target) -> Link {
    Link::new(target, Options::new("drill"), Patience::For(AWAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lost: usize, faults: usize, left: usize) -> String {
        let outcome = Outcome {
            ok: lost + faults + left == 0,
            acknowledged: 2,
            kills: [("agent", 1)].into(),
            crashed: 0,
            lost: vec!["7".to_owned(); lost],
            faults: vec!["task 7 was submitted twice".to_owned(); faults],
            left: vec![42; left],
            longest_away_ms: 3,
        };
        lines(&outcome).join("\n")
    }

    #[test]
    fn what_did_not_hold_is_named() {
        assert!(!outcome(0, 0, 0).contains("BROKEN"));
        for (text, says) in [
            (outcome(1, 0, 0), "lost: "),
            (outcome(0, 1, 0), "submitted twice"),
            (outcome(0, 0, 1), "left: process 42"),
        ] {
            assert!(text.contains("BROKEN") && text.contains(says), "{text}");
        }
    }

    #[test]
    fn its_tasks_can_be_submitted() {
        for number in 0..20 {
            let text = serde_json::to_string(&task(number)).unwrap();
            SubmitTask::parse(&text, "").unwrap_or_else(|problem| panic!("{problem}: {text}"));
        }
    }
}
