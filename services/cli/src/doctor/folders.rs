//! The folders of the home: are they there, can they be written, have they room.

use std::path::Path;

use conductor_runtime::config::Loaded;
use conductor_runtime::credentials;
use conductor_runtime::volume;
use rustix::fs::Access;

use super::{Check, Health};
use crate::exit::chain;
use crate::screen::bytes;

/// The longest path of a socket.
const MAX_SOCKET_BYTES: usize = 107;

/// Looks at the folders.
pub fn checks(loaded: &Loaded) -> Vec<Check> {
    let home = &loaded.home;
    let floor = loaded.config.retention.free_floor_bytes;
    let mut checks: Vec<Check> = [
        ("config folder", &home.config, 0),
        ("state folder", &home.state, floor),
        ("workspace", &home.workspace, floor),
        ("logs folder", &home.logs, 0),
        ("sockets folder", &home.run, 0),
    ]
    .into_iter()
    .map(|(name, path, floor)| folder(name, path, floor))
    .collect();
    for socket in [home.control_socket(), home.agent_socket()] {
        let length = socket.as_os_str().len();
        if length > MAX_SOCKET_BYTES {
            let found =
                format!("{} is {length} bytes long, at most {MAX_SOCKET_BYTES} work", socket.display());
            checks.push(
                Check::new("socket path", Health::Broken, found)
                    .advice("set CONDUCTOR_HOME or paths.run to a shorter folder"),
            );
        }
    }
    checks.push(token(loaded));
    checks
}

fn token(loaded: &Loaded) -> Check {
    match credentials::shown_token(&loaded.home) {
        Ok(_) => Check::new("admin token", Health::Ok, "there; conductor token show prints it"),
        Err(credentials::Error::NoToken { .. }) => {
            Check::new("admin token", Health::Note, "none yet; the first start of conductor up makes it")
        }
        Err(error) => Check::new("admin token", Health::Broken, chain(&error))
            .advice("mend or remove it; the next start makes a new one"),
    }
}

fn folder(name: &str, path: &Path, floor: u64) -> Check {
    let shown = path.display();
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Check::new(
            name,
            Health::Broken,
            format!("{} is in the way: it is not a folder", there.display()),
        )
        .advice("move it, or set CONDUCTOR_HOME to another folder");
    }
    if rustix::fs::access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        return Check::new(name, Health::Broken, format!("{} is not writable", there.display()))
            .advice("give this user the right to write there, or set CONDUCTOR_HOME to another folder");
    }
    let room = match volume::space(there) {
        Ok(space) => space,
        Err(error) => {
            return Check::new(name, Health::Warning, format!("the room at {shown} cannot be told: {error}"));
        }
    };
    let free = bytes(room.free_bytes);
    if room.free_bytes < floor {
        return Check::new(
            name,
            Health::Broken,
            format!("{shown} has {free} free, less than {}", bytes(floor)),
        )
        .advice("submits are refused until there is room; conductor gc deletes what retention allows");
    }
    let found = match there == path {
        true => format!("{shown} ({free} free)"),
        false => format!("{shown} will be made at the first start ({free} free)"),
    };
    Check::new(name, Health::Ok, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_there_or_can_be_made_or_are_in_the_way() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(folder("x", home.path(), 0).health, Health::Ok);
        let later = folder("x", &home.path().join("a/b"), 0);
        assert!(later.health == Health::Ok && later.found.contains("will be made"), "{later:?}");
        std::fs::write(home.path().join("file"), "").unwrap();
        let blocked = folder("x", &home.path().join("file/b"), 0);
        assert!(blocked.health == Health::Broken && blocked.advice.is_some(), "{blocked:?}");
        // Even root cannot write to /proc.
        assert_eq!(folder("x", Path::new("/proc/self"), 0).health, Health::Broken);
    }

    #[test]
    fn a_full_volume_is_broken_and_says_what_to_do() {
        let home = tempfile::tempdir().unwrap();
        let check = folder("x", home.path(), u64::MAX);
        assert!(check.health == Health::Broken && check.advice.unwrap().contains("gc"));
    }
}
