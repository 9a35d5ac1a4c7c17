//! What a run uses of its model, and what it may.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What may be used; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit {
    /// Tokens: input, cached input and output together.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar. A model without a price passes it with its first request.
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
}

/// Which limit was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// That of tokens, which is this.
    Tokens(u64),
    /// That of cost, which is this, in millionths of a US dollar.
    Cost(u64),
    /// There is one of cost, and nobody knows what the model costs.
    UnknownPrice,
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens(most) => write!(f, "the run used its {most} tokens and may use no more"),
            Self::Cost(most) => {
                let most = *most as f64 / 1e6;
                write!(f, "the run used its {most:.2} US dollars and may use no more")
            }
            Self::UnknownPrice => {
                f.write_str("the run may cost only so much, and the price of its model is not known")
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
        state.look();
        state.exceeded
    }

    fn cost(&self, answered: &Answered) -> Option<f64> {
        if answered.input + answered.cached + answered.output == 0 {
            return Some(0.0);
        }
        let named = |wanted: &str| self.prices.iter().find(|(model, _)| model == wanted);
        let model = answered.model.as_deref().unwrap_or("*");
        let (_, price) = named(model).or_else(|| named("*"))?;
        let of = |tokens: u64, price: f64| tokens as f64 * price;
        Some(
            of(answered.input, price.input)
                + of(answered.cached, price.cached_input)
                + of(answered.output, price.output),
        )
    }
}

impl State {
    fn look(&mut self) {
        if self.exceeded.is_some() {
            return;
        }
        let Used { input_tokens, cached_input_tokens, output_tokens, usd_micros, is_cost_unknown, .. } =
            self.used;
        let tokens = input_tokens + cached_input_tokens + output_tokens;
        self.exceeded = match self.limit {
            Limit { tokens: Some(most), .. } if tokens >= most => Some(Exceeded::Tokens(most)),
            Limit { usd_micros: Some(_), .. } if is_cost_unknown => Some(Exceeded::UnknownPrice),
            Limit { usd_micros: Some(most), .. } if usd_micros >= most as f64 => Some(Exceeded::Cost(most)),
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
        let limit = Limit { tokens: None, usd_micros: Some(1) };
        let meter = Meter::new(limit, vec![("other".into(), Price::default())]);
        assert_eq!(meter.count(&Answered::default(), &answered(1, 0)), Some(Exceeded::UnknownPrice));
    }
}
