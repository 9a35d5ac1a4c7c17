//! The credential of a step that reaches a server, and how git asks for it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::{SendFlags, send};

use super::super::settings::Login;

/// How often a helper may ask for the credential in one step.
const MAX_ASKED: usize = 8;

/// Reads two lines that lie ready on standard error. `read` of a shell takes no byte more than its line.
pub(super) const HELPER: &str = "!f() { test \"$1\" = get && IFS= read -r u <&2 && IFS= read -r p <&2 && \
                      printf 'username=%s\\npassword=%s\\n' \"$u\" \"$p\"; }; f";

/// Lays it ready in a socket, as often as it may be asked for.
pub(super) fn offer(socket: &OwnedFd, login: &Login) -> io::Result<()> {
    let once = format!("{}\n{}\n", login.user, login.token.reveal());
    let all = zeroize::Zeroizing::new(once.repeat(MAX_ASKED));
    let _once = zeroize::Zeroizing::new(once);
    let mut rest = all.as_bytes();
    while !rest.is_empty() {
        // It fits what a socket holds: a token has a limit far below.
        let sent = send(socket, rest, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        rest = &rest[sent..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use conductor_runtime::credentials::Secret;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    #[test]
    fn a_credential_fits_the_socket_as_often_as_it_may_be_asked() {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
                .unwrap();
        let token = "t".repeat(8 << 10);
        offer(&ours, &Login { user: "me".into(), token: Secret::new(token.clone()) }).unwrap();
        drop(ours);
        let mut all = String::new();
        io::Read::read_to_string(&mut File::from(theirs), &mut all).unwrap();
        assert_eq!(all, format!("me\n{token}\n").repeat(MAX_ASKED));
    }
}
