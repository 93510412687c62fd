//! `proxy` and `no_proxy`.

use report::strict_json::Object;

use crate::error::HostConfigError;
use crate::fields::invalid;
use crate::fields::invalid_url;
use crate::fields::optional_entries;
use crate::fields::optional_secret_string;
use crate::proxy::NoProxy;
use crate::proxy::Proxy;
use crate::secret::Secret;

/// Most exceptions.
const MAX_EXCEPTIONS: usize = 256;

/// The proxy, if there is one.
pub(crate) fn proxy(
    object: &mut Object,
    warnings: &mut Vec<String>,
) -> Result<Option<Proxy>, HostConfigError> {
    const EXPECTED: &str = "an http:// or https:// URL without path, such as \
                            \"http://proxy.example.net:3128\"";

    let Some(text) = optional_secret_string(object, "proxy")? else { return Ok(None) };
    let text = Secret::new(text);
    let proxy = Proxy::parse(text.expose())
        .map_err(|why| invalid_url("proxy", text.expose(), Some(why), EXPECTED))?;
    if proxy.credentials.is_some() && !proxy.tls {
        warnings.push(format!(
            "proxy: {proxy} is sent user name and password in CLEAR TEXT; whoever listens on the \
             way to it reads them"
        ));
    }
    Ok(Some(proxy))
}

/// What is asked without the proxy.
pub(crate) fn no_proxy(
    object: &mut Object,
    proxy: Option<&Proxy>,
    warnings: &mut Vec<String>,
) -> Result<NoProxy, HostConfigError> {
    const EXPECTED: &str = "a list of at most 256 host names, domains, addresses and networks such \
                            as [\"mirror.example.net\", \".example.org\", \"192.0.2.0/24\"]";

    let mut no_proxy = NoProxy::default();
    let entries = optional_entries(object, "no_proxy", EXPECTED, MAX_EXCEPTIONS, warnings)?;
    for (field, value) in entries.into_iter().flatten() {
        let added = value.as_str().and_then(|text| no_proxy.add(text));
        added.ok_or_else(|| invalid(field, Some(&value), EXPECTED))?;
    }
    if !no_proxy.is_empty() && proxy.is_none() {
        warnings.push("no_proxy: has no meaning, because there is no proxy".to_owned());
    }
    Ok(no_proxy)
}
