//! What is said to a program while it runs: its prompt, what people answer, and what they tell it besides.
//!
//! It is lines of JSON on its standard input, which is a socket: a process below the program finds it in `/proc` and cannot
//! open it, as it could a pipe, so that nothing but the agent answers for people.

mod acp;
mod claude;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;
use serde_json::Value;

use super::super::control::{Answer, Question, QuestionKind};
use super::parse::{Ask, Request};
use super::render;
use crate::process::boot_ms;
pub(super) use acp::Opening;

/// The most requests of a program that wait for a person; one that asks for more is told no.
const MAX_WAITING: usize = 32;
/// The most bytes of a tool's input that people are shown with a question; the events have all of it.
const MAX_INPUT_BYTES: usize = 32 << 10;
/// The most that waits to be taken: the longest prompt as JSON, and what is answered besides. A program that takes nothing and
/// wants ever more is told nothing any more.
const MAX_OUTGOING_BYTES: usize = 16 << 20;
/// What a program is told when a person says no without words.
const NOT_ALLOWED: &str = "A person did not allow this.";
const TOO_MANY: &str = "Too many questions wait for a person.";

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
    voice: Voice,
    /// The question that a person was asked and that is taken back.
    withdrawn: Option<Asked>,
    /// The uses of tools that were not allowed since the last look, and why.
    denied: Vec<(String, String)>,
}

/// In which words it is spoken.
#[derive(Debug)]
enum Voice {
    Claude(claude::Voice),
    Acp(Box<acp::Voice>),
}

/// With what a conversation begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// With the prompt, as Claude Code takes it.
    Claude { prompt: String },
    /// As the Agent Client Protocol says.
    Acp(Opening),
}

/// A question that a person was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub number: u32,
    pub since_ms: u64,
}

impl Talk {
    /// Begins; gives what becomes the program's standard input besides.
    pub fn begin(begin: Begin) -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let (voice, first) = match begin {
            Begin::Claude { prompt } => {
                let mut voice = claude::Voice::default();
                let first = voice.tell(&prompt);
                (Voice::Claude(voice), first)
            }
            Begin::Acp(opening) => {
                let (voice, first) = acp::Voice::begin(opening);
                (Voice::Acp(Box::new(voice)), first)
            }
        };
        let (waiting, asked, denied) = (VecDeque::new(), None, Vec::new());
        let outgoing = VecDeque::new();
        let mut talk =
            Self { socket: Some(own), outgoing, ends: false, waiting, asked, voice, withdrawn: None, denied };
        talk.say(&first);
        Ok((talk, other.into()))
    }

    /// Whether it can be told more.
    pub fn is_open(&self) -> bool {
        self.socket.is_some() && !self.ends
    }

    /// Whether it can be told something now; what is said later goes on waiting until then.
    pub fn listens(&self) -> bool {
        self.is_open()
            && match &self.voice {
                Voice::Claude(_) => true,
                Voice::Acp(voice) => voice.is_between_turns(),
            }
    }

    /// Tells the program something as its user.
    pub fn tell(&mut self, text: &str) {
        match &mut self.voice {
            Voice::Claude(voice) => {
                let line = voice.tell(text);
                self.say(&line);
            }
            Voice::Acp(voice) => {
                voice.tell(text);
                self.go_on();
            }
        }
    }

    /// Whether it was told something that it has not taken up, or goes on with what it was told.
    pub fn has_untaken(&self) -> bool {
        self.is_open()
            && match &self.voice {
                Voice::Claude(voice) => voice.has_untaken(),
                Voice::Acp(voice) => voice.has_more(),
            }
    }

    /// The session in which a prompt was said since the last look.
    pub fn take_begun(&mut self) -> Option<&str> {
        match &mut self.voice {
            Voice::Claude(_) => None,
            Voice::Acp(voice) => voice.take_begun(),
        }
    }

    /// How long it has to be silent before the conversation goes on; none when nothing waits for that.
    pub fn rest(&self) -> Option<Duration> {
        match &self.voice {
            Voice::Claude(_) => None,
            Voice::Acp(voice) => voice.rest(),
        }
    }

    /// It was silent for so long.
    pub fn has_rested(&mut self) {
        match &mut self.voice {
            Voice::Claude(_) => {}
            Voice::Acp(voice) => {
                voice.has_rested();
                self.go_on();
            }
        }
    }

    /// Whether it can be asked to leave what it does.
    pub fn can_cancel(&self) -> bool {
        match &self.voice {
            Voice::Claude(_) => false,
            Voice::Acp(voice) => self.is_open() && voice.is_in_turn(),
        }
    }

    /// Asks the program to leave what it does, where that can be said; false when there is nothing that it does, or no way
    /// to say so.
    pub fn cancel(&mut self) -> bool {
        let lines = match &mut self.voice {
            Voice::Claude(_) => return false,
            Voice::Acp(voice) => {
                let waiting = self.waiting.drain(..);
                let lines: Vec<_> = voice.cancel().into_iter().collect();
                if lines.is_empty() {
                    return false;
                }
                lines.into_iter().chain(waiting.map(|ask| acp::cancelled(&ask))).collect::<Vec<_>>()
            }
        };
        self.asked = None;
        lines.iter().for_each(|line| self.say(line));
        true
    }

    /// Takes what the program wants.
    pub fn request(&mut self, request: Request) {
        match request {
            Request::Ask(ask) => self.take(ask),
            Request::Withdrawn { id } => {
                let first = self.waiting.front().is_some_and(|ask| ask.id == id);
                self.waiting.retain(|ask| ask.id != id);
                if first {
                    self.withdrawn = self.asked.take();
                }
            }
            Request::Took { name } => {
                if let Voice::Claude(voice) = &mut self.voice {
                    voice.took(&name);
                }
            }
            Request::Unknown { id } => {
                let line = match &self.voice {
                    Voice::Claude(_) => claude::not_supported(&id),
                    Voice::Acp(_) => acp::not_supported(&id),
                };
                self.say(&line);
            }
            Request::Reply(reply) => {
                let Voice::Acp(voice) = &mut self.voice else { return };
                if voice.hear(reply) {
                    // What it asked within a turn is over with it.
                    self.waiting.clear();
                    self.withdrawn = self.asked.take().or(self.withdrawn);
                }
                self.go_on();
            }
        }
    }

    /// Says what comes next by itself.
    fn go_on(&mut self) {
        while let Voice::Acp(voice) = &mut self.voice
            && let Some(line) = voice.next()
        {
            self.say(&line);
        }
    }

    fn take(&mut self, ask: Ask) {
        let answered = match &self.voice {
            Voice::Claude(_) => None,
            Voice::Acp(voice) => voice.answers_by_itself(&ask),
        };
        match answered {
            Some(Ok(line)) => self.say(&line),
            Some(Err(why)) => self.refuse(&ask, why),
            None if self.waiting.len() < MAX_WAITING => self.waiting.push_back(ask),
            None => self.refuse(&ask, TOO_MANY),
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

    /// Passes an answer on, and says to which question; none when it is to a question that is not asked any more.
    pub fn answer(&mut self, number: u32, answer: &Answer) -> Option<Asked> {
        let asked = self.asked.filter(|asked| asked.number == number)?;
        let ask = self.waiting.pop_front()?;
        self.asked = None;
        match &mut self.voice {
            Voice::Claude(_) => {
                let line = claude::answer(&ask, answer);
                self.say(&line);
            }
            Voice::Acp(voice) => match acp::decision(&ask, answer) {
                Ok(line) => self.say(&line),
                Err(why) => {
                    // A refusal has no room for words.
                    if let Answer::Text(text) = answer {
                        voice.tell(text);
                    }
                    self.refuse(&ask, &why);
                }
            },
        }
        Some(asked)
    }

    /// The question that was taken back since the last look.
    pub fn take_withdrawn(&mut self) -> Option<Asked> {
        self.withdrawn.take()
    }

    /// The uses of tools that were not allowed since the last look, and why.
    pub fn take_denied(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.denied)
    }

    fn refuse(&mut self, ask: &Ask, why: &str) {
        let line = match &self.voice {
            Voice::Claude(_) => claude::refusal(ask, why),
            Voice::Acp(_) => {
                self.denied.push((ask.call.clone(), why.to_owned()));
                acp::refusal(ask)
            }
        };
        self.say(&line);
    }

    fn say(&mut self, line: &Value) {
        if self.outgoing.len() > MAX_OUTGOING_BYTES {
            self.hang_up();
        }
        if self.is_open() {
            self.outgoing.extend(line.to_string().into_bytes());
            self.outgoing.push_back(b'\n');
            self.write();
        }
    }

    fn hang_up(&mut self) {
        self.socket = None;
        self.outgoing = VecDeque::new();
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
                Err(_) => self.hang_up(),
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
    let (kind, text) = match claude::questions(ask) {
        Some(questions) => {
            (QuestionKind::Question, questions.iter().map(claude::shown).collect::<Vec<_>>().join("\n"))
        }
        None => {
            let line = render::input_line(&ask.input.to_string());
            (QuestionKind::Permission, format!("May it use {}? {line}", ask.tool))
        }
    };
    Question { kind, text, tool: Some(ask.tool.clone()), input: Some(input) }
}

#[cfg(test)]
mod tests;
