//! The address to the Internet, which may change while the machine serves: clients appear behind the
//! one that there is.
//!
//! `masquerade` of nftables would do so by itself, but takes no address of the scope that [`netup`]
//! gives them (link), and drops the packet. That scope keeps the address of one NIC out of what another
//! one sends while both are tried; so the address is followed here instead.

use core::convert::Infallible;
use core::net::IpAddr;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::rc::Rc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use netup::Link;
use rtnetlink::Handle;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::address::AddressMessage;

use crate::app::App;
use crate::firewall;
use crate::render;

/// The address is looked up this often even if the kernel does not say that it changed: its notices
/// are lost when there are too many at once.
const INTERVAL: Duration = Duration::from_secs(5);

/// The IPv4 address of a link when it came up.
pub(crate) fn first_address(link: &Link) -> Option<Ipv4Addr> {
    link.addresses.iter().find_map(|address| match address.address() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}

/// Keeps [`App::uplink_address`] true, and what clients appear behind.
pub(crate) async fn follow(app: Rc<App>, link: Link) -> Infallible {
    let mut said = String::new();
    loop {
        let Err(error) = watch(&app, &link).await;
        let line = format!("the address of {} is not followed: {error}", link.interface);
        if line != said {
            console::line(&line);
            said = line;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// As long as the connections to the kernel work.
async fn watch(app: &App, link: &Link) -> Result<Infallible, String> {
    let failed = |error: std::io::Error| format!("route netlink: {error}");
    let (asking, handle, _) = rtnetlink::new_connection().map_err(failed)?;
    let _asking = Task(tokio::spawn(asking));
    let (hearing, _, mut notices) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Ipv4Ifaddr]).map_err(failed)?;
    let _hearing = Task(tokio::spawn(hearing));
    loop {
        let before = app.uplink_address();
        let now = address(&handle, link.index, before).await?;
        if now != before {
            app.set_uplink_address(now);
            if let Some(now) = now {
                console::line(&format!("address {now} port {}", provision::PORT));
            }
        }
        translate(app, &link.interface, now).await?;
        tokio::select! {
            notice = notices.next() => {
                notice.ok_or_else(|| "the kernel says nothing more".to_owned())?;
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
        // One look answers for all notices that are there.
        while let Some(Some(_)) = notices.next().now_or_never() {}
    }
}

/// Has clients appear behind the address that there is, if there are any.
async fn translate(app: &App, interface: &str, now: Option<Ipv4Addr>) -> Result<(), String> {
    if app.clients_behind().is_some_and(|behind| behind != now) {
        firewall::apply(&render::translation(interface, now)).await?;
        app.set_clients_behind(now);
        // They were behind an address that answers no longer come to.
        firewall::forget_connections();
    }
    Ok(())
}

/// The address of an interface: the one that it had, if it still has it, else the first.
async fn address(
    handle: &Handle,
    index: u32,
    before: Option<Ipv4Addr>,
) -> Result<Option<Ipv4Addr>, String> {
    let found = handle.address().get().set_link_index_filter(index).execute();
    let found: Vec<AddressMessage> =
        found.try_collect().await.map_err(|error| format!("listing addresses: {error}"))?;
    let mut all = found.iter().filter_map(local);
    let first = all.next();
    let kept = before.filter(|before| first == Some(*before) || all.any(|it| it == *before));
    Ok(kept.or(first))
}

fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
    message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })
}

/// A task that ends with this.
struct Task(tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
