//! The report as one would paste it to a colleague, and as a spreadsheet takes it.

use crate::accounts::ledger::report::{By, Line, Report, Sums, Wanted, day, exact};
use comfy_table::{Cell, CellAlignment, Table, presets};

/// Characters of the longest bar.
const BAR: usize = 20;
const DAY: u64 = 86_400_000;

/// A head line, a table with a bar for each line, and what is not in the sums.
pub fn text(report: &Report, wanted: Wanted) -> String {
    let (from, to) = (day(wanted.since / DAY), day(wanted.until / DAY));
    let total = &report.total;
    let whole = u128::from(total.spent) + u128::from(total.saved);
    if total.requests == 0 {
        return format!("No requests from {from} to {to} (UTC).\n");
    }
    let mut page = format!(
        "Saved {} of {} ({}) from {from} to {to} (UTC); {} of {} requests answered from the cache.\n\n",
        usd(total.saved.into()),
        usd(i128::try_from(whole).unwrap_or(i128::MAX)),
        percent(total.saved.into(), whole),
        grouped(total.from_cache),
        grouped(total.requests)
    );
    page.push_str(&table(report, wanted.by).to_string());
    page.push('\n');
    if wanted.by == By::Tag {
        page.push_str("\nA request counts under each of its tags; the total counts every request once.\n");
    }
    page.push_str(&footnotes(report));
    let digest = |line: &Line| line.name.len() == 16 && line.name.bytes().all(|c| c.is_ascii_hexdigit());
    if wanted.by == By::Key && report.lines.iter().any(digest) {
        page.push_str("Keys of 16 hex digits are callers without a name; give them one with [[caller]].\n");
    }
    page
}

fn table(report: &Report, by: By) -> Table {
    let mut table = Table::new();
    let head = [by.word(), "requests", "from cache", "spent", "saved", "net saved", ""];
    table.load_preset(presets::UTF8_FULL_CONDENSED).set_header(head);
    let most = report.lines.iter().map(|line| line.sums.net()).max().unwrap_or(0).max(1);
    for line in &report.lines {
        let length = line.sums.net().max(0) * BAR as i128 * 8 / most;
        table.add_row(row(line, &bar(usize::try_from(length).unwrap_or(0))));
    }
    let total = Line { name: "total".to_owned(), sums: report.total.clone() };
    table.add_row(row(&total, ""));
    table
}

fn row(line: &Line, bar: &str) -> Vec<Cell> {
    let Sums { requests, from_cache, spent, saved, .. } = line.sums;
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    vec![
        Cell::new(&line.name),
        right(grouped(requests)),
        right(percent(from_cache.into(), requests.into())),
        right(known(spent.into(), &line.sums)),
        right(known(saved.into(), &line.sums)),
        right(known(line.sums.net(), &line.sums)),
        Cell::new(bar),
    ]
}

/// What is not known is never shown as nothing.
fn known(nano: i128, sums: &Sums) -> String {
    match sums.unknown {
        0 => usd(nano),
        unknown if unknown >= sums.requests => "unknown".to_owned(),
        _ => format!("{} + ?", usd(nano)),
    }
}

/// `eighths` of a character long.
fn bar(eighths: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

fn footnotes(report: &Report) -> String {
    let mut notes = String::from(
        "\nSaved is what the answers from the cache would have cost at the price of the model that was asked for",
    );
    notes.push_str(match report.total.overhead {
        0 => ".\n",
        _ => "; net of audits and escalations.\n",
    });
    if report.total.unknown > 0 {
        let count = grouped(report.total.unknown);
        notes.push_str(&format!(
            "{count} requests of unknown cost (?) are in no sum: no usage was reported, or the model has no price.\n"
        ));
    }
    if !report.unpriced.is_empty() {
        let named: Vec<String> =
            report.unpriced.iter().take(8).map(|(model, count)| format!("{model} ({count})")).collect();
        notes.push_str(&format!("Without a price: {}; give them a [[price]].\n", named.join(", ")));
    }
    notes
}

/// `$1,234.56`; below a dollar four decimals, and what is less than that said so.
pub fn usd(nano: i128) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    let nano = nano.unsigned_abs();
    let rounded = |unit: u128| (nano + unit / 2) / unit;
    if nano >= 999_950_000 {
        let cents = rounded(10_000_000);
        let whole = u64::try_from(cents / 100).unwrap_or(u64::MAX);
        format!("{sign}${}.{:02}", grouped(whole), cents % 100)
    } else if nano > 0 && nano < 50_000 {
        format!("{sign}<$0.0001")
    } else {
        format!("{sign}$0.{:04}", rounded(100_000))
    }
}

fn percent(part: u128, whole: u128) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

/// `12,345`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn csv(report: &Report, wanted: Wanted) -> String {
    let mut text = format!(
        "{},requests,from_cache,spent_usd,saved_usd,overhead_usd,net_saved_usd,unknown,prompt_tokens,completion_tokens,saved_prompt_tokens,saved_completion_tokens\n",
        wanted.by.word()
    );
    for Line { name, sums } in &report.lines {
        let [spent, saved, overhead] = [sums.spent, sums.saved, sums.overhead].map(|nano| exact(nano.into()));
        let (name, net) = (field(name), exact(sums.net()));
        text.push_str(&format!(
            "{name},{},{},{spent},{saved},{overhead},{net},{},{},{},{},{}\n",
            sums.requests,
            sums.from_cache,
            sums.unknown,
            sums.prompt_tokens,
            sums.completion_tokens,
            sums.saved_prompt_tokens,
            sums.saved_completion_tokens
        ));
    }
    text
}

/// RFC 4180. A name that a spreadsheet would take for a formula gets a quote before it.
fn field(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_reads_like_money() {
        for (nano, text) in [
            (0, "$0.0000"),
            (1, "<$0.0001"),
            (345_600, "$0.0003"),
            (999_949_999, "$0.9999"),
            (999_950_000, "$1.00"),
            (1_234_567_890_000, "$1,234.57"),
            (-2_500_000_000, "-$2.50"),
        ] {
            assert_eq!(usd(nano), text);
        }
        assert_eq!((exact(345), exact(-1_500_000_000)), ("0.000000345".into(), "-1.500000000".into()));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_field() {
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=cmd()"), "'=cmd()");
    }

    #[test]
    fn bars_are_eighths() {
        assert_eq!((bar(0), bar(3), bar(16), bar(17)), ("".into(), "▍".into(), "██".into(), "██▏".into()));
    }
}
