//! Days, weeks and months of UTC, as numbers that grow by one.

use crate::base::clock::Millis;

const DAY: u64 = 86_400_000;

/// The words of the periods, in the order of `Budget::limits`.
pub const WORDS: [&str; 4] = ["day", "week", "month", "whole"];

/// Day, week, month and the whole, for a moment. Weeks begin on Monday.
pub fn of(at: Millis) -> [u64; 4] {
    of_day(day(at))
}

/// Days since the epoch.
pub fn day(at: Millis) -> u64 {
    at.0 / DAY
}

/// As `of`, for a day. 1 January 1970 was a Thursday.
pub fn of_day(day: u64) -> [u64; 4] {
    [day, (day + 3) / 7, month(day), 0]
}

/// Months since March of the year 0, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
/// (`civil_from_days`).
fn month(day: u64) -> u64 {
    let shifted = day + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    (era * 400 + year) * 12 + (5 * of_year + 2) / 153
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_turn_where_the_calendar_does() {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut day = 0;
        let mut months = Vec::new();
        for year in 1970..2100 {
            for (at, length) in lengths.iter().enumerate() {
                let leap = at == 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let length = length + u64::from(leap);
                assert_eq!(month(day), month(day + length - 1), "{year}-{}", at + 1);
                months.push(month(day));
                day += length;
            }
        }
        assert!(months.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }

    #[test]
    fn weeks_begin_on_monday() {
        // 5 January 1970 was a Monday.
        assert_eq!((of_day(3)[1], of_day(4)[1], of_day(10)[1], of_day(11)[1]), (0, 1, 1, 2));
    }
}
