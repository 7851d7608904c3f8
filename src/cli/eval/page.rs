//! The report as one page: no script, nothing fetched, readable on a phone, light and dark.

use super::bound;
use super::chart::escape;
use super::curves::{self, verifies};
use super::latency::Ranks;
use super::report::{Figures, Ground, Score};
use super::table::{fine, percent, sentence};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// Writing to a `String` cannot fail, so the results of `write!` are dropped here.
pub fn html(inputs: &[Figures], target: f64, command: &str) -> String {
    let model = inputs.first().map_or("", |figures| figures.model.as_str());
    let mut out = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    let _ = write!(
        out,
        "<title>Reprise: hits and wrong answers</title><style>{STYLE}</style></head><body><main>"
    );
    out.push_str("<h1>How often the cache answers, and how often wrongly</h1>");
    let _ = write!(
        out,
        "<p class=\"soft\">Model {}, by the code that serves. <code>{}</code></p>",
        escape(model),
        escape(command)
    );
    if inputs.len() > 1 {
        overview(&mut out, inputs);
    }
    for figures in inputs {
        section(&mut out, figures, target);
    }
    out.push_str("</main></body></html>\n");
    out
}

/// The file's name without folder and ending.
fn name(figures: &Figures) -> String {
    let path = std::path::Path::new(&figures.input);
    path.file_stem().map_or_else(|| figures.input.clone(), |stem| stem.to_string_lossy().into_owned())
}

fn kind(figures: &Figures) -> &'static str {
    match figures.ground {
        Ground::Stream { .. } => "stream",
        Ground::Log { .. } => "log",
        Ground::Pairs { .. } => "pairs",
    }
}

fn overview(out: &mut String, inputs: &[Figures]) {
    out.push_str("<div class=\"card scroll overview\"><table><tr><th>input</th><th>rows</th><th>the served setting</th></tr>");
    for figures in inputs {
        let does = match figures.served.run.score {
            Score::Stream(tally) => {
                format!("right {} %, wrong {} %", percent(tally.right), fine(tally.wrong))
            }
            Score::Log(log) => format!("hit {} %", percent(log.hit)),
            Score::Pairs(pairs) => {
                format!(
                    "different refused {}, same passed {}",
                    some(pairs.refused_different),
                    some(pairs.passed_same)
                )
            }
        };
        let _ = write!(
            out,
            "<tr><td>{} <span class=\"soft\">{}</span></td><td>{}</td><td>{does}</td></tr>",
            escape(&name(figures)),
            kind(figures),
            figures.requests
        );
    }
    out.push_str("</table></div>");
}

fn section(out: &mut String, figures: &Figures, target: f64) {
    let _ = write!(out, "<section><h2>{}</h2>", escape(&name(figures)));
    let _ = write!(
        out,
        "<p class=\"soft\">{} · {} rows · {}</p>",
        kind(figures),
        figures.requests,
        escape(&figures.input)
    );
    tiles(out, figures);
    if let Some(run) = &figures.reading.recommended {
        let _ = write!(
            out,
            "<p class=\"card\"><b>Recommended for at most {} % wrong.</b> {}</p>",
            fine(target),
            escape(&capital(&sentence(run)))
        );
    } else if matches!(figures.ground, Ground::Stream { .. }) {
        let _ = write!(
            out,
            "<p class=\"card\"><b>No setting tried stays within {} % wrong.</b> Try higher thresholds.</p>",
            fine(target)
        );
    }
    key(out, figures);
    out.push_str("<div class=\"charts\">");
    match figures.ground {
        Ground::Stream { ceiling, exact } => curves::of_stream(out, figures, ceiling, exact, target),
        Ground::Pairs { .. } => curves::of_pairs(out, figures),
        Ground::Log { exact } => curves::of_log(out, figures, exact),
    }
    latencies(out, figures);
    out.push_str("</div>");
    wrong_hits(out, figures);
    settings(out, figures);
    for note in &figures.reading.notes {
        let _ = write!(out, "<p class=\"soft\">Note: {}.</p>", escape(note));
    }
    out.push_str("</section>");
}

/// The served setting in a few large numbers.
fn tiles(out: &mut String, figures: &Figures) {
    let run = &figures.served.run;
    let mut tiles: Vec<(String, &str, String)> = Vec::new();
    match (run.score, figures.ground) {
        (Score::Stream(tally), Ground::Stream { ceiling, exact }) => {
            let sure = fine(bound::upper(tally.wrongs, tally.requests));
            tiles.push((
                format!("{} %", percent(tally.right)),
                "good",
                "of all requests get a right answer".to_owned(),
            ));
            tiles.push((
                format!("{} %", fine(tally.wrong)),
                "bad",
                format!("get a wrong one; 95 % sure of at most {sure} %"),
            ));
            tiles.push((format!("{} %", percent(exact)), "", "exact matching alone".to_owned()));
            tiles.push((format!("{} %", percent(ceiling)), "", "a cache that never errs".to_owned()));
        }
        (Score::Log(log), Ground::Log { exact }) => {
            tiles.push((
                format!("{} %", percent(log.hit)),
                "good",
                "of all requests would be answered".to_owned(),
            ));
            tiles.push((format!("{} %", percent(exact)), "", "exact matching alone".to_owned()));
            let of = format!("of {} hits by meaning with two recorded answers", log.compared);
            tiles.push((some(log.same_text), "", format!("same answer by text, {of}")));
            tiles.push((some(log.same_meaning), "", format!("by meaning: an estimate, {of}")));
        }
        (Score::Pairs(pairs), _) => {
            tiles.push((some(pairs.precision), "good", "precision: of the served, the same".to_owned()));
            tiles.push((some(pairs.recall), "", "recall: of the same, the served".to_owned()));
            tiles.push((
                some(pairs.refused_different),
                "",
                "of different pairs above the threshold refused".to_owned(),
            ));
            tiles.push((some(pairs.passed_same), "", "of same pairs above the threshold passed".to_owned()));
        }
        (Score::Stream(_) | Score::Log(_), _) => {}
    }
    let _ = write!(
        out,
        "<p>Served now: threshold <b>{}</b>, verify <b>{}</b>.</p><div class=\"tiles\">",
        run.threshold, run.verify
    );
    for (value, class, what) in tiles {
        let _ =
            write!(out, "<div class=\"tile\"><b class=\"{class}\">{value}</b><small>{what}</small></div>");
    }
    out.push_str("</div>");
}

fn key(out: &mut String, figures: &Figures) {
    out.push_str("<div class=\"key\">");
    for (class, verify) in verifies(figures) {
        let name = if verify == "off" {
            "cosine alone (verify off)".to_owned()
        } else {
            format!("verified ({verify})")
        };
        let _ = write!(out, "<span><i class=\"{class}\"></i>{name}</span>");
    }
    out.push_str("<span><i class=\"now\"></i>served now</span></div>");
}

fn latencies(out: &mut String, figures: &Figures) {
    let reading = &figures.reading;
    let steps = [("embedding", reading.embed), ("search", reading.search), ("verification", reading.verify)];
    let measured: Vec<(&str, Ranks)> =
        steps.into_iter().filter_map(|(step, ranks)| Some((step, ranks?))).collect();
    let longest = measured.iter().map(|(_, ranks)| ranks.p99).fold(0.0, f64::max).max(1e-6);
    out.push_str("<figure><h3>Latency of a decision</h3><figcaption>Milliseconds, one request at a time on this machine. The bar is p50 against the longest p99.</figcaption>");
    out.push_str("<table><tr><th>step</th><th>p50</th><th>p99</th><th></th></tr>");
    for (step, Ranks { p50, p99 }) in measured {
        let share = p50 / longest * 100.0;
        let _ = write!(
            out,
            "<tr><td>{step}</td><td>{p50:.3}</td><td>{p99:.3}</td><td class=\"wide\"><span class=\"bar\" style=\"width:{share:.1}%\"></span></td></tr>"
        );
    }
    out.push_str("</table></figure>");
}

fn wrong_hits(out: &mut String, figures: &Figures) {
    let reading = &figures.reading;
    if reading.worst.is_empty() {
        return;
    }
    let (count, shown) = (reading.wrong_hits, reading.worst.len());
    let title = match figures.ground {
        Ground::Log { .. } => "Hits whose recorded answers differ",
        Ground::Stream { .. } | Ground::Pairs { .. } => "Wrong hits to read",
    };
    let _ = write!(
        out,
        "<details{}><summary>{title}: the {shown} nearest of {count}</summary><div class=\"pairs\">",
        if shown <= 12 { " open" } else { "" }
    );
    for hit in &reading.worst {
        let times = if hit.count > 1 { format!(" · {} times", hit.count) } else { String::new() };
        let _ = write!(
            out,
            "<div class=\"card pair\"><b>{:.4}</b><p><span>asked</span>{}{times}</p><p><span>served</span>{}</p></div>",
            hit.score,
            escape(&hit.asked),
            escape(&hit.stored)
        );
    }
    out.push_str("</div></details>");
}

/// Every setting, to be looked up.
fn settings(out: &mut String, figures: &Figures) {
    out.push_str("<details><summary>All settings</summary><div class=\"scroll\"><table><tr><th>threshold</th><th>verify</th>");
    let heads: &[&str] = match figures.ground {
        Ground::Stream { .. } => &["hit", "right", "wrong", "wrong at most (95 %)"],
        Ground::Log { .. } => &["hit", "same text", "same meaning", "compared"],
        Ground::Pairs { .. } => &["precision", "recall", "different refused", "same passed"],
    };
    for head in heads {
        let _ = write!(out, "<th>{head}</th>");
    }
    out.push_str("</tr>");
    for run in &figures.sweep {
        let now = run.threshold == figures.served.run.threshold && run.verify == figures.served.run.verify;
        let class = if now { " class=\"now\"" } else { "" };
        let _ = write!(out, "<tr{class}><td>{}</td><td>{}</td>", run.threshold, run.verify);
        for cell in cells(&run.score) {
            let _ = write!(out, "<td>{cell}</td>");
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div></details>");
}

fn cells(score: &Score) -> [String; 4] {
    match score {
        Score::Stream(tally) => {
            let sure = bound::upper(tally.wrongs, tally.requests);
            let shares = [percent(tally.hit), percent(tally.right), fine(tally.wrong), fine(sure)];
            shares.map(|share| format!("{share} %"))
        }
        Score::Log(log) => [
            format!("{} %", percent(log.hit)),
            some(log.same_text),
            some(log.same_meaning),
            log.compared.to_string(),
        ],
        Score::Pairs(pairs) => {
            [pairs.precision, pairs.recall, pairs.refused_different, pairs.passed_same].map(some)
        }
    }
}

fn some(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{} %", percent(share)))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}
