//! A step of git that runs: what it prints is read, and it is ended where it has to be.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::super::mirror::bytes_below;
use super::super::settings::{Login, shown};
use super::{Error, Git, Printed, Step};
use crate::process::{Exit, Reply, boot_ms};
use crate::runner::{End, wait};

/// The most bytes of what git says that are kept, and that are shown.
const MAX_SAID_BYTES: usize = 64 << 10;
const MAX_SHOWN_CHARS: usize = 1_000;
/// How often the size of what is fetched is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Between TERM and KILL for a step that is ended.
const GRACE: Duration = Duration::from_secs(2);
/// How much is read at once.
const READ_BYTES: usize = 64 << 10;

/// A step that was started.
pub(super) struct Call<'a> {
    git: &'a Git<'a>,
    step: &'a Step<'a>,
    output: Option<OwnedFd>,
    said: Option<OwnedFd>,
    /// Why it is being ended.
    cause: Option<Error>,
}

impl<'a> Call<'a> {
    pub(super) fn new(git: &'a Git<'a>, step: &'a Step<'a>, output: OwnedFd, said: OwnedFd) -> Self {
        Self { git, step, output: Some(output), said: Some(said), cause: None }
    }

    /// Waits until nothing of it is left, and gives what it printed.
    pub(super) fn follow(mut self) -> Result<Printed, Error> {
        let deadline =
            boot_ms().saturating_add(u64::try_from(self.step.timeout.as_millis()).unwrap_or(u64::MAX));
        let (mut output, mut said, mut exit) = (Vec::new(), Vec::new(), None);
        let mut cut = false;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let left = Duration::from_millis(deadline.saturating_sub(boot_ms()));
            let [keeper, inbox, printed, spoken] = self.wait(left);
            if printed {
                cut |= !read(&mut self.output, &mut buffer, &mut output, self.step.max_output);
            }
            if spoken {
                read(&mut self.said, &mut buffer, &mut said, MAX_SAID_BYTES);
            }
            if inbox && let Some(end) = self.git.inbox.ends() {
                self.end(Error::Ended(end));
            }
            if boot_ms() >= deadline {
                self.end(Error::Slow { what: self.step.name(), after: self.step.timeout });
            }
            if let Some((folder, limit)) = self.step.bound
                && bytes_below(folder) > limit
            {
                self.end(Error::TooLarge { limit });
            }
            if !keeper {
                continue;
            }
            match self.git.keeper.reply() {
                Ok(Reply::Started { .. }) => {}
                Ok(Reply::Refused { errno }) => {
                    let why = io::Error::from(Errno::from_raw_os_error(errno)).to_string();
                    return Err(Error::NoGit { why });
                }
                Ok(Reply::Unconfined) => {
                    return Err(Error::NoGit { why: "it could not be confined".into() });
                }
                Ok(Reply::Exited(code)) => exit = Some(code),
                Ok(Reply::ExitedAndGone(code)) => {
                    exit = Some(code);
                    break;
                }
                Ok(Reply::Gone { .. }) => break,
                Err(_) => return Err(Error::KeeperLost),
            }
        }
        // Nothing of the step is left, so what is in the pipes is all there is.
        while self.output.is_some() {
            cut |= !read(&mut self.output, &mut buffer, &mut output, self.step.max_output);
        }
        while self.said.is_some() {
            read(&mut self.said, &mut buffer, &mut said, MAX_SAID_BYTES);
        }
        if let Some(cause) = self.cause {
            return Err(cause);
        }
        let code = match exit {
            Some(Exit::Code(code)) => Some(code),
            Some(Exit::Signal(_)) | None => None,
        };
        Ok(Printed { code, output, cut, words: words(&said, self.step.login) })
    }

    /// Says what is ready: the keeper, the inbox, what is printed, what is said.
    fn wait(&self, left: Duration) -> [bool; 4] {
        let keeper = PollFd::new(self.git.keeper, PollFlags::IN);
        let inbox = PollFd::new(self.git.inbox, PollFlags::IN);
        let mut fds = vec![keeper];
        let listens = self.cause.is_none();
        fds.extend(listens.then_some(inbox));
        let printed = self.output.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let spoken = self.said.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN));
        let (has_printed, has_spoken) = (printed.is_some(), spoken.is_some());
        fds.extend(printed);
        fds.extend(spoken);
        let time = match (listens, self.step.bound) {
            (false, _) => Duration::MAX,
            (true, Some(_)) => left.min(LOOK),
            (true, None) => left,
        };
        wait(&mut fds, time);
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = |there: bool| there && ready.next().unwrap_or(false);
        [next(true), next(listens), next(has_printed), next(has_spoken)]
    }

    /// Ends the step; the first cause is the one that counts.
    fn end(&mut self, cause: Error) {
        if self.cause.is_some() {
            return;
        }
        let grace = if matches!(cause, Error::Ended(End::Abandon)) { Duration::ZERO } else { GRACE };
        self.cause = Some(cause);
        // A keeper that is gone shows at the next wait.
        let _ = self.git.keeper.end(grace);
    }
}

/// Reads once, keeps up to a limit, and takes away what has ended; false when something was not kept.
fn read(from: &mut Option<OwnedFd>, buffer: &mut [u8], into: &mut Vec<u8>, most: usize) -> bool {
    let Some(fd) = from else { return true };
    match rustix::io::read(fd, &mut *buffer) {
        Ok(0) => *from = None,
        Ok(count) => {
            let room = most.saturating_sub(into.len());
            into.extend_from_slice(&buffer[..count.min(room)]);
            return count <= room;
        }
        Err(Errno::INTR) => {}
        Err(_) => *from = None,
    }
    true
}

/// What git said, as people may read it.
fn words(said: &[u8], login: Option<&Login>) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("hint:"));
    shown(&lines.collect::<Vec<_>>().join("; "), login, MAX_SHOWN_CHARS)
}

#[cfg(test)]
mod tests {
    use conductor_runtime::credentials::Secret;

    use super::*;

    #[test]
    fn what_git_says_is_told_without_the_credential() {
        let login = Login { user: "u".into(), token: Secret::new("s3cret") };
        let said = b"remote: no\nfatal: https://u:s3cret@host/ denied\x1b[0m\nhint: try\n\n";
        assert_eq!(words(said, Some(&login)), "remote: no; fatal: https://u:[redacted]@host/ denied[0m");
        assert!(words(&b"x".repeat(10_000), None).len() <= MAX_SHOWN_CHARS);
    }
}
