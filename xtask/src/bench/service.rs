//! How long customers of a VPN server wait: from power-on to their first handshake, and while the server
//! goes on to the next release, by an upgrade or by a restart through the firmware.
//!
//! The boot tests have the machines for it, the case `vpn_times`; it is run here, and what it has
//! measured is put together. These are seconds of the host's clock, and a busy host makes all of
//! them longer: the ratio is what is to be looked at, for the two ways take turns.

use std::fs;

use anyhow::Context;
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::table::Table;
use super::table::ratio;
use crate::build;
use crate::progress;

/// The case of the boot tests, and where it leaves its figures below cargo's target directory.
const CASE: &str = "vpn_times";
const FIGURES: &str = "boot-tests/vpn_times/figures.json";

/// What is shown, by the names of the case.
const UPGRADE: &str = "no answer during an upgrade";
const RESTART: &str = "no answer during a restart";
const ROWS: [(&str, &str); 4] = [
    ("power-on to waiting", "power-on to waiting for staff"),
    ("power-on to first handshake", "power-on to first handshake"),
    (UPGRADE, "no answer for a customer, upgrade"),
    (RESTART, "no answer for a customer, restart by the firmware"),
];

/// A time that was measured.
#[derive(Clone, Debug, Deserialize)]
struct Figure {
    name: String,
    seconds: f64,
}

pub(super) fn measure() -> Result<(String, Value)> {
    let mut command = build::cargo();
    command.args(["test", "--quiet", "--locked", "--package", "boot-tests", "--test", "boot"]);
    command.args(["--", CASE, "--exact", "--include-ignored"]);
    progress::run("boot, upgrade and restart a VPN server", &mut command)?;
    let file = build::target_dir().join(FIGURES);
    let text =
        fs::read(&file).with_context(|| format!("the boot test left no {}", file.display()))?;
    let figures: Vec<Figure> = serde_json::from_slice(&text)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    Ok((text_of(&figures), json_of(&figures)))
}

fn text_of(figures: &[Figure]) -> String {
    let mut table = Table::new(["seconds", "median", "least", "most", "of a restart"]);
    let restart = median(&seconds(figures, RESTART));
    for (name, shown) in ROWS {
        let all = seconds(figures, name);
        let (Some(middle), Some(least), Some(most)) = (median(&all), all.first(), all.last())
        else {
            continue;
        };
        let of = restart.filter(|_| name == UPGRADE || name == RESTART);
        table.row([
            shown.to_owned(),
            format!("{middle:.1}"),
            format!("{least:.1}"),
            format!("{most:.1}"),
            of.map(|restart| ratio(middle, restart)).unwrap_or_default(),
        ]);
    }
    let rounds = seconds(figures, UPGRADE).len();
    format!(
        "{}\nBy the host's clock, under the accelerator that there is; {rounds} upgrades and as many \
         restarts, in turns. A robot provisions at once: staff takes longer.\n",
        table.render()
    )
}

fn json_of(figures: &[Figure]) -> Value {
    let rows = ROWS.iter().map(|(name, _)| {
        let all = seconds(figures, name);
        json!({ "name": name, "median_seconds": median(&all), "all_seconds": all })
    });
    json!({ "clock": "the host's", "figures": rows.collect::<Vec<_>>() })
}

/// All values of this name, in ascending order.
fn seconds(figures: &[Figure], name: &str) -> Vec<f64> {
    let of_name = figures.iter().filter(|figure| figure.name == name);
    let mut all: Vec<f64> = of_name.map(|figure| figure.seconds).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The middle of sorted values; of two, the lower.
fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::Figure;
    use super::RESTART;
    use super::UPGRADE;
    use super::json_of;
    use super::text_of;

    #[test]
    fn ways_to_the_next_release_are_compared_by_their_medians() {
        let figure = |name: &str, seconds| Figure { name: name.to_owned(), seconds };
        let figures = [
            figure(UPGRADE, 9.0),
            figure(RESTART, 20.0),
            figure(UPGRADE, 50.0),
            figure(RESTART, 16.0),
            figure(UPGRADE, 10.0),
            figure(RESTART, 40.0),
            figure("something else", 1.0),
        ];
        let text = text_of(&figures);
        let row = |words: &str| text.lines().find(|line| line.contains(words)).unwrap().to_owned();
        let upgrade = row("upgrade  ");
        for cell in [" 10.0 ", " 9.0 ", " 50.0 ", "0.50 ×"] {
            assert!(upgrade.contains(cell), "no {cell:?} in {upgrade}");
        }
        assert!(row("restart by").contains("1.00 ×"), "{text}");
        assert!(text.contains("3 upgrades") && !text.contains("handshake |"), "{text}");
        assert_eq!(json_of(&figures)["figures"][2]["median_seconds"], 10.0);
    }
}
