//! The tunnel's interface. Its keys go from memory to the kernel, by way of no file system and no
//! command line.

use core::net::IpAddr;
use std::io;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use futures_util::TryStreamExt;
use provision::config::Wireguard;
use rtnetlink::Handle;
use rtnetlink::LinkUnspec;
use rtnetlink::LinkWireguard;
use rtnetlink::RouteMessageBuilder;

use crate::process;
use crate::process::Program;
use crate::process::Rights;
use crate::render;
use crate::render::Network;

/// Name of the interface.
pub(crate) const NAME: &str = "wg0";

const WG: &str = "/usr/bin/wg";

/// Makes the interface with all its peers and addresses; it stays down.
///
/// # Errors
/// The first thing that the kernel or `wg` refused. What was made stays: see [`remove()`].
pub(crate) async fn create(tunnel: &Wireguard) -> Result<(), String> {
    remove().await;
    let netlink = Netlink::open()?;
    let made = netlink.handle.link().add(LinkWireguard::new(NAME).build()).execute().await;
    made.map_err(|error| failed("making the interface", &error))?;
    set_keys(tunnel).await?;
    let index = netlink.index().await.ok_or_else(|| format!("{NAME} is gone again"))?;
    let message = LinkUnspec::new_with_index(index).mtu(u32::from(tunnel.mtu)).build();
    let set = netlink.handle.link().set(message).execute().await;
    set.map_err(|error| failed(&format!("setting the MTU {}", tunnel.mtu), &error))?;
    for cidr in &tunnel.addresses {
        let address = netlink.handle.address().add(index, cidr.address(), cidr.prefix_len());
        let added = address.execute().await;
        added.map_err(|error| failed(&format!("adding the address {cidr}"), &error))?;
    }
    Ok(())
}

/// Switches the interface on, with routes to those peers that are in none of its own networks.
///
/// # Errors
/// What the kernel refused.
pub(crate) async fn switch_on(tunnel: &Wireguard) -> Result<(), String> {
    let netlink = Netlink::open()?;
    let index = netlink.index().await.ok_or_else(|| format!("{NAME} is gone"))?;
    let up = netlink.handle.link().set(LinkUnspec::new_with_index(index).up().build());
    up.execute().await.map_err(|error| failed("switching it on", &error))?;
    for cidr in outside(tunnel) {
        let what = || format!("adding the route to {cidr}");
        let message = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(cidr.address(), cidr.prefix_len())
            .map_err(|error| format!("{NAME}: {}: {error}", what()))?
            .output_interface(index)
            .build();
        let added = netlink.handle.route().add(message).replace().execute().await;
        added.map_err(|error| failed(&what(), &error))?;
    }
    Ok(())
}

/// Networks of clients that need a route of their own.
fn outside(tunnel: &Wireguard) -> Vec<hostcfg::Cidr> {
    let own: Vec<Network> = tunnel.addresses.iter().copied().map(Network::of).collect();
    let all = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips);
    all.filter(|cidr| !own.iter().any(|network| network.covers(&Network::of(**cidr))))
        .copied()
        .collect()
}

/// A client's network that would take the server's own traffic, if there is one.
pub(crate) fn takes_everything(tunnel: &Wireguard) -> Option<hostcfg::Cidr> {
    let mut all = tunnel.peers.iter().flat_map(|peer| &peer.allowed_ips);
    all.find(|cidr| cidr.prefix_len() == 0).copied()
}

/// Removes the interface; the kernel wipes its keys. Best effort.
pub(crate) async fn remove() {
    let Ok(netlink) = Netlink::open() else { return };
    if let Some(index) = netlink.index().await {
        // It may be gone by itself.
        let _ = netlink.handle.link().del(index).execute().await;
    }
}

async fn set_keys(tunnel: &Wireguard) -> Result<(), String> {
    let input = || -> io::Result<std::fs::File> {
        let mut file = process::memory_file(c"wg")?;
        render::setconf(tunnel, |piece| file.write_all(piece.as_bytes()))?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    };
    let input = input().map_err(|error| format!("wg: {error}"))?;
    // It opens what it is given by name; this name leads to the file that has none.
    let wg = Program::new(WG, &["setconf", NAME, "/proc/self/fd/0"], Rights::All);
    process::run(&wg, Some(input)).await
}

fn failed(what: &str, error: &rtnetlink::Error) -> String {
    let reason = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io().to_string(),
        other => other.to_string(),
    };
    format!("{NAME}: {what}: {reason}")
}

/// A connection to the kernel that ends with this.
struct Netlink {
    handle: Handle,
    task: tokio::task::JoinHandle<()>,
}

impl Netlink {
    fn open() -> Result<Self, String> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(|error| format!("route netlink: {error}"))?;
        Ok(Self { handle, task: tokio::spawn(connection) })
    }

    /// The index of the interface, if there is one.
    async fn index(&self) -> Option<u32> {
        let mut found = self.handle.link().get().match_name(NAME.to_owned()).execute();
        found.try_next().await.ok().flatten().map(|link| link.header.index)
    }
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.task.abort();
    }
}
