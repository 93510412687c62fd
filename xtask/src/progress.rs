//! Steps that take time: said when they begin to be felt, with their time at the end.
//!
//! On a terminal a step has a spinner with its latest line; elsewhere (a pipe, CI) it prints plain
//! lines. All of it goes to standard error: standard output belongs to the guest's console.

use std::io::BufRead;
use std::io::BufReader;
use std::io::IsTerminal;
use std::io::Read;
use std::io::stderr;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

/// A step shorter than this is not worth a line.
const WORTH_SAYING: Duration = Duration::from_secs(1);

/// How often a long step says on a plain log that it still runs.
const STILL_RUNNING: Duration = Duration::from_secs(20);

/// Runs `work`, showing that it runs. `work` may say what it is at through the [`Step`].
///
/// # Errors
///
/// Whatever `work` returns.
pub fn step<T>(label: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let step = Step::start(label);
    let result = work(&step);
    step.finish(result.is_ok(), started.elapsed());
    result
}

/// Runs a command as a step: its latest line is what the step is at. Its output is shown only if it
/// fails.
///
/// # Errors
///
/// The command could not be started, or ended with another status than 0.
pub fn run(label: &str, command: &mut Command) -> Result<()> {
    step(label, |step| {
        let (status, output) = run_captured(command, |line| step.at(line))?;
        if !status.success() {
            step.println(output.trim_end());
            bail!("`{}` ended with {status}", shown(command));
        }
        Ok(())
    })
}

/// The command as one would type it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// A step that runs.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    label: String,
    /// What the step is at.
    latest: Arc<Mutex<String>>,
    /// Ends the thread that speaks on a plain log; none on a terminal.
    done: Option<mpsc::Sender<()>>,
}

impl Step {
    fn start(label: &str) -> Self {
        let label = label.to_owned();
        let latest = Arc::new(Mutex::new(String::new()));
        if stderr().is_terminal() {
            let style = ProgressStyle::with_template(
                "{spinner:.cyan} {prefix} ({elapsed}) {wide_msg:.dim}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style).with_prefix(label.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            return Self { bar, label, latest, done: None };
        }
        let (done, ended) = mpsc::channel();
        let (name, at) = (label.clone(), Arc::clone(&latest));
        thread::spawn(move || speak_while_running(&name, &at, &ended));
        Self { bar: ProgressBar::hidden(), label, latest, done: Some(done) }
    }

    /// Says what the step is at.
    pub fn at(&self, what: &str) {
        self.bar.set_message(what.trim().to_owned());
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = what.trim().to_owned();
    }

    /// Prints a line that stays, above the spinner.
    pub fn println(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    fn finish(self, ok: bool, took: Duration) {
        self.bar.finish_and_clear();
        drop(self.done);
        let seconds = took.as_secs_f64();
        if !ok {
            eprintln!("  failed: {} ({seconds:.1} s)", self.label);
        } else if took >= WORTH_SAYING {
            eprintln!("  done: {} ({seconds:.1} s)", self.label);
        }
    }
}

fn speak_while_running(label: &str, latest: &Mutex<String>, ended: &mpsc::Receiver<()>) {
    let started = Instant::now();
    if ended.recv_timeout(WORTH_SAYING) != Err(mpsc::RecvTimeoutError::Timeout) {
        return;
    }
    eprintln!("  {label} …");
    while ended.recv_timeout(STILL_RUNNING) == Err(mpsc::RecvTimeoutError::Timeout) {
        let at = latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        eprintln!("  {label} … {} s  {at}", started.elapsed().as_secs());
    }
}

/// Runs a command with both outputs read as one, a line at a time, and returns all of it.
pub(crate) fn run_captured(
    command: &mut Command,
    mut on_line: impl FnMut(&str),
) -> Result<(ExitStatus, String)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{}`", shown(command)))?;
    let (lines, received) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        forward(stdout, lines.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        forward(stderr, lines.clone());
    }
    drop(lines);
    let mut output = String::new();
    for line in received {
        on_line(&line);
        output.push_str(&line);
        output.push('\n');
    }
    Ok((child.wait()?, output))
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if to.send(text).is_err() {
                return;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::run;
    use super::run_captured;

    #[test]
    fn both_outputs_are_read() {
        let mut seen = 0;
        let (status, output) =
            run_captured(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]), |_| {
                seen += 1
            })
            .unwrap();
        assert_eq!((status.code(), seen), (Some(3), 2));
        assert!(output.contains("one\n") && output.contains("two\n"));
    }

    #[test]
    fn a_failing_command_is_named() {
        let error = run("trying", Command::new("sh").args(["-c", "exit 4"])).unwrap_err();
        assert!(error.to_string().contains("sh -c exit 4"), "{error}");
    }
}
