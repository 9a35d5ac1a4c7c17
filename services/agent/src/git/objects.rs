//! Repositories as folders: made by writing their few files, borrowing objects from a mirror.

use std::fs;
use std::path::Path;

use super::program::Error;

const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n\tlogallrefupdates = false\n\
                      [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n";

/// Makes a bare repository that borrows the objects of another.
pub(super) fn make_repository(folder: &Path, borrows_from: Option<&Path>) -> Result<(), Error> {
    make(folder, CONFIG, "ref: refs/heads/none\n", borrows_from)
        .map_err(Error::disk(format!("make {}", folder.display())))
}

/// Makes the repository of a task in its checkout.
pub(super) fn make_for_task(
    folder: &Path,
    config: &str,
    head: &str,
    borrows_from: &Path,
) -> Result<(), Error> {
    make(folder, config, head, Some(borrows_from)).map_err(Error::disk(format!("make {}", folder.display())))
}

fn make(folder: &Path, config: &str, head: &str, borrows_from: Option<&Path>) -> std::io::Result<()> {
    for inner in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
        fs::create_dir_all(folder.join(inner))?;
    }
    fs::write(folder.join("config"), config)?;
    if let Some(mirror) = borrows_from {
        fs::write(folder.join("objects/info/alternates"), alternates(mirror))?;
        match fs::copy(mirror.join("shallow"), folder.join("shallow")) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // The last: without it this is no repository.
    fs::write(folder.join("HEAD"), head)
}

/// What a repository says that borrows from another.
pub(super) fn alternates(mirror: &Path) -> Vec<u8> {
    let mut line = mirror.join("objects").into_os_string().into_encoded_bytes();
    line.push(b'\n');
    line
}
