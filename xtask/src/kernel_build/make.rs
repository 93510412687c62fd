//! Calls of the kernel's `make`, in surroundings that leave no trace in what it makes.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use recipe::builder::Builder;
use recipe::builder::Mount;

use super::options::Config;
use super::options::Requests;
use crate::progress;
use crate::progress::Step;

/// What a kernel says about its own making in place of the truth, which is another every time.
pub const FIXED: [(&str, &str); 4] = [
    ("KBUILD_BUILD_HOST", "ramstrap"),
    ("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970"),
    ("KBUILD_BUILD_USER", "ramstrap"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// What `make` is told besides. An empty `LOCALVERSION` keeps the state of a git checkout out of the
/// release. Compilers that no option of ours asks for are kept away: their versions, or that they are
/// there at all, would stand in the configuration, which is in the kernel.
const SETTINGS: [(&str, &str); 5] = [
    ("ARCH", "x86_64"),
    ("BINDGEN", "no-bindgen"),
    ("LOCALVERSION", ""),
    ("PAHOLE", "no-pahole"),
    ("RUSTC", "no-rustc"),
];

/// Lines of output that are shown of a build that failed.
const LINES_SHOWN: usize = 40;

/// Where `make` finds the image, below the output directory.
pub const IMAGE: &str = "arch/x86/boot/bzImage";

/// What surrounds a call of `make`, and must make no difference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Surroundings {
    /// What stands before `make`: programs that run another with something changed.
    pub prefix: Vec<String>,
    /// How many things are done at a time.
    pub jobs: usize,
    /// File mode creation mask, in octal digits.
    pub umask: &'static str,
    /// Value of `TZ`.
    pub timezone: &'static str,
    /// More variables, for what must not matter.
    pub variables: Vec<(&'static str, OsString)>,
    /// Whether the kernel is told [`FIXED`]; only a test leaves it out.
    pub fixed: bool,
}

impl Surroundings {
    /// Those of every build: nothing before `make`, and nothing of the caller's environment.
    #[must_use]
    pub const fn plain(jobs: usize) -> Self {
        Self {
            prefix: Vec::new(),
            jobs,
            umask: "022",
            timezone: "UTC",
            variables: Vec::new(),
            fixed: true,
        }
    }

    /// Those of a builder root, in which source and output are where they are outside.
    #[must_use]
    pub fn locked(jobs: usize, builder: &Builder, tree: &Path, out: &Path) -> Self {
        let mounts = [
            Mount::read_only(tree, &tree.to_string_lossy()),
            Mount::writable(out, &out.to_string_lossy()),
        ];
        let variables = Builder::environment();
        Self {
            prefix: builder.words(&mounts, "/"),
            variables: variables.map(|(name, value)| (name, value.into())).into(),
            ..Self::plain(jobs)
        }
    }
}

/// A source tree and a directory for what is made of it.
#[derive(Clone, Debug)]
pub struct Make<'a> {
    /// The source, which is only read.
    pub tree: &'a Path,
    /// Where everything is written.
    pub out: &'a Path,
    /// What it happens in.
    pub surroundings: &'a Surroundings,
}

impl Make<'_> {
    /// Resolves the options: what `make` makes of what is asked for.
    ///
    /// # Errors
    ///
    /// `make` failed.
    pub fn configure(&self, requests: &Requests) -> Result<Config> {
        let merged = self.out.join("merged.config");
        std::fs::write(&merged, requests.merged())
            .with_context(|| format!("cannot write {}", merged.display()))?;
        progress::step("resolve the options", |_| {
            let mut command = self.command("allnoconfig");
            command.arg(format!("KCONFIG_ALLCONFIG={}", merged.display()));
            self.run(&mut command, |_| ())
        })?;
        let file = self.out.join(".config");
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("make wrote no {}", file.display()))?;
        Ok(Config::parse(&text))
    }

    /// Makes a target, such as `bzImage`. `expected` is the number of its steps as far as it is known,
    /// for the percentage. Returns how many there were.
    ///
    /// # Errors
    ///
    /// `make` failed; what it said that matters has been printed.
    pub fn target(&self, label: &str, targets: &[&str], expected: usize) -> Result<usize> {
        progress::step(label, |step| {
            let mut pace = Pace::new(expected);
            let (first, others) = targets.split_first().context("nothing to make")?;
            let mut command = self.command(first);
            command.args(others);
            let shown = self.run(&mut command, |line| {
                if let Some(text) = pace.line(line) {
                    step.at(&text);
                }
            });
            shown.inspect_err(|error| explain(step, error))?;
            Ok(pace.done)
        })
    }

    /// The image that was made.
    #[must_use]
    pub fn image(&self) -> PathBuf {
        self.out.join(IMAGE)
    }

    fn command(&self, target: &str) -> Command {
        let around = self.surroundings;
        let mut words = around.prefix.clone();
        // The mask is set by a shell: what Rust offers for it needs unsafe code.
        let script = format!("umask {} && exec \"$@\"", around.umask);
        words.extend(["sh".to_owned(), "-c".to_owned(), script, "sh".to_owned()]);
        words.push("make".to_owned());
        let mut command = Command::new(words.first().map_or("sh", String::as_str));
        command.args(words.iter().skip(1));
        // CFLAGS, MAKEFLAGS, KCFLAGS, GCC_…: nobody can list what might have an influence.
        command.env_clear();
        for name in ["PATH", "HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("LC_ALL", "C").env("TZ", around.timezone).envs(around.variables.clone());
        command.arg("-C").arg(self.tree).arg(format!("O={}", self.out.display()));
        command.arg(format!("-j{}", around.jobs));
        let fixed = if around.fixed { &FIXED[..] } else { &[] };
        for (name, value) in SETTINGS.iter().chain(fixed) {
            command.arg(format!("{name}={value}"));
        }
        command.arg(target);
        command
    }

    fn run(&self, command: &mut Command, on_line: impl FnMut(&str)) -> Result<()> {
        let (status, output) = progress::run_captured(command, on_line)?;
        if !status.success() {
            bail!("make ended with {status} in {}\n{}", self.out.display(), what_matters(&output));
        }
        Ok(())
    }
}

fn explain(step: &Step, _error: &anyhow::Error) {
    step.println("The source, the options or the tools do not fit together:");
}

/// The end of what `make` said, without the lines that only say what it does.
fn what_matters(output: &str) -> String {
    let lines: Vec<&str> = output.lines().filter(|line| !is_step(line)).collect();
    let from = lines.len().saturating_sub(LINES_SHOWN);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Lines are `  CC      init/main.o`.
fn is_step(line: &str) -> bool {
    line.starts_with("  ")
        && line.trim_start().split(' ').next().is_some_and(|word| {
            word.len() > 1
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        })
}

/// How far a build is, and when it will be done.
#[derive(Debug)]
struct Pace {
    started: Instant,
    expected: usize,
    done: usize,
}

impl Pace {
    fn new(expected: usize) -> Self {
        Self { started: Instant::now(), expected, done: 0 }
    }

    /// Counts a line of output; none if it is no step of the build.
    fn line(&mut self, line: &str) -> Option<String> {
        if !is_step(line) {
            return None;
        }
        self.done += 1;
        let target = line.split_whitespace().last().unwrap_or_default();
        Some(describe(self.done, self.expected, self.started.elapsed().as_secs(), target))
    }
}

fn describe(done: usize, expected: usize, seconds: u64, target: &str) -> String {
    // A count from another version may be too small; 100 % would be a lie.
    let percent = (done * 100 / expected.max(1)).min(99);
    let left = u64::try_from(expected.saturating_sub(done)).unwrap_or_default();
    let each = u64::try_from(done.max(1)).unwrap_or(1);
    // The first objects say nothing yet about the pace of all.
    let left = match seconds * left / each {
        _ if seconds < 10 => String::new(),
        0..60 => ", less than a minute left".to_owned(),
        more => format!(", about {} min left", more.div_ceil(60)),
    };
    format!("{percent} % ({done} of about {expected}{left})  {target}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::path::Path;

    use super::Make;
    use super::Pace;
    use super::Surroundings;
    use super::describe;
    use super::what_matters;

    #[test]
    fn nothing_of_the_callers_environment_reaches_make() {
        let surroundings = Surroundings::plain(3);
        let make =
            Make { tree: Path::new("/src"), out: Path::new("/out"), surroundings: &surroundings };
        let command = make.command("bzImage");
        let names: Vec<&OsStr> = command.get_envs().map(|(name, _)| name).collect();
        for name in names {
            assert!(["HOME", "LC_ALL", "PATH", "TZ"].iter().any(|it| name == *it), "{name:?}");
        }
        let words: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        let line = words.join(" ");
        assert!(
            line.contains("umask 022 && exec") && line.contains("-C /src O=/out -j3"),
            "{line}"
        );
        assert!(line.contains("KBUILD_BUILD_USER=ramstrap") && line.contains(" LOCALVERSION= "));
        assert!(line.ends_with("bzImage"), "{line}");
    }

    #[test]
    fn only_steps_are_counted() {
        let mut pace = Pace::new(4);
        assert_eq!(pace.line("make[1]: Entering directory '/out'"), None);
        assert_eq!(pace.line("  GEN     Makefile").unwrap(), "25 % (1 of about 4)  Makefile");
        assert!(pace.line("  CC      init/main.o").unwrap().starts_with("50 %"));
        assert_eq!(pace.line("  warning: something"), None);
        assert_eq!(pace.done, 2);
        assert_eq!(
            describe(500, 1000, 120, "a.o"),
            "50 % (500 of about 1000, about 2 min left)  a.o"
        );
        assert!(describe(1200, 1000, 120, "a.o").starts_with("99 % (1200 of about 1000, less"));
    }

    #[test]
    fn a_failure_shows_what_make_said_about_it() {
        let output = "  CC      a.o\na.c:1: error: x\n  CC      b.o\nmake: *** Error 1\n";
        assert_eq!(what_matters(output), "a.c:1: error: x\nmake: *** Error 1");
    }
}
