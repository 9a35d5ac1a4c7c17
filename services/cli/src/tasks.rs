//! Commands about single tasks.

use std::time::Duration;

use conductor_client::{Beginnings, Link};
use conductor_core::TaskId;
use conductor_protocol::control::{
    Affected, AnswerBody, AnswerCall, Call, Cancel, Done, FilesView, Filter, Id, ListRequest, Message,
    Output, Page, Submitted,
};
use conductor_protocol::limits::MAX_PAGE;
use conductor_protocol::task::TaskView;

use crate::args;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::follow::paced;
use crate::screen::{Table, bytes, clean, now};
use crate::server::{Need, Server};
use crate::{show, submit};

/// The tasks of a list that are given a beginning where they have no name; a longer list is for programs.
const MAX_UNNAMED: usize = 500;

/// `list`
pub async fn list(context: &mut Context<'_>, args: args::List) -> Result<Exit, Failure> {
    let filter = Filter {
        state: args.state,
        runner: args.runner,
        group: args.group,
        label: args.label.iter().map(|(key, value)| format!("{key}:{value}")).collect(),
        name: args.name,
        task_type: args.task_type,
        created_by: args.created_by,
        failure: args.failure,
        q: args.query,
        after: args.after,
        before: args.before,
        min_cost: args.min_cost,
        parent: None,
    };
    let mut server = Server::find(context, Need::State).await?;
    let mut request = ListRequest { filter, sort: args.sort, cursor: args.cursor, ..ListRequest::default() };
    let mut whole = Page { items: Vec::new(), next_cursor: None, as_of_seq: 0 };
    // A list that is longer than a page is read in pages.
    loop {
        let left = args.limit - u32::try_from(whole.items.len()).unwrap_or(args.limit).min(args.limit);
        request.limit = Some(left.min(MAX_PAGE));
        let page: Page = server.link.ask(&Call::List(Box::new(request.clone()))).await?;
        whole.items.extend(page.items);
        whole.next_cursor = page.next_cursor;
        whole.as_of_seq = page.as_of_seq;
        request.cursor.clone_from(&whole.next_cursor);
        if request.cursor.is_none() || whole.items.len() >= args.limit as usize {
            break;
        }
    }
    if context.screen.is_json() {
        context.screen.json(&whole)?;
    } else {
        let shown = whole.items.len().min(MAX_UNNAMED);
        let control = server.link.control().await?;
        Beginnings::default().add(&control, &mut whole.items[..shown]).await;
        let columns = context.screen.is_terminal().then(|| context.screen.size().0);
        for line in show::rows(&whole.items, now()).lines(columns) {
            context.screen.line(line)?;
        }
        if let Some(cursor) = &whole.next_cursor {
            context.screen.note(format!("there are more: --limit, or --cursor {}", clean(cursor)));
        }
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `get`
pub async fn get(context: &mut Context<'_>, id: TaskId) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let task: TaskView = server.link.ask(&Call::Get(Id { id })).await?;
    if context.screen.is_json() {
        context.screen.json(&task)?;
    } else {
        show::detail(&task, now()).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `wait`
pub async fn wait(context: &mut Context<'_>, args: &args::Wait) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let is_own = server.is_own();
    let waiting = wait_all(&mut server.link, &args.ids, is_own);
    let waited = tokio::time::timeout(args.timeout.unwrap_or(Duration::MAX), waiting).await;
    server.close(context, &[]).await?;
    let Ok(tasks) = waited else {
        context.screen.note("the time is up and not all tasks have ended");
        return Ok(Exit::TimedOut);
    };
    let tasks = tasks?;
    if context.screen.is_json() {
        context.screen.json(&serde_json::json!({ "items": tasks }))?;
    } else {
        for task in &tasks {
            context.screen.line(format!("{}  {}", task.id, show::outcome(task, None)[0]))?;
        }
    }
    let ends = tasks.iter().map(Exit::of_task);
    Ok(ends.into_iter().find(|exit| *exit != Exit::Succeeded).unwrap_or(Exit::Succeeded))
}

async fn wait_all(link: &mut Link, ids: &[TaskId], is_own: bool) -> Result<Vec<TaskView>, Failure> {
    let mut tasks = Vec::with_capacity(ids.len());
    for id in ids {
        if is_own {
            has_ended(link, *id).await?;
        }
        tasks.push(link.wait(*id).await?);
    }
    Ok(tasks)
}

/// Refuses to wait for what nobody runs.
pub async fn has_ended(link: &mut Link, id: TaskId) -> Result<(), Failure> {
    let task: TaskView = link.ask(&Call::Get(Id { id })).await?;
    match task.state.is_terminal() {
        true => Ok(()),
        false => Err(Failure::NotReachable(format!(
            "task {id} is {} and no server runs it; start one with: conductor up",
            task.state.as_str()
        ))),
    }
}

/// `files`
pub async fn files(context: &mut Context<'_>, args: args::Files) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    match args.path {
        Some(path) => {
            let control = paced(&server.link).control().await?;
            let mut chunks = control.file(args.id, path).await?;
            while let Some(chunk) = chunks.next().await? {
                context.screen.output(&chunk.bytes)?;
            }
            context.screen.end_output()?;
        }
        None => {
            let view: FilesView = server.link.ask(&Call::Files(Id { id: args.id })).await?;
            print_files(context, &view)?;
        }
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

fn print_files(context: &mut Context<'_>, view: &FilesView) -> Result<(), Failure> {
    if context.screen.is_json() {
        return context.screen.json(view);
    }
    let mut table = Table::bare();
    for file in &view.files {
        table.row([clean(&file.path), bytes(file.bytes)]);
    }
    table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    let listed = view.files.len() as u64;
    if view.files_total > listed {
        context.screen.note(format!("and {} more, which are not listed", view.files_total - listed));
    }
    context.screen.note(format!("folder: {}", clean(&view.folder)));
    Ok(())
}

/// Reads the whole diff of a task, at most so many bytes.
pub async fn read_diff(link: &Link, id: TaskId, most: usize) -> Result<Vec<u8>, Failure> {
    let control = paced(link).control().await?;
    let output = Output { id, attempt: None, offset: 0, follow: false, limit: None };
    let mut chunks = control.diff(output).await?;
    let mut diff = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        if diff.len() + chunk.bytes.len() > most {
            return Err(Failure::Failed(format!("the diff of {id} has more than {}", bytes(most as u64))));
        }
        diff.extend_from_slice(&chunk.bytes);
    }
    Ok(diff)
}

/// `diff`
pub async fn diff(context: &mut Context<'_>, args: &args::Diff) -> Result<Exit, Failure> {
    let server = Server::find(context, Need::State).await?;
    let control = paced(&server.link).control().await?;
    let output = Output { id: args.id, attempt: args.attempt, offset: 0, follow: false, limit: None };
    let mut chunks = control.diff(output).await?;
    while let Some(chunk) = chunks.next().await? {
        context.screen.output(&chunk.bytes)?;
    }
    context.screen.end_output()?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `cancel`
pub async fn cancel(context: &mut Context<'_>, args: &args::Cancel) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let mut ids = Vec::new();
    for id in &args.ids {
        let call = Call::Cancel(Cancel { id: *id, reason: args.reason.clone() });
        let affected: Affected = server.link.ask(&call).await?;
        ids.extend(affected.ids);
    }
    print_ids(context, Affected { ids })?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

fn print_ids(context: &mut Context<'_>, affected: Affected) -> Result<(), Failure> {
    if context.screen.is_json() {
        return context.screen.json(&affected);
    }
    affected.ids.iter().try_for_each(|id| context.screen.line(id.to_string()))
}

/// `retry`
pub async fn retry(context: &mut Context<'_>, id: TaskId) -> Result<Exit, Failure> {
    new_task(context, Call::Retry(Id { id })).await
}

/// `message`
pub async fn message(context: &mut Context<'_>, args: &args::Message) -> Result<Exit, Failure> {
    let text = words(&args.text)?;
    new_task(context, Call::Message(Message { id: args.id, text })).await
}

/// Asks for a new task. It is not asked for twice when the connection is lost on the way.
async fn new_task(context: &mut Context<'_>, call: Call) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::Work).await?;
    let submitted: Submitted = server.link.control().await?.ask(call).await?;
    submit::print(context, &submitted)?;
    server.close(context, &submitted.ids).await?;
    Ok(Exit::Succeeded)
}

/// Words of the command line, or of stdin where a dash stands.
fn words(text: &str) -> Result<String, Failure> {
    let text = if text == "-" { submit::read_stdin()? } else { text.to_owned() };
    match text.trim().is_empty() {
        true => Err(Failure::Usage("the text is empty".to_owned())),
        false => Ok(text),
    }
}

/// `rm`
pub async fn rm(context: &mut Context<'_>, args: &args::Ids) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    for id in &args.ids {
        let _done: Done = server.link.control().await?.delete(*id).await?;
    }
    print_ids(context, Affected { ids: args.ids.clone() })?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `pin` and `unpin`
pub async fn pin(context: &mut Context<'_>, args: &args::Ids, pinned: bool) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    for id in &args.ids {
        let _done: Done = server.link.control().await?.pin(*id, pinned).await?;
    }
    print_ids(context, Affected { ids: args.ids.clone() })?;
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

/// `answer`
pub async fn answer(context: &mut Context<'_>, args: &args::Answer) -> Result<Exit, Failure> {
    let body = match args.answer.as_deref() {
        Some("allow") => Some(AnswerBody::Allow),
        Some("deny") => Some(AnswerBody::Deny),
        Some(text) => Some(AnswerBody::Text(words(text)?)),
        None => None,
    };
    let mut server = Server::find(context, Need::Running).await?;
    let task: TaskView = server.link.ask(&Call::Get(Id { id: args.id })).await?;
    let Some(question) = &task.waiting else {
        return Err(Failure::Failed(format!("task {} asks nothing; it is {}", args.id, task.state.as_str())));
    };
    let Some(answer) = body else {
        if context.screen.is_json() {
            context.screen.json(question)?;
        } else {
            context.screen.line(clean(&question.text))?;
        }
        return Ok(Exit::Succeeded);
    };
    // The question that was seen is answered, not one that came since.
    let call = AnswerCall { id: args.id, request_id: Some(question.request_id), answer };
    let done: Done = server.link.control().await?.ask(Call::Answer(call)).await?;
    if context.screen.is_json() {
        context.screen.json(&done)?;
    }
    Ok(Exit::Succeeded)
}
