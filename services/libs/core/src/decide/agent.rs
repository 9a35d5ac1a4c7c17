//! What agents say.

use crate::agent::Profile;
use crate::budget::Spending;
use crate::command::{AgentSay, Effect, Rejection, Reply};
use crate::context::{Context, View};
use crate::decide::{attempt, budget};
use crate::event::EventKind;
use crate::id::{AgentId, InstanceId, Lease, RequestId, TaskId};
use crate::lane::AgentLanes;
use crate::task::{AttemptEnd, Question, Report};
use crate::time::Mono;

/// The most credits an agent may have at once.
const MAX_CREDITS: u32 = 65_536;

/// Hears an agent.
pub(crate) fn hear(
    step: &mut Context<'_>,
    agent: AgentId,
    session: u64,
    say: AgentSay,
) -> Result<Reply, Rejection> {
    if let AgentSay::Hello { profile, held } = say {
        may_join(step.view(), agent, session, &profile)?;
        return Ok(hello(step, agent, session, profile, &held));
    }
    let now = step.now().mono;
    let known = step.live().sessions.get_mut(&agent);
    let Some(known) = known.filter(|known| known.number == session && known.connected) else {
        return Err(Rejection::StaleSession(agent));
    };
    if say != AgentSay::Gone {
        known.heard = now;
    }
    match say {
        AgentSay::Hello { .. } | AgentSay::Heartbeat => Ok(Reply::Done),
        AgentSay::Offers(runners) => {
            let known = step.state().known_agent(agent).map(|known| &known.image.profile);
            if let Some(profile) = known.filter(|profile| profile.runners != runners) {
                let profile = Box::new(Profile { runners, ..profile.clone() });
                step.emit(EventKind::AgentJoined { profile });
            }
            Ok(Reply::Done)
        }
        AgentSay::Lanes(lanes) => {
            if step.state().agent_lanes(agent) != &*lanes {
                step.emit(EventKind::LanesOffered { lanes: Box::new(AgentLanes { agent, lanes }) });
            }
            Ok(Reply::Done)
        }
        AgentSay::Credits(more) => {
            if !known.draining {
                known.credits = known.credits.saturating_add(more).min(MAX_CREDITS);
            }
            Ok(Reply::Done)
        }
        AgentSay::Draining => {
            known.draining = true;
            known.credits = 0;
            Ok(Reply::Done)
        }
        AgentSay::DiskFull(is_full) => {
            // What it may still be given is kept for when there is room again.
            known.disk_full = is_full;
            Ok(Reply::Done)
        }
        AgentSay::Gone => {
            known.connected = false;
            known.credits = 0;
            arm(step, agent);
            Ok(Reply::Done)
        }
        AgentSay::Started(lease) => Ok(started(step, agent, lease)),
        AgentSay::Spent { lease, spending } => Ok(spent(step, agent, lease, spending)),
        AgentSay::Asked { lease, question } => Ok(asked(step, agent, lease, question)),
        AgentSay::Withdrawn { lease, request_id } => Ok(withdrawn(step, agent, lease, request_id)),
        AgentSay::Took { lease, count } => Ok(took(step, agent, lease, count)),
        AgentSay::Finished { lease, end, report } => Ok(finished(step, agent, lease, end, report)),
    }
}

fn may_join(view: View<'_>, agent: AgentId, session: u64, profile: &Profile) -> Result<(), Rejection> {
    assert_eq!(agent, profile.agent_id, "an agent speaks for itself");
    match view.state.known_agent(agent) {
        Some(known) if known.image.revoked => return Err(Rejection::Revoked(agent)),
        Some(_) => {}
        None if view.state.agent_count() >= view.policy.max_agents => return Err(Rejection::TooManyAgents),
        None => {}
    }
    if view.live.sessions.get(&agent).is_some_and(|known| session < known.number) {
        return Err(Rejection::StaleSession(agent));
    }
    if let Some(other) = view.state.agent_named(&profile.name).filter(|other| *other != agent) {
        let connected = view.live.sessions.get(&other).is_some_and(|known| known.connected);
        if connected || view.state.leases(other).next().is_some() {
            return Err(Rejection::NameTaken(profile.name.clone()));
        }
    }
    Ok(())
}

fn hello(
    step: &mut Context<'_>,
    agent: AgentId,
    number: u64,
    profile: Box<Profile>,
    held: &[Lease],
) -> Reply {
    if let Some(other) = step.state().agent_named(&profile.name).filter(|other| *other != agent) {
        step.emit(EventKind::AgentLeft { agent: other });
    }
    let known = step.state().known_agent(agent);
    let same = known.is_some_and(|known| known.image.profile == *profile);
    let draining = known.is_some_and(|known| known.image.draining);
    let before = known.map(|known| known.image.profile.instance);
    let replaced = before.filter(|instance| *instance != profile.instance);
    if !same {
        step.emit(EventKind::AgentJoined { profile });
    }
    let now = step.now().mono;
    let session = step.live().sessions.entry(agent).or_default();
    (session.number, session.connected, session.draining) = (number, true, false);
    (session.disk_full, session.credits, session.heard) = (false, 0, now);
    arm(step, agent);
    reconcile(step, agent, held, replaced);
    let ours: Vec<_> = step.state().leases(agent).map(|(lease, _)| lease).collect();
    let stale = held.iter().copied().filter(|lease| !ours.contains(lease)).collect();
    Reply::Welcome { stale, draining, replaced }
}

/// Brings the leases that the state has for an agent together with those that it holds.
fn reconcile(step: &mut Context<'_>, agent: AgentId, held: &[Lease], replaced: Option<InstanceId>) {
    let ours: Vec<_> = step.state().leases(agent).collect();
    for (lease, task) in ours {
        if held.contains(&lease) {
            remind(step, agent, lease, task);
            continue;
        }
        let run = step.state().live(task).and_then(|task| task.run());
        let started = run.is_some_and(|run| run.started);
        let end = match (replaced, started) {
            (Some(_), _) => AttemptEnd::Crashed("its worker died".into()),
            (None, true) => AttemptEnd::Crashed("its worker lost it".into()),
            // The assignment was under way when the connection broke.
            (None, false) => AttemptEnd::Stopped,
        };
        attempt::end(step, task, end, Box::default());
    }
}

/// Says again what an agent may have missed while it was away.
fn remind(step: &mut Context<'_>, agent: AgentId, lease: Lease, task: TaskId) {
    let Some(run) = step.state().live(task).and_then(|task| task.run()) else { return };
    let cancelled = run.cancel.is_some();
    let told: Vec<_> = step.state().live(task).map(|task| task.told().to_vec()).unwrap_or_default();
    let answered = run.answered.clone();
    if let Some((request_id, answer_json)) = answered {
        step.effect(Effect::Answer { agent, lease, request_id, answer_json });
    }
    if step.state().waits().has_subtasks(task) {
        step.effect(Effect::Below { agent, lease, any: true });
    }
    // It knows which of them it has heard.
    for message in told {
        step.effect(Effect::Tell { agent, lease, message });
    }
    budget::tell_limit(step, task);
    if cancelled {
        step.effect(Effect::EndRun { agent, lease, revoked: false });
    }
}

/// Refuses a word about a lease that is not held; the agent is to end what it does under it.
fn stale(step: &mut Context<'_>, agent: AgentId, lease: Lease) -> Reply {
    step.live().counters.stale_reports += 1;
    step.effect(Effect::EndRun { agent, lease, revoked: true });
    Reply::Accepted { fresh: false }
}

fn started(step: &mut Context<'_>, agent: AgentId, lease: Lease) -> Reply {
    let Some((task, _, run)) = step.state().held_by(agent, lease) else { return stale(step, agent, lease) };
    if !run.started {
        step.emit(EventKind::TaskStarted { task, lease });
    }
    Reply::Accepted { fresh: true }
}

fn spent(step: &mut Context<'_>, agent: AgentId, lease: Lease, spending: Spending) -> Reply {
    // What is said of a lease that is gone is answered when it is said to be over.
    let is_held = step.state().held_by(agent, lease).is_some();
    if is_held {
        step.live().spent.insert(lease, spending);
    }
    Reply::Accepted { fresh: is_held }
}

fn asked(step: &mut Context<'_>, agent: AgentId, lease: Lease, question: Question) -> Reply {
    let Some((task, _, run)) = step.state().held_by(agent, lease) else { return stale(step, agent, lease) };
    let request_id = question.request_id;
    if run.question.as_ref().is_some_and(|(waiting, _, _)| waiting.request_id == request_id) {
        return Reply::Accepted { fresh: true };
    }
    if let Some((_, answer)) = run.answered.as_ref().filter(|(answered, _)| *answered == request_id) {
        let answer_json = answer.clone();
        step.effect(Effect::Answer { agent, lease, request_id, answer_json });
        return Reply::Accepted { fresh: true };
    }
    let now = step.now().wall;
    let timeout_left_ms = match &run.question {
        Some((_, _, left_ms)) => *left_ms,
        None => run.deadline.remaining_ms(now),
    };
    let expires_at = now.after(step.policy().waiting_timeout_ms);
    step.emit(EventKind::TaskAsked { task, lease, question, timeout_left_ms, expires_at });
    Reply::Accepted { fresh: true }
}

fn withdrawn(step: &mut Context<'_>, agent: AgentId, lease: Lease, request_id: RequestId) -> Reply {
    let Some((task, _, run)) = step.state().held_by(agent, lease) else { return stale(step, agent, lease) };
    // One that was answered meanwhile, or that another one followed, does not wait.
    if run.question.as_ref().is_some_and(|(waiting, _, _)| waiting.request_id == request_id) {
        step.emit(EventKind::QuestionWithdrawn { task, lease, request_id });
    }
    Reply::Accepted { fresh: true }
}

fn took(step: &mut Context<'_>, agent: AgentId, lease: Lease, count: u32) -> Reply {
    // What is said of a lease that is gone is answered when it is said to be over.
    let Some((task, _, _)) = step.state().held_by(agent, lease) else {
        return Reply::Accepted { fresh: false };
    };
    let kept = step.state().live(task).map_or(0, |task| task.told().len());
    let count = count.min(u32::try_from(kept).unwrap_or(u32::MAX));
    if count > 0 {
        step.emit(EventKind::MessagesTaken { task, count });
    }
    Reply::Accepted { fresh: true }
}

fn finished(
    step: &mut Context<'_>,
    agent: AgentId,
    lease: Lease,
    end: AttemptEnd,
    report: Box<Report>,
) -> Reply {
    let held = step.state().held_by(agent, lease).map(|(task, _, _)| task);
    match held {
        Some(task) => attempt::end(step, task, end, report),
        None => step.live().counters.stale_reports += 1,
    }
    step.effect(Effect::Acknowledge { agent, lease });
    Reply::Accepted { fresh: held.is_some() }
}

/// When an agent is to be looked at: when its leases, or its connection, run out, or when it may be forgotten.
pub(crate) fn due(view: View<'_>, agent: AgentId) -> Option<Mono> {
    let known = view.state.known_agent(agent)?;
    let session = view.live.sessions.get(&agent)?;
    if session.connected || !known.runs.is_empty() {
        Some(session.heard.after(view.policy.lease_ms))
    } else if known.image.revoked {
        None
    } else {
        Some(session.heard.after(view.policy.agent_forget_ms))
    }
}

/// Arms an agent's deadline.
pub(crate) fn arm(step: &mut Context<'_>, agent: AgentId) {
    if let Some(due) = due(step.view(), agent) {
        step.live().arm_agent(due, agent);
    }
}

/// Arms the deadlines of all agents.
pub(crate) fn arm_all(step: &mut Context<'_>) {
    let agents: Vec<_> = step.state().known_agents().map(|(id, _)| id).collect();
    for agent in agents {
        arm(step, agent);
    }
}
