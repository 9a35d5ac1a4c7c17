//! What the starts of an attempt used, by what the program told and by what passed the gateway.

use conductor_core::Amount;
use conductor_gateway::{ASSUMED_PRICE, Exceeded, Limit, Used, price_named};
use conductor_runtime::config::RunnerSpec;

use super::super::outcome::Usage;
use super::parse::Known;

/// What all starts of an attempt used.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Spent {
    usage: Usage,
    /// Whether some start did not tell how much of its input was cached.
    is_input_rough: bool,
    /// Whether the cost of some start is not known.
    is_cost_unknown: bool,
    /// Millionths of a US dollar at most, where the cost of some start is not known.
    most_usd_micros: f64,
}

impl Spent {
    pub fn add(&mut self, known: &Known, spec: &RunnerSpec, model: Option<&str>, baseline: [u64; 3]) {
        let [input, output, cached] = baseline;
        let input = known.input_tokens.saturating_sub(input);
        let output = known.output_tokens.saturating_sub(output);
        let cached = known.cached_input_tokens.saturating_sub(cached);
        self.is_input_rough |= known.is_input_rough;
        let usage = &mut self.usage;
        usage.input_tokens += input;
        usage.output_tokens += output;
        usage.cached_input_tokens += cached;
        usage.turns = usage.turns.saturating_add(known.turns);
        usage.tool_calls = usage.tool_calls.saturating_add(known.tool_calls);
        if input + output + cached == 0 && known.cost_usd.is_none() {
            return;
        }
        let model = known.model.as_deref().or(model).or(spec.model.as_deref()).unwrap_or_default();
        let of = |[of_input, of_output, of_cached]: [f64; 3]| {
            let cost = input as f64 * of_input + output as f64 * of_output + cached as f64 * of_cached;
            cost / 1e6
        };
        let prices = spec.prices.iter().map(|(name, price)| (name.as_str(), price));
        let priced =
            || price_named(prices, model).map(|price| of([price.input, price.output, price.cached_input]));
        let known = known.cost_usd.or_else(priced).filter(|cost| cost.is_finite() && *cost >= 0.0);
        let assumed = || of([ASSUMED_PRICE.input, ASSUMED_PRICE.output, ASSUMED_PRICE.cached_input]);
        self.most_usd_micros += known.unwrap_or_else(assumed) * 1e6;
        match known {
            Some(cost) => {
                let micros = (cost * 1e6).round() as u64;
                usage.cost_micro_usd = Some(usage.cost_micro_usd.unwrap_or(0).saturating_add(micros));
            }
            None => self.is_cost_unknown = true,
        }
    }

    /// What was used; what passed the gateway where the program told nothing or less, and what that cost where the gateway knows.
    pub fn or_metered(&self, metered: Used) -> Usage {
        let usage = self.usage();
        // Where nothing passed the gateway it knows of no cost, which is not the same as none.
        let is_known = metered.requests > 0 && !metered.is_cost_unknown;
        let cost = is_known.then_some(metered.usd_micros.round() as u64);
        let cost_micro_usd = usage.cost_micro_usd.or(cost);
        let is_told = usage.input_tokens + usage.output_tokens + usage.cached_input_tokens > 0;
        if is_told && !self.is_input_rough {
            return Usage { cost_micro_usd, ..usage };
        }
        Usage {
            input_tokens: metered.input_tokens,
            output_tokens: metered.output_tokens,
            cached_input_tokens: metered.cached_input_tokens,
            cost_micro_usd,
            ..usage
        }
    }

    pub fn usage(&self) -> Usage {
        let cost_micro_usd = self.usage.cost_micro_usd.filter(|_| !self.is_cost_unknown);
        Usage { cost_micro_usd, ..self.usage }
    }

    /// What that comes to at most.
    pub fn amount(&self) -> Amount {
        let usage = &self.usage;
        let tokens = usage.input_tokens + usage.output_tokens + usage.cached_input_tokens;
        Amount { usd_micros: self.most_usd_micros.ceil() as u64, tokens }
    }

    /// Which limit that passes.
    pub fn exceeds(&self, limit: Limit) -> Option<Exceeded> {
        let tokens = self.amount().tokens;
        match limit {
            Limit { tokens: Some(most), .. } if tokens >= most => Some(Exceeded::Tokens(most)),
            Limit { usd_micros: Some(most), .. } if self.most_usd_micros >= most as f64 => {
                Some(if self.is_cost_unknown { Exceeded::UnknownPrice(most) } else { Exceeded::Cost(most) })
            }
            Limit { .. } => None,
        }
    }
}

/// Holds a program to what it may spend by what it tells as it goes.
#[derive(Debug, Default)]
pub(super) struct Guard<'a> {
    pub limit: Limit,
    /// What earlier starts used.
    pub before: Spent,
    pub model: Option<&'a str>,
    pub baseline: [u64; 3],
}

impl Guard<'_> {
    /// What was spent by now.
    pub fn spent(&self, known: &Known, spec: &RunnerSpec) -> Spent {
        let mut spent = self.before;
        spent.add(known, spec, self.model, self.baseline);
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::spec;
    use super::*;

    /// What a program told that knows its tokens and not its cost.
    fn told() -> Spent {
        let mut spent = Spent::default();
        let mut known = Known::default();
        (known.input_tokens, known.output_tokens) = (10, 5);
        spent.add(&known, &spec(&["true"]), Some("a-model-without-a-price"), [0; 3]);
        spent
    }

    #[test]
    fn a_cost_that_neither_the_program_nor_the_gateway_knows_is_unknown_and_not_nothing() {
        let usage = told().or_metered(Used::default());
        assert_eq!((usage.input_tokens, usage.output_tokens, usage.cost_micro_usd), (10, 5, None));
        let unpriced = Used { requests: 1, input_tokens: 10, is_cost_unknown: true, ..Used::default() };
        assert_eq!(told().or_metered(unpriced).cost_micro_usd, None);
        assert_eq!(Spent::default().or_metered(Used::default()), Usage::default());
    }

    #[test]
    fn a_cost_that_the_gateway_alone_knows_is_told() {
        let metered = Used { requests: 1, input_tokens: 10, usd_micros: 2.6, ..Used::default() };
        assert_eq!(told().or_metered(metered).cost_micro_usd, Some(3));
    }
}
