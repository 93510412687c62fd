//! What becomes of a link after it is up.

use tokio::sync::watch;

use crate::plan::Connected;
use crate::plan::Link;
use crate::session::Status;

/// Says when a link has changed: a lease that was renewed names other servers, a router advertises
/// another prefix. Ends nothing when it is dropped, and keeps nothing alive.
#[derive(Debug)]
pub struct LinkNews {
    status: watch::Receiver<Status>,
    known: Link,
}

impl LinkNews {
    /// Waits until addresses, gateways, DNS servers, search domains or time servers are others, and
    /// gives the link as it is then. While it has no address, or once the connection was given up,
    /// there is nothing to say.
    pub async fn changed(&mut self) -> Link {
        loop {
            let now = self.status.borrow_and_update().link.clone();
            if let Some(now) = now
                && !(now.is_same(&self.known) && now.ntp == self.known.ntp)
            {
                self.known.clone_from(&now);
                return now;
            }
            if self.status.changed().await.is_err() {
                core::future::pending::<()>().await;
            }
        }
    }
}

impl<T> Connected<T> {
    /// What becomes of [`Connected::link`], as long as this lives.
    #[must_use]
    pub fn news(&self) -> LinkNews {
        LinkNews { status: self.holder.status(), known: self.link.clone() }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::watch;

    use super::LinkNews;
    use crate::plan::Link;
    use crate::plan::Method;
    use crate::session::Status;

    fn link(dns: &str) -> Link {
        Link {
            interface: "eth0".to_owned(),
            index: 2,
            mac: "52:54:00:12:34:56".to_owned(),
            method: Method::Dhcp,
            addresses: vec!["192.0.2.9/24".parse().unwrap()],
            gateways: Vec::new(),
            routes: Vec::new(),
            dns: vec![dns.parse().unwrap()],
            search: Vec::new(),
            ntp: Vec::new(),
            dhcp_server: None,
            lease_seconds: Some(60),
        }
    }

    fn status(link: Option<Link>) -> Status {
        Status { link, ..Status::default() }
    }

    #[tokio::test]
    async fn other_dns_servers_are_told_and_a_mere_renewal_is_not() {
        let first = link("192.0.2.53");
        let (sender, receiver) = watch::channel(status(Some(first.clone())));
        let mut news = LinkNews { status: receiver, known: first.clone() };
        let mut after = |next| {
            sender.send_replace(status(next));
            news.changed().now_or_never().map(|link| link.dns)
        };
        let other = |dns| Some(link(dns).dns);
        assert_eq!(after(Some(Link { lease_seconds: Some(61), ..first })), None);
        assert_eq!(after(None), None);
        assert_eq!(after(Some(link("192.0.2.54"))), other("192.0.2.54"));
        // Gone for a while and back as it was: nothing new.
        assert_eq!(after(None), None);
        assert_eq!(after(Some(link("192.0.2.54"))), None);
        assert_eq!(after(Some(link("192.0.2.55"))), other("192.0.2.55"));
    }

    #[tokio::test]
    async fn a_change_that_came_before_anybody_asked_is_told() {
        let (_sender, receiver) = watch::channel(status(Some(link("192.0.2.54"))));
        let mut news = LinkNews { status: receiver, known: link("192.0.2.53") };
        assert_eq!(news.changed().await.dns, link("192.0.2.54").dns);
    }
}
