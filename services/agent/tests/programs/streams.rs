use conductor_agent::runner::{FailureReason, Start, Verdict};

use crate::ends::failed;
use crate::place::{ALL, Place};

#[test]
fn a_turn_is_told_counted_and_leaves_its_work() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (attempt, outcome) = place.play("First I look; run echo made | tee made.txt; It is made");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        assert_eq!(outcome.summary, "It is made");
        assert_eq!(place.read(&attempt, "work/made.txt"), "made\n");
        assert!(outcome.session_id.is_some() && outcome.flags.is_empty(), "{dialect}");
        let messages = 3;
        let usage = outcome.usage;
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.tool_calls),
            (80 * messages, 30 * messages, 20 * messages, 1),
            "{dialect}"
        );
        assert_eq!(place.told(&attempt, "message", "text"), ["First I look", "It is made"]);
        assert_eq!(place.told(&attempt, "tool_result", "output"), ["made\n"], "{dialect}");
        assert_eq!(place.told(&attempt, "finished", "outcome"), ["succeeded"]);
    }
}

#[test]
fn success_without_a_tool_call_is_flagged() {
    for dialect in ALL {
        let (_, outcome) = Place::new(dialect).play("Hello");
        assert_eq!(
            (outcome.verdict, outcome.flags),
            (Verdict::Succeeded, vec!["no_tool_calls"]),
            "{dialect}"
        );
    }
}

#[test]
fn text_and_unknown_events_among_the_lines_pass_through() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (attempt, outcome) = place.play("print not an event; stray; Done");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}");
        assert!(place.read(&attempt, "attempts/1/output.log").contains("not an event\n"));
        assert_eq!(place.told(&attempt, "other", "name"), ["of_tomorrow"], "{dialect}");
    }
}

#[test]
fn a_line_beyond_the_limit_is_dropped_and_told_and_the_run_goes_on() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        // Gemini says a message in two lines.
        let (attempt, outcome) = place.play("flood 20000000; Done");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        let told = place.told(&attempt, "error", "message");
        assert!(!told.is_empty() && told.iter().all(|text| text.contains("too long")), "{dialect}: {told:?}");
        assert!(std::fs::metadata(place.path(&attempt, "attempts/1/raw.ndjson")).unwrap().len() < 100_000);
    }
}

#[test]
fn much_output_is_cut_at_its_limit() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let mut attempt = place.attempt(&format!("{}Done", "flood 200000; ".repeat(20)));
        attempt.limits.max_output_bytes = 1 << 20;
        let outcome = place.finish(&attempt);
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        assert!(outcome.output_dropped_bytes > 2 << 20, "{dialect}: {}", outcome.output_dropped_bytes);
        let kept = std::fs::metadata(place.path(&attempt, "attempts/1/output.log")).unwrap().len();
        assert!(kept < (1 << 20) + 4_096, "{dialect}: {kept}");
    }
}

#[test]
fn one_that_is_killed_goes_on_where_it_was_and_only_once() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (attempt, outcome) = place.play("run echo one >> log; crash; run echo two >> log; Done");
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        assert_eq!(place.read(&attempt, "work/log"), "one\ntwo\n");
        let told = place.told(&attempt, "retry", "text");
        let output = place.read(&attempt, "attempts/1/output.log");
        assert!(told.iter().all(|text| output.contains(&format!("[retry] {text}\n"))), "{dialect}: {output}");
        assert!(told.len() == 1 && told[0].contains("without a result"), "{dialect}: {told:?}");
        let (_, outcome) = place.play("crash; crash; crash");
        assert_eq!(failed(&outcome).0, FailureReason::NoResult, "{dialect}");
    }
}

#[test]
fn an_end_without_a_result_is_no_success() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (attempt, outcome) = place.play("run echo x >> log; end; run echo y >> log; end");
        assert_eq!(failed(&outcome).0, FailureReason::NoResult, "{dialect}");
        assert_eq!(place.read(&attempt, "work/log"), "x\ny\n", "it was started twice");
    }
}

#[test]
fn a_session_that_is_gone_is_begun_anew() {
    for dialect in ALL {
        let mut place = Place::new(dialect);
        let (first, outcome) = place.play("Hello");
        assert_eq!(outcome.verdict, Verdict::Succeeded);
        let home = place.folder.path().join("workspace/private").join(first.task_id.to_string()).join("home");
        for path in [".claude/projects/mock", ".codex/sessions", ".gemini/sessions", ".gemini/acp"] {
            let _ = std::fs::remove_dir_all(home.join(path));
        }
        let mut second = place.attempt("run true; Hello again");
        (second.task_id, second.number, second.start) = (first.task_id, 2, Start::Resume);
        let outcome = place.finish(&second);
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{dialect}: {outcome:?}");
        assert_eq!(outcome.summary, "Hello again");
        let told = place.told(&second, "retry", "text");
        assert!(told.len() == 1 && told[0].contains("new session"), "{dialect}: {told:?}");
    }
}
