//! Whether a TLS handshake was under way when a connection was given up.
//!
//! The HTTP library has one deadline for name, TCP and TLS together, and does not say which of them it
//! waited for. But it does all of them within the request's own task, and so does TLS with what it
//! asks our certificate verifier: a note that is kept for one request can be written there.

use core::cell::Cell;
use core::future::Future;

tokio::task_local! {
    /// Whether a server was greeted that has not shown its certificate since.
    static GREETED: Cell<bool>;
}

/// Runs a request; returns with its outcome whether a handshake was begun last that got no answer.
pub(crate) async fn watched<F: Future>(request: F) -> (F::Output, bool) {
    let watched = async { (request.await, GREETED.with(Cell::get)) };
    GREETED.scope(Cell::new(false), watched).await
}

/// A handshake begins: a connection is there.
pub(crate) fn begun() {
    note(true);
}

/// The certificate has come.
pub(crate) fn answered() {
    note(false);
}

fn note(greeted: bool) {
    // Of a handshake outside of a request nobody wants to know.
    let _ = GREETED.try_with(|cell| cell.set(greeted));
}

#[cfg(test)]
mod tests {
    use super::answered;
    use super::begun;
    use super::watched;

    #[tokio::test]
    async fn each_request_has_its_own_note() {
        begun();
        let silent = watched(async { begun() });
        let good = watched(async {
            begun();
            tokio::task::yield_now().await;
            answered();
        });
        let (((), silent), ((), good)) = tokio::join!(silent, good);
        assert!(silent && !good);
        let (within, _) = watched(watched(async { begun() })).await;
        assert!(within.1);
    }
}
