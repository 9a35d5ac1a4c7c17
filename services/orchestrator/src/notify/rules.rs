//! From the rules of the configuration to those of the machine, and where they lead.

use std::collections::HashMap;

use conductor_core::{Name, Notice, NotifyRule};
use conductor_runtime::config::{self, NotifyOn, NotifyTo};
use sha2::{Digest as _, Sha256};

/// Where rules lead, by their names.
pub(crate) type Targets = HashMap<Name, NotifyTo>;

/// A name that stays the same for as long as the rule leads there, and does not tell where.
fn name_of(to: &NotifyTo) -> Name {
    let (channel, place) = match to {
        NotifyTo::Webhook(url) => ("webhook", url.as_str()),
        NotifyTo::Slack(url) => ("slack", url.as_str()),
        NotifyTo::Ntfy(url) => ("ntfy", url.as_str()),
        NotifyTo::Mailto(mailbox) => ("mailto", mailbox.as_str()),
    };
    let digest = Sha256::digest(place);
    let digest = hex::encode(&digest[..8]);
    Name::new(&format!("{channel}-{digest}")).expect("letters, digits and a dash are a name")
}

/// The part of a rule's name that tells the channel.
pub(crate) fn channel(rule: &Name) -> &str {
    rule.as_str().split('-').next().unwrap_or_default()
}

/// The machine's rules, and where they lead.
pub(crate) fn rules(rules: &[config::NotifyRule]) -> (Vec<NotifyRule>, Targets) {
    let mut targets = Targets::new();
    let rules = rules.iter().map(|rule| {
        let name = name_of(&rule.to);
        targets.insert(name.clone(), rule.to.clone());
        // The configuration was checked: a group in it is a name.
        let group = rule.group.as_deref().and_then(|group| Name::new(group).ok());
        NotifyRule { name, on: rule.on.iter().filter_map(notice).collect(), group }
    });
    (rules.collect(), targets)
}

fn notice(on: &NotifyOn) -> Option<Notice> {
    match on {
        NotifyOn::Finished => Some(Notice::Finished),
        NotifyOn::Failed => Some(Notice::Failed),
        NotifyOn::Waiting => Some(Notice::Waiting),
        NotifyOn::Unservable => Some(Notice::Unservable),
        NotifyOn::DiskFloor => Some(Notice::DiskFloor),
        NotifyOn::ScheduleStopped => Some(Notice::ScheduleStopped),
        NotifyOn::LaneClosed => Some(Notice::LaneClosed),
        NotifyOn::Budget80 => Some(Notice::BudgetNear),
    }
}
