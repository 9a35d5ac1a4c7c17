//! `schedule`: tasks at set times.

use conductor_protocol::control::{AddSchedule, Call, Done, ScheduleRef, ScheduleView};
use conductor_protocol::text::rfc3339;

use crate::args::{self, ScheduleCommand};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{Table, clean};
use crate::server::{Need, Server};
use crate::submit;

/// `schedule add`, `list` and `rm`
pub async fn run(context: &mut Context<'_>, command: ScheduleCommand) -> Result<Exit, Failure> {
    match command {
        ScheduleCommand::Add(add) => self::add(context, &add).await,
        ScheduleCommand::List => list(context).await,
        ScheduleCommand::Rm(rm) => self::rm(context, &rm).await,
    }
}

async fn add(context: &mut Context<'_>, args: &args::AddSchedule) -> Result<Exit, Failure> {
    for (given, option) in [
        (args.options.at.is_some(), "--at"),
        (!args.options.after.is_empty(), "--after"),
        (args.options.key.is_some(), "--key"),
    ] {
        if given {
            return Err(Failure::Usage(format!("{option} makes no sense for a schedule")));
        }
    }
    // Its tasks are named like it.
    let keeps_no_upload = args.options.dir.is_some() || args.options.here;
    let options = args::TaskOptions { no_history: keeps_no_upload, ..args.options.clone() };
    let mut prepared = submit::prepare(&args.work, &options)?;
    if prepared.has_uploads() {
        let detail = "a schedule keeps small files only, 4 MiB in all; let its tasks fetch what is large";
        return Err(Failure::Usage(detail.to_owned()));
    }
    for note in &prepared.notes {
        context.screen.note(note);
    }
    let mut server = Server::find(context, Need::State).await?;
    let schedule = AddSchedule {
        name: args.options.name.clone(),
        cron: args.cron.clone(),
        time_zone: args.time_zone.clone(),
        overlap: args.overlap,
        catch_up: args.catch_up,
        task: prepared.send_ahead(context, &mut server).await?,
    };
    // Not repeated when the connection is lost: it would be there twice.
    let view: ScheduleView = server.link.control().await?.ask(Call::AddSchedule(Box::new(schedule))).await?;
    if context.screen.is_json() {
        context.screen.json(&view)?;
    } else {
        context.screen.line(view.id.to_string())?;
        context.screen.note(format!("next at {}, while a server runs (conductor up)", rfc3339(view.next_at)));
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn list(context: &mut Context<'_>) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let schedules: Vec<ScheduleView> = server.link.ask(&Call::Schedules).await?;
    if context.screen.is_json() {
        context.screen.json(&schedules)?;
    } else {
        let mut table = Table::new(&["ID", "NEXT", "CRON", "ZONE", "LAST", "NAME", "PAUSED"]);
        for schedule in &schedules {
            table.row([
                schedule.id.to_string(),
                rfc3339(schedule.next_at),
                clean(&schedule.cron),
                clean(&schedule.time_zone),
                schedule.last.as_ref().map(|last| last.state.as_str().to_owned()).unwrap_or_default(),
                schedule.name.as_deref().map(clean).unwrap_or_default(),
                schedule.paused.as_deref().map(clean).unwrap_or_default(),
            ]);
        }
        table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}

async fn rm(context: &mut Context<'_>, args: &args::ScheduleIds) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    for id in &args.ids {
        let _done: Done =
            server.link.control().await?.ask(Call::RemoveSchedule(ScheduleRef { id: *id })).await?;
    }
    let ids: Vec<String> = args.ids.iter().map(ToString::to_string).collect();
    match context.screen.is_json() {
        true => context.screen.json(&serde_json::json!({ "ids": ids }))?,
        false => ids.iter().try_for_each(|id| context.screen.line(id))?,
    }
    server.close(context, &[]).await?;
    Ok(Exit::Succeeded)
}
