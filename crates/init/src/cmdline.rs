//! The kernel command line, and the arguments behind ` -- `.
//!
//! Nobody authenticates them: they may choose consoles, delays and how much is logged, and they
//! can keep a machine from booting; they never weaken what is trusted. What cannot be understood
//! is noted and left out, because a typing error must not brick a machine.

use std::time::Duration;

use tracing::Level;

/// How long a boot may take if nothing else is said.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(20 * 60);

/// Longest deadline that is taken (a week).
const MAX_DEADLINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// What `panic=N` asks for, as the kernel itself understands it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum RebootDelay {
    /// `panic=0` or nothing: ours, by class of failure.
    #[default]
    Ours,
    /// `panic=N`: that many seconds.
    Fixed(Duration),
    /// `panic=-N`: at once.
    None,
}

/// Settings from the kernel command line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct KernelSettings {
    /// Device names of every `console=`, in their order, without options.
    pub(crate) consoles: Vec<String>,
    /// Delay before a reboot after a failure.
    pub(crate) reboot_delay: RebootDelay,
    /// Terminal that the report channel is on (`ramstrap.report=`).
    pub(crate) report: Option<String>,
}

impl KernelSettings {
    /// Reads `/proc/cmdline`'s content, up to ` -- `.
    pub(crate) fn parse(line: &str) -> Self {
        let mut settings = Self::default();
        for word in line.split_whitespace().take_while(|word| *word != "--") {
            let Some((key, value)) = word.split_once('=') else { continue };
            match key {
                "console" => {
                    let device = value.split(',').next().unwrap_or(value);
                    if is_terminal_name(device) && !settings.consoles.iter().any(|c| c == device) {
                        settings.consoles.push(device.to_owned());
                    }
                }
                "panic" => settings.reboot_delay = parse_panic(value),
                "ramstrap.report" if is_terminal_name(value) => {
                    settings.report = Some(value.to_owned());
                }
                _ => {}
            }
        }
        settings
    }

    /// Opens the consoles that the command line names; without any, those that the kernel uses.
    pub(crate) fn open_consoles(&self) {
        if self.consoles.is_empty() {
            console::open_listed();
        } else {
            console::open(self.consoles.iter().map(String::as_str));
        }
    }
}

/// Whether this can be the name of a terminal: no path, nothing that is a disk or another device.
fn is_terminal_name(name: &str) -> bool {
    const PREFIXES: [&str; 4] = ["tty", "hvc", "vport", "xvc"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        && name.len() <= 32
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn parse_panic(value: &str) -> RebootDelay {
    match value.parse::<i64>() {
        Ok(0) | Err(_) => RebootDelay::Ours,
        Ok(seconds) if seconds < 0 => RebootDelay::None,
        Ok(seconds) => {
            RebootDelay::Fixed(Duration::from_secs(seconds.unsigned_abs()).min(MAX_DEADLINE))
        }
    }
}

/// Arguments of `/init` itself: what stands behind ` -- `.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Arguments {
    /// `--loglevel`.
    pub(crate) level: Level,
    /// `--dryrun`: everything but the jump, then power off.
    pub(crate) dryrun: bool,
    /// `--deadline`, in minutes, or with a unit as in `90s`.
    pub(crate) deadline: Duration,
    /// What was not understood, to be logged.
    pub(crate) unknown: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self { level: Level::INFO, dryrun: false, deadline: DEFAULT_DEADLINE, unknown: Vec::new() }
    }
}

impl Arguments {
    /// Reads arguments with one or two dashes, values behind `=` or in the next word.
    pub(crate) fn parse<I: IntoIterator<Item = String>>(words: I) -> Self {
        let mut arguments = Self::default();
        let mut words = words.into_iter().peekable();
        while let Some(word) = words.next() {
            // The kernel also hands over words of the command line that nobody knew.
            let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let understood = match name {
                "dryrun" => match value.as_deref().map_or(Some(true), parse_bool) {
                    Some(dryrun) => {
                        arguments.dryrun = dryrun;
                        true
                    }
                    None => false,
                },
                "loglevel" => value.or_else(|| words.next()).is_some_and(|value| {
                    arguments.level = parse_level(&value);
                    true
                }),
                "deadline" => value
                    .or_else(|| words.next())
                    .and_then(|value| parse_deadline(&value))
                    .is_some_and(|deadline| {
                        arguments.deadline = deadline;
                        true
                    }),
                "" => true,
                _ => false,
            };
            if !understood {
                arguments.unknown.push(word);
            }
        }
        arguments
    }
}

/// The words that stboot takes; anything else is `info`.
fn parse_level(value: &str) -> Level {
    match value {
        "e" | "error" => Level::ERROR,
        "w" | "warn" | "warm" => Level::WARN,
        "d" | "debug" => Level::DEBUG,
        _ => Level::INFO,
    }
}

fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn parse_deadline(value: &str) -> Option<Duration> {
    let (number, unit) = match value.strip_suffix('s') {
        Some(seconds) => (seconds, 1),
        None => (value.strip_suffix('m').unwrap_or(value), 60),
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (seconds > 0).then(|| Duration::from_secs(seconds).min(MAX_DEADLINE))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tracing::Level;

    use super::Arguments;
    use super::KernelSettings;
    use super::RebootDelay;

    fn arguments(line: &str) -> Arguments {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_console_is_found_and_nothing_but_terminals() {
        let settings = KernelSettings::parse(
            "console=tty0 console=ttyS0,115200n8 console=/dev/sda console=ttyS0 quiet \
             ramstrap.report=../sda panic=30 -- console=ttyS9 --dryrun",
        );
        assert_eq!(settings.consoles, ["tty0", "ttyS0"]);
        assert_eq!(settings.report, None);
        assert_eq!(settings.reboot_delay, RebootDelay::Fixed(Duration::from_secs(30)));
    }

    #[test]
    fn panic_is_read_as_the_kernel_reads_it() {
        let delay = |line| KernelSettings::parse(line).reboot_delay;
        assert_eq!(delay("panic=-1"), RebootDelay::None);
        assert_eq!(delay("panic=0"), RebootDelay::Ours);
        assert_eq!(delay("panic=soon"), RebootDelay::Ours);
        assert_eq!(delay("quiet"), RebootDelay::Ours);
        assert_eq!(delay("panic=30 panic=-1"), RebootDelay::None, "the last one wins");
    }

    #[test]
    fn arguments_are_taken_in_all_forms_that_stboot_takes() {
        assert_eq!(arguments("--loglevel=debug -dryrun --deadline 3").level, Level::DEBUG);
        assert!(arguments("-loglevel debug -dryrun").dryrun);
        assert!(!arguments("--dryrun=false").dryrun);
        assert_eq!(arguments("--deadline 3").deadline, Duration::from_secs(180));
        assert_eq!(arguments("-deadline=45s").deadline, Duration::from_secs(45));
        assert_eq!(arguments("--loglevel=nonsense").level, Level::INFO);
    }

    #[test]
    fn what_is_not_understood_is_noted_and_changes_nothing() {
        let parsed = arguments("splash --deadline=never --shell=/bin/sh --dryrun=perhaps");
        assert_eq!(parsed.unknown, ["--deadline=never", "--shell=/bin/sh", "--dryrun=perhaps"]);
        assert_eq!(Arguments { unknown: Vec::new(), ..parsed }, Arguments::default());
    }
}
