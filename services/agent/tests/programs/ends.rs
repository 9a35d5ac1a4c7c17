use std::time::Duration;

use conductor_agent::runner::{FailureReason, Outcome, Verdict};
use conductor_protocol::agent::LimitClass;

use crate::place::{ALL, Place};

pub fn failed(outcome: &Outcome) -> (FailureReason, &str, &str) {
    match &outcome.verdict {
        Verdict::Failed(failure) => (failure.reason, &failure.message, &failure.hint),
        other => panic!("{other:?}"),
    }
}

fn limited(outcome: &Outcome) -> (LimitClass, u64) {
    match &outcome.verdict {
        Verdict::Limited { class, rest_seconds, .. } => (*class, *rest_seconds),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reported_end_of_a_limit_is_waited_for() {
    // Gemini reports none.
    for dialect in ["claude", "codex"] {
        let (_, outcome) = Place::new(dialect).play("limit 90000");
        let (class, seconds) = limited(&outcome);
        assert_eq!(class, LimitClass::Reported, "{dialect}: {outcome:?}");
        assert!((89_900..=90_100).contains(&seconds), "{dialect}: {seconds}");
    }
}

#[test]
fn a_limit_without_an_end_and_overload_are_tried_again() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (_, outcome) = place.play("limit");
        assert_eq!(limited(&outcome), (LimitClass::Unreported, 0), "{dialect}");
        let (_, outcome) = place.play("overload");
        assert_eq!(limited(&outcome), (LimitClass::Overload, 0), "{dialect}");
    }
}

#[test]
fn each_failure_has_its_reason() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        for (script, reason) in [
            ("refuse", FailureReason::Auth),
            ("bad-request", FailureReason::InvalidRequest),
            ("too-long", FailureReason::ContextOverflow),
            ("max-turns", FailureReason::MaxTurns),
        ] {
            let (_, outcome) = place.play(script);
            let (found, message, hint) = failed(&outcome);
            assert_eq!(found, reason, "{dialect}: {message}");
            assert!(!hint.is_empty(), "{dialect}: {script} has no hint");
        }
    }
}

#[test]
fn a_missing_command_is_named_in_the_failure() {
    for dialect in ALL {
        let (_, outcome) = Place::new(dialect).play("run no-such-tool; bad-request");
        let (_, _, hint) = failed(&outcome);
        assert!(hint.contains("no-such-tool"), "{dialect}: {hint}");
    }
}

#[test]
fn silence_is_a_stall_and_a_tool_at_work_is_none() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        place.spec.stall = Duration::from_secs(1);
        let (_, outcome) = place.play("Hello; hang");
        assert_eq!(failed(&outcome).0, FailureReason::Stalled, "{dialect}");
        let (_, outcome) = place.play("run sleep 2; Done");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}");
    }
}

#[test]
fn a_result_stands_though_the_program_stays() {
    for dialect in ALL {
        let (_, outcome) = Place::new(dialect).play("run true; It is done; linger");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        assert_eq!(outcome.summary, "It is done");
        assert!(outcome.run_ms < 60_000);
    }
}

#[test]
fn a_run_without_a_gateway_is_ended_once_it_tells_that_it_spent_too_much() {
    use conductor_agent::runner::Budget;
    // Nobody said what the model costs.
    for (budget, said) in [
        (Budget { tokens: Some(200), usd_micros: None }, "200 tokens"),
        (Budget { tokens: None, usd_micros: Some(1_000) }, "0.00 US dollars"),
    ] {
        let mut place = Place::new("claude");
        let mut attempt = place.attempt("one;two;three;four;hang");
        attempt.budget = budget;
        let outcome = place.finish(&attempt);
        let (reason, message, hint) = failed(&outcome);
        assert_eq!(reason, FailureReason::Budget, "{outcome:?}");
        assert!(message.contains(said) && hint.contains("budget_usd"), "{message}; {hint}");
        assert!(outcome.usage.output_tokens > 0, "{outcome:?}");
    }
}
