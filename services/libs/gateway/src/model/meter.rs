//! What a run uses of its model, and what it may.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a model is taken to cost whose price nobody said, where only so much may be spent.
pub const ASSUMED_PRICE: Price = Price { input: 20.0, cached_input: 2.0, output: 75.0 };

/// What may be used; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// Tokens: input, cached input and output together.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar. A model without a price is taken to have [`ASSUMED_PRICE`].
    pub usd_micros: Option<u64>,
}

/// US dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Of input that was not cached.
    pub input: f64,
    /// Of input that was.
    pub cached_input: f64,
    /// Of output.
    pub output: f64,
}

/// What was used. While an answer comes its output is estimated from its length, until the model tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Requests that the model took.
    pub requests: u64,
    /// Input that was not cached.
    pub input_tokens: u64,
    /// Input that was.
    pub cached_input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// Millionths of a US dollar, as far as prices are known.
    pub usd_micros: f64,
    /// Whether something was used whose price is not known.
    pub is_cost_unknown: bool,
    /// What it came to at most, in millionths of a US dollar: with an assumed price where none is known.
    pub most_usd_micros: f64,
}

impl Used {
    /// Input, cached input and output together.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.input_tokens + self.cached_input_tokens + self.output_tokens
    }
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// That of tokens, which is this.
    Tokens(u64),
    /// That of cost, which is this, in millionths of a US dollar.
    Cost(u64),
    /// That of cost, which is this, if the model costs what is assumed of one without a price.
    UnknownPrice(u64),
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(most) => write!(f, "the run used its {most} tokens and may use no more"),
            Self::Cost(most) => {
                let most = *most as f64 / 1e6;
                write!(f, "the run used its {most:.2} US dollars and may use no more")
            }
            Self::UnknownPrice(most) => {
                let most = *most as f64 / 1e6;
                write!(
                    f,
                    "the run may cost {most:.2} US dollars, the price of its model is not known, and at the highest it has cost that"
                )
            }
        }
    }
}

/// What one answer used so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answered {
    pub model: Option<String>,
    pub input: u64,
    pub cached: u64,
    pub output: u64,
}

#[derive(Debug)]
pub(super) struct Meter {
    prices: Vec<(String, Price)>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: Limit,
    used: Used,
    exceeded: Option<Exceeded>,
}

impl Meter {
    pub fn new(limit: Limit, prices: Vec<(String, Price)>) -> Self {
        Self { prices, state: Mutex::new(State { limit, used: Used::default(), exceeded: None }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn used(&self) -> Used {
        self.state().used
    }

    pub fn exceeded(&self) -> Option<Exceeded> {
        self.state().exceeded
    }

    pub fn set_limit(&self, limit: Limit) {
        let mut state = self.state();
        state.limit = limit;
        state.exceeded = None;
        state.look();
    }

    pub fn asked(&self) {
        self.state().used.requests += 1;
    }

    /// Takes that an answer now comes to `now` where it came to `before`; says which limit is passed.
    pub fn count(&self, before: &Answered, now: &Answered) -> Option<Exceeded> {
        let (was, is) = (self.cost(before), self.cost(now));
        let mut state = self.state();
        let used = &mut state.used;
        let moved = |total: &mut u64, before: u64, now: u64| *total = total.saturating_sub(before) + now;
        moved(&mut used.input_tokens, before.input, now.input);
        moved(&mut used.cached_input_tokens, before.cached, now.cached);
        moved(&mut used.output_tokens, before.output, now.output);
        match is {
            Some(cost) => used.usd_micros = (used.usd_micros - was.unwrap_or(0.0) + cost).max(0.0),
            None => used.is_cost_unknown = true,
        }
        let most = |known: Option<f64>, of| known.unwrap_or_else(|| ASSUMED_PRICE.of(of));
        used.most_usd_micros = (used.most_usd_micros - most(was, before) + most(is, now)).max(0.0);
        state.look();
        state.exceeded
    }

    fn cost(&self, answered: &Answered) -> Option<f64> {
        if answered.input + answered.cached + answered.output == 0 {
            return Some(0.0);
        }
        let names = self.prices.iter().map(|(name, price)| (name.as_str(), price));
        named(names, answered.model.as_deref().unwrap_or_default()).map(|price| price.of(answered))
    }
}

impl Price {
    /// Millionths of a US dollar for what was used.
    fn of(&self, answered: &Answered) -> f64 {
        let of = |tokens: u64, price: f64| tokens as f64 * price;
        of(answered.input, self.input)
            + of(answered.cached, self.cached_input)
            + of(answered.output, self.output)
    }
}

/// What belongs to a model: what is under its name, else under the longest beginning of it that ends in `*`.
pub fn named<'a, T>(names: impl Iterator<Item = (&'a str, T)>, model: &str) -> Option<T> {
    let fit = names.filter_map(|(name, of)| match name.strip_suffix('*') {
        _ if name == model => Some((usize::MAX, of)),
        Some(beginning) if model.starts_with(beginning) => Some((beginning.len(), of)),
        Some(_) | None => None,
    });
    fit.max_by_key(|(length, _)| *length).map(|(_, of)| of)
}

impl State {
    fn look(&mut self) {
        if self.exceeded.is_some() {
            return;
        }
        let Used { usd_micros, is_cost_unknown, most_usd_micros, .. } = self.used;
        let tokens = self.used.tokens();
        self.exceeded = match self.limit {
            Limit { tokens: Some(most), .. } if tokens >= most => Some(Exceeded::Tokens(most)),
            Limit { usd_micros: Some(most), .. } if usd_micros >= most as f64 => Some(Exceeded::Cost(most)),
            Limit { usd_micros: Some(most), .. } if is_cost_unknown && most_usd_micros >= most as f64 => {
                Some(Exceeded::UnknownPrice(most))
            }
            Limit { .. } => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(input: u64, output: u64) -> Answered {
        Answered { model: Some("m".into()), input, cached: 0, output }
    }

    #[test]
    fn an_estimate_is_replaced_by_what_the_model_tells() {
        let price = Price { input: 1.0, cached_input: 0.1, output: 10.0 };
        let meter = Meter::new(Limit::default(), vec![("m".into(), price)]);
        let (first, second) = (answered(100, 50), answered(100, 20));
        assert_eq!(meter.count(&Answered::default(), &first), None);
        assert_eq!(meter.count(&first, &second), None);
        let used = meter.used();
        assert_eq!((used.input_tokens, used.output_tokens), (100, 20));
        assert!((used.usd_micros - 300.0).abs() < 1e-9 && !used.is_cost_unknown);
    }

    #[test]
    fn a_limit_is_passed_once_and_a_higher_one_opens_again() {
        let limit = Limit { tokens: Some(100), usd_micros: None };
        let meter = Meter::new(limit, Vec::new());
        let (first, second) = (answered(60, 0), answered(60, 40));
        assert_eq!(meter.count(&Answered::default(), &first), None);
        assert_eq!(meter.count(&first, &second), Some(Exceeded::Tokens(100)));
        meter.set_limit(Limit { tokens: Some(200), usd_micros: None });
        assert_eq!(meter.exceeded(), None);
        meter.set_limit(Limit { tokens: Some(90), usd_micros: None });
        assert_eq!(meter.exceeded(), Some(Exceeded::Tokens(90)));
    }

    #[test]
    fn a_limit_of_cost_holds_for_what_has_no_price() {
        let limit = Limit { tokens: None, usd_micros: Some(750) };
        let meter = Meter::new(limit, vec![("other".into(), Price::default())]);
        assert_eq!(meter.count(&Answered::default(), &answered(0, 9)), None);
        assert_eq!(meter.count(&answered(0, 9), &answered(0, 10)), Some(Exceeded::UnknownPrice(750)));
        assert!(meter.used().is_cost_unknown && meter.used().usd_micros < 1.0, "what it cost nobody knows");
    }

    #[test]
    fn a_name_that_ends_in_a_star_is_all_that_begin_so_and_the_longest_holds() {
        let names = [("*", 0), ("gpt-5*", 1), ("gpt-5-mini*", 2), ("gpt-5", 3)];
        let found = |model: &str| named(names.into_iter(), model);
        assert_eq!(
            ["gpt-5", "gpt-5-x", "gpt-5-mini-1", "other"].map(found),
            [Some(3), Some(1), Some(2), Some(0)]
        );
        assert_eq!(named([("gpt-5", 1)].into_iter(), "gpt-5-x"), None);
    }
}
