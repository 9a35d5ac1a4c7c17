//! The mock runner: it plays the steps of its prompt inside the worker, without a process and without a model.
//!
//! The same prompt gives the same output, events and files, so everything around a run can be tried with it.

use std::os::fd::AsFd;
use std::time::Duration;

use conductor_core::Amount;
use conductor_gateway::Exceeded;

use super::attempt::Budget;
use super::cause::Cause;
use super::control::Question;
use super::live::Live;
use super::outcome::{Failure, FailureReason, Usage, Verdict};
use super::script::{self, Step};
use super::slots::Ended;
use crate::run::Folder;
use crate::run::beneath::{self, Existing, RelativePath};
use crate::run::events::Event;

/// What is printed between two looks at whether the run shall end.
const PRINT_BYTES: u64 = 64 << 10;
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);
const README: &str = "README.txt";
/// How much of the prompt is said again in the summary and the file.
const MAX_QUOTED_CHARS: usize = 200;

/// Why the steps ended before the last one.
enum Stop {
    Cause(Cause),
    Verdict(Verdict, Option<i32>),
}

impl From<Cause> for Stop {
    fn from(cause: Cause) -> Self {
        Self::Cause(cause)
    }
}

/// Plays a prompt to its end.
pub(super) fn run(prompt: &str, folder: &Folder, live: &mut Live, budget: Budget) -> Ended {
    let steps = script::parse(prompt);
    let usage = Usage { turns: 1, ..Usage::default() };
    let mut play = Play { folder, live, usage, budget, wrote: 0, tools: 0 };
    let stopped = play.all(prompt, &steps);
    let Play { usage, wrote, live, .. } = play;
    let (verdict, exit_code) = match stopped {
        Ok(()) => (Verdict::Succeeded, Some(0)),
        Err(Stop::Verdict(verdict, exit_code)) => (verdict, exit_code),
        Err(Stop::Cause(cause)) => (live.verdict(cause), None),
    };
    let summary = match &verdict {
        Verdict::Succeeded => {
            let files = if wrote == 1 { "1 file".to_owned() } else { format!("{wrote} files") };
            let steps = if steps.len() == 1 { "1 step".to_owned() } else { format!("{} steps", steps.len()) };
            format!("Simulated: {steps} played, {files} written, no model was called")
        }
        verdict => format!("Simulated: {}", verdict.summary()),
    };
    Ended { exit_code, summary, usage, ..Ended::without_child(verdict) }
}

struct Play<'a> {
    folder: &'a Folder,
    live: &'a mut Live,
    usage: Usage,
    budget: Budget,
    wrote: u32,
    tools: u32,
}

impl Play<'_> {
    fn all(&mut self, prompt: &str, steps: &[Step]) -> Result<(), Stop> {
        let mut ended = Ok(());
        for step in steps {
            if let Some(cause) = self.live.pending() {
                return Err(cause.into());
            }
            ended = self.step(step);
            match &ended {
                Ok(()) => {}
                // A run that ends by itself, well or not, leaves something to look at.
                Err(Stop::Verdict(Verdict::Succeeded | Verdict::Failed(_), _)) => break,
                Err(_) => return ended,
            }
        }
        if steps.iter().all(|step| matches!(step, Step::Say(_))) {
            let text = self.explanation(prompt);
            self.live.print(text.as_bytes())?;
        }
        if !steps.iter().any(|step| matches!(step, Step::Write { .. })) {
            self.readme(prompt)?;
        }
        ended
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Sleep(time) => self.live.sleep(*time)?,
            Step::Print(text) => self.live.print(format!("{text}\n").as_bytes())?,
            Step::PrintBytes(bytes) => self.stream(*bytes)?,
            Step::Write { path, text } => self.write(path, &format!("{text}\n"), Existing::Replace)?,
            Step::Use { tokens } => {
                self.usage.output_tokens += tokens;
                let amount = Amount { usd_micros: 0, tokens: self.usage.output_tokens };
                self.live.spent(amount, self.usage);
                self.live.event(&Event::Usage {
                    input_tokens: 0,
                    output_tokens: *tokens,
                    cached_input_tokens: 0,
                })?;
                let budget = self.live.inbox.limit().unwrap_or(self.budget);
                if let Some(most) = budget.tokens.filter(|most| self.usage.output_tokens >= *most) {
                    return Err(Cause::Budget(Exceeded::Tokens(most)).into());
                }
            }
            Step::Tool(name) => self.tool(name)?,
            Step::Ask(question) => self.ask(question)?,
            Step::Fail(message) => {
                self.live.event(&Event::Error { message: message.clone() })?;
                let hint = "the prompt of this simulated run says `fail`".to_owned();
                let (reason, message) = (FailureReason::RunnerError, message.clone());
                return Err(Stop::Verdict(Verdict::Failed(Failure { reason, message, hint }), None));
            }
            Step::Exit(0) => return Err(Stop::Verdict(Verdict::Succeeded, Some(0))),
            Step::Exit(code) => {
                let hint = "the prompt of this simulated run says `exit`".to_owned();
                let (reason, message) = (FailureReason::ExitCode, format!("the mock exited with {code}"));
                return Err(Stop::Verdict(Verdict::Failed(Failure { reason, message, hint }), Some(*code)));
            }
            Step::Crash => {
                let message = "the prompt of this simulated run says `crash`".to_owned();
                return Err(Stop::Verdict(Verdict::Crashed { message }, None));
            }
            Step::Hang => self.live.sleep(FOREVER)?,
            Step::Say(text) => self.say(text)?,
        }
        Ok(())
    }

    fn say(&mut self, text: &str) -> Result<(), Cause> {
        self.live.event(&Event::Message { text: text.to_owned() })?;
        self.live.print(format!("{text}\n").as_bytes())
    }

    fn stream(&mut self, bytes: u64) -> Result<(), Cause> {
        const LINE: &[u8] = b"The quick brown fox jumps over the lazy dog, and nobody asked it why.\n";
        let block: Vec<u8> = LINE.iter().copied().cycle().take(LINE.len() * 900).collect();
        let mut left = bytes;
        while left > 0 {
            if let Some(cause) = self.live.pending() {
                return Err(cause);
            }
            // Whole lines, so that the next block begins where this one ended.
            let count =
                usize::try_from(left.min(PRINT_BYTES)).map_or(block.len(), |count| count.min(block.len()));
            self.live.print(&block[..count])?;
            left -= count as u64;
        }
        Ok(())
    }

    fn tool(&mut self, name: &str) -> Result<(), Cause> {
        self.tools += 1;
        self.usage.tool_calls += 1;
        let id = format!("tool-{}", self.tools);
        let call = Event::ToolCall { id: id.clone(), name: name.to_owned(), input: "{}".to_owned() };
        self.live.event(&call)?;
        self.live.print(format!("[tool {name}]\n").as_bytes())?;
        self.live.event(&Event::ToolResult { id, output: "simulated".to_owned(), is_error: false })
    }

    fn ask(&mut self, question: &str) -> Result<(), Cause> {
        self.live.ask(Question::of_words(question)).map(drop)
    }

    fn write(&mut self, path: &str, text: &str, existing: Existing) -> Result<(), Stop> {
        let written = RelativePath::new(path)
            .and_then(|path| beneath::write_file(self.folder.work.as_fd(), path, text.as_bytes(), existing));
        match written {
            Ok(_) => {
                self.wrote += 1;
                Ok(())
            }
            Err(beneath::Error::Write { source, .. }) => Err(super::cause::disk(&source).into()),
            Err(error) => {
                let (reason, message) = (FailureReason::RunnerError, error.to_string());
                let hint = "the mock writes below the work folder alone".to_owned();
                Err(Stop::Verdict(Verdict::Failed(Failure { reason, message, hint }), None))
            }
        }
    }

    fn readme(&mut self, prompt: &str) -> Result<(), Stop> {
        let text = format!("{}\n", self.explanation(prompt).trim());
        match self.write(README, &text, Existing::Refuse) {
            // The task brought a file of this name, which stays.
            Err(Stop::Verdict(..)) => Ok(()),
            written => written,
        }
    }

    fn explanation(&self, prompt: &str) -> String {
        let mut asked: String = prompt.trim().chars().take(MAX_QUOTED_CHARS).collect();
        if asked.len() < prompt.trim().len() {
            asked.push_str(" ...");
        }
        let asked = asked.replace('\n', "\n    ");
        let folder = self.folder.path().display();
        format!(
            "
This is a simulated answer: the mock runner played it, no model was called and it cost nothing.
You asked:

    {asked}

What happened: the task was kept on disk, given to a free slot of an agent, and run in a folder of its own:

    {folder}

work/{README} is a file that the run left; attempts/ holds its output, events and result.
The mock also plays steps, one a line or parted by semicolons, such as:

    conductor run 'print working; sleep 2s; write notes.txt it works; ask Shall I go on?'

To run a real program:

    conductor run -- sh -c 'echo hi > out.txt; ls -la'

To have a real coding agent answer, name its runner with --runner and give it its credential;
`conductor doctor` says which runners there are and what is missing.
"
        )
    }
}
