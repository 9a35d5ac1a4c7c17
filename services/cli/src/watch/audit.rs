//! The audit: who did what, and whether that is what was written.

use conductor_client::{AuditCheck, AuditHead};
use conductor_protocol::control::{AuditCall, AuditFault, AuditPage, Call};
use conductor_protocol::text::rfc3339;
use serde::Serialize;

use crate::args::{self, AuditCommand};
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::screen::{Table, clean};
use crate::server::{Need, Server};

/// What a check of the whole audit found.
#[derive(Debug, Serialize)]
struct Checked {
    /// How many records are as they were written.
    records: u64,
    /// How many an earlier build wrote, without a digest.
    undigested: u64,
    /// The last record and its digest, to be kept where nobody who can change the audit can write.
    head: Option<String>,
    fault: Option<AuditFault>,
}

/// `audit`
pub async fn audit(context: &mut Context<'_>, args: &args::Audit) -> Result<Exit, Failure> {
    let mut server = Server::find(context, Need::State).await?;
    let exit = match &args.command {
        None => list(context, &mut server, args).await?,
        Some(AuditCommand::Verify { head }) => verify(context, &mut server, head.clone()).await?,
    };
    server.close(context, &[]).await?;
    Ok(exit)
}

async fn list(context: &mut Context<'_>, server: &mut Server, args: &args::Audit) -> Result<Exit, Failure> {
    let call = AuditCall { before: args.before, limit: Some(args.limit) };
    let page: AuditPage = server.link.ask(&Call::Audit(call)).await?;
    if context.screen.is_json() {
        context.screen.json(&page)?;
    } else {
        let mut table = Table::new(&["SEQ", "AT", "BY", "VIA", "ACTION", "SUBJECT"]);
        for entry in &page.items {
            let text = [&entry.by, &entry.via, &entry.action, &entry.subject].map(|text| clean(text));
            table.row([entry.seq.to_string(), rfc3339(entry.at)].into_iter().chain(text));
        }
        table.lines(None).into_iter().try_for_each(|line| context.screen.line(line))?;
    }
    Ok(Exit::Succeeded)
}

async fn verify(
    context: &mut Context<'_>,
    server: &mut Server,
    kept: Option<AuditHead>,
) -> Result<Exit, Failure> {
    let mut check = AuditCheck::new(None, kept);
    while let Some(call) = check.next() {
        check.take(server.link.ask(&Call::VerifyAudit(call)).await?);
        context.screen.progress(format!("{} records are as they were written", check.records));
    }
    context.screen.clear_progress();
    let head = check.head().map(|head| head.to_string());
    let AuditCheck { records, undigested, fault, .. } = check;
    tell(context, &Checked { records, undigested, head, fault })
}

fn tell(context: &mut Context<'_>, checked: &Checked) -> Result<Exit, Failure> {
    let exit = if checked.fault.is_some() { Exit::Failed } else { Exit::Succeeded };
    if context.screen.is_json() {
        context.screen.json(checked)?;
        return Ok(exit);
    }
    if let Some(fault) = &checked.fault {
        let (seq, records) = (fault.seq, checked.records);
        context.screen.line(format!("record {seq}: {}", fault.what))?;
        context.screen.line(format!("the {records} records before it are as they were written"))?;
        return Ok(exit);
    }
    context.screen.line(format!("{} records are as they were written", checked.records))?;
    if checked.undigested > 0 {
        context
            .screen
            .line(format!("{} more are from an earlier build, without a digest", checked.undigested))?;
    }
    if let Some(head) = &checked.head {
        context.screen.line(format!("to check against later: --head {head}"))?;
    }
    Ok(exit)
}
