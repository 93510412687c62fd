//! What a boot image says of how it was built: the key `built` of `/etc/ramstrap/image.json`.
//!
//! It is inside the image and not beside it, so that it is there in whatever form the image travels
//! (UKI, ISO, stick, files of a network loader), cannot be mistaken for that of another one, and is
//! under the same Secure Boot signature. It has nothing that differs between two builders: no paths,
//! no names of machines, no time but the build time.

use rebuild::build::Builder;
use rebuild::source::Source;
use rebuild::toolchain::Toolchain;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::Error;
use crate::Result;

/// What an image was built of. Readers ignore keys that they do not know.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Built {
    /// The state of the source tree that `/init` and the image come from.
    pub source: Source,
    /// What `/init` was compiled with.
    pub toolchain: Toolchain,
    /// The locked root file system that it was compiled in; none if that was the builder's own machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<Builder>,
    /// The kernel, if one is known to be of this source tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<BuiltKernel>,
    /// What was asked for and cannot be read off the image otherwise: choices of modules and
    /// firmware.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// A kernel that was built from source.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct BuiltKernel {
    /// Hash over all its inputs.
    pub key: String,
    /// Of the bzImage.
    pub sha256: String,
    /// Of the source.
    pub source_sha256: String,
    /// Whether nobody has vouched for that source.
    #[serde(default)]
    pub unpinned: bool,
}

impl Built {
    /// From the content of `/etc/ramstrap/image.json`, which may come from anywhere.
    ///
    /// # Errors
    /// If there is nothing of it in the document, or it cannot be read.
    pub fn parse(image_json: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::new(format!("image.json: {what}"));
        let mut image: Value =
            serde_json::from_slice(image_json).map_err(|error| bad(error.to_string()))?;
        let built = image.get_mut("built").map(Value::take).unwrap_or_default();
        if built.is_null() {
            return Err(bad("it does not say what the image was built of".to_owned()).remedy(
                "only images of `cargo xtask boot-image build` say that, and only those whose \
                 /init it has built itself",
            ));
        }
        serde_json::from_value(built).map_err(|error| bad(format!("built: {error}")))
    }

    /// Whether it can be built again at all.
    ///
    /// # Errors
    /// With the reason, if not.
    pub fn check_rebuildable(&self) -> Result<()> {
        self.source.check()?;
        if self.kernel.as_ref().is_some_and(|kernel| kernel.unpinned) {
            return Err(Error::new("its kernel was built from a source that is not pinned")
                .remedy("releases are built from the sources of kernel-config/pins.toml"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let source = Source { revision: "a".repeat(40), dirty: false };
        let built = Built { source, ..Built::default() };
        let image = serde_json::json!({ "version": 1, "build_time": 7, "built": built });
        let read = Built::parse(image.to_string().as_bytes()).unwrap();
        assert_eq!(read, built);
        read.check_rebuildable().unwrap();
        let kernel = BuiltKernel { unpinned: true, ..BuiltKernel::default() };
        let unpinned = Built { kernel: Some(kernel), ..read };
        assert!(unpinned.check_rebuildable().unwrap_err().to_string().contains("not pinned"));
    }

    #[test]
    fn images_of_before_are_told() {
        let error = Built::parse(br#"{"version": 1, "build_time": 7}"#).unwrap_err();
        assert!(error.to_string().contains("does not say"), "{error}");
        assert!(Built::parse(b"{").is_err());
        assert!(Built::parse(br#"{"built": {"source": 7}}"#).is_err());
    }
}
