//! Patches, each applied by git to the files that it was made against.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::run::InputFile;

/// A task with these files, changed by `change`; returns the patch, checked by `git apply` against the files.
fn patch(files: &[(&str, &[u8])], change: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let [work, private, applied] = ["work", "private", "applied"].map(|name| folder.path().join(name));
    for path in [&work, &private, &applied] {
        fs::create_dir(path).unwrap();
    }
    let files: Vec<InputFile> = files
        .iter()
        .map(|(path, content)| InputFile {
            path: (*path).into(),
            content: content.to_vec(),
            executable: false,
        })
        .collect();
    for root in [&work, &applied] {
        let root = File::open(root).unwrap();
        for InputFile { path, content, .. } in &files {
            let path = RelativePath::new(path).unwrap();
            beneath::write_file(root.as_fd(), path, content, beneath::Existing::Refuse).unwrap();
        }
    }
    let private = File::open(private).unwrap();
    keep_base(private.as_fd(), &files).unwrap();
    change(&work);
    let work_fd = File::open(&work).unwrap();
    let listing = Listing::read(work_fd.as_fd()).unwrap();
    let patch = diff(work_fd.as_fd(), private.as_fd(), &listing).unwrap();
    if patch.windows(10).any(|window| window == b"diff --git") {
        check(&patch, &folder.path().join("p"), &work, &applied);
    }
    String::from_utf8_lossy(&patch).into_owned()
}

fn check(patch: &[u8], file: &Path, work: &Path, applied: &Path) {
    fs::write(file, patch).unwrap();
    let git = |args: &[&str]| {
        Command::new("git").args(args).current_dir(applied).output().expect("git is installed")
    };
    let output = git(&["apply", "--whitespace=nowarn", file.to_str().unwrap()]);
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(patch)
    );
    let skipped = String::from_utf8_lossy(patch).contains("Not in this patch");
    let same = Command::new("diff").args(["-r", "-x", "ignored.*"]).args([work, applied]).output().unwrap();
    assert!(skipped || same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
}

#[test]
fn nothing_changed_gives_an_empty_patch() {
    assert_eq!(patch(&[("a", b"x\n"), ("bin", b"\0")], |_| {}), "");
    assert_eq!(patch(&[], |_| {}), "");
}

#[test]
fn changed_new_and_removed_files_apply() {
    let text = patch(&[("a/b.txt", b"1\n2\n3\n4\n5\n"), ("gone", b"bye"), ("empty", b"")], |work| {
        fs::write(work.join("a/b.txt"), "1\n2\nthree\n4\n5\n").unwrap();
        fs::remove_file(work.join("gone")).unwrap();
        fs::remove_file(work.join("empty")).unwrap();
        fs::write(work.join("new file.txt"), "no newline").unwrap();
        fs::write(work.join("new empty"), "").unwrap();
    });
    assert!(text.contains("-3\n+three\n"), "{text}");
    assert!(text.contains("new file mode 100644"), "{text}");
    assert!(text.contains("deleted file mode 100644"), "{text}");
}

#[test]
fn odd_names_and_odd_ends_apply() {
    patch(&[("q\"uote", b"a\nb"), ("tab\t", b"x\r\n"), ("日本", b"1\n")], |work| {
        fs::write(work.join("q\"uote"), "a\nb\n").unwrap();
        fs::write(work.join("tab\t"), "x\n").unwrap();
        fs::write(work.join("日本"), "2\n").unwrap();
        fs::write(work.join("new\nline"), "\u{1}").unwrap();
        fs::write(work.join("latin"), b"\xe9\n").unwrap();
    });
}

#[test]
fn a_file_that_became_executable_says_so() {
    let text = patch(&[("run.sh", b"true\n")], |work| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(work.join("run.sh"), mode).unwrap();
    });
    assert!(text.contains("new mode 100755"), "{text}");
}

#[test]
fn binary_and_large_files_are_named_and_the_rest_applies() {
    let text = patch(&[("image", b"\0old"), ("kept", b"\0same"), ("lost", b"\0")], |work| {
        fs::write(work.join("image"), b"\0new").unwrap();
        fs::remove_file(work.join("lost")).unwrap();
        fs::write(work.join("large"), vec![b'x'; 2 << 20]).unwrap();
        fs::write(work.join("text"), "text\n").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
    });
    assert!(text.starts_with("Not in this patch: image (binary"), "{text}");
    assert!(text.contains("Not in this patch: large ("), "{text}");
    assert!(text.contains("Not in this patch: lost ("), "{text}");
    assert!(!text.contains("kept") && !text.contains("passwd"), "{text}");
}

#[test]
fn a_file_replaced_by_a_link_is_named_and_not_read() {
    let text = patch(&[("a", b"x\n")], |work| {
        fs::remove_file(work.join("a")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", work.join("a")).unwrap();
    });
    assert_eq!(text, "Not in this patch: a (no regular file, or too large to read)\n");
}

#[test]
fn very_many_lines_are_replaced_and_still_apply() {
    let old: String = (0..20_000).map(|line| format!("{line}\n")).collect();
    let new: String = (0..20_000).map(|line| format!("{}\n", line * 7)).collect();
    patch(&[("many", old.as_bytes())], |work| fs::write(work.join("many"), new).unwrap());
}

#[test]
fn an_ignored_file_that_the_task_brought_is_compared() {
    let text = patch(&[(".gitignore", b"*.log\n"), ("a.log", b"1\n")], |work| {
        fs::write(work.join("a.log"), "2\n").unwrap();
        fs::write(work.join("ignored.log"), "3\n").unwrap();
    });
    assert!(text.contains("a.log") && !text.contains("ignored"), "{text}");
}

#[test]
fn very_many_binary_files_are_counted_beyond_the_first() {
    let text = patch(&[], |work| {
        for number in 0..MAX_NAMED + 7 {
            fs::write(work.join(format!("{number}")), b"\0").unwrap();
        }
    });
    assert_eq!(text.lines().count(), MAX_NAMED + 1);
    assert!(text.ends_with("Not in this patch: 7 more files\n"), "{text}");
}
