//! What an answer costs, or would have cost.

use crate::base::money::NanoUsd;
use crate::config::accounts::{Price, Rates};
use crate::wire::usage::Usage;
use ahash::AHashMap;

/// The prices in force, found by a model's name. A model that is not there has no cost that we know:
/// `cost` is `None` then, never zero.
#[derive(Debug, Default)]
pub struct PriceBook {
    exact: AHashMap<Box<str>, Priced>,
    /// Beginnings of names, the longest first.
    prefixes: Vec<(Box<str>, Priced)>,
}

#[derive(Clone, Copy, Debug)]
struct Priced {
    rates: Rates,
    long: Option<(u64, Rates)>,
}

impl PriceBook {
    /// Of several prices for one name the first counts.
    pub fn of(prices: &[Price]) -> PriceBook {
        let mut book = PriceBook::default();
        for price in prices {
            let priced = Priced { rates: price.rates, long: price.long };
            match price.model.strip_suffix('*') {
                None => {
                    book.exact.entry(price.model.as_str().into()).or_insert(priced);
                }
                Some(prefix) => book.prefixes.push((prefix.into(), priced)),
            }
        }
        // A stable sort: of equal ones the first stays first.
        book.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        book
    }

    /// What `usage` costs with `model`, to the nano-dollar, rounded down. A few hash look-ups; allocates
    /// nothing.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<NanoUsd> {
        self.find(model).map(|priced| priced.cost(usage))
    }

    /// The dearest that so many tokens can become: nothing of the prompt is cached.
    pub fn at_most(&self, model: &str, prompt: u64, completion: u64) -> Option<NanoUsd> {
        let priced = self.find(model)?;
        let rates = priced.rates_for(prompt);
        let dearest = |one: NanoUsd, other: NanoUsd| if one < other { other } else { one };
        let input = weighed(prompt, dearest(rates.input, rates.cache_write));
        let output = weighed(completion, dearest(rates.output, rates.reasoning));
        Some(per_million(input + output))
    }

    /// By its exact name; else without what stands before its last `/`; else without a date at its end.
    /// A beginning counts where no whole name does.
    fn find(&self, model: &str) -> Option<&Priced> {
        let bare = model.rsplit('/').next().unwrap_or(model);
        let names = [model, bare, undated(bare)];
        names.iter().find_map(|name| self.exact.get(*name)).or_else(|| {
            let begins = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
            self.prefixes.iter().find(|(prefix, _)| begins(prefix)).map(|(_, priced)| priced)
        })
    }
}

impl Priced {
    fn rates_for(&self, prompt: u64) -> &Rates {
        match &self.long {
            Some((from, rates)) if prompt > *from => rates,
            _ => &self.rates,
        }
    }

    fn cost(&self, usage: &Usage) -> NanoUsd {
        let Usage { prompt, completion, cached, reasoning, cache_write } = *usage;
        let rates = self.rates_for(prompt);
        let plain = prompt.saturating_sub(cached).saturating_sub(cache_write);
        let spoken = completion.saturating_sub(reasoning);
        per_million(
            weighed(plain, rates.input)
                + weighed(cached, rates.cached_input)
                + weighed(cache_write, rates.cache_write)
                + weighed(spoken, rates.output)
                + weighed(reasoning, rates.reasoning),
        )
    }
}

fn weighed(tokens: u64, rate: NanoUsd) -> u128 {
    u128::from(tokens) * u128::from(rate.0)
}

fn per_million(sum: u128) -> NanoUsd {
    NanoUsd(u64::try_from(sum / 1_000_000).unwrap_or(u64::MAX))
}

/// A model's name less the date at its end: `-2025-04-14`, `-20250929` or `@20250929`.
fn undated(name: &str) -> &str {
    let bytes = name.as_bytes();
    let ends = |shape: &[u8]| {
        let Some(start) = bytes.len().checked_sub(shape.len()).filter(|start| *start > 0) else {
            return false;
        };
        bytes[start..].iter().zip(shape).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => byte == wanted,
        })
    };
    let shapes: [&[u8]; 3] = [b"-0000-00-00", b"-00000000", b"@00000000"];
    let length = shapes.iter().find(|shape| ends(shape)).map_or(0, |shape| shape.len());
    &name[..name.len() - length]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: u64, cached_input: u64, output: u64) -> Rates {
        let [input, cached_input, output] =
            [input, cached_input, output].map(|cent| NanoUsd(cent * 10_000_000));
        Rates { input, cached_input, cache_write: NanoUsd(input.0 * 5 / 4), output, reasoning: output }
    }

    fn price(model: &str, rates: Rates) -> Price {
        Price { model: model.to_owned(), rates, long: None, known: None, source: None }
    }

    #[test]
    fn every_kind_of_token_has_its_own_price() {
        let book = PriceBook::of(&[price("m", rates(200, 50, 800))]);
        let usage = Usage { prompt: 1_000, cached: 400, cache_write: 100, completion: 50, reasoning: 20 };
        // 500 x $2 + 400 x $0.50 + 100 x $2.50 + 50 x $8, for a million each.
        assert_eq!(book.cost("m", &usage), Some(NanoUsd(1_000_000 + 200_000 + 250_000 + 400_000)));
        assert_eq!(book.cost("n", &usage), None, "unknown is not zero");
    }

    #[test]
    fn a_long_prompt_has_its_own_rates() {
        let long = Price { long: Some((1_000, rates(400, 100, 1_200))), ..price("m", rates(200, 50, 800)) };
        let book = PriceBook::of(&[long]);
        let of = |prompt| book.cost("m", &Usage { prompt, ..Usage::default() }).unwrap().0;
        assert_eq!((of(1_000), of(1_001)), (2_000_000, 4_004_000));
    }

    #[test]
    fn names_are_found_with_a_provider_before_and_a_date_behind() {
        let book = PriceBook::of(&[
            price("gpt-4o", rates(250, 125, 1_000)),
            price("gpt-4o-2024-05-13", rates(500, 500, 1_500)),
            price("llama*", rates(0, 0, 0)),
        ]);
        let input = |name: &str| book.find(name).map(|priced| priced.rates.input.0 / 10_000_000);
        for (name, cents) in [
            ("gpt-4o", Some(250)),
            ("openai/gpt-4o", Some(250)),
            ("gpt-4o-2024-08-06", Some(250)),
            ("gpt-4o-2024-05-13", Some(500)),
            ("openrouter/openai/gpt-4o-20240806", Some(250)),
            ("gpt-4o@20240806", Some(250)),
            ("gpt-4o-mini", None),
            ("gpt-4o:free", None),
            ("ft:gpt-4o-2024-08-06:acme::id", None),
            ("-20240806", None),
            ("meta/llama-3", Some(0)),
        ] {
            assert_eq!(input(name), cents, "{name}");
        }
    }

    #[test]
    fn the_first_price_for_a_name_counts() {
        let book = PriceBook::of(&[price("m", rates(1, 1, 1)), price("m", rates(2, 2, 2))]);
        assert_eq!(book.find("m").unwrap().rates.input, NanoUsd(10_000_000));
    }

    #[test]
    fn what_is_held_is_never_less_than_what_is_settled() {
        let book = PriceBook::of(&[price("m", rates(200, 50, 800))]);
        let usage = Usage { prompt: 100, cached: 60, cache_write: 40, completion: 10, reasoning: 10 };
        assert!(book.at_most("m", 100, 10) >= book.cost("m", &usage));
    }
}
