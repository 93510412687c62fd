//! Secrets that were lost: `***` in their place, as configurations are printed.

use crate::config::HostConfig;
use crate::provisioning_url::Credentials;
use crate::provisioning_url::ProvisioningUrl;
use crate::remote_log::RemoteLogTarget;
use crate::secret::HIDDEN;

impl HostConfig {
    /// Where `***` stands in the place of a secret: what [`HostConfig::redacted_json`] prints was taken
    /// for a configuration. Such as `https://***@a.example/os.json: user name and password`, one text for
    /// each place, without any secret; empty if there is none.
    ///
    /// Machines take `***` as they take every password, and are turned away with it. So this is for
    /// those who write configurations, before machines get them.
    #[must_use]
    pub fn masked(&self) -> Vec<String> {
        let mut found = Vec::new();
        for mirror in &self.mirrors {
            in_url(&mirror.url, &mut found);
            let headers = mirror.headers.iter().filter(|(_, value)| value.expose() == HIDDEN);
            found.extend(headers.map(|(name, _)| format!("{}: header {name:?}", mirror.url)));
        }
        if let Some(proxy) = &self.proxy {
            in_credentials(proxy, proxy.credentials.as_ref(), &mut found);
        }
        if let Some(RemoteLogTarget::Https(url)) = self.remote_log.as_ref().map(|log| &log.target) {
            in_url(url, &mut found);
        }
        found
    }
}

fn in_url(url: &ProvisioningUrl, found: &mut Vec<String>) {
    in_credentials(url, url.credentials(), found);
    // Without user name and password; what is hidden of host and path is part of a name.
    let inner = url.url_without_userinfo();
    if inner.query().is_some_and(|query| query.contains(HIDDEN)) {
        found.push(format!("{url}: query"));
    }
    if [inner.host_str().unwrap_or_default(), inner.path()].iter().any(|it| it.contains(HIDDEN)) {
        found.push(format!("{url}: what took the place of $AUTH"));
    }
}

fn in_credentials(
    of: impl core::fmt::Display,
    credentials: Option<&Credentials>,
    found: &mut Vec<String>,
) {
    let Some(Credentials { user, password }) = credentials else { return };
    let password = password.expose();
    if password == HIDDEN || (user == HIDDEN && password.is_empty()) {
        found.push(format!("{of}: user name and password"));
    }
}
