use std::time::Duration;

use conductor_agent::run::InputFile;
use conductor_agent::runner::{
    Answer, Attempt, Budget, End, FailureReason, Question, QuestionKind, ReportBody, StartsFrom, Verdict,
};

use conductor_runtime::config::Permission;

use crate::ends::failed;
use crate::place::{Place, SPOKEN};

fn asked(place: &mut Place) -> (u32, Question) {
    loop {
        match place.hear() {
            ReportBody::Asked { request, question } => return (request, question),
            ReportBody::Started | ReportBody::Withdrawn { .. } => {}
            ReportBody::Finished(outcome) => panic!("{outcome:?}"),
        }
    }
}

/// The same with a script that waits for a file named go.
fn waits(attempt: Attempt) -> Attempt {
    let content = b"until [ -e go ]; do sleep 0.02; done".to_vec();
    let script = InputFile { path: "wait.sh".to_owned(), content, executable: false };
    Attempt { files: vec![script], ..attempt }
}

/// Waits until a run has said this.
fn until_said(place: &Place, attempt: &Attempt, text: &str) {
    for _ in 0..1_000 {
        if place.told(attempt, "message", "text").iter().any(|said| said == text) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it did not say {text}");
}

#[test]
fn a_tool_is_used_when_a_person_allows_it_and_not_when_a_person_denies_it() {
    for dialect in SPOKEN {
        asks_and_hears(dialect);
    }
}

fn asks_and_hears(dialect: &str) {
    let tool = if dialect == "claude" { "Bash" } else { "execute" };
    let mut place = Place::new(dialect);
    let attempt = place.attempt("ask echo one > one.txt; ask echo two > two.txt; Done");
    let control = place.start(&attempt);
    let (first, question) = asked(&mut place);
    assert_eq!((question.kind, question.tool.as_deref()), (QuestionKind::Permission, Some(tool)));
    assert_eq!(question.text, format!("May it use {tool}? echo one > one.txt"));
    control.answer(first + 7, Answer::Allow);
    control.answer(first, Answer::Deny);
    let (second, question) = asked(&mut place);
    assert_eq!(question.input.as_deref(), Some(r#"{"command":"echo two > two.txt"}"#));
    assert!(!place.path(&attempt, "work/one.txt").exists(), "nobody allowed it");
    control.answer(second, Answer::Allow);
    let outcome = place.end();
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    assert_eq!(place.read(&attempt, "work/two.txt"), "two\n");
    assert!(!place.path(&attempt, "work/one.txt").exists(), "it was denied");
    assert_eq!(place.told(&attempt, "answer", "text"), ["deny", "allow"]);
    let output = place.read(&attempt, "attempts/1/output.log");
    assert!(
        output.contains(&format!("[question] May it use {tool}? echo two > two.txt\n[answer] allow\n")),
        "{output}"
    );
}

#[test]
fn the_clocks_of_a_run_stand_still_while_it_waits_for_a_person() {
    for dialect in SPOKEN {
        let mut place = Place::new(dialect);
        place.spec.stall = Duration::from_millis(600);
        let mut attempt = place.attempt("ask echo one > one.txt; Done");
        attempt.timeout = Duration::from_secs(3);
        let control = place.start(&attempt);
        let (request, _) = asked(&mut place);
        // Longer than it may run, and than it may be silent.
        std::thread::sleep(Duration::from_millis(3_500));
        control.answer(request, Answer::Allow);
        let outcome = place.end();
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    }
}

#[test]
fn a_run_that_waits_for_a_person_is_cancelled_at_once() {
    for dialect in SPOKEN {
        let mut place = Place::new(dialect);
        let attempt = place.attempt("ask echo one > one.txt; Done");
        let control = place.start(&attempt);
        asked(&mut place);
        control.end(End::Cancel);
        assert_eq!(place.end().verdict, Verdict::Cancelled);
    }
}

#[test]
fn what_a_person_tells_a_run_is_heard_while_it_runs() {
    let mut place = Place::new("claude");
    let attempt = place.attempt("begun; listen; Done");
    let control = place.start(&attempt);
    until_said(&place, &attempt, "begun");
    control.tell("and mind the tests".to_owned());
    let outcome = place.end();
    assert_eq!((&outcome.verdict, outcome.told), (&Verdict::Succeeded, 1), "{outcome:?}");
    assert_eq!(place.told(&attempt, "message", "text"), ["begun", "and mind the tests", "Done"]);
    assert_eq!(place.told(&attempt, "told", "text"), ["and mind the tests"]);
    assert!(place.read(&attempt, "attempts/1/output.log").contains("[message] and mind the tests\n"));
}

#[test]
fn what_a_run_may_spend_now_holds_for_its_next_turn_too() {
    for dialect in ["codex", "gemini"] {
        let mut place = Place::new(dialect);
        let mut attempt = waits(place.attempt("begun; run sh wait.sh; First"));
        attempt.budget = Budget { tokens: Some(1_000_000), ..Budget::default() };
        let control = place.start(&attempt);
        until_said(&place, &attempt, "begun");
        control.tell("Second".to_owned());
        control.limit(Budget { tokens: Some(1), ..Budget::default() });
        std::fs::write(place.path(&attempt, "work/go"), "").unwrap();
        let outcome = place.end();
        let (reason, message, _) = failed(&outcome);
        assert_eq!(reason, FailureReason::Budget, "{dialect}: {message}");
        assert_eq!(place.told(&attempt, "told", "text"), ["Second"], "its first turn had its result");
    }
}

#[test]
fn what_a_run_has_not_heard_when_it_has_its_result_is_its_next_turn() {
    for dialect in crate::place::ALL {
        let mut place = Place::new(dialect);
        let attempt = waits(place.attempt("begun; run sh wait.sh; First"));
        let control = place.start(&attempt);
        until_said(&place, &attempt, "begun");
        control.tell("Second; run echo more > more.txt".to_owned());
        control.tell("Third".to_owned());
        std::fs::write(place.path(&attempt, "work/go"), "").unwrap();
        let outcome = place.end();
        assert_eq!((&outcome.verdict, outcome.told), (&Verdict::Succeeded, 2), "{dialect}: {outcome:?}");
        assert_eq!(
            place.told(&attempt, "message", "text"),
            ["begun", "First", "Second", "Third"],
            "{dialect}"
        );
        assert_eq!(place.read(&attempt, "work/more.txt"), "more\n");
        assert_eq!(outcome.summary, "Third");
        assert_eq!(outcome.usage.tool_calls, 2, "{dialect}");
        // Six messages, each counted once. The stand-in for Codex does not count its session again, as Codex itself does.
        if dialect != "codex" {
            assert_eq!(outcome.usage.output_tokens, 30 * 6, "{dialect}");
        }
    }
}

#[test]
fn a_run_that_fails_leaves_what_it_was_told_to_the_next() {
    let mut place = Place::new("codex");
    let attempt = waits(place.attempt("begun; run sh wait.sh; bad-request"));
    let control = place.start(&attempt);
    until_said(&place, &attempt, "begun");
    control.tell("unheard".to_owned());
    std::fs::write(place.path(&attempt, "work/go"), "").unwrap();
    let outcome = place.end();
    assert_eq!((failed(&outcome).0, outcome.told), (FailureReason::InvalidRequest, 0));
}

#[test]
fn a_permission_answers_where_no_person_is_asked() {
    for (permission, is_allowed) in
        [(Permission::Skip, true), (Permission::Edit, false), (Permission::Plan, false)]
    {
        let mut place = Place::new("acp");
        place.spec.permission = permission;
        let (attempt, outcome) = place.play("ask echo one > one.txt; Done");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
        assert_eq!(place.path(&attempt, "work/one.txt").exists(), is_allowed, "{permission:?}");
        assert_eq!(place.told(&attempt, "question", "text").len(), 0);
        let refused = place.told(&attempt, "tool_result", "output");
        let refusals = refused.iter().filter(|output| output.contains("permission does not allow")).count();
        assert_eq!(refusals, usize::from(!is_allowed), "{refused:?}");
    }
}

#[test]
fn words_that_deny_are_the_next_turn_of_one_that_takes_yes_and_no_alone() {
    let mut place = Place::new("acp");
    let attempt = place.attempt("ask echo one > one.txt; First");
    let control = place.start(&attempt);
    let (request, _) = asked(&mut place);
    control.answer(request, Answer::Text("run echo other > other.txt; Second".to_owned()));
    let outcome = place.end();
    assert_eq!((&outcome.verdict, outcome.summary.as_str()), (&Verdict::Succeeded, "Second"), "{outcome:?}");
    assert!(!place.path(&attempt, "work/one.txt").exists());
    assert_eq!(place.read(&attempt, "work/other.txt"), "other\n");
}

#[test]
fn one_that_can_be_asked_to_leaves_its_turn_before_it_is_ended() {
    let mut place = Place::new("acp");
    let attempt = place.attempt("ask echo one > one.txt; Done");
    let control = place.start(&attempt);
    asked(&mut place);
    control.end(End::Cancel);
    assert_eq!(place.end().verdict, Verdict::Cancelled);
    let raw = place.read(&attempt, "attempts/1/raw.ndjson");
    assert!(raw.contains(r#""stopReason":"cancelled""#), "{raw}");
}

#[test]
fn one_that_does_not_leave_its_turn_is_ended_all_the_same() {
    let mut place = Place::new("acp");
    let attempt = place.attempt("begun; run true; hang");
    let control = place.start(&attempt);
    until_said(&place, &attempt, "begun");
    control.end(End::Stop);
    assert_eq!(place.end().verdict, Verdict::Stopped);
}

#[test]
fn what_was_in_a_session_is_not_told_again() {
    let mut place = Place::new("acp");
    let (first, outcome) = place.play("run echo one > one.txt; First");
    assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    let first_session = outcome.session_id;
    let mut next = place.attempt("Second");
    next.starts_from = Some(StartsFrom::Task(first.task_id));
    let outcome = place.finish(&next);
    assert_eq!((&outcome.verdict, &outcome.session_id), (&Verdict::Succeeded, &first_session), "{outcome:?}");
    assert_eq!(place.told(&next, "message", "text"), ["Second"]);
    assert!(!place.read(&next, "attempts/1/raw.ndjson").contains("turn before"));
}

#[test]
fn a_question_that_is_taken_back_waits_no_more_and_an_answer_to_it_changes_nothing() {
    for dialect in SPOKEN {
        let mut place = Place::new(dialect);
        let attempt = place.attempt("take-back echo one > one.txt; ask echo two > two.txt; Done");
        let control = place.start(&attempt);
        let (first, _) = asked(&mut place);
        std::fs::write(place.path(&attempt, "work/asked"), "").unwrap();
        let withdrawn = loop {
            match place.hear() {
                ReportBody::Withdrawn { request } => break request,
                ReportBody::Started => {}
                other => panic!("{dialect}: {other:?}"),
            }
        };
        assert_eq!(withdrawn, first);
        control.answer(first, Answer::Allow);
        let (second, question) = asked(&mut place);
        assert!(question.text.contains("two.txt"), "{dialect}: {question:?}");
        control.answer(second, Answer::Allow);
        assert_eq!(place.end().verdict, Verdict::Succeeded, "{dialect}");
        assert!(!place.path(&attempt, "work/one.txt").exists(), "{dialect}");
        assert_eq!(place.told(&attempt, "answer", "text"), ["allow"], "{dialect}");
        let events = place.events(&attempt);
        assert_eq!(events.iter().filter(|event| event["type"] == "withdrawn").count(), 1, "{dialect}");
    }
}
