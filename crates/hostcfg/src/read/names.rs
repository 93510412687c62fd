//! Names that nothing can resolve.

use super::mirrors::written_in;
use crate::address::parse_ip;
use crate::config::HostConfig;
use crate::mirror::Mirror;
use crate::network::Addressing;

/// Warns if addresses are static, there is no DNS server, and something has to be looked up.
pub(crate) fn warn_of_names(config: &mut HostConfig) {
    if !matches!(config.network, Addressing::Static(_)) || !config.dns.is_empty() {
        return;
    }
    if let Some((field, name)) = first_name(config) {
        config.warnings.push(format!(
            "{field}: {name} is a name, but with static addresses and without dns no name can be \
             looked up"
        ));
    }
}

/// What the machine would look up first, and where it is written.
fn first_name(config: &HostConfig) -> Option<(&'static str, String)> {
    // What goes by the proxy is looked up by the proxy.
    let itself = |mirror: &&Mirror| {
        let host = mirror.url.url_without_userinfo().host_str().unwrap_or_default();
        config.proxy.is_none() || mirror.direct || config.no_proxy.matches(host)
    };
    let mirrors = config.mirrors.iter().filter(itself);
    let mirrors = mirrors.filter_map(|mirror| {
        let host = mirror.url.url_without_userinfo().host_str()?.to_owned();
        Some((written_in(&config.entries, mirror), host))
    });
    let proxy = config.proxy.iter().map(|proxy| ("proxy", proxy.host.clone()));
    let ntp = config.ntp.iter().map(|server| ("ntp", server.clone()));
    let log = config.remote_log.iter().map(|log| ("remote_log", log.target.host().to_owned()));
    mirrors.chain(proxy).chain(ntp).chain(log).find(|(_, host)| {
        let plain = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        parse_ip(plain.unwrap_or(host)).is_none()
    })
}
