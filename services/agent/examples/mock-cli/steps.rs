//! The words of a script: one step a line, or parted by `;`.

use std::time::Duration;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Say(String),
    /// Runs a command as a tool.
    Run(String),
    /// The same, after it asked whether it may.
    Ask(String),
    /// Asks whether it may run a command, takes the question back, and does not run it.
    TakeBack(String),
    /// Waits until it is told something, and says it.
    Listen,
    Sleep(Duration),
    /// A line of text among the events.
    Print(String),
    /// A message of so many bytes in one line.
    Flood(usize),
    /// An event of a kind that nobody knows.
    Stray,
    /// The credential is at its limit, for so many seconds when that is told.
    Limit(Option<i64>),
    Overload,
    /// The credential is refused.
    Refuse,
    BadRequest,
    TooLong,
    MaxTurns,
    /// Says nothing more, and stays.
    Hang,
    /// Says its result, and stays.
    Linger,
    /// Is killed.
    Crash,
    /// Ends well, without a result.
    End,
}

/// Reads one step; every text is one.
pub fn read(text: &str) -> Step {
    let (word, rest) = text.split_once(' ').map_or((text, ""), |(word, rest)| (word, rest.trim()));
    match word {
        "run" => Step::Run(rest.to_owned()),
        "ask" => Step::Ask(rest.to_owned()),
        "take-back" => Step::TakeBack(rest.to_owned()),
        "listen" => Step::Listen,
        "sleep" => Step::Sleep(Duration::from_millis(rest.trim_end_matches("ms").parse().unwrap_or(0))),
        "print" => Step::Print(rest.to_owned()),
        "flood" => Step::Flood(rest.parse().unwrap_or(0)),
        "stray" => Step::Stray,
        "limit" => Step::Limit(rest.parse().ok()),
        "overload" => Step::Overload,
        "refuse" => Step::Refuse,
        "bad-request" => Step::BadRequest,
        "too-long" => Step::TooLong,
        "max-turns" => Step::MaxTurns,
        "hang" => Step::Hang,
        "linger" => Step::Linger,
        "crash" => Step::Crash,
        "end" => Step::End,
        _ => Step::Say(text.to_owned()),
    }
}

/// The steps of a prompt, as texts.
pub fn split(prompt: &str) -> Vec<String> {
    prompt.split(['\n', ';']).map(str::trim).filter(|step| !step.is_empty()).map(str::to_owned).collect()
}
