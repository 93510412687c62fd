//! A background task that ends with its owner.

use core::future::Future;
use core::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Stops its task when it is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sleeps until a time after `origin`; without one, for ever.
pub(crate) async fn sleep_until(origin: Instant, at: Option<Duration>) {
    sleep_until_instant(at.map(|at| origin + at)).await;
}

/// Sleeps until then; without a time, for ever.
pub(crate) async fn sleep_until_instant(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => core::future::pending().await,
    }
}
