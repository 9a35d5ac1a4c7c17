//! What git finds of configuration in a task, in place of the system's: who commits, and that the work folder is to be trusted.
//! A task's own configuration lies in its private home and says otherwise where it wants.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use conductor_runtime::config;

const NAME: &str = "gitconfig";

/// Where it lies: beside the private folders of the runs, which no run may write.
pub(crate) fn config_of_tasks(workspace: &Path) -> PathBuf {
    let workspace = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
    workspace.join("private").join(NAME)
}

/// Writes it.
///
/// # Errors
/// When the disk says no.
pub(crate) fn write_config_of_tasks(workspace: &Path, git: &config::Git) -> io::Result<()> {
    let private = workspace.join("private");
    fs::create_dir_all(&private)?;
    let path = config_of_tasks(workspace);
    let text = text(git);
    if fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    let new = private.join(format!("{NAME}.{}.new", uuid::Uuid::now_v7()));
    fs::write(&new, text)?;
    fs::rename(&new, &path)
}

/// A value as it stands in a file of configuration.
pub(super) fn quoted(text: &str) -> String {
    let kept: String = text.chars().filter(|char| !char.is_control()).collect();
    format!("\"{}\"", kept.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text(git: &config::Git) -> String {
    format!(
        "[include]\n\tpath = /etc/gitconfig\n[user]\n\tname = {}\n\temail = {}\n[safe]\n\tdirectory = *\n\
         [init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n",
        quoted(&git.author_name),
        quoted(&git.author_email),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Settings;

    #[test]
    fn the_configuration_names_who_commits_whatever_the_name_has_in_it() {
        let workspace = tempfile::tempdir().unwrap();
        let git = config::Git { author_name: "A \"B\"\n\\ C".into(), ..Settings::default().config };
        write_config_of_tasks(workspace.path(), &git).unwrap();
        write_config_of_tasks(workspace.path(), &git).unwrap();
        let name = std::process::Command::new("git")
            .args(["config", "user.name"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", workspace.path())
            .env("GIT_CONFIG_SYSTEM", config_of_tasks(workspace.path()))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&name.stdout), "A \"B\"\\ C\n");
        assert_eq!(fs::read_dir(workspace.path().join("private")).unwrap().count(), 1);
    }
}
