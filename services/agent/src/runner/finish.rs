//! What comes after an attempt ran: what it left is collected, delivered and written down.

use std::io;
use std::os::fd::AsFd as _;

use conductor_redact::Redactor;

use super::attempt::{Attempt, Limits};
use super::cause::disk;
use super::conclude::CHANGED_READ_ONLY;
use super::live::Live;
use super::outcome::{Outcome, Verdict};
use super::result;
use super::secrets::{self, Given};
use super::slot::Slot;
use crate::git::Tree;
use crate::run::events::Event;
use crate::run::walk::Listing;
use crate::run::{Folder, collect, diff};

impl Slot {
    /// Collects what the run left, delivers it, and writes it down; nothing of the run is alive any more.
    pub(super) fn finish(
        &mut self,
        attempt: &Attempt,
        mut outcome: Outcome,
        tree: Option<Tree>,
        folder: &Folder,
        mut live: Live,
    ) -> Outcome {
        (outcome.run_ms, outcome.told) = (live.elapsed_ms(), live.told());
        secrets::redact(&mut outcome, &self.given.redactor);
        // The work of such an attempt goes on in the next one, and an agent that has to leave has no time.
        let goes_on = matches!(outcome.verdict, Verdict::Crashed { .. } | Verdict::Limited { .. });
        match tree {
            _ if goes_on => {}
            Some(mut tree) => self.finish_tree(attempt, &mut tree, &mut outcome, folder, &mut live),
            None => {
                if let Err(error) = collect_into(&mut outcome, attempt, folder, &self.given.redactor) {
                    tracing::warn!(task_id = %attempt.task_id, attempt = attempt.number, %error, "failed to collect a run's files");
                }
            }
        }
        if attempt.read_only && outcome.diff_bytes > 0 {
            outcome.flags.push(CHANGED_READ_ONLY);
        }
        secrets::redact(&mut outcome, &self.given.redactor);
        let outcome = written_down(attempt, outcome, folder, live);
        // Nothing of them is kept longer than they are needed.
        self.given = Given::default();
        outcome
    }
}

/// Writes the outcome down.
fn written_down(attempt: &Attempt, mut outcome: Outcome, folder: &Folder, mut live: Live) -> Outcome {
    // What cannot be written shows with the end.
    let _ = live.end_print();
    let finished = Event::Finished { outcome: outcome.verdict.as_str(), summary: outcome.summary.clone() };
    let written = live.event(&finished);
    outcome.output_bytes = live.output.bytes();
    outcome.output_dropped_bytes = live.output.dropped_bytes();
    let json = result::to_json(attempt.task_id, attempt.number, &outcome);
    let written =
        written.and_then(|()| folder.write_whole("result.json", &json).map_err(|error| disk(&error)));
    if let (Err(cause), Verdict::Succeeded) = (written, &outcome.verdict) {
        outcome.verdict = live.verdict(cause);
    }
    outcome
}

fn collect_into(
    outcome: &mut Outcome,
    attempt: &Attempt,
    folder: &Folder,
    redactor: &Redactor,
) -> io::Result<()> {
    let work = folder.work.as_fd();
    let mut listing = Listing::read(work)?;
    let Limits { max_files, max_workspace_bytes, .. } = attempt.limits;
    outcome.files = collect::collect(work, &mut listing, max_files, max_workspace_bytes);
    let patch = diff::diff(work, folder.private.as_fd(), &listing)?;
    let patch = redactor.bytes(&patch);
    if !patch.is_empty() {
        folder.write_whole("diff.patch", &patch)?;
        outcome.diff_bytes = patch.len() as u64;
    }
    Ok(())
}
