//! `conductor supervise-events`: what supervisord tells when it gives a program up. It then ends supervisord, and with it
//! the container, so that the container's restart policy acts and the log says why.

use std::fs;
use std::io::{self, BufRead, Write};

use crate::exit::{Exit, Failure};

/// The longest event that is read; those about processes have some dozens of bytes.
const MAX_EVENT_BYTES: usize = 64 << 10;

/// Tells `conductor-start`, which waits for supervisord, that the container ends for want of a program.
const MARK: &str = "/run/conductor/given-up";

/// Listens until supervisord closes the pipe or a program is given up.
///
/// # Errors
/// When the events do not come as supervisord writes them.
pub fn listen() -> Result<Exit, Failure> {
    let given_up = follow(&mut io::stdin().lock(), &mut io::stdout().lock())
        .map_err(|error| Failure::Failed(format!("supervisord is not understood: {error}")))?;
    if let Some(program) = given_up {
        let text = format!(
            "conductor: {program} could not be kept running; the container stops. Its last lines above say why\n"
        );
        // Where standard error is closed there is nobody to tell.
        let _unread = io::stderr().write_all(text.as_bytes());
        // Without it the container ends all the same, only with another exit code.
        let _unmarked = fs::write(MARK, &program);
        if let Some(supervisord) = rustix::process::getppid() {
            rustix::process::kill_process(supervisord, rustix::process::Signal::TERM)
                .map_err(|error| Failure::Failed(format!("supervisord cannot be ended: {error}")))?;
        }
    }
    Ok(Exit::Succeeded)
}

/// Takes events one by one; answers the program that was given up, or nothing at the end.
fn follow(events: &mut impl BufRead, answers: &mut impl Write) -> io::Result<Option<String>> {
    loop {
        answers.write_all(b"READY\n")?;
        answers.flush()?;
        let mut head = String::new();
        if events.read_line(&mut head)? == 0 {
            return Ok(None);
        }
        let length = field(&head, "len").and_then(|length| length.parse().ok());
        let length = length.filter(|length| *length <= MAX_EVENT_BYTES).ok_or_else(|| malformed(&head))?;
        let mut body = vec![0; length];
        events.read_exact(&mut body)?;
        answers.write_all(b"RESULT 2\nOK")?;
        answers.flush()?;
        if field(&head, "eventname") == Some("PROCESS_STATE_FATAL") {
            let body = String::from_utf8_lossy(&body).into_owned();
            let name = field(&body, "processname").ok_or_else(|| malformed(&body))?;
            return Ok(Some(name.to_owned()));
        }
    }
}

/// The value of `name` in words of the form `name:value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
}

fn malformed(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{:?}", text.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "ver:3.0 server:supervisor serial:1 pool:watch poolserial:1 eventname:{name} len:{length}\n{body}"
        )
    }

    #[test]
    fn the_program_that_was_given_up_is_named_and_others_are_passed_over() {
        let body = "processname:api groupname:api from_state:BACKOFF";
        let events = event("PROCESS_STATE_EXITED", "processname:agent-1 groupname:agent")
            + &event("PROCESS_STATE_FATAL", body);
        let mut answers = Vec::new();
        assert_eq!(follow(&mut events.as_bytes(), &mut answers).unwrap().as_deref(), Some("api"));
        assert_eq!(String::from_utf8(answers).unwrap(), "READY\nRESULT 2\nOKREADY\nRESULT 2\nOK");
    }

    #[test]
    fn the_end_of_the_pipe_is_an_end_and_nonsense_is_not() {
        assert_eq!(follow(&mut "".as_bytes(), &mut Vec::new()).unwrap(), None);
        for nonsense in ["hello\n", "len:x\n", "len:99999999\n", "eventname:PROCESS_STATE_FATAL len:3\nabc"] {
            assert!(follow(&mut nonsense.as_bytes(), &mut Vec::new()).is_err(), "{nonsense:?}");
        }
    }
}
