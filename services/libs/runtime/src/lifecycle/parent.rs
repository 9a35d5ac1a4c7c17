//! The end of whoever started this program, as a pipe tells it.

use std::io;
use std::os::fd::AsFd as _;

use tokio::net::unix::pipe;

/// Waits for the end of the process that started this one: standard input is a pipe of which that process alone has the other
/// end, so it closes whatever that process ends of.
#[derive(Debug)]
pub struct ParentPipe(pipe::Receiver);

impl ParentPipe {
    /// Takes standard input for the pipe. Needs a tokio runtime.
    ///
    /// # Errors
    /// When standard input is no pipe: this program was started by something else.
    pub fn stdin() -> io::Result<Self> {
        let fd = io::stdin().as_fd().try_clone_to_owned()?;
        Ok(Self(pipe::Receiver::from_owned_fd(fd)?))
    }

    /// Returns when the other process is gone.
    pub async fn closed(&self) {
        let mut ignored = [0; 64];
        while self.0.readable().await.is_ok() {
            match self.0.try_read(&mut ignored) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }
}
