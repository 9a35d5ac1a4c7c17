//! `run` and its exit codes.

use rustix::process::Signal;

use crate::place::Place;

#[test]
fn the_first_command_says_hello_and_leaves_a_file_and_nothing_else() {
    let place = Place::new();
    let ended = place.run(&["run", "Say hello"]).with(0);
    assert!(ended.text().contains("Say hello"), "{ended:?}");
    assert!(ended.err.contains("simulated"), "{ended:?}");
    assert!(ended.err.contains("README.txt") && ended.err.contains("folder: "), "{ended:?}");
    let folder = ended.err.lines().find_map(|line| line.strip_prefix("folder: ")).unwrap();
    assert!(std::path::Path::new(folder).join("work/README.txt").is_file());
    assert!(place.world.home().token_file().is_file(), "the first start makes the token");
    place.is_left_clean();
}

#[test]
fn a_command_prints_its_bytes_as_they_are() {
    let place = Place::new();
    let script = r"printf 'out\n\033[2J\377'; echo err >&2; echo hi > out.txt";
    let ended = place.run(&["run", "--", "sh", "-c", script]).with(0);
    assert!(ended.out.starts_with(b"out\n\x1b[2J\xff"), "{ended:?}");
    assert!(ended.out.ends_with(b"err\n"), "{ended:?}");
    assert_eq!(ended.err.matches("unsandboxed").count(), 0, "{ended:?}");
    assert!(ended.err.contains("out.txt"), "{ended:?}");
}

#[test]
fn every_outcome_has_its_exit_code() {
    let place = Place::new();
    let up = place.up(&[]);
    for (args, code) in [
        (&["run", "print fine"][..], 0),
        (&["run", "fail oh no"], 1),
        (&["run", "--", "sh", "-c", "exit 7"], 1),
        (&["run", "--timeout", "1s", "hang"], 124),
        (&["run", "--queue-timeout", "1s", "--requires", "nobody", "x"], 124),
        (&["run", ""], 2),
        (&["run"], 2),
        (&["run", "--priority", "11", "x"], 2),
        (&["run", "--file", "absent", "x"], 2),
        (&["run", "--runner", "nobody", "x"], 4),
        (&["run", "--queue-timeout", "1s", "--runner", "claude", "x"], 124),
        (&["run", "--budget", "1", "x"], 0),
        (&["run", "--budget", "0", "x"], 2),
        (&["run", "--budget-tokens", "100", "use 99 tokens"], 0),
        (&["run", "--budget-tokens", "100", "use 100 tokens; print no more"], 1),
        (&["get", "00000000-0000-7000-8000-000000000000"], 4),
    ] {
        let ended = place.run(args);
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
    }
    drop(up);
}

#[test]
fn what_is_wrong_is_said_before_anything_is_started() {
    let place = Place::new();
    let ended = place.run(&["run", "  "]).with(2);
    assert!(ended.err.contains("prompt is empty"), "{ended:?}");
    let ended = place.feed(&["run", "-"], b"\xff\xfe").with(2);
    assert!(ended.err.contains("not UTF-8"), "{ended:?}");
    let ended = place.feed(&["run", "-"], &vec![b'x'; 10 << 20]).with(2);
    assert!(ended.err.contains("1048576"), "{ended:?}");
    assert!(!place.world.home().state.exists(), "a home was made");
}

#[test]
fn without_a_server_what_is_about_one_is_not_reachable() {
    let place = Place::new();
    for command in ["status", "top", "healthcheck", "agents"] {
        let ended = place.run(&[command]).with(3);
        assert!(ended.err.contains("conductor up"), "{command}: {ended:?}");
    }
}

#[test]
fn an_interrupt_cancels_the_task_and_its_processes() {
    let place = Place::new();
    let going = place.start(&["run", "--", "sh", "-c", "echo begun; sleep 1000 & sleep 1000"]);
    place.until("the command begins", || going.out().contains("begun"));
    going.signal(Signal::INT);
    let ended = going.end().with(130);
    assert!(ended.err.contains("cancelled"), "{ended:?}");
    place.is_left_clean();
    let list = place.run(&["list", "--output", "json"]).with(0).json();
    assert_eq!(list["items"][0]["state"], "cancelled");
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let place = Place::new();
    // It takes TERM and goes on, so the cancel takes its grace.
    let going =
        place.start(&["run", "--", "sh", "-c", "trap '' TERM; echo begun; while :; do sleep 1; done"]);
    place.until("the command begins", || going.out().contains("begun"));
    going.signal(Signal::INT);
    place.until("it cancels", || going.err().contains("cancelling"));
    going.signal(Signal::INT);
    going.end().with(130);
    place.until("nothing is left", || place.world.processes().is_empty());
}

#[test]
fn an_answer_lets_the_task_go_on() {
    let place = Place::new();
    let _up = place.up(&[]);
    let going = place.start(&["run", "ask Shall I go on?; print done"]);
    place.until("the question is told", || going.err().contains("Shall I go on?"));
    let list = place.run(&["list", "--state", "waiting", "--output", "json"]).with(0).json();
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(place.run(&["answer", &id]).with(0).text(), "Shall I go on?\n");
    place.run(&["answer", &id, "yes, please"]).with(0);
    let ended = going.end().with(0);
    assert!(ended.text().contains("done"), "{ended:?}");
    let ended = place.run(&["answer", &id, "again"]).with(1);
    assert!(ended.err.contains("asks nothing"), "{ended:?}");
}

#[test]
fn each_attempt_is_shown_with_why_the_one_before_ended() {
    let place = Place::unconfined();
    let script = "echo try >> ../tries; cat ../tries | wc -l; test $(wc -l < ../tries) = 2";
    let ended = place.run(&["run", "--retries", "1", "--", "sh", "-c", script]);
    assert!(ended.err.contains("attempt 2 begins") && ended.err.contains("exit_code"), "{ended:?}");
    assert_eq!(ended.text().split_whitespace().collect::<Vec<_>>(), ["1", "2"], "{ended:?}");
    ended.with(0);
}

#[test]
fn a_key_makes_one_task_however_often_it_is_sent() {
    let place = Place::new();
    let _up = place.up(&[]);
    let first = place.submit(&["--key", "k", "print once"]);
    assert_eq!(place.submit(&["--key", "k", "print once"]), first);
    let ended = place.run(&["submit", "--key", "k", "print other"]).with(4);
    assert!(ended.err.contains("idempotency_conflict"), "{ended:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut command = place.command(&["run", "print 10MB"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    drop(reader);
    place.until("it ends", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
