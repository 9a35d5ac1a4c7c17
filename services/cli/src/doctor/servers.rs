//! The server of this home and its agents.

use std::path::Path;

use conductor_client::{Control, Error, Target};
use conductor_runtime::paths::Home;

use super::{Check, Health};
use crate::exit::chain;
use crate::screen::clean;
use crate::server::{far_target, options};

/// Looks for the server that commands go to in place of the home's.
pub async fn far() -> Option<Check> {
    let target = far_target()?;
    let named = |health, found: String| Check::new("CONDUCTOR_URL", health, found);
    Some(match target {
        Ok(target) => match target.connect(options()).await {
            Ok(control) => {
                named(Health::Ok, format!("version {} answers", clean(&control.welcome().version)))
            }
            Err(error) => named(Health::Broken, chain(&error))
                .advice("commands go there: correct CONDUCTOR_URL and CONDUCTOR_TOKEN, or unset them"),
        },
        Err(why) => named(Health::Broken, why).advice("write it like https://conductor.example"),
    })
}

/// Looks for the server.
pub async fn checks(home: &Home) -> Vec<Check> {
    let target = Target::of_home(home);
    let control = match target.connect(options()).await {
        Ok(control) => control,
        Err(error) => return vec![unreachable(&home.control_socket(), &error)],
    };
    let mut checks = vec![server(&control)];
    match control.agents().await {
        Ok(agents) => {
            let live = agents.iter().filter(|agent| agent.state == "connected" || agent.state == "draining");
            let slots: u32 = live.clone().map(|agent| agent.slots).sum();
            let count = live.count();
            checks.push(match count {
                0 => Check::new("agents", Health::Warning, "none is connected: tasks stay queued")
                    .advice("start one: conductor agent"),
                _ => Check::new("agents", Health::Ok, format!("{count} with {slots} slots")),
            });
        }
        Err(error) => checks.push(Check::new("agents", Health::Warning, chain(&error))),
    }
    checks
}

fn server(control: &Control) -> Check {
    let status = control.welcome();
    let mut found = format!("version {} runs as process {}", clean(&status.version), status.pid);
    if status.embedded {
        found.push_str(", for one command");
    }
    if status.storage_full {
        return Check::new("server", Health::Broken, format!("{found}; its storage is full"))
            .advice("free space on its volume; until then submits are refused");
    }
    if status.version != env!("CARGO_PKG_VERSION") {
        return Check::new("server", Health::Warning, found)
            .advice(format!("this command is version {}; restart the server", env!("CARGO_PKG_VERSION")));
    }
    if status.paused {
        return Check::new("server", Health::Warning, format!("{found}; the queue is paused"))
            .advice("let tasks start again: conductor resume");
    }
    Check::new("server", Health::Ok, found)
}

fn unreachable(socket: &Path, error: &Error) -> Check {
    let check = |health, found: String| Check::new("server", health, found);
    match error {
        Error::Unreachable { source, .. } => match source.kind() {
            std::io::ErrorKind::NotFound => check(Health::Note, "none runs in this home".to_owned())
                .advice("start one: conductor up (conductor run brings its own)"),
            std::io::ErrorKind::ConnectionRefused => {
                check(Health::Note, format!("none runs; {} is left of one that died", socket.display()))
                    .advice("nothing: the next start replaces it")
            }
            _ => check(Health::Broken, chain(error)).advice("see that this user may use the socket"),
        },
        Error::Key { .. } => check(Health::Broken, chain(error))
            .advice("the key is made at each start of the server; see that this user may read it"),
        Error::Refused(_) | Error::Lost(_) | Error::Malformed(_) | Error::Slow => {
            check(Health::Broken, chain(error)).advice("restart the server; its logs may say more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check_of(home: &Path) -> Check {
        checks(&Home::at(home)).await.remove(0)
    }

    #[tokio::test]
    async fn no_server_and_a_dead_ones_socket_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let none = check_of(folder.path()).await;
        assert!(none.health == Health::Note && none.found.contains("none runs in this home"), "{none:?}");
        std::fs::create_dir(folder.path().join("run")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("run/control.sock")).unwrap());
        let stale = check_of(folder.path()).await;
        assert!(stale.health == Health::Note && stale.found.contains("left of one that died"), "{stale:?}");
    }

    #[tokio::test]
    async fn a_server_whose_key_is_missing_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("run")).unwrap();
        let _listener =
            std::os::unix::net::UnixListener::bind(folder.path().join("run/control.sock")).unwrap();
        let check = check_of(folder.path()).await;
        assert!(check.health == Health::Broken && check.advice.is_some(), "{check:?}");
    }
}
