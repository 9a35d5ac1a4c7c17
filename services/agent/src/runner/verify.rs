//! Verifying: a command of the task's that says whether the run did what it claims.

use super::attempt::Attempt;
use super::live::Live;
use super::outcome::{Failure, FailureReason, Verdict};
use super::slot::Slot;
use super::slots::Ended;
use crate::run::Folder;

impl Slot {
    /// Runs the verify command after a success, with the bounds that the run had; says what it found. A run that does not
    /// pass it has failed.
    pub(super) fn verify(
        &mut self,
        attempt: &Attempt,
        ended: &mut Ended,
        folder: &Folder,
        live: &mut Live,
    ) -> Option<bool> {
        let argv = attempt.verify.as_ref().filter(|_| ended.verdict == Verdict::Succeeded)?;
        // What cannot be written shows when the command prints, and at the end.
        let _ = live.print(format!("\n[verify] {}\n", shown(argv)).as_bytes());
        live.begin_again();
        let check = self.command(attempt, argv, folder, live);
        let (verdict, verified) = judge(check.verdict, live.output.last_line().as_deref());
        let word = match (&verified, check.exit_code) {
            (Some(true), _) => "passed".to_owned(),
            (_, Some(code)) => format!("failed with {code}"),
            (_, None) => "failed".to_owned(),
        };
        let _ = live.print(format!("\n[verify] {word}\n").as_bytes());
        if verdict != Verdict::Succeeded {
            ended.summary = verdict.summary();
            ended.verdict = verdict;
        }
        verified
    }
}

/// What the end of the command means for the run.
fn judge(verdict: Verdict, last_line: Option<&str>) -> (Verdict, Option<bool>) {
    let failure = match verdict {
        Verdict::Succeeded => return (Verdict::Succeeded, Some(true)),
        Verdict::Failed(failure) => failure,
        verdict @ (Verdict::Crashed { .. }
        | Verdict::Limited { .. }
        | Verdict::Cancelled
        | Verdict::Stopped) => {
            return (verdict, None);
        }
    };
    if matches!(failure.reason, FailureReason::DiskFull | FailureReason::Internal) {
        return (Verdict::Failed(failure), None);
    }
    let mut message = format!("verify: {}", failure.message);
    if let (FailureReason::ExitCode, Some(line)) = (failure.reason, last_line) {
        message.push_str(&format!(": {line}"));
    }
    let hint = "what verify printed is at the end of the output".to_owned();
    (Verdict::Failed(Failure { reason: FailureReason::VerifyFailed, message, hint }), Some(false))
}

fn shown(argv: &[String]) -> String {
    const MAX_CHARS: usize = 300;
    argv.join(" ").chars().filter(|char| !char.is_control()).take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: FailureReason) -> Verdict {
        Verdict::Failed(Failure { reason, message: "sh exited with 3".into(), hint: String::new() })
    }

    #[test]
    fn a_command_that_fails_makes_the_run_fail_and_one_that_is_ended_does_not_judge() {
        assert_eq!(judge(Verdict::Succeeded, None), (Verdict::Succeeded, Some(true)));
        let (verdict, verified) = judge(failed(FailureReason::ExitCode), Some("2 tests failed"));
        let Verdict::Failed(failure) = verdict else { panic!("it failed") };
        assert_eq!((failure.reason, verified), (FailureReason::VerifyFailed, Some(false)));
        assert_eq!(failure.message, "verify: sh exited with 3: 2 tests failed");
        for reason in [FailureReason::Timeout, FailureReason::RunnerError] {
            assert_eq!(judge(failed(reason), None).1, Some(false));
        }
        for verdict in [Verdict::Cancelled, Verdict::Stopped, failed(FailureReason::DiskFull)] {
            assert_eq!(judge(verdict.clone(), None), (verdict, None));
        }
    }
}
