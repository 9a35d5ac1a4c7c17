//! What reaches a Loki, decoded as a Loki would, and what happens when there is none.

#![expect(clippy::unwrap_used, reason = "a failure in a helper is the failure of its test")]

#[path = "loki/receiver.rs"]
mod receiver;

use std::time::{Duration, Instant};

use conductor_runtime::config::{LogFormat, Telemetry};
use conductor_runtime::telemetry::{self, Guard, LokiLimits, Options};
use receiver::{Answer, Receiver};
use tracing::Dispatch;
use tracing::dispatcher::with_default;

/// Long enough for a slow machine, short enough to fail within a test run.
const PATIENCE: Duration = Duration::from_secs(30);

fn limits() -> LokiLimits {
    LokiLimits {
        every: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
        flush_deadline: Duration::from_secs(10),
        ..LokiLimits::default()
    }
}

fn telemetry(url: &str, level: &str) -> Telemetry {
    Telemetry {
        log_level: level.to_owned(),
        log_format: LogFormat::Json,
        log_files: 2,
        loki_url: Some(url.parse().unwrap()),
    }
}

fn loki(url: &str, level: &str, loki_limits: LokiLimits) -> (Dispatch, Guard) {
    let telemetry = telemetry(url, level);
    let console_level = Some("off");
    let options =
        Options { program: "tester", telemetry: &telemetry, logs: None, console_level, loki_limits };
    telemetry::build(&options).unwrap()
}

#[test]
fn events_arrive_with_few_labels_their_fields_and_those_of_their_spans() {
    let receiver = Receiver::start(Answer::Ok);
    let (dispatch, guard) = loki(&receiver.url(), "info", limits());
    let before = wall_seconds();
    with_default(&dispatch, || {
        let _span = tracing::info_span!("run", task_id = "t-1", attempt = 2).entered();
        tracing::info!(agent = "a-1", "the run began");
        tracing::error!("it \"broke\"\n");
        tracing::debug!("below the level");
    });
    drop(guard);
    let entries = receiver.entries();
    assert_eq!(entries.len(), 2, "{entries:?}");
    let began = entries.iter().find(|entry| entry.line["message"] == "the run began").unwrap();
    assert_eq!(began.labels, r#"{program="tester",level="info"}"#);
    assert_eq!((&began.line["agent"], &began.line["task_id"]), (&"a-1".into(), &"t-1".into()));
    assert_eq!((&began.line["attempt"], &began.line["_spans"]), (&2.into(), &serde_json::json!(["run"])));
    assert!((before..=wall_seconds()).contains(&began.seconds), "{began:?}");
    let broke = entries.iter().find(|entry| entry.line["message"] == "it \"broke\"\n").unwrap();
    assert_eq!(broke.labels, r#"{program="tester",level="error"}"#);
}

#[test]
fn what_is_logged_just_before_the_end_is_flushed() {
    let receiver = Receiver::start(Answer::Ok);
    let unhurried = LokiLimits { every: Duration::from_secs(3_600), ..limits() };
    let (dispatch, guard) = loki(&receiver.url(), "info", unhurried);
    with_default(&dispatch, || tracing::info!("last words"));
    drop(guard);
    assert_eq!(receiver.entries().len(), 1);
}

#[test]
fn events_arrive_while_the_program_goes_on() {
    let receiver = Receiver::start(Answer::Ok);
    let (dispatch, guard) = loki(&receiver.url(), "info", limits());
    for number in 0..3 {
        with_default(&dispatch, || tracing::info!(number, "still here"));
        receiver.wait_for(number + 1, PATIENCE);
    }
    assert_eq!(guard.loki_dropped_total(), 0);
}

#[test]
fn a_stalled_loki_holds_nobody_up_and_every_event_is_pushed_or_counted() {
    let receiver = Receiver::start(Answer::Stall);
    let (dispatch, guard) = loki(&receiver.url(), "info", limits());
    let dropped = guard.loki_dropped().unwrap();
    // The receiver answers only when all of this has been logged: a logger that waited would wait for ever.
    with_default(&dispatch, || (0..5_000).for_each(|number| tracing::info!(number, "burst")));
    receiver.answer(Answer::Ok);
    drop(guard);
    let arrived = receiver.entries().len() as u64;
    assert!(arrived >= 511, "the batches that had room are pushed: {arrived}");
    assert_eq!(arrived + dropped.total(), 5_000);
    assert!(dropped.total() > 0);
}

#[test]
fn a_full_batch_is_pushed_whole() {
    let receiver = Receiver::start(Answer::Ok);
    let unhurried = LokiLimits { every: Duration::from_secs(3_600), batch_events: 100_000, ..limits() };
    let (dispatch, guard) = loki(&receiver.url(), "info", unhurried);
    let dropped = guard.loki_dropped().unwrap();
    with_default(&dispatch, || (0..511).for_each(|number| tracing::info!(number, "burst")));
    drop(guard);
    assert_eq!((receiver.entries().len(), dropped.total()), (511, 0));
}

#[test]
fn refused_pushes_are_counted_and_pushing_goes_on_when_loki_is_back() {
    let receiver = Receiver::start(Answer::Refuse);
    let (dispatch, guard) = loki(&receiver.url(), "info", limits());
    with_default(&dispatch, || tracing::info!("lost"));
    receiver.wait_for_requests(1, PATIENCE);
    wait_until(|| guard.loki_dropped_total() == 1);
    receiver.answer(Answer::Ok);
    with_default(&dispatch, || tracing::info!("kept"));
    receiver.wait_for(1, PATIENCE);
    assert_eq!(receiver.entries()[0].line["message"], "kept");
    assert_eq!(guard.loki_dropped_total(), 1);
}

#[test]
fn the_end_waits_for_a_silent_loki_no_longer_than_its_deadline() {
    let receiver = Receiver::start(Answer::Stall);
    let flush_deadline = Duration::from_millis(50);
    let (dispatch, guard) = loki(&receiver.url(), "info", LokiLimits { flush_deadline, ..limits() });
    let dropped = guard.loki_dropped().unwrap();
    with_default(&dispatch, || tracing::info!("in flight"));
    receiver.wait_for_requests(1, PATIENCE);
    with_default(&dispatch, || tracing::info!("waiting"));
    let began = Instant::now();
    drop(guard);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(dropped.total(), 2);
}

#[test]
fn a_loki_that_is_not_there_costs_the_events_alone() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (dispatch, guard) = loki(&format!("http://127.0.0.1:{port}"), "info", limits());
    let dropped = guard.loki_dropped().unwrap();
    with_default(&dispatch, || (0..10).for_each(|_| tracing::info!("lost")));
    drop(guard);
    assert_eq!(dropped.total(), 10);
}

#[test]
fn pushing_is_not_itself_pushed() {
    let receiver = Receiver::start(Answer::Ok);
    let telemetry = telemetry(&receiver.url(), "trace");
    let console_level = Some("off");
    let options = Options {
        program: "tester",
        telemetry: &telemetry,
        logs: None,
        console_level,
        loki_limits: limits(),
    };
    // For the whole process, since the connection lives on a thread of its own.
    let guard = telemetry::start(&options).unwrap();
    for number in 0..5 {
        tracing::info!(number, "one event, one push");
        receiver.wait_for(number + 1, PATIENCE);
    }
    drop(guard);
    for entry in receiver.entries() {
        let target = entry.line["_target"].as_str().unwrap().to_owned();
        assert!(!target.starts_with("hyper") && !target.starts_with("reqwest"), "{entry:?}");
    }
    assert!(telemetry::start(&options).is_err(), "a second start in one process is refused");
}

fn wall_seconds() -> i64 {
    conductor_runtime::clock::Clock::System.now().wall_ms.div_euclid(1_000)
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it never came to be");
        std::thread::yield_now();
    }
}
