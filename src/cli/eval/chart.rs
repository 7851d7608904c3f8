//! Line charts as inline SVG. Colours come from the page's style, so that they follow light and dark.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 46.0;

/// How numbers lie along an axis.
#[derive(Clone, Copy, PartialEq)]
pub enum Scale {
    Linear,
    /// For shares from a hundredth of a per cent up; less, and nothing, lies on the base line.
    Log,
}

pub struct Axis<'a> {
    pub label: &'a str,
    pub low: f64,
    pub high: f64,
    pub scale: Scale,
    /// Shares are shown as per cent, cosines as they are.
    pub percent: bool,
}

pub struct Line<'a> {
    pub name: &'a str,
    /// A class of the style sheet.
    pub class: &'a str,
    pub points: Vec<Point>,
}

pub struct Point {
    pub x: f64,
    pub y: f64,
    /// Shown under the pointer.
    pub tip: String,
}

/// A level across the chart.
pub struct Level<'a> {
    pub name: &'a str,
    pub y: f64,
}

pub struct Chart<'a> {
    /// What a reader who cannot see it is told.
    pub title: &'a str,
    pub x: Axis<'a>,
    pub y: Axis<'a>,
    pub lines: Vec<Line<'a>>,
    pub levels: Vec<Level<'a>>,
    /// What is served now.
    pub spot: Option<Point>,
}

impl Axis<'_> {
    /// 0 at the low end, 1 at the high one.
    fn along(&self, value: f64) -> f64 {
        let at = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(self.low).log10(),
        };
        let (low, high) = (at(self.low), at(self.high));
        if high > low { ((at(value) - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
    }

    fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Log => {
                let powers = (-6..=0).map(|power| 10f64.powi(power));
                powers.filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001).collect()
            }
            Scale::Linear => {
                let step = step(self.high - self.low);
                let first = (self.low / step - 1e-9).ceil() as i64;
                let last = (self.high / step + 1e-9).floor() as i64;
                (first..=last).map(|at| at as f64 * step).collect()
            }
        }
    }

    fn text(&self, tick: f64) -> String {
        match (self.scale, self.percent) {
            (Scale::Log, _) if tick <= self.low => format!("≤ {} %", trimmed(tick * 100.0)),
            (_, true) => format!("{} %", trimmed(tick * 100.0)),
            (_, false) => trimmed(tick),
        }
    }
}

/// Four to seven steps of 1, 2 or 5 times a power of ten.
fn step(span: f64) -> f64 {
    let rough = span.max(1e-6) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        ratio if ratio < 1.5 => 1.0,
        ratio if ratio < 3.5 => 2.0,
        ratio if ratio < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

fn trimmed(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Chart<'_> {
    pub fn svg(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{}</title>"#,
            escape(self.title)
        );
        self.grid(&mut out);
        for level in &self.levels {
            let y = self.y_at(level.y);
            let (from, to) = (LEFT, WIDTH - RIGHT);
            let _ = write!(out, r#"<line class="level" x1="{from}" x2="{to}" y1="{y:.1}" y2="{y:.1}"/>"#);
            let above = if y < TOP + 16.0 { y + 12.0 } else { y - 4.0 };
            let _ = write!(
                out,
                r#"<text class="level" x="{from}" dx="6" y="{above:.1}">{}</text>"#,
                escape(level.name)
            );
        }
        for line in &self.lines {
            self.line(&mut out, line);
        }
        if let Some(spot) = &self.spot {
            let (x, y) = (self.x_at(spot.x), self.y_at(spot.y));
            let _ = write!(
                out,
                r#"<circle class="halo" cx="{x:.1}" cy="{y:.1}" r="9"/><circle class="spot" cx="{x:.1}" cy="{y:.1}" r="5"><title>{}</title></circle>"#,
                escape(&spot.tip)
            );
        }
        out.push_str("</svg>");
        out
    }

    fn grid(&self, out: &mut String) {
        let (right, floor) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in self.y.ticks() {
            let y = self.y_at(tick);
            let _ = write!(out, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#);
            let _ = write!(
                out,
                r#"<text class="tick end" x="{:.1}" y="{:.1}">{}</text>"#,
                LEFT - 8.0,
                y + 4.0,
                self.y.text(tick)
            );
        }
        for tick in self.x.ticks() {
            let x = self.x_at(tick);
            let _ = write!(
                out,
                r#"<line class="tickmark" x1="{x:.1}" x2="{x:.1}" y1="{floor}" y2="{:.1}"/>"#,
                floor + 5.0
            );
            let _ = write!(
                out,
                r#"<text class="tick middle" x="{x:.1}" y="{:.1}">{}</text>"#,
                floor + 19.0,
                self.x.text(tick)
            );
        }
        let _ = write!(out, r#"<line class="axis" x1="{LEFT}" x2="{right}" y1="{floor}" y2="{floor}"/>"#);
        let middle = (LEFT + right) / 2.0;
        let _ = write!(
            out,
            r#"<text class="label middle" x="{middle}" y="{:.1}">{}</text>"#,
            HEIGHT - 8.0,
            escape(self.x.label)
        );
        let _ = write!(
            out,
            r#"<text class="label middle" transform="translate(14 {:.1}) rotate(-90)">{}</text>"#,
            (TOP + floor) / 2.0,
            escape(self.y.label)
        );
    }

    fn line(&self, out: &mut String, line: &Line<'_>) {
        let place = |point: &Point| format!("{:.1},{:.1}", self.x_at(point.x), self.y_at(point.y));
        let places: Vec<String> = line.points.iter().map(place).collect();
        let class = line.class;
        let _ = write!(out, r#"<polyline class="line {class}" points="{}"/>"#, places.join(" "));
        for point in &line.points {
            let (x, y) = (self.x_at(point.x), self.y_at(point.y));
            let _ = write!(
                out,
                r#"<circle class="dot {class}" cx="{x:.1}" cy="{y:.1}" r="3"><title>{}: {}</title></circle>"#,
                escape(line.name),
                escape(&point.tip)
            );
        }
    }

    fn x_at(&self, value: f64) -> f64 {
        LEFT + self.x.along(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y_at(&self, value: f64) -> f64 {
        TOP + (1.0 - self.y.along(value)) * (HEIGHT - TOP - BOTTOM)
    }
}

/// For text and for quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, scale: Scale) -> Axis<'static> {
        Axis { label: "", low, high, scale, percent: true }
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!(axis(0.0, 1.0, Scale::Linear).ticks().len(), 6);
        let texts = |axis: Axis<'_>| axis.ticks().iter().map(|tick| axis.text(*tick)).collect::<Vec<_>>();
        assert_eq!(texts(axis(0.62, 0.71, Scale::Linear)), ["62 %", "64 %", "66 %", "68 %", "70 %"]);
        assert_eq!(texts(axis(1e-4, 1.0, Scale::Log)), ["≤ 0.01 %", "0.1 %", "1 %", "10 %", "100 %"]);
    }

    #[test]
    fn an_axis_without_length_has_a_middle_and_nothing_leaves_the_chart() {
        assert_eq!(axis(0.5, 0.5, Scale::Linear).along(0.5), 0.5);
        assert_eq!(axis(1e-4, 1.0, Scale::Log).along(0.0), 0.0);
        assert_eq!(axis(0.0, 1.0, Scale::Linear).along(7.0), 1.0);
    }

    #[test]
    fn texts_of_others_cannot_become_markup() {
        assert_eq!(escape("<script>\"&'\u{0}"), "&lt;script&gt;&quot;&amp;&#39; ");
    }
}
