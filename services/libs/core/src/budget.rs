//! What tasks may spend: amounts, limits, and the days by which they are counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::name::Name;
use crate::task::Usage;
use crate::time::Wall;

/// Without a limit of its own a task may spend this share of what everybody may in a day.
pub const DAY_SHARE: u64 = 10;
/// How much of a day's budget is spent when somebody is told of it, in hundredths.
pub const NEAR_PERCENT: u64 = 80;
/// How many groups a day's spending is kept of one by one.
pub const MAX_GROUPS: usize = 10_000;

const DAY_MS: i64 = 86_400_000;

/// Money and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// In millionths of a US dollar.
    pub usd_micros: u64,
    /// Input, cached input and output together.
    pub tokens: u64,
}

/// What a run has spent since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// At most, as budgets count it.
    pub amount: Amount,
    /// What is known of it, as its end would tell it.
    pub usage: Usage,
}

impl Amount {
    /// What is known of a use.
    #[must_use]
    pub fn of(usage: &Usage) -> Self {
        let tokens = usage.input_tokens.saturating_add(usage.output_tokens);
        Self {
            usd_micros: usage.cost_usd_micros.unwrap_or(0),
            tokens: tokens.saturating_add(usage.cached_input_tokens),
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.usd_micros = self.usd_micros.saturating_add(more.usd_micros);
        self.tokens = self.tokens.saturating_add(more.tokens);
    }

    pub(crate) fn take(&mut self, less: Self) {
        self.usd_micros = self.usd_micros.saturating_sub(less.usd_micros);
        self.tokens = self.tokens.saturating_sub(less.tokens);
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self { usd_micros: self.usd_micros.min(other.usd_micros), tokens: self.tokens.min(other.tokens) }
    }

    /// How much there is of a unit.
    #[must_use]
    pub fn get(self, unit: Unit) -> u64 {
        match unit {
            Unit::Usd => self.usd_micros,
            Unit::Tokens => self.tokens,
        }
    }
}

/// In what something is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Millionths of a US dollar.
    Usd,
    /// Tokens.
    Tokens,
}

impl Unit {
    pub(crate) const ALL: [Self; 2] = [Self::Usd, Self::Tokens];

    /// So many of it, for people.
    #[must_use]
    pub fn told(self, count: u64) -> String {
        match self {
            Self::Usd => {
                let cents = count.div_ceil(10_000);
                format!("{}.{:02} USD", cents / 100, cents % 100)
            }
            Self::Tokens => format!("{count} tokens"),
        }
    }
}

/// The most that may be spent; none is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// In millionths of a US dollar.
    pub usd_micros: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl Limit {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The limit of a unit.
    #[must_use]
    pub fn get(self, unit: Unit) -> Option<u64> {
        match unit {
            Unit::Usd => self.usd_micros,
            Unit::Tokens => self.tokens,
        }
    }

    pub(crate) fn set(&mut self, unit: Unit, most: Option<u64>) {
        match unit {
            Unit::Usd => self.usd_micros = most,
            Unit::Tokens => self.tokens = most,
        }
    }

    /// Lowers the limit of a unit to so many.
    pub(crate) fn lower(&mut self, unit: Unit, most: u64) {
        self.set(unit, Some(self.get(unit).map_or(most, |known| known.min(most))));
    }

    /// The same with another's limits where it has none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { usd_micros: self.usd_micros.or(other.usd_micros), tokens: self.tokens.or(other.tokens) }
    }

    /// The unit of which so much was spent that nothing is left.
    #[must_use]
    pub fn reached(self, spent: Amount) -> Option<(Unit, u64)> {
        let reached = |unit: Unit| self.get(unit).filter(|most| spent.get(unit) >= *most);
        Unit::ALL.into_iter().find_map(|unit| Some((unit, reached(unit)?)))
    }

    /// What it comes to where it limits; nothing where it does not.
    pub(crate) fn amount(self) -> Amount {
        Amount { usd_micros: self.usd_micros.unwrap_or(0), tokens: self.tokens.unwrap_or(0) }
    }
}

/// What the runs of a runner spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Meter {
    /// Nothing.
    #[default]
    Nothing,
    /// Tokens that cost nothing, of which it always tells how many.
    Tokens,
    /// Money and tokens. What it does not tell is counted as all that it might have spent.
    Money,
}

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purse {
    /// Everybody's of the day.
    Day,
    /// A group's of the day.
    Group(Name),
    /// That of a task and all below it.
    Task(crate::id::TaskId),
}

/// A budget that has nothing left to set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// Whose.
    pub purse: Purse,
    /// Of what.
    pub unit: Unit,
    /// The most of it.
    pub limit: u64,
    /// How much is spent.
    pub spent: u64,
    /// How much is set aside for what runs.
    pub held: u64,
}

/// The rules of what tasks may spend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budgets {
    /// A task that runs something and names no budget.
    pub task: Limit,
    /// Everybody in a day.
    pub day: Limit,
    /// Groups in a day.
    pub groups: BTreeMap<Name, Limit>,
    /// What the runs of runners spend; others spend nothing.
    pub meters: BTreeMap<Name, Meter>,
    /// When days begin, in order; beyond the last of them a day has 24 hours.
    pub midnights: Arc<[Wall]>,
}

impl Budgets {
    /// What the runs of a runner spend.
    #[must_use]
    pub fn meter(&self, runner: &Name) -> Meter {
        self.meters.get(runner).copied().unwrap_or_default()
    }

    /// Whether tokens have a limit that no task named.
    pub(crate) fn limits_tokens(&self) -> bool {
        let others = || self.groups.values().any(|limit| limit.tokens.is_some());
        self.task.tokens.is_some() || self.day.tokens.is_some() || others()
    }

    /// When the day of an instant began.
    #[must_use]
    pub fn day_of(&self, now: Wall) -> Wall {
        let after = self.midnights.partition_point(|midnight| *midnight <= now);
        let known = after.checked_sub(1).map(|index| self.midnights[index]);
        let begin = match known {
            Some(begin) if after < self.midnights.len() => return begin,
            Some(last) => last,
            None => Wall(0),
        };
        Wall(begin.0 + (now.0 - begin.0).div_euclid(DAY_MS) * DAY_MS)
    }

    /// When the day after that of an instant begins.
    #[must_use]
    pub fn next_day(&self, now: Wall) -> Wall {
        let after = self.midnights.partition_point(|midnight| *midnight <= now);
        match self.midnights.get(after) {
            Some(midnight) if after > 0 => *midnight,
            Some(_) | None => Wall(self.day_of(now).0 + DAY_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_lasts_from_one_midnight_to_the_next_and_24_hours_beyond_those_known() {
        let midnights = [1_000, 90_000_000, 170_000_000].map(Wall);
        let rules = Budgets { midnights: Arc::new(midnights), ..Budgets::default() };
        for (now, begin, end) in [
            (1_000, 1_000, 90_000_000),
            (89_999_999, 1_000, 90_000_000),
            (90_000_000, 90_000_000, 170_000_000),
            (170_000_001, 170_000_000, 256_400_000),
            (256_400_000, 256_400_000, 342_800_000),
            (999, 0, DAY_MS),
            (-1, -DAY_MS, 0),
        ] {
            assert_eq!(
                (rules.day_of(Wall(now)), rules.next_day(Wall(now))),
                (Wall(begin), Wall(end)),
                "{now}"
            );
        }
        let plain = Budgets::default();
        assert_eq!(
            (plain.day_of(Wall(DAY_MS + 5)), plain.next_day(Wall(DAY_MS + 5))),
            (Wall(DAY_MS), Wall(2 * DAY_MS))
        );
    }

    #[test]
    fn money_is_told_in_dollars_and_never_as_less_than_it_is() {
        assert_eq!(Unit::Usd.told(5_000_000), "5.00 USD");
        assert_eq!(Unit::Usd.told(1), "0.01 USD");
        assert_eq!(Unit::Usd.told(12_345_678), "12.35 USD");
        assert_eq!(Unit::Tokens.told(7), "7 tokens");
    }
}
