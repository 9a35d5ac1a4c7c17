//! The files that a task brings.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::Faults;
use crate::limits;
use crate::submit::InputFile;

/// The longest name of a file that Linux knows.
const MAX_NAME_BYTES: usize = 255;

pub(super) fn check_files(files: &[InputFile], faults: &mut Faults) {
    faults.at_most("files", files.len(), limits::MAX_FILES, "files");
    for (index, file) in files.iter().enumerate() {
        check_file(index, file, faults);
    }
    check_places(files, faults);
}

fn check_file(index: usize, file: &InputFile, faults: &mut Faults) {
    let field = format!("files/{index}");
    let path = check_path(&file.path).and_then(|()| check_names(file));
    if let Err(detail) = path {
        faults.add(&format!("{field}/path"), detail);
    }
    let sources = [file.content.is_some(), file.base64.is_some(), file.upload.is_some()];
    if sources.iter().filter(|given| **given).count() != 1 {
        faults.add(&field, "give exactly one of content, base64 and upload");
    }
    if let Some(text) = &file.base64
        && crate::text::from_base64::<serde_json::Error>(text).is_err()
    {
        faults.add(&format!("{field}/base64"), "not base64");
    }
}

/// Checks that a path stays below the folder it is relative to.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_path(path: &str) -> Result<(), String> {
    if path.is_empty() {
        return Err("the path is empty".into());
    }
    if path.len() > limits::MAX_PATH_BYTES {
        return Err(format!("at most {} bytes", limits::MAX_PATH_BYTES));
    }
    if path.contains('\0') {
        return Err("the path holds a zero byte".into());
    }
    if path.ends_with('/') {
        return Err("the path names a folder".into());
    }
    for component in Path::new(path).components() {
        match component {
            Component::Normal(_) | Component::CurDir => {}
            Component::ParentDir => return Err(format!("{path:?} leaves the work folder with ..")),
            Component::RootDir | Component::Prefix(_) => {
                return Err(format!("{path:?} is absolute; give it relative to the work folder"));
            }
        }
    }
    Ok(())
}

/// Checks the names on the way to a file. An upload may be a folder, of which the path says where it begins.
fn check_names(file: &InputFile) -> Result<(), String> {
    for name in file.path.split('/') {
        if name.len() > MAX_NAME_BYTES {
            return Err(format!("a name in it has more than {MAX_NAME_BYTES} bytes"));
        }
        if file.upload.is_none() && matches!(name, "" | ".") {
            return Err(format!("{:?} has an empty name or `.` in it", file.path));
        }
    }
    Ok(())
}

/// Checks that no two files want one place. What is in uploads is not known here.
fn check_places(files: &[InputFile], faults: &mut Faults) {
    let mut first: HashMap<&str, usize> = HashMap::with_capacity(files.len());
    let is_known = |file: &&InputFile| file.upload.is_none();
    for (index, file) in files.iter().enumerate().filter(|(_, file)| is_known(file)) {
        let earlier = *first.entry(&file.path).or_insert(index);
        if earlier != index {
            faults.add(&format!("files/{index}/path"), format!("/files/{earlier} has the same path"));
        }
    }
    for (index, file) in files.iter().enumerate().filter(|(_, file)| is_known(file)) {
        let above = file.path.match_indices('/').find_map(|(end, _)| first.get(&file.path[..end]));
        if let Some(above) = above {
            let detail = format!("/files/{above} is a file, and this one would be in it");
            faults.add(&format!("files/{index}/path"), detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::{SubmitTask, check};

    fn faults(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let file = |(path, source): &(&str, &str)| {
            let content = (*source == "content").then(|| "text".to_owned());
            let upload = (*source == "upload").then(|| "01900000-0000-7000-8000-000000000000".to_owned());
            InputFile { path: (*path).to_owned(), content, upload, ..InputFile::default() }
        };
        let files = files.iter().map(file).collect();
        let task = SubmitTask { prompt: Some("x".to_owned()), files, ..SubmitTask::default() };
        let errors = check(&task, "").err().map(|problem| problem.errors).unwrap_or_default();
        errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    #[test]
    fn a_path_that_no_agent_could_write_is_refused_at_once() {
        let long = "y".repeat(256);
        for path in [".", "a//b", "a/./b", "./a", long.as_str()] {
            let found = faults(&[(path, "content")]);
            assert_eq!(found.len(), 1, "{path}: {found:?}");
            assert_eq!(found[0].0, "/files/0/path", "{path}");
        }
        assert!(faults(&[(".", "upload"), (".git/config", "content"), ("a b/ü", "content")]).is_empty());
    }

    #[test]
    fn two_files_in_one_place_are_refused_by_name() {
        let twice = faults(&[("a", "content"), ("b", "content"), ("a", "content")]);
        assert_eq!(twice, [("/files/2/path".to_owned(), "/files/0 has the same path".to_owned())]);
        let below = faults(&[("a/b/c", "content"), ("a/b", "content"), ("a/bc", "content")]);
        let detail = "/files/1 is a file, and this one would be in it".to_owned();
        assert_eq!(below, [("/files/0/path".to_owned(), detail)]);
        assert!(faults(&[("src", "upload"), ("src/a", "content")]).is_empty());
    }
}
