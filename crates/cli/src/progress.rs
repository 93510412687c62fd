//! A progress bar for what takes longer than a second, on terminals only.

use core::cell::RefCell;
use std::io::IsTerminal;
use std::io::Read;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;

const DELAY: Duration = Duration::from_secs(1);

/// Bytes that are worked through.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    shown_after: Option<Instant>,
    timer: Option<Timer>,
}

/// Shows a spinner once a second has passed, unless the work is done by then.
#[derive(Debug)]
struct Timer {
    done: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Timer {
    fn start(bar: ProgressBar) -> Self {
        let (done, wait) = mpsc::channel();
        let thread = thread::spawn(move || {
            if wait.recv_timeout(DELAY) == Err(RecvTimeoutError::Timeout) {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(DELAY / 4);
            }
        });
        Self { done, thread }
    }

    /// Nothing is shown after this.
    fn stop(self) {
        drop(self.done);
        let _ = self.thread.join();
    }
}

impl Progress {
    /// Nothing is seen of it before a second has passed, and never outside a terminal.
    pub(crate) fn bytes(what: &'static str, total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::hidden());
        let template =
            "{msg:<10} {wide_bar} {bytes:>11} of {total_bytes} {binary_bytes_per_sec} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        let on_terminal = std::io::stderr().is_terminal();
        let shown_after = on_terminal.then(|| Instant::now() + DELAY);
        Self { bar, shown_after, timer: None }
    }

    /// Counts what is read through it.
    pub(crate) fn reader<R: Read>(&mut self, inner: R) -> Reader<'_, R> {
        Reader { inner, progress: self }
    }

    /// As [`Self::reader`], for several readers of the same work.
    pub(crate) fn shared_reader<R: Read>(this: &RefCell<Self>, inner: R) -> SharedReader<'_, R> {
        SharedReader { inner, progress: this }
    }

    /// For work that cannot say how far it is. As quiet as [`Self::bytes`] in its first second.
    pub(crate) fn spinner(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        let timer = std::io::stderr().is_terminal().then(|| Timer::start(bar.clone()));
        Self { bar, shown_after: None, timer }
    }

    fn add(&mut self, bytes: u64) {
        self.bar.inc(bytes);
        if self.shown_after.is_some_and(|moment| Instant::now() >= moment) {
            self.shown_after = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.stop();
        }
        self.bar.finish_and_clear();
    }
}

/// See [`Progress::reader`].
#[derive(Debug)]
pub(crate) struct Reader<'a, R> {
    inner: R,
    progress: &'a mut Progress,
}

impl<R: Read> Read for Reader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.add(read as u64);
        Ok(read)
    }
}

/// See [`Progress::shared_reader`].
#[derive(Debug)]
pub(crate) struct SharedReader<'a, R> {
    inner: R,
    progress: &'a RefCell<Progress>,
}

impl<R: Read> Read for SharedReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.borrow_mut().add(read as u64);
        Ok(read)
    }
}
