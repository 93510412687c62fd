//! A configuration as it is sent: the operator's own bytes, checked.

use core::fmt;

use zeroize::Zeroizing;

use crate::config::ConfigError;
use crate::config::ServiceConfig;
use crate::config::wg_quick;

/// A valid configuration and its JSON text. Neither prints a secret.
pub struct Document {
    json: Zeroizing<String>,
    config: ServiceConfig,
}

impl Document {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let config = ServiceConfig::parse(json)?;
        let text = core::str::from_utf8(json)
            .map_err(|_| ConfigError::whole("not valid JSON: not UTF-8"))?;
        // Strict JSON lets NUL bytes follow; in a message more follows.
        let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\0']);
        Ok(Self { json: Zeroizing::new(text.to_owned()), config })
    }

    /// As [`Self::parse`], with a file in the form that `wg-quick` reads in the place of the field
    /// `wireguard`.
    ///
    /// # Errors
    /// Everything that is wrong with either.
    pub fn with_wireguard(json: &[u8], wg_quick: &str) -> Result<Self, ConfigError> {
        let wireguard = wg_quick::to_json(wg_quick)?;
        let json = wg_quick::insert(json, &wireguard)?;
        Self::parse(json.as_bytes())
    }

    /// What the text means.
    #[must_use]
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    /// The text, with its secrets.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.json
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.config).finish()
    }
}
