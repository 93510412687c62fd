//! The host configuration as a whole.

use core::net::IpAddr;

use report::strict_json::StrictJsonError;
use report::strict_json::parse_object;

use crate::bond::Bonding;
use crate::document::Document;
use crate::error::HostConfigError;
use crate::fields::optional_string;
use crate::fields::warn_of_unknown_keys;
use crate::legacy;
use crate::mac::Mac;
use crate::mirror::Mirror;
use crate::nearest::KNOWN_KEYS;
use crate::network::Addressing;
use crate::network::InterfaceSelector;
use crate::network::Route;
use crate::package_name::PackageName;
use crate::pointer;
use crate::pointer::Entry;
use crate::provisioning_url::ProvisioningUrl;
use crate::proxy::NoProxy;
use crate::proxy::Proxy;
use crate::read;
use crate::remote_log::RemoteLog;
use crate::remote_log::RemoteLogTarget;

/// Longest document that is read, in bytes.
pub const MAX_LEN: usize = 1024 * 1024;

/// Keys of older formats that have no meaning any more.
const FORMER_KEYS: [&str; 2] = ["version", "timestamp"];

/// A checked host configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostConfig {
    /// Where addresses and default routes come from.
    pub network: Addressing,
    /// Further routes of a static configuration.
    pub routes: Vec<Route>,
    /// Longest packet in bytes, at least 68; `None` means that of the lease or the interface.
    pub mtu: Option<u16>,
    /// Tag of all packets on the interface or bond that is used, 1 to 4094.
    pub vlan: Option<u16>,
    /// DNS servers; empty means those of the lease.
    pub dns: Vec<IpAddr>,
    /// Domains that names without dots are looked up in, in lower case without a dot at the end;
    /// empty means those of the lease.
    pub dns_search: Vec<String>,
    /// Time servers, names or addresses; empty means those of the lease.
    pub ntp: Vec<String>,
    /// The interfaces to use, members of the bond if there is one; empty means any.
    pub interfaces: Vec<InterfaceSelector>,
    /// Set if the interfaces are to be used as one.
    pub bonding: Option<Bonding>,
    /// Where to fetch descriptors from, in the order in which they are tried: by priority, the
    /// entries of `ospkg_pointer` (which have 0) before those of `mirrors`. May be empty; see
    /// [`HostConfig::provisioning_urls`].
    pub mirrors: Vec<Mirror>,
    /// The package of the boot image that `ospkg_pointer` names, where it is a file name and no list
    /// of URLs. Only where the trust policy has packages come from the boot image, and for
    /// [`PackageName::is_provision`], it is of use.
    pub package: Option<PackageName>,
    /// What mirrors are asked through, unless [`Mirror::direct`] or [`HostConfig::no_proxy`] say
    /// otherwise.
    pub proxy: Option<Proxy>,
    /// Hosts that are asked without the proxy.
    pub no_proxy: NoProxy,
    /// The NIC that the boot image came over. It goes first, but it is a hint and no choice: where
    /// it does not lead to a mirror, the others are used. No document holds this; whoever knows it
    /// sets it, and only where [`HostConfig::interfaces`] is empty.
    pub boot_interface: Option<Mac>,
    /// Where else the log goes.
    pub remote_log: Option<RemoteLog>,
    /// Free text about this configuration.
    pub description: Option<String>,
    /// What was tolerated but cannot mean what its author hoped. Holds no secret.
    pub warnings: Vec<String>,
    /// `ospkg_pointer`, also what cannot be used of it.
    pub(crate) entries: Vec<Entry>,
}

impl HostConfig {
    /// Reads `host_configuration.json`. A key that is absent is the same as one that is `null`;
    /// only `network_mode` and one of `ospkg_pointer` and `mirrors` are required, an address and
    /// gateways also with static addressing, `bond_name` and `network_interfaces` also with bonding.
    /// Forms of 2021 to 2023 are read as today's, with warnings.
    ///
    /// Whether any entry of `ospkg_pointer` can be fetched from is not judged here but by
    /// [`HostConfig::provisioning_urls`]; there is a warning if none can.
    ///
    /// # Errors
    ///
    /// [`HostConfigError::Malformed`] if the document is not one unambiguous JSON object of at most
    /// [`MAX_LEN`] bytes; [`HostConfigError::Invalid`] if a field is missing or has a value that
    /// cannot be used.
    pub fn parse(document: &[u8]) -> Result<Self, HostConfigError> {
        if document.len() > MAX_LEN {
            return Err(HostConfigError::Malformed(format!("larger than {MAX_LEN} bytes")));
        }
        let mut object = parse_object(document).map_err(malformed)?;
        let object = &mut object;
        let mut warnings = Vec::new();
        let noted = &mut warnings;

        legacy::modernise(object, noted)?;
        let network = read::addressing(object, noted)?;
        let routes = read::routes(object, &network, noted)?;
        let mtu = read::mtu(object, &network, noted)?;
        let vlan = read::vlan(object)?;
        let dns = read::dns(object, noted)?;
        let dns_search = read::dns_search(object, noted)?;
        let ntp = read::ntp(object, noted)?;
        let interfaces = read::interfaces(object, noted)?;
        let listed = read::mirrors(object, noted)?;
        let (entries, package) = pointer::read(object, !listed.is_empty(), noted)?;
        let mirrors = in_order(&entries, listed);
        read::warn_of_mirrors(&mirrors, &entries, noted);
        let bonding = read::bonding(object, &interfaces, noted)?;
        let proxy = read::proxy(object, noted)?;
        let no_proxy = read::no_proxy(object, proxy.as_ref(), noted)?;
        let remote_log = read::remote_log(object, noted)?;
        let description = optional_string(object, "description", "a string")?;
        for key in FORMER_KEYS {
            object.take(key);
        }
        warn_of_unknown_keys(object, noted);

        let mut config = Self {
            network,
            routes,
            mtu,
            vlan,
            dns,
            dns_search,
            ntp,
            interfaces,
            bonding,
            mirrors,
            package,
            proxy,
            no_proxy,
            boot_interface: None,
            remote_log,
            description,
            warnings,
            entries,
        };
        read::warn_of_names(&mut config);
        Ok(config)
    }

    /// The URLs of [`HostConfig::mirrors`], in the order in which they are tried. May be none.
    pub fn urls(&self) -> impl DoubleEndedIterator<Item = &ProvisioningUrl> + ExactSizeIterator {
        self.mirrors.iter().map(|mirror| &mirror.url)
    }

    /// The mirrors to fetch descriptors from, in the order in which they are tried; at least one.
    ///
    /// # Errors
    ///
    /// [`HostConfigError::NoUrl`] if there is none.
    pub fn provisioning_urls(&self) -> Result<&[Mirror], HostConfigError> {
        if self.mirrors.is_empty() { Err(HostConfigError::NoUrl) } else { Ok(&self.mirrors) }
    }

    /// Whether anything in it must not be seen by others: a password, the value of a header, a key,
    /// or a query of a URL, which may be a token.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        let in_mirror = |mirror: &Mirror| {
            mirror.url.holds_secrets()
                || !mirror.headers.is_empty()
                || mirror.client_identity.is_some()
        };
        let in_log = |log: &RemoteLog| match &log.target {
            RemoteLogTarget::Https(url) => url.holds_secrets(),
            RemoteLogTarget::SyslogUdp { .. } | RemoteLogTarget::SyslogTls { .. } => false,
        };
        self.mirrors.iter().any(in_mirror)
            || self.proxy.as_ref().is_some_and(|proxy| proxy.credentials.is_some())
            || self.remote_log.as_ref().is_some_and(in_log)
    }

    /// The configuration in its normal form, with two spaces of indentation: every key that System
    /// Transparency has in its usual order, `null` where nothing is set, then ours that are set.
    /// User names, passwords and queries of URLs, values of headers and keys are replaced by `***`;
    /// `identity` and `authentication` do not appear.
    #[must_use]
    pub fn redacted_json(&self) -> String {
        // Nothing in the document can fail to serialise: its keys are strings.
        serde_json::to_string_pretty(&Document::from(self)).unwrap_or_default()
    }
}

/// Why the text is no configuration. A key that is none of ours is not repeated.
fn malformed(error: StrictJsonError) -> HostConfigError {
    HostConfigError::Malformed(match error {
        StrictJsonError::DuplicateKey(key)
            if !KNOWN_KEYS.iter().any(|known| known.eq_ignore_ascii_case(&key)) =>
        {
            let length = key.chars().count();
            format!("a key of {length} characters, none that is known, appears more than once")
        }
        other => other.to_string(),
    })
}

/// All mirrors by priority; the sort keeps the order of those that have the same.
fn in_order(entries: &[Entry], listed: Vec<Mirror>) -> Vec<Mirror> {
    let of_pointer = entries.iter().filter_map(|entry| match entry {
        Entry::Url(url) => Some(Mirror::plain(url.clone())),
        Entry::Unusable(_) => None,
    });
    let mut mirrors: Vec<Mirror> = of_pointer.chain(listed).collect();
    mirrors.sort_by_key(|mirror| mirror.priority);
    mirrors
}
