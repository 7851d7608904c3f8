//! Reads pairs and writes what the verifier sees of them, by the very code that serves.
//!
//! `lab names` prints the features' names; `lab features IN OUT` reads JSON lines {"a", "b", "cos"} and writes one
//! row of 32-bit floats a pair: the rule that strict finds broken (its place in `Rule::ALL`, -1 for none), the score
//! as it is built in now, and the features. `lab cost IN` prints what reading and judging take.
#![allow(dead_code, unused_imports)]

mod config {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Strictness {
        Strict,
        Balanced,
        Off,
    }
}
#[path = "REPO/src/semantic/verify/mod.rs"]
mod verify;

use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::time::Instant;
use verify::{NAMES, Near, Reading, Rule, judge, measure};

type Failed = Box<dyn std::error::Error>;

fn main() -> Result<(), Failed> {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["names"] => println!("{}", NAMES.join(" ")),
        ["features", from, to] => features(from, to)?,
        ["cost", from] => cost(from)?,
        ["show", a, b, cosine] => show(a, b, cosine.parse()?),
        _ => return Err("expected names, features IN OUT, cost IN or show A B COSINE".into()),
    }
    Ok(())
}

fn pairs(from: &str) -> Result<Vec<(String, String, f32)>, Failed> {
    let mut out = Vec::new();
    for line in BufReader::new(std::fs::File::open(from)?).lines() {
        let pair: serde_json::Value = serde_json::from_str(&line?)?;
        let text = |field: &str| pair[field].as_str().unwrap_or_default().to_owned();
        out.push((text("a"), text("b"), pair["cos"].as_f64().unwrap_or_default() as f32));
    }
    Ok(out)
}

fn features(from: &str, to: &str) -> Result<(), Failed> {
    let mut out = BufWriter::new(std::fs::File::create(to)?);
    for (a, b, cosine) in pairs(from)? {
        let (asked, stored) = (Reading::of(&a), Reading::of(&b));
        let (row, rule, p) = measure(&Near { asked: &asked, stored: &stored, cosine, gap: None });
        let rule = rule.and_then(|rule| Rule::ALL.iter().position(|one| *one == rule));
        out.write_all(&rule.map_or(-1.0, |at| at as f32).to_le_bytes())?;
        out.write_all(&p.to_le_bytes())?;
        for value in row {
            out.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(())
}

fn cost(from: &str) -> Result<(), Failed> {
    let pairs = pairs(from)?;
    let stored: Vec<Reading> = pairs.iter().map(|(_, b, _)| Reading::of(b)).collect();
    let mut taken = Vec::new();
    for ((a, _, cosine), stored) in pairs.iter().zip(&stored) {
        let begun = Instant::now();
        let asked = Reading::of(a);
        let near = Near { asked: &asked, stored, cosine: *cosine, gap: None };
        black_box(judge(&near, config::Strictness::Strict));
        taken.push(begun.elapsed().as_nanos() as f64 / 1e3);
    }
    taken.sort_by(f64::total_cmp);
    let at = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
    println!("read and judge: p50 {:.1} us, p99 {:.1} us, {} pairs", at(0.5), at(0.99), taken.len());
    Ok(())
}

fn show(a: &str, b: &str, cosine: f32) {
    let (asked, stored) = (Reading::of(a), Reading::of(b));
    println!("{asked:#?}\n{stored:#?}");
    let (row, rule, p) = measure(&Near { asked: &asked, stored: &stored, cosine, gap: None });
    for (name, value) in NAMES.iter().zip(row) {
        println!("{name:>14} {value}");
    }
    println!("rule {rule:?}, score {p}");
}
