//! The report as one page: no script, nothing fetched, readable on a phone, light and dark.

use super::bound;
use super::chart::{Axis, Chart, Level, Line, Point, Scale, escape};
use super::latency::Ranks;
use super::report::{Figures, Ground, Run, Score, Tally};
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
        Ground::Stream { ceiling, exact } => stream_charts(out, figures, ceiling, exact, target),
        Ground::Pairs { .. } => pair_charts(out, figures),
        Ground::Log { exact } => log_charts(out, figures, exact),
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

/// The two ways that are drawn, with their class: the served one, or strict, and off.
fn verifies(figures: &Figures) -> [(&'static str, &'static str); 2] {
    let served = figures.served.run.verify;
    [("with", if served == "off" { "strict" } else { served }), ("without", "off")]
}

/// The sweep as two lines of points.
fn lines<'a>(figures: &'a Figures, point: impl Fn(&Run) -> Option<(f64, f64)>) -> Vec<Line<'a>> {
    let line = |(class, verify): (&'static str, &'static str)| {
        let runs = figures.sweep.iter().filter(|run| run.verify == verify);
        let points = runs.filter_map(|run| point(run).map(|(x, y)| Point { x, y, tip: sentence(run) }));
        Line { name: verify, class, points: points.collect() }
    };
    verifies(figures).into_iter().map(line).collect()
}

fn spot(figures: &Figures, point: impl Fn(&Run) -> Option<(f64, f64)>) -> Option<Point> {
    let run = &figures.served.run;
    point(run).map(|(x, y)| Point { x, y, tip: format!("served now: {}", sentence(run)) })
}

/// The range of what is drawn, with a little room, within 0 to 1.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((1.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
    let room = ((high - low) * 0.06).max(0.005);
    ((low - room).max(0.0), (high + room).min(1.0))
}

fn axis<'a>(label: &'a str, (low, high): (f64, f64), percent: bool) -> Axis<'a> {
    Axis { label, low, high, scale: Scale::Linear, percent }
}

/// One chart over the sweep; its axes fit what is drawn unless `y` is given.
fn figure(
    out: &mut String,
    figures: &Figures,
    (title, caption): (&str, &str),
    (x_label, y_label): (&str, &str),
    levels: Vec<Level<'_>>,
    (y_axis, x_percent): (Option<Axis<'_>>, bool),
    point: impl Fn(&Run) -> Option<(f64, f64)>,
) {
    let (lines, spot) = (lines(figures, &point), spot(figures, &point));
    let points = || lines.iter().flat_map(|line| &line.points).chain(&spot);
    if points().next().is_none() {
        return;
    }
    let x = axis(x_label, range(points().map(|point| point.x)), x_percent);
    let ys = points().map(|point| point.y).chain(levels.iter().map(|level| level.y));
    let y = y_axis.unwrap_or_else(|| axis(y_label, range(ys), true));
    let chart = Chart { title, x, y, lines, levels, spot };
    let _ = write!(out, "<figure><h3>{title}</h3><figcaption>{caption}</figcaption>{}</figure>", chart.svg());
}

fn stream_charts(out: &mut String, figures: &Figures, ceiling: f64, exact: f64, target: f64) {
    let tally = |run: &Run| match run.score {
        Score::Stream(tally) => Some(tally),
        Score::Pairs(_) | Score::Log(_) => None,
    };
    let precision = |tally: Tally| (tally.hit > 0.0).then(|| (tally.hit, tally.right / tally.hit));
    figure(
        out,
        figures,
        (
            "Precision of hits against cache hit rate",
            "Up is fewer wrong answers a hit; to the right is more hits. A point is a threshold.",
        ),
        ("cache hit rate", "precision of hits"),
        Vec::new(),
        (None, true),
        |run| precision(tally(run)?),
    );
    let wrong = Axis {
        label: "wrong answers, of all requests",
        low: 1e-4,
        high: 1.0,
        scale: Scale::Log,
        percent: true,
    };
    figure(
        out,
        figures,
        ("Wrong answers against threshold", "Of all requests, on a logarithmic scale."),
        ("threshold (cosine)", ""),
        vec![Level { name: "target", y: target }],
        (Some(wrong), false),
        |run| Some((run.threshold, tally(run)?.wrong)),
    );
    figure(
        out,
        figures,
        ("Right answers against threshold", "Between exact matching alone and a cache that never errs."),
        ("threshold (cosine)", "right answers, of all requests"),
        vec![
            Level { name: "a cache that never errs", y: ceiling },
            Level { name: "exact matching alone", y: exact },
        ],
        (None, false),
        |run| Some((run.threshold, tally(run)?.right)),
    );
}

fn pair_charts(out: &mut String, figures: &Figures) {
    let score = |run: &Run| match run.score {
        Score::Pairs(pairs) => Some(pairs),
        Score::Stream(_) | Score::Log(_) => None,
    };
    figure(
        out,
        figures,
        ("Precision against recall", "A point is a threshold."),
        ("recall", "precision"),
        Vec::new(),
        (None, true),
        |run| score(run).and_then(|pairs| Some((pairs.recall?, pairs.precision?))),
    );
    figure(
        out,
        figures,
        ("Different pairs refused", "Of those at or above the threshold."),
        ("threshold (cosine)", "refused"),
        Vec::new(),
        (None, false),
        |run| Some((run.threshold, score(run)?.refused_different?)),
    );
    figure(
        out,
        figures,
        ("Same pairs passed", "Of those at or above the threshold."),
        ("threshold (cosine)", "passed"),
        Vec::new(),
        (None, false),
        |run| Some((run.threshold, score(run)?.passed_same?)),
    );
}

fn log_charts(out: &mut String, figures: &Figures, exact: f64) {
    let score = |run: &Run| match run.score {
        Score::Log(log) => Some(log),
        Score::Stream(_) | Score::Pairs(_) => None,
    };
    figure(
        out,
        figures,
        (
            "Hits against threshold",
            "Of all requests. The log has no labels, so right and wrong are not told apart.",
        ),
        ("threshold (cosine)", "hits, of all requests"),
        vec![Level { name: "exact matching alone", y: exact }],
        (None, false),
        |run| Some((run.threshold, score(run)?.hit)),
    );
    figure(
        out,
        figures,
        (
            "Recorded answers that agree: an estimate",
            "Of hits by meaning, where both answers are known: those that say the same, by meaning.",
        ),
        ("threshold (cosine)", "agree by meaning"),
        Vec::new(),
        (None, false),
        |run| Some((run.threshold, score(run)?.same_meaning?)),
    );
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
