//! What was spent and what is set aside.

use std::collections::BTreeMap;

use crate::budget::{Amount, Limit, MAX_GROUPS};
use crate::id::{Lease, TaskId};
use crate::image::{BudgetImage, LedgerImage};
use crate::name::Name;
use crate::state::{ApplyError, State};
use crate::time::Wall;

/// What a live task may spend and has spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Account {
    /// What it names itself.
    pub(crate) limit: Limit,
    /// By its attempts, and by what is below it.
    pub(crate) spent: Amount,
    /// Set aside for its run.
    pub(crate) held: Option<Held>,
    /// Set aside for runs below it. It follows from them.
    pub(crate) below: Amount,
}

/// What is set aside for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// How much. Of a task that runs it shrinks by what is spent below it.
    pub(crate) amount: Amount,
    /// The running task above it out of whose amount this is taken. Without one it counts against everybody's day, and
    /// without one of its own group against its group's.
    pub(crate) cover: Option<TaskId>,
}

/// What everybody spent in a day and what is set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// When the day began.
    day: Wall,
    spent: Amount,
    groups: BTreeMap<Name, Amount>,
    /// Set aside for what runs. It follows from the tasks.
    held: Amount,
    held_by_group: BTreeMap<Name, Amount>,
}

impl Ledger {
    /// What was spent on a day: the last one that anything was spent on, or one before it.
    pub(crate) fn spent(&self, day: Wall, group: Option<&Name>) -> Amount {
        match group {
            _ if day > self.day => Amount::default(),
            None => self.spent,
            Some(group) => self.groups.get(group).copied().unwrap_or_default(),
        }
    }

    pub(crate) fn held(&self, group: Option<&Name>) -> Amount {
        match group {
            None => self.held,
            Some(group) => self.held_by_group.get(group).copied().unwrap_or_default(),
        }
    }

    /// The day of which something is known, if anything was spent on it.
    pub(crate) fn day(&self) -> Option<Wall> {
        (!self.spent.is_zero()).then_some(self.day)
    }

    fn hold_of(&mut self, group: &Name, amount: Amount) {
        if !amount.is_zero() {
            self.held_by_group.entry(group.clone()).or_default().add(amount);
        }
    }

    fn release_of(&mut self, group: &Name, amount: Amount) {
        if let Some(held) = self.held_by_group.get_mut(group) {
            held.take(amount);
            if held.is_zero() {
                self.held_by_group.remove(group);
            }
        }
    }

    fn spend(&mut self, day: Wall, group: &Name, amount: Amount) {
        if amount.is_zero() {
            return;
        }
        if day > self.day {
            (self.day, self.spent) = (day, Amount::default());
            self.groups.clear();
        }
        self.spent.add(amount);
        if self.groups.contains_key(group) || self.groups.len() < MAX_GROUPS {
            self.groups.entry(group.clone()).or_default().add(amount);
        }
    }

    pub(crate) fn image(&self) -> Option<LedgerImage> {
        let groups = self.groups.iter().map(|(group, spent)| (group.clone(), *spent)).collect();
        self.day().map(|day| LedgerImage { day, spent: self.spent, groups })
    }

    pub(crate) fn restore(&mut self, image: LedgerImage) {
        (self.day, self.spent) = (image.day, image.spent);
        self.groups = image.groups.into_vec().into_iter().collect();
    }
}

impl State {
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn budget_asked(&mut self, task: TaskId, limit: Limit) -> Result<(), ApplyError> {
        let known = self.tasks.get_mut(&task).ok_or(ApplyError::Task(task))?;
        known.rare_mut().account.limit = limit;
        Ok(())
    }

    pub(super) fn budget_held(
        &mut self,
        task: TaskId,
        lease: Lease,
        amount: Amount,
        cover: Option<TaskId>,
    ) -> Result<(), ApplyError> {
        let known = self.tasks.get(&task).ok_or(ApplyError::Task(task))?;
        if known.run().is_none_or(|run| run.lease != lease) || known.account().held.is_some() {
            return Err(ApplyError::Lease(lease));
        }
        self.hold(task, Held { amount, cover });
        Ok(())
    }

    /// Sets something aside for a run; live and from a snapshot.
    pub(super) fn hold(&mut self, task: TaskId, held: Held) {
        self.tasks.get_mut(&task).expect("the caller has seen it").rare_mut().account.held = Some(held);
        self.above(task, held.cover, |account| account.below.add(held.amount));
        self.hold_days(task, held);
    }

    /// Whether what is set aside for a run counts against its group's day: nothing of the same group covers it.
    pub(crate) fn counts_for_its_group(&self, task: TaskId, cover: Option<TaskId>) -> bool {
        cover.is_none_or(|cover| self.group_of(cover) != self.group_of(task))
    }

    /// Sets something aside of the days that a run counts against.
    fn hold_days(&mut self, task: TaskId, held: Held) {
        let Held { amount, cover } = held;
        if cover.is_none() {
            self.ledger.held.add(amount);
        }
        if self.counts_for_its_group(task, cover) {
            let group = self.group_of(task).expect("it is live").clone();
            self.ledger.hold_of(&group, amount);
        }
    }

    /// Lets go of something that was set aside of the days that a run counts against.
    fn release_days(&mut self, task: TaskId, held: Held) {
        let Held { amount, cover } = held;
        if cover.is_none() {
            self.ledger.held.take(amount);
        }
        if self.counts_for_its_group(task, cover) {
            let group = self.group_of(task).expect("it is live").clone();
            self.ledger.release_of(&group, amount);
        }
    }

    /// Lets go of a part of what is set aside for a task's run.
    fn release(&mut self, task: TaskId, cover: Option<TaskId>, part: Amount) {
        self.above(task, cover, |account| account.below.take(part));
        self.release_days(task, Held { amount: part, cover });
    }

    pub(super) fn budget_spent(
        &mut self,
        task: TaskId,
        lease: Lease,
        day: Wall,
        amount: Amount,
        own: Amount,
    ) -> Result<(), ApplyError> {
        let known = self.tasks.get_mut(&task).ok_or(ApplyError::Task(task))?;
        if known.run().is_none_or(|run| run.lease != lease) {
            return Err(ApplyError::Lease(lease));
        }
        let account = &mut known.rare_mut().account;
        account.spent.add(own);
        let held = account.held.take();
        self.above(task, None, |account| account.spent.add(own));
        if let Some(Held { amount: aside, cover }) = held {
            self.release(task, cover, aside);
            self.uncover(task, cover);
            self.take_from(cover, amount);
        }
        let group = self.group_of(task).expect("it is live").clone();
        self.ledger.spend(day, &group, amount);
        Ok(())
    }

    /// What is gone below a run comes out of what was set aside for it.
    fn take_from(&mut self, cover: Option<TaskId>, amount: Amount) {
        let mut next = cover;
        while let Some(cover) = next {
            let known = self.tasks.get_mut(&cover).and_then(|task| task.rare.as_mut());
            let Some(held) = known.and_then(|rare| rare.account.held.as_mut()) else { break };
            let part = held.amount.min(amount);
            held.amount.take(part);
            next = held.cover;
            self.release(cover, next, part);
        }
    }

    /// What was set aside for a run is let go; what is for runs below it that go on counts by itself from now on.
    fn uncover(&mut self, task: TaskId, cover: Option<TaskId>) {
        let parent = self.tasks.get(&task).and_then(|task| task.parent());
        for below in self.all_below(task) {
            let Some(rare) = self.tasks.get_mut(&below).and_then(|task| task.rare.as_mut()) else { continue };
            let Some(held) = rare.account.held.as_mut().filter(|held| held.cover == Some(task)) else {
                continue;
            };
            let before = *held;
            held.cover = cover;
            let amount = held.amount;
            self.from(parent, cover, &mut |account| account.below.add(amount));
            self.release_days(below, before);
            self.hold_days(below, Held { amount, cover });
        }
    }

    /// Changes the accounts of the tasks above a task, up to one of them or all.
    fn above(&mut self, task: TaskId, last: Option<TaskId>, mut change: impl FnMut(&mut Account)) {
        let first = self.tasks.get(&task).and_then(|task| task.parent());
        self.from(first, last, &mut change);
    }

    fn from(&mut self, first: Option<TaskId>, last: Option<TaskId>, change: &mut impl FnMut(&mut Account)) {
        let mut next = first;
        while let Some((id, task)) = next.and_then(|id| Some((id, self.tasks.get_mut(&id)?))) {
            change(&mut task.rare_mut().account);
            next = task.parent().filter(|_| last != Some(id));
        }
    }

    /// A task is over while others run below it: what is set aside for them is none of those above it any more. What covered
    /// it is parted from them, too.
    pub(super) fn cut_off(&mut self, id: TaskId, parent: Option<TaskId>) {
        let above: Vec<_> =
            parent.into_iter().flat_map(|parent| self.line(parent)).map(|(id, _)| id).collect();
        for below in self.all_below(id) {
            let Some(held) = self.live(below).and_then(|task| task.account().held) else { continue };
            if held.cover.is_some_and(|cover| !above.contains(&cover)) {
                continue;
            }
            self.from(parent, held.cover, &mut |account| account.below.take(held.amount));
            if held.cover.is_some() {
                self.release_days(below, held);
                self.take_from(held.cover, held.amount);
                let alone = Held { cover: None, ..held };
                self.tasks.get_mut(&below).expect("it was just seen").rare_mut().account.held = Some(alone);
                self.hold_days(below, alone);
            }
        }
    }

    pub(super) fn budget_images(&self) -> impl Iterator<Item = BudgetImage> + '_ {
        self.tasks.iter().filter_map(|(id, task)| {
            let Account { limit, spent, held, below: _ } = task.account();
            let is_plain = limit.is_none() && spent.is_zero() && held.is_none();
            let held = held.map(|held| (held.amount, held.cover));
            (!is_plain).then_some(BudgetImage { task: *id, limit, spent, held })
        })
    }

    pub(super) fn restore_budget(&mut self, image: BudgetImage) -> Result<(), TaskId> {
        let BudgetImage { task, limit, spent, held } = image;
        let known = self.tasks.get_mut(&task).ok_or(task)?;
        let runs = known.run().is_some();
        let account = &mut known.rare_mut().account;
        (account.limit, account.spent) = (limit, spent);
        if let Some((amount, cover)) = held {
            if !runs || account.held.is_some() {
                return Err(task);
            }
            self.hold(task, Held { amount, cover });
        }
        Ok(())
    }
}
