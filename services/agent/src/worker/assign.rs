//! From an assignment to an attempt.

use std::sync::Arc;
use std::time::Duration;

use conductor_core::FailureReason;
use conductor_protocol::agent::{After, Assign, AssignedUpload, End, SpendLimit};
use conductor_protocol::control::UploadKind;
use conductor_protocol::submit::{Permission, SubmitTask, Workspace};
use conductor_protocol::task::FailureView;
use conductor_protocol::text;
use conductor_runtime::credentials::Secret;
use uuid::Uuid;

use crate::git;
use crate::run::{InputFile, InputUpload};
use crate::runner::{Attempt, Budget, Limits, Order, Programs, Start, StartsFrom, Submits, What};

mod record;

use record::task_json;

/// Reads an assignment.
///
/// # Errors
/// Gives the end that the attempt comes to when it cannot be run here.
pub(super) fn attempt(assign: &Assign, limits: &Limits, programs: &Programs) -> Result<Attempt, End> {
    let body = SubmitTask::parse(assign.body.get(), "")
        .map_err(|problem| failed(FailureReason::InvalidRequest, problem.detail))?;
    let what = what(assign, &body, programs)?;
    programs
        .check_group(&body.secrets, &assign.group)
        .map_err(|why| failed(FailureReason::InvalidRequest, why))?;
    let submits = submits(assign, programs)?;
    let task_json = task_json(assign, &body);
    let mut git = asked_of_git(&body);
    let (mut files, mut uploads) = (Vec::new(), Vec::new());
    for file in body.files {
        match &file.upload {
            None => files.push(input_file(file)?),
            Some(id) => {
                let input = input_upload(assign, id, file.path, file.executable)?;
                match input.upload.kind {
                    UploadKind::Raw | UploadKind::Tar => uploads.push(input),
                    UploadKind::Bundle => git.sent = Some(repository(input, &git, assign, &body.workspace)?),
                }
            }
        }
    }
    Ok(Attempt {
        task_id: Uuid::from_u128(assign.task.0),
        number: assign.attempt,
        what,
        task_json,
        files,
        uploads,
        env: body.env.into_iter().collect(),
        secrets: body.secrets,
        start: match assign.after {
            None | Some(After::Failure) => Start::Fresh,
            Some(After::Crash | After::Stop | After::Limit | After::Overflow) => Start::Resume,
        },
        starts_from: match (assign.starts_from, body.workspace) {
            (Some(task), _) => Some(StartsFrom::Task(Uuid::from_u128(task.0))),
            (None, Some(Workspace::Copy(path))) => Some(StartsFrom::Folder(path.into())),
            (None, Some(Workspace::Git(_) | Workspace::Continue(_) | Workspace::Push(_)) | None) => None,
        },
        git,
        submits,
        read_only: body.preset.as_ref().is_some_and(|preset| preset.read_only),
        verify: body.verify,
        timeout: Duration::from_millis(assign.timeout_ms),
        limits: limits.clone(),
        budget: budget(assign.limit),
    })
}

/// What a run may spend.
pub(super) fn budget(limit: SpendLimit) -> Budget {
    Budget { tokens: limit.tokens, usd_micros: limit.usd_micros }
}

/// How the run hands work to the queue, where its task may.
fn submits(assign: &Assign, programs: &Programs) -> Result<Option<Submits>, End> {
    let Some(token) = &assign.token else { return Ok(None) };
    let url = programs.api_url.clone().ok_or_else(|| {
        let message = "the task may submit, and this agent does not know where the API is; set agent.api_url";
        failed(FailureReason::InvalidRequest, message.to_owned())
    })?;
    Ok(Some(Submits { url, token: Secret::new(token.clone()) }))
}

fn asked_of_git(body: &SubmitTask) -> git::Asked {
    let (workspace, push_only) = match &body.workspace {
        Some(Workspace::Git(workspace)) => (Some((**workspace).clone()), false),
        Some(Workspace::Push(_)) => (None, true),
        Some(Workspace::Copy(_) | Workspace::Continue(_)) | None => (None, false),
    };
    git::Asked { workspace, sent: None, push_only, title: title(body) }
}

/// What a commit of the task is called: its name, or the first words of what it does.
fn title(body: &SubmitTask) -> String {
    const MAX_CHARS: usize = 72;
    let command = body.command.as_ref().map(|words| words.join(" "));
    let text = body.name.as_deref().or(body.prompt.as_deref()).or(command.as_deref()).unwrap_or_default();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("Work of a task");
    let line: String = line.chars().filter(|char| !char.is_control()).collect();
    if line.chars().count() <= MAX_CHARS {
        return line;
    }
    let mut short: String = line.chars().take(MAX_CHARS - 1).collect();
    short.truncate(short.trim_end().len());
    short + "…"
}

fn what(assign: &Assign, body: &SubmitTask, programs: &Programs) -> Result<What, End> {
    let invalid = |message: &str| failed(FailureReason::InvalidRequest, message.to_owned());
    match assign.runner.as_str() {
        "command" => {
            let argv = body.command.clone().ok_or_else(|| invalid("the command runner needs a command"))?;
            Ok(What::Command { argv })
        }
        "mock" if stands_in_for_real_work(body) => Err(failed(
            FailureReason::RunnerUnavailable,
            "auto found no coding agent with a credential, and the mock neither works in repositories nor is verified; set a \
             credential, or name the runner"
                .to_owned(),
        )),
        "mock" => {
            let prompt = body.prompt.clone().ok_or_else(|| invalid("the mock runner needs a prompt"))?;
            Ok(What::Mock { prompt })
        }
        "replay" => Ok(What::Replay { prompt: body.prompt.clone().unwrap_or_default() }),
        other if programs.specs.contains_key(other) => {
            let prompt = body.prompt.clone().ok_or_else(|| invalid("a coding agent needs a prompt"))?;
            let spec = Arc::clone(&programs.specs[other]);
            let (model, max_turns) = (body.model.clone(), body.max_turns);
            let begins_anew = assign.after == Some(After::Overflow);
            let is_interrupted = false;
            let preset = body.preset.as_deref();
            let prompt = preset.map_or_else(|| prompt.clone(), |preset| preset.told(&prompt));
            let permission = body.permitted();
            let mut order = Order { spec, prompt, model, max_turns, permission, is_interrupted, begins_anew };
            if order.permission() == Permission::Ask
                && !order.spec.asks()
                && let Some(asking) = &order.spec.asking
            {
                order.spec = Arc::clone(asking);
            }
            if order.permission() == Permission::Ask && !order.spec.asks() {
                let name = &order.spec.name;
                return Err(invalid(&format!("the runner {name} cannot ask a person for permission while it runs")));
            }
            Ok(What::Program(Box::new(order)))
        }
        other => {
            Err(failed(FailureReason::RunnerUnavailable, format!("this agent has no runner named {other}")))
        }
    }
}

/// Whether `auto` came to the mock for a task that asks for what only a real runner can do.
fn stands_in_for_real_work(body: &SubmitTask) -> bool {
    let is_auto = body.runner.as_deref().is_none_or(|runner| runner == conductor_core::AUTO);
    let in_a_repository = matches!(body.workspace, Some(Workspace::Git(_)));
    is_auto && (in_a_repository || body.verify.is_some())
}

fn input_file(file: conductor_protocol::submit::InputFile) -> Result<InputFile, End> {
    let invalid = |message: String| failed(FailureReason::InvalidRequest, message);
    let content = match (file.content, file.base64) {
        (Some(content), None) => content.into_bytes(),
        (None, Some(base64)) => text::from_base64::<serde_json::Error>(&base64)
            .map_err(|error| invalid(format!("the input file {}: {error}", file.path)))?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(invalid(format!("the input file {} has no content of its own", file.path)));
        }
    };
    Ok(InputFile { path: file.path, content, executable: file.executable })
}

fn input_upload(assign: &Assign, id: &str, path: String, executable: bool) -> Result<InputUpload, End> {
    let known = assign.uploads.iter().find(|upload| upload.id.to_string() == id);
    let upload = known.ok_or_else(|| {
        let message = format!("the upload {id} for {path} is not kept any more");
        failed(FailureReason::InvalidWorkspace, message)
    })?;
    Ok(InputUpload { path, executable, upload: upload.clone() })
}

/// A repository that was sent, which is the whole of what the work folder starts from.
fn repository(
    input: InputUpload,
    git: &git::Asked,
    assign: &Assign,
    workspace: &Option<Workspace>,
) -> Result<AssignedUpload, End> {
    // An address beside it says where to push to.
    let is_alone = match workspace {
        None => true,
        Some(Workspace::Git(target)) => target.reference.is_none() && target.depth.is_none(),
        Some(Workspace::Copy(_) | Workspace::Continue(_) | Workspace::Push(_)) => false,
    };
    let is_all = is_alone && assign.starts_from.is_none() && git.sent.is_none();
    if is_all && input.path == "." {
        return Ok(input.upload);
    }
    let message = format!(
        "the upload {} is a repository: its path is \".\", and the task starts from nothing else",
        input.upload.id
    );
    Err(failed(FailureReason::InvalidWorkspace, message))
}

/// The end of an attempt that failed before it ran.
pub(super) fn failed(reason: FailureReason, message: String) -> End {
    End::Failed(FailureView { reason, message, hint: None })
}

#[cfg(test)]
mod tests {
    use conductor_core::{Incarnation, Lease, TaskId};
    use conductor_runtime::config::SecretUse;
    use serde_json::value::RawValue;

    use super::*;

    fn assign(runner: &str, body: &str) -> Assign {
        Assign {
            task: TaskId(1),
            lease: Lease { incarnation: Incarnation(1), number: 1 },
            attempt: 2,
            runner: runner.into(),
            group: "default".into(),
            timeout_ms: 5_000,
            after: None,
            starts_from: None,
            uploads: Vec::new(),
            token: None,
            limit: SpendLimit::default(),
            body: RawValue::from_string(body.into()).unwrap(),
        }
    }

    fn read(runner: &str, body: &str) -> Result<Attempt, End> {
        attempt(&assign(runner, body), &Limits::default(), &Programs::default())
    }

    fn reason(end: End) -> (FailureReason, String) {
        match end {
            End::Failed(failure) => (failure.reason, failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_task_becomes_an_attempt_with_its_files_and_variables() {
        let body = r#"{"command":["sh","-c","x"],"files":[{"path":"a","content":"A","executable":true},{"path":"b","base64":"AAE="}],
            "env":{"K":"secret"}}"#;
        let attempt = read("command", body).unwrap();
        assert_eq!(attempt.what, What::Command { argv: vec!["sh".into(), "-c".into(), "x".into()] });
        assert_eq!((attempt.number, attempt.timeout), (2, Duration::from_secs(5)));
        assert_eq!(
            attempt.files[0],
            InputFile { path: "a".into(), content: b"A".to_vec(), executable: true }
        );
        assert_eq!(attempt.files[1].content, [0, 1]);
        assert_eq!(attempt.env, [("K".to_owned(), "secret".to_owned())]);
        let json: serde_json::Value = serde_json::from_str(&attempt.task_json).unwrap();
        assert_eq!(json["env"], serde_json::json!(["K"]));
        assert!(!attempt.task_json.contains("secret"), "values of variables are left out");
    }

    #[test]
    fn a_secret_that_is_for_the_group_no_more_is_not_given() {
        let of = |groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let secret = SecretUse { file: None, groups, runners: vec!["*".into()] };
            let uses = Arc::new([("NPM_TOKEN".to_owned(), secret)].into());
            let programs = Programs { uses, ..Programs::default() };
            let assign = assign("mock", r#"{"prompt":"x","secrets":["NPM_TOKEN"]}"#);
            attempt(&assign, &Limits::default(), &programs)
        };
        assert!(of(&["default"]).is_ok() && of(&["*"]).is_ok());
        let Err(End::Failed(failure)) = of(&["web"]) else { panic!("it was given") };
        assert_eq!(failure.message, "the secret NPM_TOKEN is not for the group default");
    }

    #[test]
    fn work_goes_on_after_a_crash_and_begins_anew_after_a_failure() {
        for (after, start) in [
            (None, Start::Fresh),
            (Some(After::Failure), Start::Fresh),
            (Some(After::Crash), Start::Resume),
            (Some(After::Stop), Start::Resume),
            (Some(After::Limit), Start::Resume),
        ] {
            let assign = Assign { after, ..assign("mock", r#"{"prompt":"x"}"#) };
            assert_eq!(
                attempt(&assign, &Limits::default(), &Programs::default()).unwrap().start,
                start,
                "{after:?}"
            );
        }
    }

    #[test]
    fn the_agent_is_told_what_the_type_says_and_the_record_what_was_asked() {
        let body = r#"{"prompt":"the parser","type":"code_review","preset":{"prompt":"Review: {prompt}","permission":"plan","read_only":true}}"#;
        let spec = crate::runner::program::tests::spec(&["claude"]);
        let programs = Programs { specs: [("claude".into(), Arc::new(spec))].into(), ..Programs::default() };
        let attempt = attempt(&assign("claude", body), &Limits::default(), &programs).unwrap();
        let What::Program(order) = &attempt.what else { panic!("a program") };
        assert_eq!((order.prompt.as_str(), order.permission), ("Review: the parser", Some(Permission::Plan)));
        assert!(attempt.read_only);
        let json: serde_json::Value = serde_json::from_str(&attempt.task_json).unwrap();
        assert_eq!((&json["prompt"], &json["type"]), (&"the parser".into(), &"code_review".into()));
        let mock = read("mock", body).unwrap();
        assert_eq!(mock.what, What::Mock { prompt: "the parser".into() }, "its prompt is a script");
    }

    #[test]
    fn a_repository_that_was_sent_is_the_whole_work_folder() {
        let id = Uuid::now_v7();
        let upload = AssignedUpload { id, kind: UploadKind::Bundle, bytes: 1, sha256: String::new() };
        let read = |path: &str, more: &str| {
            let body = format!(
                r#"{{"prompt":"x","runner":"mock","files":[{{"path":"{path}","upload":"{id}"}}]{more}}}"#
            );
            let assign = Assign { uploads: vec![upload.clone()], ..assign("mock", &body) };
            attempt(&assign, &Limits::default(), &Programs::default())
        };
        let sent = read(".", "").unwrap();
        assert_eq!((sent.git.sent.as_ref(), sent.uploads.len()), (Some(&upload), 0));
        let target =
            read(".", r#","workspace":{"git":{"url":"https://h.example/a.git","push":"branch"}}"#).unwrap();
        assert!(target.git.sent.is_some() && target.git.workspace.is_some_and(|git| git.is_pushed()));
        let copied = r#","workspace":{"copy":"/a"}"#;
        let elsewhere = r#","workspace":{"git":{"url":"https://h.example/a.git","ref":"main"}}"#;
        for (path, more) in [("a", ""), (".", copied), (".", elsewhere)] {
            let (kind, message) = reason(read(path, more).unwrap_err());
            assert_eq!(kind, FailureReason::InvalidWorkspace, "{path}{more}");
            assert!(message.contains("its path is"), "{message}");
        }
    }

    #[test]
    fn a_commit_is_named_by_the_task_or_its_first_words() {
        let named = |body: &str| title(&SubmitTask::parse(body, "").unwrap());
        assert_eq!(named(r#"{"prompt":"Do it","name":"Fix the login"}"#), "Fix the login");
        assert_eq!(named(r#"{"prompt":"\n  Do it\nat once"}"#), "Do it");
        assert_eq!(named(r#"{"command":["make","-j2"]}"#), "make -j2");
        let long = named(&format!(r#"{{"prompt":"{}"}}"#, "word ".repeat(50)));
        assert!(long.chars().count() <= 72 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn auto_does_not_fall_to_the_mock_for_work_in_a_repository_or_to_be_verified() {
        let git = r#""workspace":{"git":{"url":"https://example.com/a.git"}}"#;
        for asked in [git, r#""verify":["true"]"#] {
            for auto in ["", r#""runner":"auto","#] {
                let ended = read("mock", &format!(r#"{{"prompt":"x",{auto}{asked}}}"#)).unwrap_err();
                assert_eq!(reason(ended).0, FailureReason::RunnerUnavailable, "{auto}{asked}");
            }
            assert!(read("mock", &format!(r#"{{"prompt":"x","runner":"mock",{asked}}}"#)).is_ok());
        }
    }

    #[test]
    fn what_cannot_run_here_fails_with_its_reason() {
        let (kind, message) = reason(read("claude", r#"{"prompt":"x"}"#).unwrap_err());
        assert_eq!(kind, FailureReason::RunnerUnavailable);
        assert!(message.contains("claude"));
        let lost = read("mock", r#"{"prompt":"x","files":[{"path":"a","upload":"u"}]}"#).unwrap_err();
        assert_eq!(reason(lost).0, FailureReason::InvalidWorkspace);
        for (runner, body) in [
            ("mock", r#"{"command":["x"]}"#),
            ("command", r#"{"prompt":"x"}"#),
            ("mock", r#"{"promt":"x"}"#),
            ("mock", r#"{"prompt":"x","files":[{"path":"a","base64":"!"}]}"#),
        ] {
            assert_eq!(reason(read(runner, body).unwrap_err()).0, FailureReason::InvalidRequest, "{body}");
        }
    }
}
