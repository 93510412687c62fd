//! Waiting for many things at a time.

use core::future::pending;

use tokio::sync::watch;

/// Waits until there is something new to see; for ever if nothing ever will be.
pub(super) async fn news<T>(of: Option<&mut watch::Receiver<T>>) {
    let Some(of) = of else { return pending().await };
    if of.changed().await.is_err() {
        pending().await
    }
}

/// As [`news`], of whichever has any first.
pub(super) async fn news_of_any<T>(of: &mut [&mut watch::Receiver<T>]) {
    if of.is_empty() {
        return pending().await;
    }
    let all = of.iter_mut().map(|one| Box::pin(news(Some(&mut **one))));
    futures_util::future::select_all(all).await;
}
