//! A stand-in for a coding agent: it speaks as one of the three does, or as the Agent Client Protocol says, and asks no model. Its prompt is a script.
//!
//! ```text
//! mock-cli claude|codex|gemini|acp [--resume ID | resume ID] [--input-format stream-json] < PROMPT
//! ```
//!
//! `steps.rs` has the words of a script; anything else is said. What is left of a script is its session.

mod acp;
mod claude;
mod codex;
mod gemini;
mod play;
mod session;
mod steps;
mod talk;

use std::io::Read as _;
use std::process::ExitCode;

/// Whose lines are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Claude,
    Codex,
    Gemini,
    Acp,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let dialect = match words.first().map(String::as_str) {
        Some("claude") => Dialect::Claude,
        Some("codex") => Dialect::Codex,
        Some("gemini") => Dialect::Gemini,
        Some("acp") => Dialect::Acp,
        _ => {
            eprintln!("usage: mock-cli claude|codex|gemini|acp [--resume ID]");
            return ExitCode::from(2);
        }
    };
    let resume = words.iter().position(|word| word == "--resume" || word == "resume");
    let resume = resume.and_then(|at| words.get(at + 1)).cloned();
    let converses = dialect == Dialect::Acp || words.iter().any(|word| word == "--input-format");
    let mut talk = talk::Talk::new(dialect);
    let prompt = if converses {
        talk.told()
    } else {
        let mut prompt = String::new();
        std::io::stdin().read_to_string(&mut prompt).is_ok().then_some(prompt)
    };
    let Some(mut prompt) = prompt else {
        eprintln!("there is no prompt");
        return ExitCode::from(2);
    };
    let mut session = resume;
    loop {
        session = talk.session().or(session);
        let ended = play::play(dialect, &mut session, &prompt, &mut talk);
        // Whoever speaks with it says when there is nothing more to say.
        if !converses || ended != ExitCode::SUCCESS {
            return ended;
        }
        match talk.told() {
            Some(next) => prompt = next,
            None => return ended,
        }
    }
}
