//! The command line of `reprise eval`.

use crate::config::Strictness;
use std::path::PathBuf;

#[derive(clap::Args, Clone, Debug, Default)]
#[command(group = clap::ArgGroup::new("input").required(true).multiple(true).args(["pairs", "stream", "log"]))]
pub struct Args {
    /// Labelled pairs, JSON lines: {"a", "b", "label"}; label 1 where one answer serves both
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub pairs: Vec<PathBuf>,
    /// Labelled requests in order, JSON lines: {"prompt", "class"}; one class may share one answer
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub stream: Vec<PathBuf>,
    /// Your own requests in order, JSON lines: {"prompt"} or a chat completion body, either with the
    /// recorded "response" if you have it
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub log: Vec<PathBuf>,
    /// The embedding model: a name in models/manifest.toml or a folder [default: the config's]
    #[arg(long)]
    pub model: Option<String>,
    /// The cosine from which a stored question is a candidate [default: the config's, or the model's]
    #[arg(long, value_name = "COSINE", value_parser = share::<f32>)]
    pub threshold: Option<f32>,
    /// How candidates are verified: strict, balanced or off [default: the config's]
    #[arg(long, value_name = "HOW", value_parser = strictness)]
    pub verify: Option<Strictness>,
    /// Let the cross-encoder read pairs in doubt, as `semantic.cross_encoder = true` does
    #[arg(long)]
    pub cross_encoder: bool,
    /// Thresholds to try, first:last:step [default: 0.6:0.98:0.02]
    #[arg(long, value_name = "A:B:STEP", value_parser = Sweep::parse)]
    pub sweep: Option<Sweep>,
    /// The share of all requests that may get a wrong answer, 0 to 1: a target for the recommended
    /// setting, and a gate: the exit code is 1 where a stream's served setting exceeds it
    #[arg(long, value_name = "SHARE", value_parser = share::<f64>, requires = "stream")]
    pub max_wrong_rate: Option<f64>,
    /// Write the figures as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write one self-contained page with the curves
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write thresholds for wrong answers of 0.5, 1 and 2 % on the given streams into the model's entry
    /// of models/manifest.toml
    #[arg(long, requires = "stream")]
    pub write_calibration: bool,
    /// The config file [default: config/reprise.toml, if it is there]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Thresholds in ascending order, four decimals each.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep(pub Vec<f32>);

/// More would take hours and show nothing that these do not.
const MOST: usize = 400;

impl Sweep {
    pub fn parse(text: &str) -> Result<Sweep, String> {
        let numbers: Result<Vec<f64>, _> = text.split(':').map(|part| part.trim().parse::<f64>()).collect();
        let Ok([first, last, step]) = numbers.as_deref() else {
            return Err("expected first:last:step, for instance 0.7:0.95:0.01".to_owned());
        };
        if !(0.0..=1.0).contains(first) || !(0.0..=1.0).contains(last) || first > last {
            return Err("expected two cosines from 0 to 1, the lower one first".to_owned());
        }
        // In ten-thousandths, so that 0.7 + 0.1 + 0.1 is 0.9.
        let [first, last, step] = [first, last, step].map(|number| (number * 1e4).round());
        if step.is_nan() || step < 1.0 {
            return Err("expected a step of at least 0.0001".to_owned());
        }
        let count = ((last - first) / step) as usize + 1;
        if count > MOST {
            return Err(format!("{count} thresholds are too many; {MOST} at most"));
        }
        Ok(Sweep((0..count).map(|at| ((first + step * at as f64) / 1e4) as f32).collect()))
    }
}

impl Default for Sweep {
    /// 0.60 to 0.98 by 0.02.
    fn default() -> Self {
        Sweep((0..20).map(|at| (60 + 2 * at) as f32 / 100.0).collect())
    }
}

fn share<N: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Result<N, String> {
    match text.parse::<N>() {
        Ok(number) if number >= N::from(0) && number <= N::from(1) => Ok(number),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn strictness(text: &str) -> Result<Strictness, String> {
    match text {
        "strict" => Ok(Strictness::Strict),
        "balanced" => Ok(Strictness::Balanced),
        "off" => Ok(Strictness::Off),
        _ => Err("expected strict, balanced or off".to_owned()),
    }
}

/// The word of the config for it.
pub fn word(verify: Strictness) -> &'static str {
    match verify {
        Strictness::Strict => "strict",
        Strictness::Balanced => "balanced",
        Strictness::Off => "off",
    }
}

#[cfg(test)]
mod tests {
    use super::Sweep;

    #[test]
    fn a_sweep_includes_both_ends_and_does_not_drift() {
        assert_eq!(Sweep::parse("0.7:0.9:0.1").unwrap().0, [0.7, 0.8, 0.9]);
        assert_eq!(Sweep::parse("0.85:0.85:0.01").unwrap().0, [0.85]);
        assert_eq!(Sweep::parse("0.8:0.9:0.03").unwrap().0, [0.8, 0.83, 0.86, 0.89]);
        assert_eq!(Sweep::default().0.last(), Some(&0.98));
    }

    #[test]
    fn a_sweep_that_goes_nowhere_is_refused() {
        for text in [
            "0.7:0.9",
            "0.9:0.7:0.1",
            "0.7:0.9:0",
            "0.7:0.9:-0.1",
            "0.7:0.9:NaN",
            "0:1:0.0001",
            "0.7:1.2:0.1",
            "a:b:c",
        ] {
            assert!(Sweep::parse(text).is_err(), "{text}");
        }
    }
}
