//! What may be spent today, and what is: for everybody, and for each group that has a budget.

use conductor_core::{NEAR_PERCENT, Unit, Wall};
use conductor_protocol::control::BudgetView;

use crate::format;
use crate::ui::{self, Html};
use crate::words::Words;

/// Groups that the overview shows, those first that have least left; the page of the queue shows all.
pub const SHOWN: usize = 6;
/// Differences below this, in US dollars, are those of rounding.
const ROUNDING_USD: f64 = 0.005;

/// The budgets that a viewer sees. There are none where all that they see are groups without one.
#[derive(Debug)]
pub struct Budgets {
    /// When all of them count anew.
    pub anew: Html,
    /// Everybody's first.
    pub purses: Vec<Purse>,
    /// Why more counts as spent than tasks tell.
    pub untold: Option<String>,
}

/// Whose budget it is.
#[derive(Debug)]
pub struct Purse {
    pub name: String,
    /// One for each unit that has a limit.
    pub limits: Vec<Limit>,
    /// What is spent, where nothing limits it.
    pub unlimited: Option<String>,
}

/// One unit of a budget.
#[derive(Debug)]
pub struct Limit {
    /// The class that gives it its colour.
    pub class: &'static str,
    pub spent: String,
    pub rest: String,
    pub meter: Html,
}

impl Budgets {
    /// Tells the budgets beside what the tasks of today say that they cost, where that is known for everybody.
    #[must_use]
    pub fn new(
        w: &'static Words,
        now: Wall,
        budgets: &[BudgetView],
        told_usd: Option<f64>,
        most: usize,
    ) -> Option<Self> {
        let until = budgets.first()?.until;
        let mut order: Vec<&BudgetView> = budgets.iter().collect();
        order.sort_by(|one, other| {
            let nearest = share(other).total_cmp(&share(one));
            one.group
                .is_some()
                .cmp(&other.group.is_some())
                .then(nearest)
                .then_with(|| one.group.cmp(&other.group))
        });
        let all = budgets.iter().find(|budget| budget.group.is_none());
        let untold = all.zip(told_usd).map(|(all, told)| all.spent_usd - told);
        Some(Self {
            anew: ui::ago(w, now, until),
            purses: order.into_iter().take(most).map(|budget| Purse::new(w, budget)).collect(),
            untold: untold
                .filter(|amount| *amount >= ROUNDING_USD)
                .map(|amount| w.spent_untold(&format::dollars(amount))),
        })
    }
}

/// How much of a budget is spent or set aside, in the unit that has least left.
fn share(budget: &BudgetView) -> f64 {
    let part = |used: f64, limit: Option<f64>| match limit {
        Some(limit) if limit > 0.0 => used / limit,
        Some(_) => f64::INFINITY,
        None => 0.0,
    };
    let tokens = (budget.spent_tokens.saturating_add(budget.reserved_tokens)) as f64;
    part(budget.spent_usd + budget.reserved_usd, budget.limit_usd)
        .max(part(tokens, budget.limit_tokens.map(|limit| limit as f64)))
}

impl Purse {
    fn new(w: &'static Words, budget: &BudgetView) -> Self {
        let usd = budget
            .limit_usd
            .map(|limit| Limit::new(w, Unit::Usd, [budget.spent_usd, budget.reserved_usd, limit]));
        let tokens = budget.limit_tokens.map(|limit| {
            let amounts = [budget.spent_tokens, budget.reserved_tokens, limit].map(|amount| amount as f64);
            Limit::new(w, Unit::Tokens, amounts)
        });
        let limits: Vec<Limit> = usd.into_iter().chain(tokens).collect();
        let unlimited = limits.is_empty().then(|| {
            let tokens = w.tokens_short(budget.spent_tokens as f64);
            format!("{} {} · {tokens}", w.no_day_limit, format::dollars(budget.spent_usd))
        });
        Self { name: budget.group.clone().unwrap_or_else(|| w.everybody.to_owned()), limits, unlimited }
    }
}

impl Limit {
    fn new(w: &Words, unit: Unit, [spent, held, limit]: [f64; 3]) -> Self {
        let number = |amount: f64| match unit {
            Unit::Usd => format::dollars(amount),
            Unit::Tokens => format::short_number(amount),
        };
        let whole = match unit {
            Unit::Usd => format::dollars(limit),
            Unit::Tokens => w.tokens_short(limit),
        };
        let left = (limit - spent - held).max(0.0);
        let class = match spent {
            spent if spent >= limit => "out",
            spent if spent * 100.0 >= limit * NEAR_PERCENT as f64 => "near",
            _ => "",
        };
        Self {
            class,
            spent: w.spent_of(&number(spent), &whole),
            rest: w.held_and_left(&number(held), &number(left)),
            meter: ui::meter(spent, held, limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    fn budget(group: Option<&str>, spent_usd: f64, limit_usd: Option<f64>) -> BudgetView {
        BudgetView {
            group: group.map(str::to_owned),
            until: Wall(3_600_000),
            spent_usd,
            limit_usd,
            ..BudgetView::default()
        }
    }

    fn told(budgets: &[BudgetView], told_usd: Option<f64>, most: usize) -> Budgets {
        Budgets::new(Lang::En.words(), Wall(0), budgets, told_usd, most).unwrap()
    }

    #[test]
    fn what_is_spent_set_aside_and_left_is_told_of_each_unit_that_has_a_limit() {
        let all = BudgetView {
            reserved_usd: 5.0,
            limit_tokens: Some(10_000),
            spent_tokens: 9_000,
            reserved_tokens: 2_500,
            ..budget(None, 12.5, Some(50.0))
        };
        let told = told(&[all], Some(12.5), SHOWN);
        let limits: Vec<_> =
            told.purses[0].limits.iter().map(|it| (it.class, &*it.spent, &*it.rest)).collect();
        assert_eq!(
            limits,
            [
                ("", "$12.50 of $50.00", "$5.00 set aside · $32.50 left"),
                ("near", "9k of 10k tokens", "2.5k set aside · 0 left"),
            ]
        );
        assert_eq!((told.purses[0].unlimited.as_deref(), told.untold.as_deref()), (None, None));
        assert!(told.anew.to_string().contains("in 1h"), "{:?}", told.anew);
    }

    #[test]
    fn where_nothing_limits_the_day_that_is_said_beside_what_was_spent() {
        let told = told(&[budget(None, 3.0, None)], Some(1.0), SHOWN);
        assert!(told.purses[0].limits.is_empty());
        assert_eq!(told.purses[0].unlimited.as_deref(), Some("No budget limits the day. $3.00 · 0 tokens"));
        assert_eq!(
            told.untold.as_deref(),
            Some("$2.00 of it is counted for runs that did not tell what they cost.")
        );
    }

    #[test]
    fn everybodys_budget_is_first_then_the_groups_that_have_least_left() {
        let groups = [
            budget(Some("calm"), 1.0, Some(100.0)),
            budget(Some("spent"), 4.0, Some(4.0)),
            budget(None, 1.0, Some(50.0)),
            budget(Some("none"), 0.0, Some(0.0)),
        ];
        let all = told(&groups, None, 3);
        let names: Vec<_> = all.purses.iter().map(|purse| (&*purse.name, purse.limits[0].class)).collect();
        assert_eq!(names, [("Everybody", ""), ("none", "out"), ("spent", "out")]);
        assert!(Budgets::new(Lang::En.words(), Wall(0), &[], Some(9.0), SHOWN).is_none());
    }
}
