//! Ends of log files, and sizes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use conductor_runtime::paths::Home;
use conductor_runtime::volume;
use serde_json::{Map, Value, json};

/// Bytes of the end of each log.
const MAX_LOG_BYTES: u64 = 256 << 10;
/// Logs at most.
const MAX_LOGS: usize = 32;

/// The end of a file, from the beginning of a line on; none when it cannot be read.
pub fn end(path: &Path, most: u64) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok().filter(fs::Metadata::is_file)?.len();
    let from = length.saturating_sub(most);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut end = Vec::new();
    file.take(most).read_to_end(&mut end).ok()?;
    if from > 0
        && let Some(line) = end.iter().position(|byte| *byte == b'\n')
    {
        end.drain(..=line);
    }
    Some(end)
}

/// The ends of the newest logs, by the names that lead to them.
pub fn logs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    // Each program's newest file has a link with the program's name.
    let names: BTreeSet<String> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".log"))
        .collect();
    let read = |name: String| end(&folder.join(&name), MAX_LOG_BYTES).map(|end| (name, end));
    names.into_iter().take(MAX_LOGS).filter_map(read).collect()
}

/// How large the files of the state and of the logs are, and how full their volumes.
pub fn sizes(home: &Home) -> Value {
    let mut folders = Map::new();
    for (name, folder) in [("state", &home.state), ("logs", &home.logs), ("workspace", &home.workspace)] {
        let files: Map<String, Value> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((entry.file_name().to_string_lossy().into_owned(), found.len().into()))
            })
            .collect();
        let space = volume::space(folder).ok();
        folders.insert(
            name.to_owned(),
            json!({
                "path": folder, "files": files, "free_bytes": space.map(|space| space.free_bytes),
            }),
        );
    }
    let runs = fs::read_dir(home.tasks()).map_or(0, Iterator::count);
    folders.insert("run_folders".to_owned(), runs.into());
    folders.into()
}
