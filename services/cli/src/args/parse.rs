//! Values of options, read at the boundary.

use std::time::Duration;

use conductor_core::Wall;
use conductor_protocol::control::{CatchUp, Overlap, Role, Sort};
use conductor_protocol::submit::{OnDependencyFailure, Permission};
use conductor_protocol::task::State;
use conductor_protocol::text::{parse_rfc3339, rfc3339};
use conductor_runtime::clock::Clock;
use conductor_runtime::durations;

/// A duration that is more than nothing.
pub fn duration(text: &str) -> Result<Duration, String> {
    match durations::parse(text).map_err(|error| error.to_string())? {
        Duration::ZERO => Err("must be more than nothing".to_owned()),
        duration => Ok(duration),
    }
}

/// `K=V`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it K=V".to_owned()),
    }
}

/// A state by its word.
pub fn state(text: &str) -> Result<State, String> {
    State::parse(text).ok_or_else(|| {
        let all: Vec<_> = State::ALL.iter().map(|state| state.as_str()).collect();
        format!("the states are {}", all.join(", "))
    })
}

/// An order by its word.
pub fn sort(text: &str) -> Result<Sort, String> {
    match text {
        "created" => Ok(Sort::Created),
        "oldest" => Ok(Sort::Oldest),
        "cost" => Ok(Sort::Cost),
        _ => Err("the orders are created, oldest, cost".to_owned()),
    }
}

/// What becomes of a task whose dependency failed, by its word.
pub fn on_dependency_failure(text: &str) -> Result<OnDependencyFailure, String> {
    match text {
        "cancel" => Ok(OnDependencyFailure::Cancel),
        "run" => Ok(OnDependencyFailure::Run),
        _ => Err("it may be cancel or run".to_owned()),
    }
}

/// What a coding agent may do without a person, by its word.
pub fn permission(text: &str) -> Result<Permission, String> {
    Permission::parse(text).ok_or_else(|| "it may be skip, edit, ask or plan".to_owned())
}

/// What happens to a schedule whose last task still lives, by its word.
pub fn overlap(text: &str) -> Result<Overlap, String> {
    match text {
        "skip" => Ok(Overlap::Skip),
        "queue" => Ok(Overlap::Queue),
        "cancel" => Ok(Overlap::Cancel),
        _ => Err("it may be skip, queue or cancel".to_owned()),
    }
}

/// What happens to missed occurrences, by its word.
pub fn catch_up(text: &str) -> Result<CatchUp, String> {
    match text {
        "none" => Ok(CatchUp::None),
        "one" => Ok(CatchUp::One),
        _ => Err("it may be none or one".to_owned()),
    }
}

/// A role by its word.
pub fn role(text: &str) -> Result<Role, String> {
    match text {
        "viewer" => Ok(Role::Viewer),
        "operator" => Ok(Role::Operator),
        "admin" => Ok(Role::Admin),
        "agent" => Ok(Role::Agent),
        _ => Err("the roles are viewer, operator, admin, agent".to_owned()),
    }
}

/// A time to come: RFC 3339, or a duration from now.
pub fn future(text: &str) -> Result<String, String> {
    instant(text, 1)
}

/// A time that has passed: RFC 3339, or a duration before now.
pub fn past(text: &str) -> Result<String, String> {
    instant(text, -1)
}

fn instant(text: &str, direction: i64) -> Result<String, String> {
    if let Ok(duration) = durations::parse(text) {
        let ms = i64::try_from(duration.as_millis()).map_err(|_| "too far away".to_owned())?;
        return Ok(rfc3339(Wall(Clock::System.now().wall_ms.saturating_add(ms.saturating_mul(direction)))));
    }
    parse_rfc3339(text).map(rfc3339).map_err(|error| format!("{error}, nor a duration such as 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_durations_from_now() {
        assert_eq!(future("2026-01-31T09:00:00+01:00").unwrap(), "2026-01-31T08:00:00.000Z");
        let now = Clock::System.now().wall_ms;
        let at = |text: Result<String, String>| parse_rfc3339(&text.unwrap()).unwrap().0 - now;
        assert!((7_200_000..7_260_000).contains(&at(future("2h"))));
        assert!((-7_200_000..-7_140_000).contains(&at(past("2h"))));
        assert!(past("yesterday").unwrap_err().contains("2h"));
    }

    #[test]
    fn every_state_reads_back() {
        for one in State::ALL {
            assert_eq!(state(one.as_str()), Ok(one));
        }
    }
}
