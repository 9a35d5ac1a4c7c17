//! A patch, read for people: files, hunks and lines with their numbers, in one column or two.

/// The most lines of a patch that are shown; the rest is a download.
pub const MAX_LINES: usize = 4_000;

/// A patch.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The files that it changes.
    pub files: Vec<File>,
    /// Whether it went on beyond [`MAX_LINES`].
    pub is_cut: bool,
}

/// What a patch does to one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Its path, or both when it moved.
    pub path: String,
    /// `added`, `deleted`, `renamed` or `changed`.
    pub change: Change,
    /// Lines that were added.
    pub added: usize,
    /// Lines that were removed.
    pub removed: usize,
    /// Whether it is no text.
    pub is_binary: bool,
    /// The places that changed.
    pub hunks: Vec<Hunk>,
}

/// What became of a file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// It has another path.
    Renamed,
    /// It has other contents.
    #[default]
    Changed,
}

/// A place that changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// The line that begins it.
    pub header: String,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// A line of a patch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Its number before.
    pub old: Option<usize>,
    /// Its number after.
    pub new: Option<usize>,
    /// What is the same as in the line that it replaces or is replaced by, from the left.
    pub head: String,
    /// What differs.
    pub middle: String,
    /// What is the same, to the right.
    pub tail: String,
}

/// What a line of a patch is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Before and after.
    #[default]
    Same,
    /// Only after.
    Added,
    /// Only before.
    Removed,
}

impl Line {
    /// The sign that a patch writes before it.
    #[must_use]
    pub fn sign(&self) -> &'static str {
        match self.kind {
            Kind::Same => " ",
            Kind::Added => "+",
            Kind::Removed => "-",
        }
    }

    /// The class of the style sheet.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.kind {
            Kind::Same => "same",
            Kind::Added => "add",
            Kind::Removed => "del",
        }
    }
}

/// A row of the view in two columns.
pub type Row<'a> = (Option<&'a Line>, Option<&'a Line>);

impl Hunk {
    /// The lines in two columns: what was removed stands beside what was added in its place.
    #[must_use]
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let mut rest = self.lines.as_slice();
        while let Some(first) = rest.first() {
            if first.kind == Kind::Same {
                rows.push((Some(first), Some(first)));
                rest = &rest[1..];
                continue;
            }
            let (removed, added) = block(rest);
            for at in 0..removed.max(added) {
                let left = (at < removed).then(|| &rest[at]);
                let right = (at < added).then(|| &rest[removed + at]);
                rows.push((left, right));
            }
            rest = &rest[removed + added..];
        }
        rows
    }

    /// Marks in lines that replace each other what differs.
    fn mark(&mut self) {
        let mut at = 0;
        while at < self.lines.len() {
            let (removed, added) = block(&self.lines[at..]);
            if removed == added {
                for index in at..at + removed {
                    let (before, after) = self.lines.split_at_mut(index + removed);
                    mark_pair(&mut before[index], &mut after[0]);
                }
            }
            at += (removed + added).max(1);
        }
    }
}

/// How many removed lines the slice begins with, and how many added ones follow them.
fn block(lines: &[Line]) -> (usize, usize) {
    let removed = lines.iter().take_while(|line| line.kind == Kind::Removed).count();
    let added = lines[removed..].iter().take_while(|line| line.kind == Kind::Added).count();
    (removed, added)
}

fn mark_pair(old: &mut Line, new: &mut Line) {
    let (before, after) = (std::mem::take(&mut old.head), std::mem::take(&mut new.head));
    let head: usize =
        before.chars().zip(after.chars()).take_while(|(a, b)| a == b).map(|(char, _)| char.len_utf8()).sum();
    let (left, right) = (&before[head..], &after[head..]);
    let tail: usize = left
        .chars()
        .rev()
        .zip(right.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(char, _)| char.len_utf8())
        .sum();
    for (line, text) in [(old, &before), (new, &after)] {
        let end = text.len() - tail;
        line.head = text[..head].to_owned();
        line.middle = text[head..end].to_owned();
        line.tail = text[end..].to_owned();
    }
}

/// Reads a patch as git writes it. What it cannot read it passes over.
#[must_use]
pub fn parse(patch: &str) -> Patch {
    let mut read = Patch::default();
    let (mut old, mut new) = (0, 0);
    // How many lines of the hunk are still to come, before and after.
    let mut left = (0_usize, 0_usize);
    for (count, text) in patch.lines().enumerate() {
        if count >= MAX_LINES {
            read.is_cut = true;
            break;
        }
        if let Some(paths) = text.strip_prefix("diff --git ")
            && left == (0, 0)
        {
            read.files.push(File { path: path_of(paths), ..File::default() });
            continue;
        }
        let Some(file) = read.files.last_mut() else { continue };
        if left == (0, 0) {
            match hunk_header(text) {
                Some(((from, before), (to, after))) => {
                    (old, new, left) = (from, to, (before, after));
                    file.hunks.push(Hunk { header: text.to_owned(), lines: Vec::new() });
                }
                None => file_header(file, text),
            }
            continue;
        }
        let Some(hunk) = file.hunks.last_mut() else { continue };
        let body = text.get(1..).unwrap_or_default().to_owned();
        let mut line = Line { head: body, ..Line::default() };
        match text.bytes().next() {
            Some(b'+') => {
                (line.kind, line.new) = (Kind::Added, Some(new));
                file.added += 1;
                new += 1;
                left.1 = left.1.saturating_sub(1);
            }
            Some(b'-') => {
                (line.kind, line.old) = (Kind::Removed, Some(old));
                file.removed += 1;
                old += 1;
                left.0 = left.0.saturating_sub(1);
            }
            // "\ No newline at end of file"
            Some(b'\\') => continue,
            Some(_) | None => {
                (line.old, line.new) = (Some(old), Some(new));
                (old, new) = (old + 1, new + 1);
                left = (left.0.saturating_sub(1), left.1.saturating_sub(1));
            }
        }
        hunk.lines.push(line);
    }
    for hunk in read.files.iter_mut().flat_map(|file| &mut file.hunks) {
        hunk.mark();
    }
    read
}

/// `a/x b/x` as a path; both when they differ.
fn path_of(paths: &str) -> String {
    let half = paths.len() / 2;
    if let (Some(a), Some(b)) = (paths.get(..half), paths.get(half + 1..))
        && let (Some(a), Some(b)) = (a.strip_prefix("a/"), b.strip_prefix("b/"))
        && a == b
    {
        return a.to_owned();
    }
    match paths.strip_prefix("a/").and_then(|paths| paths.split_once(" b/")) {
        Some((from, to)) => format!("{from} → {to}"),
        None => paths.to_owned(),
    }
}

fn file_header(file: &mut File, text: &str) {
    if text.starts_with("new file") {
        file.change = Change::Added;
    } else if text.starts_with("deleted file") {
        file.change = Change::Deleted;
    } else if text.starts_with("rename ") {
        file.change = Change::Renamed;
    } else if text.starts_with("Binary files ") || text.starts_with("GIT binary patch") {
        file.is_binary = true;
    }
}

/// `@@ -1,2 +3,4 @@ …` as where it begins and how many lines it has, before and after.
fn hunk_header(text: &str) -> Option<((usize, usize), (usize, usize))> {
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(usize, usize)> {
        match text.split_once(',') {
            Some((from, count)) => Some((from.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    Some((range(old)?, range(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/src/a.rs b/src/a.rs\nindex 1..2 100644\n--- a/src/a.rs\n+++ b/src/a.rs\n\
        @@ -1,3 +1,4 @@ fn main\n one\n-let x = 1;\n+let x = 42;\n+more\n two\n\
        diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1 @@\n+hello\n\
        \\ No newline at end of file\ndiff --git a/old b/young\nrename from old\nrename to young\n\
        diff --git a/x.png b/x.png\nBinary files a/x.png and b/x.png differ\n";

    #[test]
    fn a_patch_is_read_into_files_and_numbered_lines() {
        let patch = parse(PATCH);
        let told: Vec<_> =
            patch.files.iter().map(|f| (f.path.as_str(), f.change, f.added, f.removed)).collect();
        assert_eq!(
            told,
            [
                ("src/a.rs", Change::Changed, 2, 1),
                ("new.txt", Change::Added, 1, 0),
                ("old → young", Change::Renamed, 0, 0),
                ("x.png", Change::Changed, 0, 0)
            ]
        );
        assert!(patch.files[3].is_binary);
        let lines = &patch.files[0].hunks[0].lines;
        let numbers: Vec<_> = lines.iter().map(|line| (line.sign(), line.old, line.new)).collect();
        assert_eq!(
            numbers,
            [
                (" ", Some(1), Some(1)),
                ("-", Some(2), None),
                ("+", None, Some(2)),
                ("+", None, Some(3)),
                (" ", Some(3), Some(4))
            ]
        );
    }

    #[test]
    fn lines_of_a_hunk_that_look_like_headers_are_lines() {
        let patch = parse(
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/x\n+++ b/x\n diff --git a/y b/y\n",
        );
        assert_eq!(patch.files.len(), 1);
        assert_eq!((patch.files[0].added, patch.files[0].removed), (1, 1));
    }

    #[test]
    fn what_replaces_each_other_stands_side_by_side() {
        let patch = parse(PATCH);
        let rows = patch.files[0].hunks[0].rows();
        assert_eq!(rows.len(), 4);
        let (left, right) = (rows[1].0.unwrap(), rows[1].1.unwrap());
        assert_eq!((left.sign(), right.sign()), ("-", "+"));
        assert!(rows[2].0.is_none());
    }

    #[test]
    fn what_differs_within_a_line_is_marked_at_character_boundaries() {
        let patch = parse("diff --git a/x b/x\n@@ -1 +1 @@\n-let ü = \"漢\";\n+let ü = \"字\";\n");
        let lines = &patch.files[0].hunks[0].lines;
        assert_eq!((lines[0].head.as_str(), lines[0].middle.as_str()), ("let ü = \"", "漢"));
        assert_eq!((lines[1].middle.as_str(), lines[1].tail.as_str()), ("字", "\";"));
    }

    #[test]
    fn a_long_patch_is_cut_and_says_so() {
        let mut text = format!("diff --git a/x b/x\n@@ -0,0 +1,{0} @@\n", MAX_LINES * 2);
        text.push_str(&"+x\n".repeat(MAX_LINES * 2));
        let patch = parse(&text);
        assert!(patch.is_cut);
        assert!(patch.files[0].added <= MAX_LINES);
        assert!(!parse(PATCH).is_cut);
    }

    #[test]
    fn garbage_is_passed_over() {
        assert_eq!(parse("what\n@@ -1 +1 @@\n+x\n"), Patch::default());
        let patch = parse("diff --git a b\n@@ -x +1 @@\n@@ -99999999999999999999 +1 @@\n");
        assert!(patch.files[0].hunks.is_empty());
    }
}
