//! Plays a script.

use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde_json::{Value, json};

use crate::session::Session;
use crate::steps::{self, Step};
use crate::talk::{May, Talk};
use crate::{Dialect, acp, claude, codex, gemini};

/// What each message is said to have used: input that was not cached, output, input that was.
pub const USED: [u64; 3] = [80, 30, 20];
/// What a prompt begins with that only says to go on.
const INTERRUPTED: &str = "You were interrupted.";
/// How long a program that hangs stays at most.
const FOREVER: Duration = Duration::from_secs(3_600);

/// What a line tells.
pub enum Said<'a> {
    Begin { session: &'a str },
    Message { text: &'a str },
    Call { id: &'a str, command: &'a str },
    Result { id: &'a str, command: &'a str, output: &'a str, code: i32 },
    Failed { why: &'a Step },
    Done { text: &'a str, messages: u64, calls: u64 },
}

pub fn play(dialect: Dialect, known: &mut Option<String>, prompt: &str, talk: &mut Talk) -> ExitCode {
    let resume = known.take();
    let session = Session::new(dialect, resume.as_deref());
    *known = Some(session.id.clone());
    let left = match resume.as_deref() {
        None => steps::split(prompt),
        Some(id) => match session.left() {
            None => return no_session(dialect, id),
            Some(left) if prompt.starts_with(INTERRUPTED) => left,
            Some(_) => steps::split(prompt),
        },
    };
    let speak = |said: &Said<'_>| {
        let lines = match dialect {
            Dialect::Claude => claude::lines(said),
            Dialect::Codex => codex::lines(said),
            Dialect::Gemini => gemini::lines(said),
            Dialect::Acp => acp::lines(said, &session.id),
        };
        lines.iter().for_each(|line| print(&line.to_string()));
    };
    speak(&Said::Begin { session: &session.id });
    let (mut messages, mut calls, mut last) = (0, 0, String::new());
    for (number, text) in left.iter().enumerate() {
        if let Err(error) = session.keep(&left[number + 1..]) {
            eprintln!("the session cannot be kept: {error}");
            return ExitCode::from(1);
        }
        let step = steps::read(text);
        match &step {
            Step::Say(text) => {
                messages += 1;
                last.clone_from(text);
                speak(&Said::Message { text });
            }
            Step::Listen => {
                messages += 1;
                last = talk.told().unwrap_or_else(|| "nobody said anything".to_owned());
                speak(&Said::Message { text: &last });
            }
            Step::Run(command) | Step::Ask(command) | Step::TakeBack(command) => {
                calls += 1;
                messages += 1;
                let id = format!("call_{calls}");
                speak(&Said::Call { id: &id, command });
                match talk.may(&step, &id, command) {
                    May::Yes => {}
                    May::No(why) => {
                        speak(&Said::Result { id: &id, command, output: &why, code: 1 });
                        continue;
                    }
                    May::Leave => {
                        print(&acp::left().to_string());
                        return ExitCode::SUCCESS;
                    }
                }
                let ran = Command::new("sh").args(["-c", command]).output();
                let (output, code) = ran.map_or_else(
                    |error| (error.to_string(), 127),
                    |ran| {
                        let said = [ran.stdout, ran.stderr].concat();
                        (String::from_utf8_lossy(&said).into_owned(), ran.status.code().unwrap_or(137))
                    },
                );
                speak(&Said::Result { id: &id, command, output: &output, code });
            }
            Step::Sleep(time) => std::thread::sleep(*time),
            Step::Print(line) => print(line),
            Step::Flood(bytes) => speak(&Said::Message { text: &"x".repeat(*bytes) }),
            Step::Stray => print(&json!({"type": "of_tomorrow", "n": 1}).to_string()),
            Step::Hang => std::thread::sleep(FOREVER),
            Step::Linger => {
                speak(&Said::Done { text: &last, messages, calls });
                std::thread::sleep(FOREVER);
            }
            Step::Crash => {
                let _ =
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            }
            Step::End => std::process::exit(0),
            Step::Limit(_)
            | Step::Overload
            | Step::Refuse
            | Step::BadRequest
            | Step::TooLong
            | Step::MaxTurns => {
                speak(&Said::Failed { why: &step });
                return ExitCode::from(1);
            }
        }
    }
    speak(&Said::Done { text: &last, messages, calls });
    ExitCode::SUCCESS
}

/// As the real programs say it.
fn no_session(dialect: Dialect, id: &str) -> ExitCode {
    match dialect {
        Dialect::Claude => eprintln!("No conversation found with session ID: {id}"),
        Dialect::Codex => eprintln!("Error: thread/resume failed: no rollout found for thread id {id}"),
        Dialect::Acp => eprintln!("there is no session {id}"),
        Dialect::Gemini => eprintln!("Error resuming session: Invalid session identifier \"{id}\"."),
    }
    ExitCode::from(1)
}

pub fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: the keeper ends it soon.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Seconds since 1970 in so many seconds.
pub fn at(seconds: i64) -> i64 {
    conductor_runtime::clock::Clock::System.now().wall_ms / 1_000 + seconds
}

/// An object with a type.
pub fn event(kind: &str, mut fields: Value) -> Value {
    fields["type"] = kind.into();
    fields
}
