//! `apply`: brings what a task changed into a folder, all of it or nothing.
//!
//! A task wrote the diff, so nothing in it is believed: paths that leave the folder, lead through links or into `.git` are
//! refused, and so is everything that is no plain file.

mod binary;
mod commit;
mod patch;
mod plan;
mod tree;

use std::fs::File;

use conductor_protocol::{Code, Problem};

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::clean;
use crate::server::{Need, Server};
use crate::tasks::read_diff;

/// The most bytes of a diff that is applied.
const MAX_DIFF_BYTES: usize = 64 << 20;

/// `apply`
pub async fn run(context: &mut Context<'_>, args: &args::Apply) -> Result<Exit, Failure> {
    let folder = File::open(&args.to)
        .and_then(|folder| {
            if folder.metadata()?.is_dir() {
                Ok(folder)
            } else {
                Err(std::io::ErrorKind::NotADirectory.into())
            }
        })
        .map_err(|error| Failure::Usage(format!("--to {}: {error}", args.to.display())))?;
    let server = Server::find(context, Need::State).await?;
    let diff = read_diff(&server.link, args.id, MAX_DIFF_BYTES).await;
    server.close(context, &[]).await?;
    let diff = diff?;
    let patch = patch::parse(&diff).map_err(refused)?;
    for left_out in &patch.left_out {
        context.screen.note(format!("not applied: {}", clean(left_out)));
    }
    let plan = plan::make(&folder, &patch).map_err(refused)?;
    if !args.dry_run {
        commit::commit(&folder, &plan).map_err(|error| Failure::Failed(error.to_string()))?;
    }
    for step in plan.steps.iter().filter(|step| step.brings_pointer()) {
        let path = clean(&step.path.to_string());
        let what =
            "is a large file and comes as its pointer; git lfs pull brings the content of what was pushed";
        context.screen.note(format!("{path} {what}"));
    }
    tell(context, &plan, args.dry_run)?;
    Ok(Exit::Succeeded)
}

fn refused(why: Vec<String>) -> Failure {
    let mut detail = "nothing was changed, because the diff does not fit".to_owned();
    for line in why {
        detail.push_str("\n  ");
        detail.push_str(&line);
    }
    Failure::Refused(Problem::new(Code::Conflict, detail))
}

fn tell(context: &mut Context<'_>, plan: &plan::Plan, dry_run: bool) -> Result<(), Failure> {
    if context.screen.is_json() {
        let changes: Vec<_> = plan
            .steps
            .iter()
            .map(|step| serde_json::json!({"path": step.path.to_string(), "change": step.word()}))
            .collect();
        return context.screen.json(&serde_json::json!({"changes": changes, "dry_run": dry_run}));
    }
    if plan.steps.is_empty() {
        context.screen.note("the task changed nothing that a diff could tell");
    }
    for step in &plan.steps {
        let verb = if dry_run { "would be " } else { "" };
        context.screen.line(format!("{verb}{}  {}", step.word(), clean(&step.path.to_string())))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    /// Applies a diff to a folder, as the command does.
    fn apply(folder: &Path, diff: &[u8]) -> Result<(), String> {
        let root = File::open(folder).unwrap();
        let patch = patch::parse(diff).map_err(|why| why.join("\n"))?;
        let plan = plan::make(&root, &patch).map_err(|why| why.join("\n"))?;
        commit::commit(&root, &plan).map_err(|error| error.to_string())
    }

    /// Everything below a folder: path, mode and content.
    fn contents(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
        let mut all = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if metadata.is_dir() {
                    folders.push(path);
                } else {
                    let content = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
                    let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    all.push((name, metadata.permissions().mode() & 0o777, content));
                }
            }
        }
        all.sort();
        all
    }

    const WHOLE: &str = "\
diff --git a/changed.txt b/changed.txt
--- a/changed.txt
+++ b/changed.txt
@@ -1,3 +1,3 @@
 one
-two
+TWO
 three
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/new/deep/run.sh b/new/deep/run.sh
new file mode 100755
--- /dev/null
+++ b/new/deep/run.sh
@@ -0,0 +1,2 @@
+#!/bin/sh
+-- not a header
\\ No newline at end of file
diff --git a/empty b/empty
new file mode 100644
";

    fn before(folder: &Path) {
        fs::write(folder.join("changed.txt"), "one\ntwo\nthree\n").unwrap();
        fs::write(folder.join("gone"), "bye\n").unwrap();
        fs::write(folder.join("other"), "other\n").unwrap();
    }

    #[test]
    fn a_diff_changes_adds_and_removes() {
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        fs::set_permissions(folder.path().join("changed.txt"), fs::Permissions::from_mode(0o640)).unwrap();
        apply(folder.path(), WHOLE.as_bytes()).unwrap();
        let text = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            contents(folder.path()),
            [
                ("changed.txt".to_owned(), 0o640, text("one\nTWO\nthree\n")),
                ("empty".to_owned(), 0o644, text("")),
                ("new/deep/run.sh".to_owned(), 0o755, text("#!/bin/sh\n-- not a header")),
                ("other".to_owned(), 0o644, text("other\n")),
            ]
        );
    }

    #[test]
    fn any_conflict_leaves_everything_as_it_was() {
        type Case = (&'static str, fn(&Path));
        let conflicts: [Case; 7] = [
            ("changed.txt", |folder| fs::write(folder.join("changed.txt"), "other\ntext\n").unwrap()),
            ("changed.txt", |folder| fs::remove_file(folder.join("changed.txt")).unwrap()),
            ("gone", |folder| fs::write(folder.join("gone"), "bye\nand more\n").unwrap()),
            ("empty", |folder| fs::write(folder.join("empty"), "").unwrap()),
            ("new/deep/run.sh", |folder| fs::write(folder.join("new"), "a file").unwrap()),
            ("new/deep/run.sh", |folder| symlink("/tmp", folder.join("new")).unwrap()),
            ("changed.txt", |folder| {
                fs::rename(folder.join("changed.txt"), folder.join("target")).unwrap();
                symlink("target", folder.join("changed.txt")).unwrap();
            }),
        ];
        for (path, conflict) in conflicts {
            let folder = tempfile::tempdir().unwrap();
            before(folder.path());
            conflict(folder.path());
            let were = contents(folder.path());
            let error = apply(folder.path(), WHOLE.as_bytes()).unwrap_err();
            assert!(error.contains(path), "{error}");
            assert_eq!(contents(folder.path()), were, "{path}");
        }
    }

    #[test]
    fn what_was_added_at_an_edge_is_not_added_again() {
        for (was, hunk, becomes) in [
            ("one\n", "@@ -1 +1,2 @@\n one\n+two\n", "one\ntwo\n"),
            ("one\n", "@@ -1 +1,2 @@\n+zero\n one\n", "zero\none\n"),
            ("", "@@ -0,0 +1 @@\n+one\n", "one\n"),
            ("a\nb\nc\nd\n", "@@ -2,3 +2,4 @@\n b\n c\n d\n+e\n", "a\nb\nc\nd\ne\n"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("a.txt");
            fs::write(&file, was).unwrap();
            let diff = format!("diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n{hunk}");
            apply(folder.path(), diff.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), becomes);
            let error = apply(folder.path(), diff.as_bytes()).unwrap_err();
            assert!(error.contains("a.txt: holds something else"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), becomes);
        }
    }

    #[test]
    fn a_failure_half_way_takes_back_what_was_done() {
        let folder = tempfile::tempdir().unwrap();
        before(folder.path());
        let root = File::open(folder.path()).unwrap();
        let patch = patch::parse(WHOLE.as_bytes()).unwrap();
        let plan = plan::make(&root, &patch).unwrap();
        // It changes between the plan and the deed, after other steps of the plan.
        fs::write(folder.path().join("gone"), "changed meanwhile\n").unwrap();
        let were = contents(folder.path());
        let error = commit::commit(&root, &plan).unwrap_err().to_string();
        assert!(error.contains("gone"), "{error}");
        assert_eq!(contents(folder.path()), were);
        assert!(!folder.path().join("new").exists(), "a folder stayed behind");
    }

    #[test]
    fn nothing_outside_of_the_folder_is_touched() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("victim"), "safe\n").unwrap();
        let victim = outside.path().join("victim").display().to_string();
        for path in [
            "../victim",
            &victim,
            "a/../../victim",
            "link/victim",
            ".git/hooks/pre-commit",
            "x/.GIT/config",
            "a//b",
            "./a",
        ] {
            let folder = outside.path().join("folder");
            fs::create_dir_all(&folder).unwrap();
            if !folder.join("link").exists() {
                symlink(outside.path(), folder.join("link")).unwrap();
            }
            for diff in [
                format!(
                    "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-safe\n+evil\n"
                ),
                format!(
                    "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+evil\n"
                ),
                format!(
                    "diff --git a/{path} b/{path}\ndeleted file mode 100644\n--- a/{path}\n+++ /dev/null\n@@ -1 +0,0 @@\n-safe\n"
                ),
                format!("diff --git a/{path} b/{path}\nnew file mode 100644\n"),
            ] {
                assert!(apply(&folder, diff.as_bytes()).is_err(), "{diff}");
                assert_eq!(fs::read_to_string(outside.path().join("victim")).unwrap(), "safe\n", "{diff}");
                assert_eq!(contents(&folder).len(), 1, "{diff}");
            }
        }
    }

    #[test]
    fn what_is_no_plain_file_or_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x\n").unwrap();
        for (diff, part) in [
            (
                "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n",
                "120000",
            ),
            ("diff --git a/s b/s\nnew file mode 160000\n", "160000"),
            ("diff --git a/a b/b\nsimilarity index 100%\nrename from a\nrename to b\n", "rename"),
            ("diff --git a/a b/a\nGIT binary patch\nliteral 0\nHcmV?d00001\n\n", "no text"),
            ("diff --git a/a b/a\nBinary files a/a and b/a differ\n", "binary"),
            ("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1,9 +1 @@\n-x\n", "ends"),
            ("diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n?x\n", "line"),
            ("diff --git a/a b/a\n--- a/a\n+++ b/c\n@@ -1 +1 @@\n-x\n+y\n", "two names"),
            ("diff --git a/n b/n\nnew file mode 100644\ndiff --git a/n b/n\nnew file mode 100644\n", "twice"),
            (
                "diff --git a/n b/n\nnew file mode 100644\ndiff --git a/n/m b/n/m\nnew file mode 100644\n",
                "n/m",
            ),
        ] {
            let error = apply(folder.path(), diff.as_bytes()).unwrap_err();
            assert!(error.contains(part), "{diff}: {error}");
            assert_eq!(contents(folder.path()).len(), 1);
        }
    }

    #[test]
    fn files_that_are_no_text_change_as_git_says_and_only_where_they_are_what_they_were() {
        let git = |folder: &Path, args: &[&str]| {
            let output = std::process::Command::new("git").current_dir(folder).args(args).output().unwrap();
            assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let noise: Vec<u8> =
            (0..30_000_u32).flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 7).to_le_bytes()).collect();
        let mut changed = noise.clone();
        changed[50_000..50_003].copy_from_slice(b"new");
        for (folder, files) in [
            (&old, [("delta", &noise), ("gone", &vec![0, 1, 2]), ("same", &vec![0])]),
            (&new, [("delta", &changed), ("same", &vec![0]), ("added", &vec![0, 255])]),
        ] {
            files.into_iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
        }
        let index = tempfile::tempdir().unwrap();
        let tree = |folder: &Path| {
            let at = format!("--git-dir={}", index.path().display());
            let work = format!("--work-tree={}", folder.display());
            git(folder, &[&at, &work, "add", "--all"]);
            String::from_utf8(git(folder, &[&at, "write-tree"])).unwrap().trim().to_owned()
        };
        git(index.path(), &["init", "--quiet", "--bare"]);
        let (before, after) = (tree(old.path()), tree(new.path()));
        let diff = git(
            index.path(),
            &["diff-tree", "-p", "--binary", "--full-index", "--no-renames", &before, &after],
        );
        assert!(diff.windows(6).any(|word| word == b"delta "), "one of them is told by what differs");
        apply(old.path(), &diff).unwrap();
        assert_eq!(contents(old.path()), contents(new.path()));
        let again = apply(old.path(), &diff).unwrap_err();
        assert!(again.contains("added") && again.contains("delta") && again.contains("gone"), "{again}");
        fs::write(old.path().join("delta"), &noise[4..]).unwrap();
        assert!(apply(old.path(), &diff).unwrap_err().contains("delta: holds something else"));
    }

    #[test]
    fn quoted_names_and_what_stands_above_the_diff_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let diff = "Not in this patch: a/b.bin (binary or too large, 5 bytes)\n\
            diff --git \"a/q\\\"\\303\\251\\n\" \"b/q\\\"\\303\\251\\n\"\nnew file mode 100644\n--- /dev/null\n+++ \"b/q\\\"\\303\\251\\n\"\n@@ -0,0 +1 @@\n+x\n\
            diff --git a/two words b/two words\nnew file mode 100644\n";
        let patch = patch::parse(diff.as_bytes()).unwrap();
        assert!(patch.left_out[0].contains("b.bin"), "{:?}", patch.left_out);
        apply(folder.path(), diff.as_bytes()).unwrap();
        let names: Vec<_> = contents(folder.path()).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["q\"é\n", "two words"]);
    }

    #[test]
    fn a_large_file_is_told_apart_from_one_that_comes_whole() {
        let pointer = |digit: &str| {
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n", digit.repeat(64))
        };
        let diff = format!(
            "diff --git a/a.bin b/a.bin\n--- a/a.bin\n+++ b/a.bin\n@@ -1,3 +1,3 @@\n version https://git-lfs.github.com/spec/v1\n\
             -oid sha256:{}\n+oid sha256:{}\n size 5\n",
            "1".repeat(64),
            "2".repeat(64)
        );
        let folder = tempfile::tempdir().unwrap();
        let plan = |content: &str| {
            fs::write(folder.path().join("a.bin"), content).unwrap();
            plan::make(&File::open(folder.path()).unwrap(), &patch::parse(diff.as_bytes()).unwrap())
        };
        assert!(plan(&pointer("1")).unwrap().steps[0].brings_pointer());
        let refused = plan("its content\n").unwrap_err();
        assert!(refused[0].starts_with("a.bin: is a large file"), "{refused:?}");
        assert!(plan(&pointer("3")).unwrap_err()[0].contains("something else"));
        assert!(plan(WHOLE).is_err(), "another file is no pointer");
    }

    #[test]
    fn a_mode_alone_can_change() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x\n").unwrap();
        apply(folder.path(), b"diff --git a/a b/a\nold mode 100644\nnew mode 100755\n").unwrap();
        assert_eq!(contents(folder.path()), [("a".to_owned(), 0o755, b"x\n".to_vec())]);
    }

    #[test]
    fn an_empty_diff_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        apply(folder.path(), b"").unwrap();
        assert!(contents(folder.path()).is_empty());
    }
}
