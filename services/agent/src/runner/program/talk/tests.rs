//! A conversation with Claude Code, and what every conversation has.

use std::io::{BufRead as _, BufReader};

use serde_json::json;

use super::*;

fn ask(id: &str, tool: &str, input: Value) -> Request {
    let (call, kind) = (String::new(), String::new());
    Request::Ask(Ask { id: id.into(), tool: tool.into(), input, call, kind, offers: Vec::new() })
}

fn talk() -> (Talk, BufReader<UnixStream>) {
    let (talk, other) = Talk::begin(Begin::Claude { prompt: "Do it".to_owned() }).unwrap();
    let mut reader = BufReader::new(UnixStream::from(other));
    let prompt = line(&mut reader);
    assert_eq!(prompt["message"]["content"][0]["text"], "Do it");
    (talk, reader)
}

fn line(reader: &mut BufReader<UnixStream>) -> Value {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn questions_are_put_one_after_the_other_and_each_gets_its_own_answer() {
    let (mut talk, mut reader) = talk();
    talk.request(ask("a", "Bash", json!({"command": "make"})));
    talk.request(ask("b", "Write", json!({"file_path": "x"})));
    let first = talk.next_question().unwrap();
    assert_eq!((first.kind, first.text.as_str()), (QuestionKind::Permission, "May it use Bash? make"));
    assert_eq!(first.input.as_deref(), Some(r#"{"command":"make"}"#));
    talk.asked(1);
    assert_eq!(talk.next_question(), None, "one at a time");
    assert!(talk.answer(7, &Answer::Allow).is_none(), "nobody asked that");
    assert_eq!(talk.answer(1, &Answer::Allow).unwrap().number, 1);
    let told = line(&mut reader);
    assert_eq!(told["response"]["request_id"], "a");
    assert_eq!(told["response"]["response"], json!({"behavior": "allow"}));
    assert_eq!(talk.next_question().unwrap().text, "May it use Write? x");
    talk.asked(2);
    talk.answer(2, &Answer::Text("not that file".into())).unwrap();
    let told = line(&mut reader);
    assert_eq!(told["response"]["response"]["behavior"], "deny");
    assert!(told["response"]["response"]["message"].as_str().unwrap().ends_with("not that file"));
    assert!(!talk.waits());
}

#[test]
fn what_the_program_asks_its_user_is_answered_with_words() {
    let (mut talk, mut reader) = talk();
    let question = json!({"question": "Which?", "options": [{"label": "One"}, {"label": "Two"}]});
    talk.request(ask("a", "AskUserQuestion", json!({"questions": [question]})));
    let asked = talk.next_question().unwrap();
    assert_eq!((asked.kind, asked.text.as_str()), (QuestionKind::Question, "Which? (One, Two)"));
    talk.asked(1);
    talk.answer(1, &Answer::Text("Two".into())).unwrap();
    let told = line(&mut reader);
    assert_eq!(told["response"]["response"]["updatedInput"]["answers"], json!({"Which?": "Two"}));
}

#[test]
fn a_question_that_is_withdrawn_or_one_too_many_is_not_put() {
    let (mut talk, mut reader) = talk();
    for number in 0..=MAX_WAITING {
        talk.request(ask(&number.to_string(), "Bash", json!({})));
    }
    let told = line(&mut reader);
    assert_eq!(told["response"]["request_id"], MAX_WAITING.to_string());
    assert_eq!(told["response"]["response"]["behavior"], "deny");
    talk.asked(1);
    talk.request(Request::Withdrawn { id: "0".into() });
    assert!(talk.answer(1, &Answer::Allow).is_none(), "it wants to know no more");
    assert_eq!(talk.take_withdrawn().map(|asked| asked.number), Some(1));
    assert_eq!(talk.take_withdrawn(), None, "that is said once");
    talk.request(Request::Unknown { id: "z".into() });
    assert_eq!(line(&mut reader)["response"]["subtype"], "error");
}

#[test]
fn a_long_input_is_cut_and_stays_json() {
    let (mut talk, _reader) = talk();
    talk.request(ask("a", "Write", json!({"content": "é".repeat(MAX_INPUT_BYTES)})));
    let input = talk.next_question().unwrap().input.unwrap();
    assert!(input.len() < 2 * MAX_INPUT_BYTES);
    assert!(serde_json::from_str::<Value>(&input).unwrap().is_string());
}

#[test]
fn a_program_that_does_not_read_holds_nobody_up_and_gets_all_of_it_in_the_end() {
    let (mut talk, mut reader) = talk();
    let long = "x".repeat(1 << 20);
    talk.tell(&long);
    assert!(talk.blocked_on().is_some(), "more than a socket holds");
    talk.end();
    assert!(!talk.is_open());
    let text = std::thread::scope(|scope| {
        let read = scope.spawn(|| line(&mut reader)["message"]["content"][0]["text"].as_str().unwrap().len());
        while let Some(socket) = talk.blocked_on() {
            let mut fds = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::OUT)];
            rustix::event::poll(&mut fds, None).unwrap();
            talk.write();
        }
        read.join().unwrap()
    });
    assert_eq!(text, long.len());
    let mut rest = String::new();
    assert_eq!(reader.read_line(&mut rest).unwrap(), 0, "then it ends");
}

#[test]
fn a_program_that_takes_nothing_and_wants_ever_more_is_told_nothing_any_more() {
    let (mut talk, _reader) = talk();
    let id = "x".repeat(1 << 20);
    for _ in 0..64 {
        talk.request(Request::Unknown { id: id.clone() });
        assert!(talk.outgoing.len() <= MAX_OUTGOING_BYTES + (2 << 20), "{}", talk.outgoing.len());
    }
    assert!(!talk.is_open());
}
