//! `run`: submits a task, shows its output as it comes, and exits with its outcome.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use conductor_client::Link;
use conductor_core::TaskId;
use conductor_protocol::control::{AgentView, Call, Cancel, FilesView, Id, Submit, Submitted, Wait};
use conductor_protocol::task::{State, TaskView};
use conductor_runtime::lifecycle::Shutdown;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::follow::{self, Watcher};
use crate::screen::{Screen, clean, elapsed};
use crate::server::{Need, Server};
use crate::show;
use crate::submit::{self, Prepared};

/// How often a running task is looked at for a question.
const LOOK: Duration = Duration::from_secs(1);

/// `run`
pub async fn run(context: &mut Context<'_>, args: &args::Run) -> Result<Exit, Failure> {
    let mut prepared = submit::prepare(&args.work, &args.options)?;
    let shutdown = context.signals()?;
    for note in &prepared.notes {
        context.screen.note(note);
    }
    let begun = tokio::select! {
        begun = begin(context, &mut prepared, args.options.key.clone()) => begun?,
        // Nothing was submitted, or nobody knows; a key of the caller's would tell.
        () = shutdown.draining() => return Ok(Exit::Cancelled),
    };
    let (mut server, submitted) = begun;
    let Some(id) = submitted.ids.first().copied() else {
        return Err(Failure::Failed("the orchestrator named no task".to_owned()));
    };
    if submitted.repeated {
        context.screen.note("the same was submitted before under this key; nothing new was made");
    }
    let watched = watch(context.screen, &server, id, &shutdown).await;
    let exit = match watched {
        Ok(Some(task)) => report(context, &mut server, &task).await?,
        // Told twice to stop.
        Ok(None) => {
            server.close_at_once().await;
            return Ok(Exit::Cancelled);
        }
        Err(failure) => {
            server.close_at_once().await;
            return Err(waiting(failure, id));
        }
    };
    server.close(context, &[]).await?;
    Ok(exit)
}

/// A failure to reach the server, with what becomes of the task.
fn waiting(failure: Failure, id: TaskId) -> Failure {
    match failure {
        Failure::NotReachable(text) => {
            let what = format!("task {id} is kept: see conductor get {id} when a server runs (conductor up)");
            Failure::NotReachable(format!("{text}; {what}"))
        }
        other => other,
    }
}

/// Finds a server, or becomes one, and submits the task.
async fn begin(
    context: &mut Context<'_>,
    prepared: &mut Prepared,
    key: Option<String>,
) -> Result<(Server, Submitted), Failure> {
    let mut server = Server::find(context, Need::Work).await?;
    let submitted = match prepared.send_ahead(context, &mut server).await {
        Ok(task) => server.submit(context, Submit { tasks: vec![task], key }).await,
        Err(failure) => Err(failure),
    };
    match submitted {
        Ok(submitted) => Ok((server, submitted)),
        Err(failure) => {
            server.close_at_once().await;
            Err(failure)
        }
    }
}

/// Shows a task to its end; nothing when a second Ctrl-C came before it.
async fn watch(
    screen: &mut Screen,
    server: &Server,
    id: TaskId,
    shutdown: &Shutdown,
) -> Result<Option<TaskView>, Failure> {
    let link = &server.link;
    let screen = RefCell::new(screen);
    let (mut output_link, mut question_link) = (follow::paced(link), link.another(link.options().clone()));
    let mut live = Live { screen: &screen, began: Instant::now(), nobody_reads: false };
    let followed = follow::task(&mut output_link, id, &mut live);
    let questions = questions(&screen, &mut question_link, id);
    let cancelled = cancel(&screen, link, id, shutdown);
    let (stranded, absences) = (stranded(server), absences(&screen, link));
    tokio::pin!(followed, questions, cancelled, stranded, absences);
    let mut asked = false;
    loop {
        tokio::select! {
            task = &mut followed => {
                let mut screen = screen.borrow_mut();
                screen.clear_progress();
                screen.end_output()?;
                return task.map(Some);
            }
            failure = &mut questions => return Err(failure),
            failure = &mut stranded => return Err(failure),
            failure = &mut absences => return Err(failure),
            cancelled = &mut cancelled, if !asked => {
                asked = true;
                cancelled?;
            }
            () = shutdown.killed() => return Ok(None),
        }
    }
}

/// What `run` does with what it sees.
struct Live<'a, 'b> {
    screen: &'a RefCell<&'b mut Screen>,
    began: Instant,
    nobody_reads: bool,
}

impl Watcher for Live<'_, '_> {
    fn output(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut screen = self.screen.borrow_mut();
        if self.nobody_reads || screen.is_json() {
            return Ok(());
        }
        match screen.output(bytes) {
            // The task goes on and its outcome is still wanted.
            Err(Failure::NobodyReads) => self.nobody_reads = true,
            other => return other,
        }
        Ok(())
    }

    fn stands(&mut self, task: &TaskView) {
        let waited = elapsed(self.began.elapsed());
        self.screen.borrow_mut().progress(format!("{} ({waited})", show::standing(task)));
    }

    fn begins(&mut self, task: &TaskView, attempt: u32) {
        let mut screen = self.screen.borrow_mut();
        screen.clear_progress();
        if attempt > 1 {
            let before = task.attempts.iter().find(|one| one.number + 1 == attempt);
            let why = before.map(show::attempt_end).unwrap_or_default();
            screen.note(format!("attempt {attempt} begins; the one before {why}"));
        }
    }
}

/// Tells of questions as they come up. Ends only with a failure.
async fn questions(screen: &RefCell<&mut Screen>, link: &mut Link, id: TaskId) -> Failure {
    let mut told = None;
    loop {
        // A wait that ends with the task; then there is nothing more to ask.
        let wait = Wait { id, timeout_ms: u64::try_from(LOOK.as_millis()).unwrap_or(u64::MAX) };
        let task: TaskView = match link.ask(&Call::Wait(wait)).await {
            Ok(task) => task,
            Err(error) => return error.into(),
        };
        if let Some(question) = &task.waiting
            && task.state == State::Waiting
            && told.replace(question.request_id) != Some(question.request_id)
        {
            let text = clean(&question.text);
            let how = format!("answer with: conductor answer {id} allow|deny|TEXT");
            screen.borrow_mut().note(format!("the task asks: {text}\n{how}"));
        }
        if task.state.is_terminal() {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells when the server goes away and when it is back. Ends when it stays away.
async fn absences(screen: &RefCell<&mut Screen>, link: &Link) -> Failure {
    let mut link = link.another(link.options().clone());
    loop {
        match link.control().await {
            Ok(control) => drop(control.lost().await),
            Err(error) => return error.into(),
        }
        screen.borrow_mut().note("the server is away; the task is kept, and this goes on when it is back");
        match link.control().await {
            Ok(_) => screen.borrow_mut().note("the server is back"),
            Err(error) => return error.into(),
        }
    }
}

/// Ends when nobody is left who could run the task.
async fn stranded(server: &Server) -> Failure {
    server.agents_gone().await;
    let mut link = server.link.another(server.link.options().clone());
    let agents: Vec<AgentView> = link.ask(&Call::Agents).await.unwrap_or_default();
    if agents.iter().any(|agent| agent.state == "connected") {
        std::future::pending::<()>().await;
    }
    Failure::Failed(
        "the agent of this command ended, and no other is connected; conductor doctor says more".to_owned(),
    )
}

/// Cancels the task when it is told to.
async fn cancel(
    screen: &RefCell<&mut Screen>,
    link: &Link,
    id: TaskId,
    shutdown: &Shutdown,
) -> Result<(), Failure> {
    shutdown.draining().await;
    screen.borrow_mut().note("cancelling the task; Ctrl-C again leaves at once");
    let call = Call::Cancel(Cancel { id, reason: Some("interrupted at the command line".to_owned()) });
    let mut link = link.another(link.options().clone());
    match link.ask::<serde_json::Value>(&call).await {
        Ok(_) => Ok(()),
        // It had ended by itself; its end is shown.
        Err(conductor_client::Error::Refused(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Shows how it ended.
async fn report(context: &mut Context<'_>, server: &mut Server, task: &TaskView) -> Result<Exit, Failure> {
    if context.screen.is_json() {
        context.screen.json(task)?;
        return Ok(Exit::of_task(task));
    }
    let files: Result<FilesView, _> = server.link.ask(&Call::Files(Id { id: task.id })).await;
    for line in show::outcome(task, files.ok().as_ref()) {
        context.screen.note(line);
    }
    Ok(Exit::of_task(task))
}
