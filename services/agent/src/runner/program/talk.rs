//! What is said to a program while it runs: its prompt, what people answer, and what they tell it besides.
//!
//! It is lines of JSON on its standard input, which is a socket: a process below the program finds it in `/proc` and cannot
//! open it, as it could a pipe, so that nothing but the agent answers for people.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::SendFlags;
use serde_json::{Value, json};

use super::super::control::{Answer, Question, QuestionKind};
use super::parse::{Ask, Request};
use super::render;
use crate::process::boot_ms;

/// The most requests of a program that wait for a person; one that asks for more is told no.
const MAX_WAITING: usize = 32;
/// The most bytes of a tool's input that people are shown with a question; the events have all of it.
const MAX_INPUT_BYTES: usize = 32 << 10;
/// The tool by which Claude Code asks what its user wants.
const ASKS_USER: &str = "AskUserQuestion";

/// A conversation with a program.
#[derive(Debug)]
pub(super) struct Talk {
    /// None once there is nothing more to say, or nobody who listens.
    socket: Option<UnixStream>,
    outgoing: VecDeque<u8>,
    /// Whether the end follows what is still to be written.
    ends: bool,
    /// What waits for a person; the first is asked.
    waiting: VecDeque<Ask>,
    asked: Option<Asked>,
    /// Messages that it has not taken up, by the names that they were given.
    untaken: Vec<String>,
}

/// A question that a person was asked.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u32,
    since_ms: u64,
}

/// An answer that a question was waiting for.
#[derive(Debug)]
pub(super) struct Answered {
    pub number: u32,
    pub since_ms: u64,
}

impl Talk {
    /// Begins with the prompt; gives what becomes the program's standard input besides.
    pub fn begin(prompt: &str) -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let mut talk = Self {
            socket: Some(own),
            outgoing: VecDeque::new(),
            ends: false,
            waiting: VecDeque::new(),
            asked: None,
            untaken: Vec::new(),
        };
        talk.tell(prompt);
        Ok((talk, other.into()))
    }

    /// Whether it can be told more.
    pub fn is_open(&self) -> bool {
        self.socket.is_some() && !self.ends
    }

    /// Tells the program something as its user.
    pub fn tell(&mut self, text: &str) {
        let name = uuid::Uuid::now_v7().to_string();
        let content = json!([{"type": "text", "text": text}]);
        self.say(&json!({
            "type": "user", "uuid": &name, "session_id": "", "parent_tool_use_id": null,
            "message": {"role": "user", "content": content},
        }));
        self.untaken.push(name);
    }

    /// Whether it was told something that it has not taken up.
    pub fn has_untaken(&self) -> bool {
        self.is_open() && !self.untaken.is_empty()
    }

    /// Takes what the program wants.
    pub fn request(&mut self, request: Request) {
        match request {
            Request::Ask(ask) if self.waiting.len() < MAX_WAITING => self.waiting.push_back(ask),
            Request::Ask(ask) => self.refuse(&ask.id, "too many questions wait for a person"),
            Request::Withdrawn { id } => {
                let first = self.waiting.front().is_some_and(|ask| ask.id == id);
                self.waiting.retain(|ask| ask.id != id);
                if first {
                    self.asked = None;
                }
            }
            Request::Took { name } => self.untaken.retain(|known| *known != name),
            Request::Unknown { id } => {
                let response = json!({"subtype": "error", "request_id": id, "error": "not supported"});
                self.say(&json!({"type": "control_response", "response": response}));
            }
        }
    }

    /// The next question for a person, if none is with one.
    pub fn next_question(&self) -> Option<Question> {
        self.waiting.front().filter(|_| self.asked.is_none()).map(question)
    }

    /// Notes that the first question is with a person.
    pub fn asked(&mut self, number: u32) {
        self.asked = Some(Asked { number, since_ms: boot_ms() });
    }

    /// Whether a person is asked.
    pub fn waits(&self) -> bool {
        self.asked.is_some()
    }

    /// Passes an answer on; none when it is to a question that is not asked any more.
    pub fn answer(&mut self, number: u32, answer: &Answer) -> Option<Answered> {
        let asked = self.asked.filter(|asked| asked.number == number)?;
        let ask = self.waiting.pop_front()?;
        self.asked = None;
        match decision(&ask, answer) {
            Ok(response) => self.respond(&ask.id, &response),
            Err(why) => self.refuse(&ask.id, &why),
        }
        Some(Answered { number, since_ms: asked.since_ms })
    }

    fn refuse(&mut self, id: &str, why: &str) {
        self.respond(id, &json!({"behavior": "deny", "message": why}));
    }

    fn respond(&mut self, id: &str, response: &Value) {
        let response = json!({"subtype": "success", "request_id": id, "response": response});
        self.say(&json!({"type": "control_response", "response": response}));
    }

    fn say(&mut self, line: &Value) {
        if self.is_open() {
            self.outgoing.extend(line.to_string().into_bytes());
            self.outgoing.push_back(b'\n');
            self.write();
        }
    }

    /// Says nothing more after what was said.
    pub fn end(&mut self) {
        self.ends = true;
        self.write();
    }

    /// What is to be waited for before more can be written.
    pub fn blocked_on(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().filter(|_| !self.outgoing.is_empty()).map(AsFd::as_fd)
    }

    /// Writes what the program takes.
    pub fn write(&mut self) {
        while let Some(socket) = &self.socket
            && !self.outgoing.is_empty()
        {
            let (bytes, _) = self.outgoing.as_slices();
            match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // It listens no more; how the run ends says why.
                Err(_) => {
                    self.socket = None;
                    self.outgoing.clear();
                }
            }
        }
        if self.ends {
            self.socket = None;
        }
    }
}

/// What a person is asked.
fn question(ask: &Ask) -> Question {
    let input = ask.input.to_string();
    let input = if input.len() <= MAX_INPUT_BYTES {
        input
    } else {
        let end = (0..=MAX_INPUT_BYTES).rev().find(|at| input.is_char_boundary(*at)).unwrap_or(0);
        Value::String(format!("{} ... ({} bytes; the events have all of it)", &input[..end], input.len()))
            .to_string()
    };
    let (kind, text) = match questions(ask) {
        Some(questions) => {
            (QuestionKind::Question, questions.iter().map(shown).collect::<Vec<_>>().join("\n"))
        }
        None => {
            let line = render::input_line(&ask.input.to_string());
            (QuestionKind::Permission, format!("May it use {}? {line}", ask.tool))
        }
    };
    Question { kind, text, tool: Some(ask.tool.clone()), input: Some(input) }
}

/// What the program wants to know of its user, where that is what it asks.
fn questions(ask: &Ask) -> Option<&Vec<Value>> {
    ask.input.get("questions").filter(|_| ask.tool == ASKS_USER)?.as_array().filter(|all| !all.is_empty())
}

fn shown(question: &Value) -> String {
    let text = question["question"].as_str().unwrap_or_default();
    let options = question["options"].as_array().into_iter().flatten();
    let options: Vec<_> = options.filter_map(|option| option["label"].as_str()).collect();
    if options.is_empty() { text.to_owned() } else { format!("{text} ({})", options.join(", ")) }
}

/// What the program is answered, or why it may not.
fn decision(ask: &Ask, answer: &Answer) -> Result<Value, String> {
    match (answer, questions(ask)) {
        // Without an input the tool gets the one that it asked with: the one known here has no secrets in it.
        (Answer::Allow, None) => Ok(json!({"behavior": "allow"})),
        (Answer::Deny, _) => Err("A person did not allow this.".to_owned()),
        (Answer::Text(text), None) => Err(format!("A person did not allow this, and says: {text}")),
        (Answer::Expired, _) => Err("Nobody answered.".to_owned()),
        (Answer::Allow, Some(questions)) => Ok(told(ask, questions, "Yes")),
        (Answer::Text(text), Some(questions)) => Ok(told(ask, questions, text)),
    }
}

fn told(ask: &Ask, questions: &[Value], answer: &str) -> Value {
    let texts = questions.iter().filter_map(|question| question["question"].as_str());
    let answers: serde_json::Map<_, _> =
        texts.map(|text| (text.to_owned(), Value::String(answer.to_owned()))).collect();
    let mut input = ask.input.clone();
    input["answers"] = Value::Object(answers);
    json!({"behavior": "allow", "updatedInput": input})
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    fn ask(id: &str, tool: &str, input: Value) -> Request {
        Request::Ask(Ask { id: id.into(), tool: tool.into(), input })
    }

    fn talk() -> (Talk, BufReader<UnixStream>) {
        let (talk, other) = Talk::begin("Do it").unwrap();
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
        talk.request(ask("a", ASKS_USER, json!({"questions": [question]})));
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
            let read =
                scope.spawn(|| line(&mut reader)["message"]["content"][0]["text"].as_str().unwrap().len());
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
}
