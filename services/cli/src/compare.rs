//! `compare`: two tasks side by side, the files they left, and how what they changed differs.

use std::collections::BTreeMap;

use conductor_core::TaskId;
use conductor_protocol::control::{Call, FilesView, Id};
use conductor_protocol::task::{FileView, TaskView, reason_text};
use serde::Serialize;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{Table, bytes, clean, elapsed_between};
use crate::server::{Need, Server};
use crate::tasks::read_diff;

/// The most bytes of a diff that are compared.
const MAX_DIFF_BYTES: usize = 4 << 20;
/// Files that are named in each list.
const NAMED: usize = 20;

/// How two tasks differ.
#[derive(Debug, Serialize)]
struct Comparison {
    a: Side,
    b: Side,
    /// Files that only the first left.
    only_a: Vec<String>,
    /// Files that only the second left.
    only_b: Vec<String>,
    /// Files that both left with other contents.
    different: Vec<String>,
    /// How many files both left with the same contents.
    same: u64,
    /// The difference of what they changed, as a diff of the two diffs.
    diff: String,
}

/// One of two tasks.
#[derive(Debug, Serialize)]
struct Side {
    id: String,
    state: String,
    failure: Option<String>,
    runner: String,
    attempts: u32,
    took: Option<String>,
    exit_code: Option<i32>,
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: Option<f64>,
    files: u64,
    simulated: bool,
}

/// `compare`
pub async fn run(context: &mut Context<'_>, args: &args::Compare) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let (a, files_a) = read(&mut server, args.a).await?;
    let (b, files_b) = read(&mut server, args.b).await?;
    let diff_a = diff_of(&server, args.a).await?;
    let diff_b = diff_of(&server, args.b).await?;
    let comparison = compare((&a, &files_a, &diff_a), (&b, &files_b, &diff_b));
    if context.screen.is_json() {
        context.screen.json(&comparison)?;
    } else {
        for line in lines(&comparison) {
            context.screen.line(line)?;
        }
        context.screen.output(comparison.diff.as_bytes())?;
        context.screen.end_output()?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn read(server: &mut Server, id: TaskId) -> Result<(TaskView, FilesView), Failure> {
    Ok((server.link.ask(&Call::Get(Id { id })).await?, server.link.ask(&Call::Files(Id { id })).await?))
}

/// What a task changed; nothing when it has no diff.
async fn diff_of(server: &Server, id: TaskId) -> Result<String, Failure> {
    match read_diff(&server.link, id, MAX_DIFF_BYTES).await {
        Ok(diff) => Ok(String::from_utf8_lossy(&diff).into_owned()),
        Err(Failure::Refused(problem)) if problem.code == conductor_protocol::Code::NotFound => {
            Ok(String::new())
        }
        Err(failure) => Err(failure),
    }
}

type Task<'a> = (&'a TaskView, &'a FilesView, &'a str);

fn compare((a, files_a, diff_a): Task<'_>, (b, files_b, diff_b): Task<'_>) -> Comparison {
    let by_path = |view: &FilesView| -> BTreeMap<String, FileView> {
        view.files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (left, right) = (by_path(files_a), by_path(files_b));
    let only = |one: &BTreeMap<String, FileView>, other: &BTreeMap<String, FileView>| {
        one.keys().filter(|path| !other.contains_key(*path)).cloned().collect::<Vec<_>>()
    };
    // Without a checksum nobody knows that they are the same.
    let is_same = |one: &FileView, other: &FileView| one.sha256.is_some() && one == other;
    let both = || left.iter().filter_map(|(path, file)| Some((path, file, right.get(path)?)));
    let same = both().filter(|(_, one, other)| is_same(one, other)).count() as u64;
    let different = both().filter(|(_, one, other)| !is_same(one, other)).map(|(path, _, _)| path.clone());
    Comparison {
        a: side(a),
        b: side(b),
        only_a: only(&left, &right),
        only_b: only(&right, &left),
        different: different.collect(),
        same,
        diff: if diff_a == diff_b { String::new() } else { diffy::create_patch(diff_a, diff_b).to_string() },
    }
}

fn side(task: &TaskView) -> Side {
    Side {
        id: task.id.to_string(),
        state: task.state.as_str().to_owned(),
        failure: task.failure.as_ref().map(|failure| reason_text(failure.reason).to_owned()),
        runner: task.runner.clone(),
        attempts: task.attempt,
        took: task.started_at.zip(task.finished_at).map(|(from, to)| elapsed_between(from, to)),
        exit_code: task.result.as_ref().and_then(|result| result.exit_code),
        input_tokens: task.usage.input_tokens,
        output_tokens: task.usage.output_tokens,
        cost_usd: task.usage.cost_usd,
        files: task.result.as_ref().map_or(0, |result| result.files_total),
        simulated: task.simulated,
    }
}

fn lines(comparison: &Comparison) -> Vec<String> {
    let Comparison { a, b, .. } = comparison;
    let mut table = Table::new(&["", "A", "B"]);
    let mut row = |name: &str, value: &dyn Fn(&Side) -> String| {
        table.row([name.to_owned(), clean(&value(a)), clean(&value(b))]);
    };
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    row("task", &|side| side.id.clone());
    row("state", &|side| match &side.failure {
        Some(failure) => format!("{} ({failure})", side.state),
        None => side.state.clone(),
    });
    row("runner", &|side| side.runner.clone() + if side.simulated { " (simulated)" } else { "" });
    row("attempts", &|side| side.attempts.to_string());
    row("took", &|side| dash(side.took.clone()));
    row("exit code", &|side| dash(side.exit_code.map(|code| code.to_string())));
    row("tokens", &|side| format!("{} in, {} out", side.input_tokens, side.output_tokens));
    row("cost", &|side| dash(side.cost_usd.map(|cost| format!("${cost:.4}"))));
    row("files", &|side| side.files.to_string());
    let mut lines = table.lines(None);
    for (what, paths) in [
        ("only A left", &comparison.only_a),
        ("only B left", &comparison.only_b),
        ("both left, with other contents", &comparison.different),
    ] {
        if !paths.is_empty() {
            let named: Vec<String> = paths.iter().take(NAMED).map(|path| clean(path)).collect();
            let more = paths.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("{what}: {}{more}", named.join(", ")));
        }
    }
    lines.push(format!("{} files are the same", comparison.same));
    if comparison.diff.is_empty() {
        lines.push("what they changed is the same".to_owned());
    } else {
        let size = bytes(comparison.diff.len() as u64);
        lines.push(format!("how what they changed differs (a diff of the diffs, {size}):"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::task;

    fn files(list: &[(&str, Option<&str>)]) -> FilesView {
        let file = |(path, sum): &(&str, Option<&str>)| FileView {
            path: (*path).to_owned(),
            bytes: 1,
            sha256: sum.map(str::to_owned),
        };
        FilesView { files: list.iter().map(file).collect(), files_total: 0, folder: String::new() }
    }

    #[test]
    fn files_are_parted_by_who_left_them_and_whether_they_are_the_same() {
        let a = files(&[("same", Some("1")), ("other", Some("1")), ("unknown", None), ("a", Some("1"))]);
        let b = files(&[("same", Some("1")), ("other", Some("2")), ("unknown", None), ("b", Some("1"))]);
        let task = task();
        let comparison = compare((&task, &a, "x\n"), (&task, &b, "y\n"));
        assert_eq!(comparison.only_a, ["a"]);
        assert_eq!(comparison.only_b, ["b"]);
        assert_eq!(comparison.different, ["other", "unknown"]);
        assert_eq!(comparison.same, 1);
        assert!(comparison.diff.contains("-x") && comparison.diff.contains("+y"), "{}", comparison.diff);
    }

    #[test]
    fn the_same_changes_have_no_difference() {
        let (task, none) = (task(), files(&[]));
        let comparison = compare((&task, &none, "x\n"), (&task, &none, "x\n"));
        assert!(comparison.diff.is_empty());
        assert!(lines(&comparison).iter().any(|line| line.contains("is the same")));
    }
}
