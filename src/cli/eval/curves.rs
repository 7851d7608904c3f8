//! Which curves the page shows for each kind of input.

use super::chart::{Axis, Chart, Level, Line, Point, Scale};
use super::report::{Figures, Run, Score, Tally};
use super::table::sentence;
use std::fmt::Write;

/// The two ways that are drawn, with their class: the served one, or strict, and off.
pub fn verifies(figures: &Figures) -> [(&'static str, &'static str); 2] {
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

pub fn of_stream(out: &mut String, figures: &Figures, ceiling: f64, exact: f64, target: f64) {
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

pub fn of_pairs(out: &mut String, figures: &Figures) {
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

pub fn of_log(out: &mut String, figures: &Figures, exact: f64) {
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
