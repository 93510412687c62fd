//! Networks of two machines, each in a QEMU of its own. They need no privileges: the wires are
//! datagram sockets.

mod switch;

use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use tempfile::TempDir;

use super::options::Netdev;
use switch::Switch;

/// What QEMU's DHCP server gives to the first machine that asks.
const FIRST_GUEST: &str = "10.0.2.15";

/// The hub that joins the user network to its wire; cables of tests have the lower numbers.
const HUB: u32 = 1000;

/// A wire between two machines, and nothing else on it. It is there as long as this is.
#[derive(Debug)]
pub struct Link {
    directory: TempDir,
}

impl Link {
    /// A wire.
    ///
    /// # Errors
    ///
    /// No temporary directory can be made.
    pub fn new() -> Result<Self> {
        Ok(Self { directory: directory()? })
    }

    /// Its two ends. Which machine is switched on first does not matter.
    #[must_use]
    pub fn ends(&self) -> (Netdev, Netdev) {
        let (a, b) = (self.directory.path().join("a"), self.directory.path().join("b"));
        (Netdev::Custom(dgram(&a, &b)), Netdev::Custom(dgram(&b, &a)))
    }
}

/// QEMU's user network (DHCP, DNS, the host's loopback as 10.0.2.2), with two machines on it: that
/// in whose QEMU it is, and one more. Both see each other.
///
/// A switch of ours is between them, for the user network takes every frame that it sees for its
/// own, whoever it is addressed to, and would answer in the place of the other machine.
#[derive(Debug)]
pub struct Lan {
    directory: TempDir,
    forwards: Vec<(u16, u16)>,
    _switch: Switch,
}

impl Lan {
    /// A network.
    ///
    /// # Errors
    ///
    /// Its sockets cannot be made.
    pub fn new() -> Result<Self> {
        let directory = directory()?;
        let switch = Switch::start(directory.path()).context("cannot make a switch")?;
        Ok(Self { directory, forwards: Vec::new(), _switch: switch })
    }

    /// The same, with a TCP port of the host's loopback that leads to a port of the first machine.
    #[must_use]
    pub fn forward(mut self, host: u16, guest: u16) -> Self {
        self.forwards.push((host, guest));
        self
    }

    /// Where the NIC of the first machine is plugged in, which gets its address by DHCP.
    #[must_use]
    pub fn first(&self) -> Netdev {
        Netdev::Custom(self.port(switch::FIRST))
    }

    /// Where the NIC of the second machine is plugged in. It takes an address of its own, outside
    /// those that DHCP gives (10.0.2.15 and up).
    #[must_use]
    pub fn second(&self) -> Netdev {
        Netdev::Custom(self.port(switch::SECOND))
    }

    /// What the first machine's QEMU needs besides, for [`super::BootOptions::qemu_args`]: the user
    /// network.
    #[must_use]
    pub fn qemu_args(&self) -> Vec<String> {
        let mut user = "user,id=lan-user".to_owned();
        for (host, guest) in &self.forwards {
            user += &format!(",hostfwd=tcp:127.0.0.1:{host}-{FIRST_GUEST}:{guest}");
        }
        let wire = format!("{},id=lan-wire", self.port(switch::USER));
        let port = |peer| format!("hubport,id=lan-{peer}-port,hubid={HUB},netdev=lan-{peer}");
        [user, wire, port("user"), port("wire")]
            .into_iter()
            .flat_map(|netdev| ["-netdev".to_owned(), netdev])
            .collect()
    }

    fn port(&self, name: &str) -> String {
        let (ours, theirs) = switch::sockets(self.directory.path(), name);
        dgram(&theirs, &ours)
    }
}

/// Below /tmp: the path of a socket has room for 107 bytes.
fn directory() -> Result<TempDir> {
    let made = tempfile::Builder::new().prefix("lan").tempdir_in("/tmp");
    made.context("no temporary directory in /tmp")
}

fn dgram(local: &Path, remote: &Path) -> String {
    let path = |path: &Path| path.display().to_string().replace(',', ",,");
    format!(
        "dgram,local.type=unix,local.path={},remote.type=unix,remote.path={}",
        path(local),
        path(remote),
    )
}

#[cfg(test)]
mod tests {
    use super::Lan;
    use super::Link;
    use super::Netdev;

    fn words(netdev: Netdev) -> String {
        match netdev {
            Netdev::Custom(words) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_end_sends_to_where_the_other_listens() {
        let link = Link::new().unwrap();
        let (a, b) = link.ends();
        let path = |words: &str, key: &str| {
            let (_, rest) = words.split_once(key).unwrap();
            rest.split(',').next().unwrap().to_owned()
        };
        let (a, b) = (words(a), words(b));
        assert_eq!(path(&a, "local.path="), path(&b, "remote.path="));
        assert_eq!(path(&b, "local.path="), path(&a, "remote.path="));
        assert_ne!(a, b);
    }

    #[test]
    fn a_lan_has_a_user_network_with_forwarded_ports() {
        let lan = Lan::new().unwrap().forward(4000, 7443);
        let args = lan.qemu_args().join(" ");
        let user = "user,id=lan-user,hostfwd=tcp:127.0.0.1:4000-10.0.2.15:7443 ";
        assert!(args.contains(user), "{args}");
        assert_eq!(args.matches("hubid=").count(), 2, "{args}");
        assert_ne!(words(lan.first()), words(lan.second()));
    }
}
