//! The bar in the last row of every screen while the archive comes.

use std::time::Duration;

/// Characters of the bar itself.
const WIDTH: usize = 20;

/// Draws it anew.
pub(crate) fn show(bytes: u64, total: Option<u64>, rate: u64, left: Option<Duration>) {
    console::status(&bar(bytes, total, rate, left));
}

/// Takes it away.
pub(crate) fn end() {
    console::status("");
}

/// At most 79 characters, which every screen has.
fn bar(bytes: u64, total: Option<u64>, rate: u64, left: Option<Duration>) -> String {
    let (had, rate) = (bytes as f64 / 1e6, rate as f64 / 1e6);
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("  fetch   {had:.1} MB  {rate:.1} MB/s");
    };
    let part = (bytes as f64 / total as f64).clamp(0.0, 1.0);
    // Cannot be more than the width.
    let full = (part * WIDTH as f64) as usize;
    let rest = WIDTH.saturating_sub(full);
    let left = left.map_or_else(String::new, |left| format!("  {}", clock(left)));
    format!(
        "  fetch   [{}{}] {:>3.0} %  {had:.0} of {:.0} MB  {rate:.1} MB/s{left}",
        "#".repeat(full),
        ".".repeat(rest),
        part * 100.0,
        total as f64 / 1e6,
    )
}

/// `0:42`, or with hours `1:02:03`.
fn clock(left: Duration) -> String {
    let seconds = left.as_secs().min(359_999);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::bar;

    #[test]
    fn the_bar_says_how_far_how_fast_and_how_long() {
        let left = Some(Duration::from_secs(40));
        assert_eq!(
            bar(40_000_000, Some(100_000_000), 1_500_000, left).trim_start(),
            "fetch   [########............]  40 %  40 of 100 MB  1.5 MB/s  0:40"
        );
        assert_eq!(bar(40_000_000, None, 0, None).trim_start(), "fetch   40.0 MB  0.0 MB/s");
    }

    #[test]
    fn the_bar_fits_on_a_screen_whatever_a_server_says() {
        let forever = Some(Duration::MAX);
        for (bytes, total) in [(0, 1), (2_000_000_000, 1), (1_999_999_999, 2_000_000_000)] {
            let bar = bar(bytes, Some(total), 9_999_000_000, forever);
            assert!(bar.chars().count() <= 79, "{bar}");
        }
    }
}
