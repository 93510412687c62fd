//! The smallest memory with which a package boots, and what happens with less.

pub(super) mod search;

use std::time::Duration;

use anyhow::Result;
use report::Code;
use serde_json::Value;
use serde_json::json;

use super::Kernels;
use super::aim;
use super::peer;
use super::table::Table;
use super::table::ratio;
use crate::harness;
use crate::harness::BootOptions;
use crate::harness::BootResult;
use crate::harness::Ended;
use crate::harness::Status;
use crate::progress;
use search::Found;
use search::STEP;
use search::Tried;

/// Lengths of packages in MB.
const LENGTHS: [u64; 3] = [20, 100, 200];

/// A machine that is short of memory may hang without a word.
const TIMEOUT: Duration = Duration::from_secs(240);

/// What came of a machine with some memory.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Verdict {
    /// The OS came up.
    Booted,
    /// `/init` refused for want of memory: what the machine has, and what it would need, in MiB,
    /// as far as `/init` could say.
    Refused { available: u64, needed: u64 },
    /// It failed in another way; what was seen of it.
    Lost(String),
}

impl Verdict {
    fn of(result: &BootResult) -> Self {
        if result.status == Status::Booted && result.mark("os-up").is_some() {
            return Self::Booted;
        }
        let failure = result.report.as_ref().and_then(|report| report.failure.as_ref());
        match (failure, result.report.as_ref().and_then(|report| report.memory.as_ref())) {
            (Some(failure), Some(memory)) if failure.code == Code::MemoryTooSmall => {
                Self::Refused {
                    available: memory.available_kib / 1024,
                    needed: memory.needed_kib.div_ceil(1024),
                }
            }
            (Some(failure), _) => Self::Lost(failure.code.id().to_owned()),
            (None, _) => Self::Lost(lost(result)),
        }
    }

    /// MiB that are missing, if `/init` said so.
    fn missing(&self) -> Option<u64> {
        match self {
            Self::Refused { available, needed } => Some(needed.saturating_sub(*available)),
            Self::Booted | Self::Lost(_) => None,
        }
    }

    fn describe(&self) -> String {
        match self {
            Self::Booted => "boots".to_owned(),
            Self::Refused { .. } => {
                format!("E0601, {} MiB missing", self.missing().unwrap_or_default())
            }
            Self::Lost(how) => how.clone(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Booted => json!({ "verdict": "booted" }),
            Self::Refused { available, needed } => json!({
                "verdict": "refused",
                "code": Code::MemoryTooSmall.id(),
                "available_mib": available,
                "needed_mib": needed,
            }),
            Self::Lost(how) => json!({ "verdict": "lost", "how": how }),
        }
    }
}

/// Where a boot ended that neither came up nor was refused.
fn lost(result: &BootResult) -> String {
    let ended = match result.ended {
        Ended::Panic => "panics",
        Ended::Timeout => "hangs",
        Ended::Reboot => "resets",
        Ended::Poweroff => "switches off",
        Ended::Firmware => "is not started",
    };
    let who = if result.mark("kexec").is_some() {
        "OS kernel"
    } else if result.mark("init").is_some() {
        "boot kernel under /init"
    } else {
        "boot kernel"
    };
    format!("{who} {ended}")
}

/// What was found for one package.
struct Entry {
    megabytes: f64,
    length: u64,
    found: Found<Verdict>,
}

pub(super) fn measure(kernels: &Kernels) -> Result<(String, Value)> {
    let mut entries = Vec::new();
    for length in LENGTHS {
        let lab = super::lab(&kernels.os, length)?;
        let megabytes = super::megabytes(&lab);
        let label = format!("smallest memory for {megabytes:.1} MB");
        let found = progress::step(&label, |step| {
            search::least(|mebibytes| {
                step.at(&format!("{mebibytes} MiB"));
                let options = BootOptions {
                    memory_mib: mebibytes,
                    timeout: TIMEOUT,
                    ..lab.boot_options(kernels.boot.clone())
                };
                let verdict = Verdict::of(&harness::boot(&options)?);
                step.println(&format!(
                    "  {megabytes:.1} MB, {mebibytes} MiB: {}",
                    verdict.describe()
                ));
                Ok(Tried { boots: verdict == Verdict::Booted, missing: verdict.missing(), verdict })
            })
        })?;
        entries.push(Entry { megabytes, length, found });
    }
    let text = format!("{}.\n\n{}", kernels.describe(), text(&entries));
    Ok((text, json(&entries)))
}

fn text(entries: &[Entry]) -> String {
    let mut table =
        Table::new(["package", "smallest memory", "aim", "stboot", "of stboot", "with 8 MiB less"]);
    for entry in entries {
        let peer = of_length(&peer::MEMORY, entry.length);
        let least = entry.found.least;
        table.row([
            format!("{:.1} MB", entry.megabytes),
            format!("{least} MiB"),
            mebibytes(of_length(&aim::MEMORY, entry.length)),
            mebibytes(peer),
            ratio(f64::from(least), peer.map_or(0.0, f64::from)),
            entry.found.below().map_or_else(String::new, Verdict::describe),
        ]);
    }
    format!(
        "{}\nMemory of the machine as QEMU has it (`-m`); a boot counts when the OS says that it is \
         up. Steps of {STEP} MiB.\n",
        table.render()
    )
}

fn json(entries: &[Entry]) -> Value {
    let packages: Vec<Value> = entries
        .iter()
        .map(|entry| {
            let tried: Vec<Value> = entry
                .found
                .tried
                .iter()
                .map(|(mebibytes, verdict)| {
                    let mut value = verdict.json();
                    value["memory_mib"] = json!(mebibytes);
                    value
                })
                .collect();
            json!({
                "megabytes": entry.megabytes,
                "least_mib": entry.found.least,
                "aim_mib": of_length(&aim::MEMORY, entry.length),
                "stboot_mib": of_length(&peer::MEMORY, entry.length),
                "tried": tried,
            })
        })
        .collect();
    json!({ "step_mib": STEP, "packages": packages })
}

fn of_length(table: &[(u64, u32)], length: u64) -> Option<u32> {
    table.iter().find(|(known, _)| *known == length).map(|(_, mebibytes)| *mebibytes)
}

fn mebibytes(value: Option<u32>) -> String {
    value.map(|value| format!("{value} MiB")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Verdict;
    use crate::harness::BootResult;
    use crate::harness::Ended;
    use crate::harness::Mark;
    use crate::harness::Status;

    fn result(status: Status, ended: Ended, marks: &[&str]) -> BootResult {
        BootResult {
            status,
            ended,
            report: None,
            serial: String::new(),
            events: Vec::new(),
            marks: marks
                .iter()
                .map(|&name| Mark { name: name.to_owned(), at: Duration::ZERO })
                .collect(),
            firmware: None,
            screen: None,
        }
    }

    #[test]
    fn an_os_that_does_not_come_up_has_not_booted() {
        let up = result(Status::Booted, Ended::Poweroff, &["init", "kexec", "os-up"]);
        assert_eq!(Verdict::of(&up), Verdict::Booted);
        let dead = result(Status::Booted, Ended::Panic, &["init", "kexec"]);
        assert_eq!(Verdict::of(&dead).describe(), "OS kernel panics");
        let early = result(Status::Neither, Ended::Panic, &["init"]);
        assert_eq!(Verdict::of(&early).describe(), "boot kernel under /init panics");
        let mute = result(Status::Neither, Ended::Timeout, &[]);
        assert_eq!(Verdict::of(&mute).describe(), "boot kernel hangs");
    }

    #[test]
    fn what_is_missing_is_what_is_needed_beyond_what_is_there() {
        let refused = Verdict::Refused { available: 100, needed: 163 };
        assert_eq!(refused.describe(), "E0601, 63 MiB missing");
        assert_eq!(Verdict::Booted.missing(), None);
    }
}
