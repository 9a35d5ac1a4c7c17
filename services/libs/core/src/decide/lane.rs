//! The rules of lanes: a limit lets one rest, refusals close it, and what was shut opens a little at a time.

use std::sync::Arc;

use crate::actor::Actor;
use crate::command::{Rejection, Reply};
use crate::context::{Context, View};
use crate::decide::servable::Obstacle;
use crate::event::EventKind;
use crate::lane::AUTH_FAILURES_THAT_CLOSE;
use crate::name::Name;
use crate::task::{AttemptEnd, FailureReason};

/// What stands between a lane and another run under it.
pub(crate) fn obstacle(view: View<'_>, name: &Name) -> Option<Obstacle> {
    let lane = view.state.lane(name)?;
    if lane.closed {
        return Some(Obstacle::LaneClosed(name.clone()));
    }
    if let Some(until) = lane.rests_until.filter(|until| *until > view.now.wall) {
        return Some(Obstacle::LaneRests(name.clone(), until));
    }
    let limit = lane.at_once()?;
    (view.state.queues().running_under_lane(name) >= limit)
        .then(|| Obstacle::LaneRecovers(name.clone(), limit))
}

/// Decides what the end of a run means for its lane; the state has counted it already.
pub(crate) fn run_ended(step: &mut Context<'_>, name: &Name, end: &AttemptEnd) {
    let known = step.state().lane(name);
    let is_closed = known.is_some_and(|lane| lane.closed);
    match end {
        AttemptEnd::Limited { rest_ms, .. } if *rest_ms > 0 && !is_closed => {
            let until = step.now().wall.after(super::attempt::rest_of_limit(*rest_ms));
            let later = known.and_then(|lane| lane.rests_until).is_none_or(|known| until > known);
            if later {
                step.emit(EventKind::LaneChanged {
                    lane: name.clone(),
                    rests_until: Some(until),
                    open: true,
                });
            }
        }
        AttemptEnd::Failed(failure) if failure.reason == FailureReason::Auth => {
            let refused = known.is_some_and(|lane| lane.auth_failures >= AUTH_FAILURES_THAT_CLOSE);
            if refused && !is_closed {
                step.emit(EventKind::LaneChanged { lane: name.clone(), rests_until: None, open: false });
            }
        }
        AttemptEnd::Succeeded
        | AttemptEnd::Failed(_)
        | AttemptEnd::Crashed(_)
        | AttemptEnd::Stopped
        | AttemptEnd::Cancelled
        | AttemptEnd::Limited { .. } => {}
    }
}

/// A lane's rest is over.
pub(crate) fn due(step: &mut Context<'_>, name: &Name) {
    let now = step.now().wall;
    let rested =
        |lane: &crate::lane::Lane| lane.rests_until.is_some_and(|until| until <= now) && !lane.closed;
    if step.state().lane(name).is_some_and(rested) {
        step.emit(EventKind::LaneChanged { lane: name.clone(), rests_until: None, open: true });
    }
}

/// Opens a lane because a person says so.
pub(crate) fn open(step: &mut Context<'_>, name: Name, by: Arc<Actor>) -> Result<Reply, Rejection> {
    if step.state().lane(&name).is_none() {
        return if step.state().is_lane_offered(&name) {
            Ok(Reply::Done)
        } else {
            Err(Rejection::UnknownLane(name))
        };
    }
    step.emit(EventKind::LaneOpened { lane: name, by });
    Ok(Reply::Done)
}
