//! Sending by e-mail, through the server that the configuration names. Whose server that is, is the owner's business: it may
//! lie in a private network.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use conductor_outbound::Refused;

/// Statuses by which a server says that there is no such mailbox, and never will be.
const NO_SUCH_MAILBOX: [u16; 2] = [550, 553];

/// Why mail cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's address cannot be read. It holds a password and is not told.
    #[error("smtp.url is not the address of a mail server, such as smtps://USER:PASSWORD@HOST:465")]
    Url,
    /// The sender cannot be read.
    #[error("smtp.from is not an e-mail address")]
    From(#[source] lettre::address::AddressError),
}

/// A mail.
#[derive(Debug, Clone)]
pub(super) struct Mail {
    pub(super) to: String,
    pub(super) subject: &'static str,
    pub(super) text: String,
    /// Its name, the same for each try.
    pub(super) id: String,
}

/// Sends mails.
pub(super) struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("from", &self.from).finish_non_exhaustive()
    }
}

impl Mailer {
    /// Reads where to send, and from whom. It does not connect yet.
    ///
    /// # Errors
    /// Says which of the two cannot be read.
    pub(super) fn new(url: &str, from: &str, timeout: Duration) -> Result<Self, Error> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| Error::Url)?;
        let from = from.parse::<Address>().map_err(Error::From)?;
        Ok(Self { transport: transport.timeout(Some(timeout)).build(), from: from.into(), timeout })
    }

    /// Sends one; answers the status of the server that took it.
    pub(super) async fn send(&self, mail: Mail) -> Result<u16, Refused> {
        let to: Address = mail
            .to
            .parse()
            .map_err(|error| Refused::hopeless(format!("{:?} is no e-mail address: {error}", mail.to)))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .subject(mail.subject)
            .message_id(Some(format!("<{}>", mail.id)))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text)
            .map_err(|error| Refused::hopeless(format!("the mail cannot be written: {error}")))?;
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(Ok(taken)) => Ok(taken.code().into()),
            Ok(Err(error)) => {
                let status = error.status().map(u16::from);
                let hopeless = status.is_some_and(|status| NO_SUCH_MAILBOX.contains(&status));
                Err(Refused { status, why: told(&error), hopeless })
            }
            Err(_) => Err(Refused::new(format!("no answer within {:?}", self.timeout))),
        }
    }
}

/// An error and what led to it, in one line.
fn told(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mail_server_is_not_told_with_its_password() {
        for url in ["", "https://user:hunter2@mail.example", "mail.example", "smtp://"] {
            let error = Mailer::new(url, "a@example.com", Duration::from_secs(1)).err();
            let error = error.unwrap_or_else(|| panic!("{url} was taken")).to_string();
            assert!(error.starts_with("smtp.url") && !error.contains("hunter2"), "{error}");
        }
        let url = "smtps://user:hunter2@mail.example:465";
        let mailer = Mailer::new(url, "a@example.com", Duration::from_secs(1)).expect("a server");
        assert!(!format!("{mailer:?}").contains("hunter2"));
        assert!(Mailer::new(url, "nobody", Duration::from_secs(1)).is_err());
    }
}
