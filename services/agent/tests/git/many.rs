use std::fs;
use std::process::Command;

use conductor_agent::runner::Verdict;

use crate::place::{Place, Repository, git, script, succeeded};

const AT_ONCE: usize = 20;

#[test]
fn twenty_runs_on_one_repository_do_not_collide() {
    let files: Vec<(String, String)> =
        (0..300).map(|number| (format!("d{}/f{number}.txt", number % 7), format!("{number}\n"))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let repository = Repository::with(&files);
    let mut place = Place::new(AT_ONCE, |_| {});
    let attempts: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let text = format!("git status --porcelain; echo n{number} > d0/f0.txt; git commit -qam {number}; find . -name 'f*.txt' | wc -l");
            script(repository.workspace(), &text)
        })
        .collect();
    for (slot, attempt) in attempts.iter().enumerate() {
        place.begin(slot, attempt);
    }
    for _ in &attempts {
        let outcome = place.finished();
        assert_eq!(outcome.verdict, Verdict::Succeeded, "{outcome:?}");
    }
    for (number, attempt) in attempts.iter().enumerate() {
        assert_eq!(place.output(attempt), "300\n");
        assert!(place.diff(attempt).contains(&format!("+n{number}\n")));
    }
    let mirrors: Vec<_> = fs::read_dir(place.mirrors()).unwrap().flatten().collect();
    assert_eq!(mirrors.len(), 1);
}

#[test]
fn a_borrower_survives_what_becomes_of_the_mirror() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    let attempt = script(repository.workspace(), "echo two > a.txt");
    let base = succeeded(&place.run(&attempt)).base.clone();
    // The branch is rewritten again and again: what the run borrows is on no branch any more, and packs are rolled.
    repository.git(&["checkout", "--quiet", "--orphan", "new"]);
    for number in 0..45 {
        repository.commit(&[("a.txt", &format!("{number}\n"))]);
        repository.git(&["branch", "--force", "main", "HEAD"]);
        succeeded(&place.run(&script(repository.workspace(), "true")));
    }
    let mirror = fs::read_dir(place.mirrors()).unwrap().next().unwrap().unwrap().path().join("repo.git");
    let packs = fs::read_dir(mirror.join("objects/pack")).unwrap().flatten();
    let packs = packs.filter(|entry| entry.file_name().to_string_lossy().ends_with(".pack")).count();
    assert!(packs <= 41, "packs are rolled together: {packs}");
    let reachable =
        Command::new("git").current_dir(&mirror).args(["branch", "--contains", &base]).output().unwrap();
    assert!(reachable.stdout.is_empty(), "the start is on no branch any more");
    let work = place.work(&attempt);
    git(&work, &["fsck", "--connectivity-only"]);
    assert_eq!(git(&work, &["show", &format!("{base}:a.txt")]), "one");
}

#[test]
fn a_lock_that_a_killed_git_left_does_not_stay_in_the_way() {
    let repository = Repository::with(&[("a.txt", "one\n")]);
    let mut place = Place::alone();
    succeeded(&place.run(&script(repository.workspace(), "true")));
    let mirror = fs::read_dir(place.mirrors()).unwrap().next().unwrap().unwrap().path().join("repo.git");
    for lock in ["packed-refs.lock", "refs/heads/main.lock", "shallow.lock"] {
        fs::write(mirror.join(lock), "").unwrap();
    }
    repository.commit(&[("a.txt", "two\n")]);
    let attempt = script(repository.workspace(), "cat a.txt");
    succeeded(&place.run(&attempt));
    assert_eq!(place.output(&attempt), "two\n");
}
