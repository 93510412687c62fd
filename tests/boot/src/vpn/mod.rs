//! The VPN server in service: staff, customers, strangers, and what is left of them afterwards.
//!
//! ```text
//!   host ── 10.0.2.2 (user network) ──┬── 10.0.2.15  VPN server   10.64.0.1 ┐
//!   (staff, web server, mirrors)      └── 10.0.2.200 lab VM ── customer 10.64.0.2
//! ```
//!
//! The customer is a network namespace of the lab VM that has the tunnel and nothing else. The lab VM
//! has a web server, too, which says who asks.

pub mod customer;
pub mod ipv6;
pub mod leaky;
pub mod machine;
pub mod outside;
pub mod packages;
pub mod remains;
pub mod scene;
pub mod secrets;
pub mod tool;
pub mod traces;

/// The server's address, from QEMU's DHCP server.
pub const SERVER: &str = "10.0.2.15";

/// The address that the server gets in the place of that, in a step about it.
pub const ANOTHER: &str = "10.0.2.16";

/// The customer's address outside the tunnel: the lab VM's. It must be nowhere on the server.
pub const CUSTOMER: &str = "10.0.2.200";

/// Another address of the lab VM, of somebody who has nothing to do with the server.
pub const STRANGER: &str = "10.0.2.201";

/// Another address of the lab VM: the name server that the VPN server asks.
pub const RESOLVER: &str = "10.0.2.202";

/// Another address of the lab VM: where staff may log in from.
pub const STAFF: &str = "10.0.2.203";

/// The network inside the tunnel: server and customer.
pub const INSIDE: (&str, &str) = ("10.64.0.1", "10.64.0.2");

/// The same by IPv6.
pub const INSIDE6: (&str, &str) = ("fd00:64::1", "fd00:64::2");

/// TCP port of the lab VM's web server, which says who asks.
pub const WEB: u16 = 8088;

/// Where the server listens for customers.
pub const PORT: u16 = 51820;

/// The host, which every machine on the network reaches, and customers through the tunnel.
pub const HOST: &str = "10.0.2.2";

/// A name that only the lab's name server knows, and what it stands for. Nobody is there: a resolver
/// that protects its customers keeps addresses such as the host's from them.
pub const NAME: (&str, &str) = ("page.lab.example", "203.0.113.80");
