use std::time::Duration;

use conductor_agent::run::InputFile;
use conductor_agent::runner::{
    Answer, Attempt, End, FailureReason, Question, QuestionKind, ReportBody, Verdict,
};

use crate::ends::failed;
use crate::place::Place;

fn asked(place: &mut Place) -> (u32, Question) {
    loop {
        match place.hear() {
            ReportBody::Asked { request, question } => return (request, question),
            ReportBody::Started => {}
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
    let mut place = Place::new("claude");
    let attempt = place.attempt("ask echo one > one.txt; ask echo two > two.txt; Done");
    let control = place.start(&attempt);
    let (first, question) = asked(&mut place);
    assert_eq!((question.kind, question.tool.as_deref()), (QuestionKind::Permission, Some("Bash")));
    assert_eq!(question.text, "May it use Bash? echo one > one.txt");
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
    assert!(output.contains("[question] May it use Bash? echo two > two.txt\n[answer] allow\n"), "{output}");
}

#[test]
fn the_clocks_of_a_run_stand_still_while_it_waits_for_a_person() {
    let mut place = Place::new("claude");
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

#[test]
fn a_run_that_waits_for_a_person_is_cancelled_at_once() {
    let mut place = Place::new("claude");
    let attempt = place.attempt("ask echo one > one.txt; Done");
    let control = place.start(&attempt);
    asked(&mut place);
    control.end(End::Cancel);
    assert_eq!(place.end().verdict, Verdict::Cancelled);
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
