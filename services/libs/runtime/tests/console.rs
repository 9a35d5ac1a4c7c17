//! What a program writes to its console and its log files: this test binary starts itself again as the program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use conductor_runtime::config::{LogFormat, Telemetry};
use conductor_runtime::telemetry::{self, Options};
use serde_json::Value;

const FORMAT: &str = "CONDUCTOR_TEST_FORMAT";
const LOGS: &str = "CONDUCTOR_TEST_LOGS";
const PANICS: &str = "CONDUCTOR_TEST_PANICS";

#[test]
fn off_a_terminal_the_console_and_the_files_are_json() {
    let logs = tempfile::tempdir().unwrap();
    let output = run("auto", logs.path());
    let console = lines(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(console.len(), 1, "the console has its own level: {console:?}");
    assert_eq!(
        (&console[0]["level"], &console[0]["message"]),
        (&"WARN".into(), &"look here\u{1b}[3J".into())
    );
    let file = lines(&fs::read_to_string(logs.path().join("tester.log")).unwrap());
    let messages: Vec<_> = file.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["it began", "look here\u{1b}[3J"], "what is logged just before the end is written");
    assert_eq!(file[0]["task_id"], "t-1");
    assert_eq!(file[1]["spans"][0]["attempt"], 2);
    assert!(file[0]["timestamp"].as_str().unwrap().ends_with('Z'), "{}", file[0]);
}

#[test]
fn asked_for_the_console_is_for_people_and_shows_control_sequences() {
    let logs = tempfile::tempdir().unwrap();
    let text = String::from_utf8(run("human", logs.path()).stderr).unwrap();
    assert!(text.contains("WARN") && text.contains("look here") && text.contains("attempt=2"), "{text}");
    assert!(serde_json::from_str::<Value>(text.trim()).is_err());
    assert!(!text.contains('\u{1b}') && text.contains("[2J") && text.contains("[3J"), "{text:?}");
}

#[test]
fn a_panic_is_in_the_log_file_with_its_place_also_when_the_program_is_gone_at_once() {
    let logs = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program", "--ignored", "--nocapture", "--test-threads=1"])
        .envs([(FORMAT, "json"), (PANICS, "yes")])
        .env(LOGS, logs.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let file = lines(&fs::read_to_string(logs.path().join("tester.log")).unwrap());
    let told: Vec<_> = file.iter().filter(|line| line["level"] == "ERROR").collect();
    let [line] = told[..] else { panic!("{file:?}") };
    assert_eq!(line["message"], "panicked: the value was 3");
    assert_eq!(line["thread"], "a thread of the test");
    assert!(line["location"].as_str().unwrap().contains("console.rs:"), "{line}");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    let console = String::from_utf8(output.stderr).unwrap();
    assert!(console.contains("the value was 3"), "and where panics are told of otherwise: {console}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let telemetry = options_of(LogFormat::Auto);
    let error = telemetry::build(&Options::new("tester", &telemetry, Path::new("/proc/self"))).unwrap_err();
    assert!(error.to_string().contains("/proc/self"), "{error}");
}

#[test]
fn what_a_library_writes_of_its_callers_takes_a_filter_that_names_it() {
    let told = |level: &str| {
        let logs = tempfile::tempdir().unwrap();
        let telemetry = Telemetry { log_level: level.to_owned(), ..options_of(LogFormat::Auto) };
        let options =
            Options { console_level: Some("off"), ..Options::new("tester", &telemetry, logs.path()) };
        let (dispatch, guard) = telemetry::build(&options).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::debug!(target: "rmcp::service", "a caller's prompt");
            tracing::debug!("our own");
        });
        drop((dispatch, guard));
        let file = lines(&fs::read_to_string(logs.path().join("tester.log")).unwrap());
        file.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("debug"), ["our own"]);
    assert_eq!(told("debug,rmcp=debug"), ["a caller's prompt", "our own"]);
}

/// Not a test: what the tests above start.
#[test]
#[ignore = "the program that the other tests start"]
fn program() {
    let (Ok(format), Ok(logs)) = (std::env::var(FORMAT), std::env::var(LOGS)) else { return };
    let telemetry = options_of(if format == "human" { LogFormat::Human } else { LogFormat::Auto });
    let options =
        Options { console_level: Some("warn"), ..Options::new("tester", &telemetry, Path::new(&logs)) };
    let guard = telemetry::start(&options).unwrap();
    if std::env::var_os(PANICS).is_some() {
        let thread = std::thread::Builder::new().name("a thread of the test".to_owned());
        let panics = thread.spawn(|| panic!("the value was {}", std::hint::black_box(3))).unwrap();
        assert!(panics.join().is_err());
        // Nothing is written after this.
        std::process::abort();
    }
    tracing::info!(task_id = "t-1", "it began");
    let span = tracing::warn_span!("run", attempt = 2).entered();
    tracing::warn!(text = %"\u{1b}[2J", "look here\u{1b}[3J");
    drop(span);
    tracing::debug!("below the level");
    drop(guard);
    std::process::exit(0);
}

fn options_of(log_format: LogFormat) -> Telemetry {
    Telemetry { log_level: "info".to_owned(), log_format, log_files: 2, loki_url: None }
}

fn run(format: &str, logs: &Path) -> Output {
    let output = Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "program", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FORMAT, format)
        .env(LOGS, logs)
        .output()
        .expect("a test can start itself");
    assert!(output.status.success(), "{output:?}");
    output
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}
