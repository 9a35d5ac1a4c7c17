//! The audit, from History.

use conductor_core::Seq;
use conductor_protocol::control::{AuditCall, AuditEntry, AuditFault, AuditPage, AuditVerified, VerifyAudit};
use conductor_protocol::{Code, Problem, limits};
use conductor_store::history::{AuditDigest, AuditQuery, AuditStretch};

use super::super::Context;
use super::list::DEFAULT_PAGE;
use crate::view;

/// Who did what.
pub(super) async fn list(context: &Context, call: AuditCall) -> Result<AuditPage, Problem> {
    let limit = call.limit.unwrap_or(DEFAULT_PAGE);
    if limit == 0 || limit > limits::MAX_PAGE {
        return Err(Problem::new(Code::InvalidRequest, format!("limit: from 1 to {}", limits::MAX_PAGE)));
    }
    let seq = context.engine.look(|machine, _| machine.state().seq()).await?;
    context.follower.reach(seq).await;
    let query =
        AuditQuery { limit: limit as usize, older_than: call.before.map(Seq), ..AuditQuery::default() };
    let page = context.follower.read(move |history| history.audit(&query)).await?;
    let items = page.records.into_iter().map(|record| {
        let tasks: Vec<String> = record.tasks.iter().map(ToString::to_string).collect();
        let subject = match (&record.detail, tasks.is_empty()) {
            (Some(detail), true) => detail.to_string(),
            (Some(detail), false) => format!("{} {detail}", tasks.join(" ")),
            (None, _) => tasks.join(" "),
        };
        AuditEntry {
            seq: record.seq.0,
            at: record.at,
            action: record.action.to_string(),
            subject,
            by: record.actor.name.to_string(),
            role: view::role_text(record.actor.role).to_owned(),
            via: record.actor.via.to_string(),
            address: record.actor.address.as_deref().map(ToOwned::to_owned),
        }
    });
    Ok(AuditPage { items: items.collect() })
}

/// Checks that the audit is as it was written.
pub(super) async fn verify(context: &Context, call: VerifyAudit) -> Result<AuditVerified, Problem> {
    let digest = call.digest.as_deref().map(digest).transpose()?;
    let seq = context.engine.look(|machine, _| machine.state().seq()).await?;
    context.follower.reach(seq).await;
    let stretch = AuditStretch { after: Seq(call.after), digest, until: call.until.map(Seq) };
    let found = context.follower.read(move |history| history.verify_audit(&stretch)).await?;
    Ok(AuditVerified {
        records: found.records,
        undigested: found.undigested,
        through: found.through.0,
        digest: found.digest.map(|AuditDigest(bytes)| hex::encode(bytes)),
        more: found.more,
        fault: found.fault.map(|fault| AuditFault { seq: fault.seq.0, what: fault.what }),
    })
}

fn digest(text: &str) -> Result<AuditDigest, Problem> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map(|()| AuditDigest(bytes))
        .map_err(|_| Problem::at("/digest", "a digest has 64 hexadecimal digits"))
}
