//! The report on the terminal.

use super::bound;
use super::report::{Figures, Ground, PairScore, Run, Score, Tally};
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table, TableComponent};
use std::fmt::Write;

/// Wrong hits shown on a terminal; the page shows more.
const SHOWN: usize = 8;

/// One input's report, with a line break at its end.
pub fn text(figures: &Figures, target: f64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}\n{}", figures.input, ground(figures));
    let _ = writeln!(out, "{}", settings(figures));
    let _ = writeln!(out, "served       {}", served(figures));
    let _ = writeln!(out, "recommended  {}", recommended(figures, target));
    for note in &figures.reading.notes {
        let _ = writeln!(out, "note         {note}");
    }
    let kind = if matches!(figures.ground, Ground::Log { .. }) { "answers differ" } else { "wrong hits" };
    let reading = &figures.reading;
    if !reading.worst.is_empty() {
        let _ = writeln!(out, "{} {kind} at the served setting; the nearest:", reading.wrong_hits);
    }
    for hit in reading.worst.iter().take(SHOWN) {
        let times = if hit.count > 1 { format!("  ({} times)", hit.count) } else { String::new() };
        let _ = writeln!(
            out,
            "  {:.4}  asked   {}{times}\n          served  {}",
            hit.score,
            one_line(&hit.asked),
            one_line(&hit.stored)
        );
    }
    out
}

/// Per cent of all requests.
pub fn percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// Two decimals: for wrong answers, where a tenth is much.
pub fn fine(share: f64) -> String {
    format!("{:.2}", share * 100.0)
}

fn some(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), percent)
}

fn ground(figures: &Figures) -> String {
    let requests = figures.requests;
    let model = &figures.model;
    match figures.ground {
        Ground::Stream { ceiling, exact } => format!(
            "{requests} requests, {model}; per cent of them all; a cache that never errs {}, exact matching alone {}",
            percent(ceiling),
            percent(exact)
        ),
        Ground::Log { exact } => format!(
            "{requests} requests without labels, {model}; per cent of them all; exact matching alone {}; \
             agreement of recorded answers is an estimate",
            percent(exact)
        ),
        Ground::Pairs { auc } => format!(
            "{requests} pairs, {model}; per cent; area under the curve of the cosine {}",
            auc.map_or("-".to_owned(), |auc| format!("{auc:.3}"))
        ),
    }
}

/// A line for each threshold, with and without verification beside one another.
fn settings(figures: &Figures) -> Table {
    let mut verifies: Vec<&str> = Vec::new();
    for run in &figures.sweep {
        if !verifies.contains(&run.verify) {
            verifies.push(run.verify);
        }
    }
    let columns: &[&str] = match figures.ground {
        Ground::Stream { .. } => &["hit", "right", "wrong"],
        Ground::Log { .. } => &["hit", "same text", "same meaning"],
        Ground::Pairs { .. } => &["precision", "recall", "refused different", "passed same"],
    };
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY).remove_style(TableComponent::HorizontalLines);
    let heads =
        verifies.iter().flat_map(|verify| columns.iter().map(move |column| format!("{column}\n{verify}")));
    table.set_header(["threshold\nverify".to_owned()].into_iter().chain(heads));
    let mut thresholds: Vec<f64> = figures.sweep.iter().map(|run| run.threshold).collect();
    thresholds.sort_by(f64::total_cmp);
    thresholds.dedup();
    for threshold in thresholds {
        let served = figures.served.run.threshold == threshold;
        let mut row = vec![format!("{}{threshold}", if served { "> " } else { "  " })];
        for verify in &verifies {
            let run = figures.sweep.iter().find(|run| run.threshold == threshold && run.verify == *verify);
            row.extend(run.map_or(vec![String::new(); columns.len()], |run| cells(&run.score)));
        }
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn cells(score: &Score) -> Vec<String> {
    match score {
        Score::Stream(tally) => vec![percent(tally.hit), percent(tally.right), fine(tally.wrong)],
        Score::Log(log) => vec![percent(log.hit), some(log.same_text), some(log.same_meaning)],
        Score::Pairs(pairs) => {
            vec![
                some(pairs.precision),
                some(pairs.recall),
                some(pairs.refused_different),
                some(pairs.passed_same),
            ]
        }
    }
}

fn served(figures: &Figures) -> String {
    let reading = &figures.reading;
    let embed = reading.embed.map_or(String::new(), |ranks| format!("; embedding {:.2} ms p50", ranks.p50));
    let verify =
        reading.verify.map_or(String::new(), |ranks| format!(", verification {:.3} ms p50", ranks.p50));
    format!("{}{embed}{verify}", sentence(&figures.served.run))
}

fn recommended(figures: &Figures, target: f64) -> String {
    match (&figures.reading.recommended, figures.ground) {
        (Some(run), _) => {
            format!("{} (most right answers with at most {} % wrong)", sentence(run), fine(target))
        }
        (None, Ground::Stream { .. }) => {
            format!(
                "none: every setting tried gives more than {} % wrong answers; try higher thresholds",
                fine(target)
            )
        }
        (None, Ground::Log { .. }) => "none: a log has no labels; label some requests, or audit".to_owned(),
        (None, Ground::Pairs { .. }) => "none: pairs are no traffic; give a --stream".to_owned(),
    }
}

/// One setting and what it does, in words.
pub fn sentence(run: &Run) -> String {
    let setting = format!("threshold {}, verify {}", run.threshold, run.verify);
    let does = match &run.score {
        Score::Stream(tally) => stream_sentence(tally),
        Score::Log(log) => format!(
            "hit {} %; of {} hits with two answers {} % agree by text, {} % by meaning",
            percent(log.hit),
            log.compared,
            some(log.same_text),
            some(log.same_meaning)
        ),
        Score::Pairs(pairs) => pairs_sentence(pairs),
    };
    format!("{setting}: {does}")
}

fn stream_sentence(tally: &Tally) -> String {
    format!(
        "hit {} %, right {} %, wrong {} % (95 % sure of at most {})",
        percent(tally.hit),
        percent(tally.right),
        fine(tally.wrong),
        fine(bound::upper(tally.wrongs, tally.requests))
    )
}

fn pairs_sentence(pairs: &PairScore) -> String {
    format!(
        "precision {} %, recall {} %; of those above the threshold {} % of the different refused, {} % of the same passed",
        some(pairs.precision),
        some(pairs.recall),
        some(pairs.refused_different),
        some(pairs.passed_same)
    )
}

fn one_line(text: &str) -> String {
    const LONGEST: usize = 160;
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}
