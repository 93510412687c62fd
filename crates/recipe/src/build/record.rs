//! What a package says of itself: `build.json` and `sbom.json`.

use rebuild::build::BuildRecord;
use rebuild::build::Input;
use rebuild::sbom::Bill;
use rebuild::sbom::Kernel;
use rebuild::source::Source;
use rebuild::store::Store;
use rebuild::toolchain::Toolchain;
use serde_json::json;

use super::Host;
use super::KernelFile;
use super::Options;
use super::Root;
use crate::Error;
use crate::Recipe;
use crate::Result;
use crate::builder::Builder;

/// Something that was taken in; it is put into the store, if there is one.
pub(super) fn input(name: &str, kind: &str, bytes: &[u8], keep: Option<&Store>) -> Result<Input> {
    let sha256 = rebuild::sha256(bytes);
    if let Some(keep) = keep {
        keep.put(bytes, Some(&sha256))?;
    }
    Ok(Input { name: name.to_owned(), sha256, size: bytes.len() as u64, kind: kind.to_owned() })
}

/// What is in the package.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken<'a> {
    /// Its root file system.
    pub(super) root: &'a Root,
    /// Its kernel.
    pub(super) kernel: &'a KernelFile,
    /// The content of that.
    pub(super) kernel_bytes: &'a [u8],
}

/// What it was built from and with, given what that was `before` anything was read. Somebody who works
/// in the source tree meanwhile leaves it unknown what was compiled: that counts as a change that no
/// revision has.
pub(super) fn provenance(
    before: (Source, Toolchain),
    host: &dyn Host,
) -> Result<(Source, Toolchain)> {
    let (mut source, toolchain) = host.provenance()?;
    if toolchain != before.1 {
        let error = Error::new("compiler, linker or C library were replaced during the build");
        let changes = before.1.differences(&toolchain);
        return Err(changes.into_iter().fold(error, Error::detail).remedy("build it once more"));
    }
    source.dirty |= source != before.0;
    Ok((source, toolchain))
}

/// Both files, by name.
pub(super) fn files(
    recipe: &Recipe,
    options: &Options,
    host: &dyn Host,
    (source, toolchain): (Source, Toolchain),
    &Taken { root, kernel, kernel_bytes }: &Taken<'_>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let given = json!({
        "label": options.label,
        "release": options.release,
        "not_after": options.not_after.map(|end| end.to_string()),
        "channel": options.channel,
        "cmdline": options.cmdline,
        "watchdog_seconds": options.watchdog_seconds,
        "url": options.url,
    });
    let record = BuildRecord {
        version: 1,
        name: recipe.name.clone(),
        release: options.release,
        source,
        lock_sha256: root.lock_sha256.clone(),
        source_date_epoch: root.source_date_epoch,
        inputs: root.inputs.clone(),
        kernel: kernel.built.clone(),
        toolchain,
        builder: host.builder().map(Builder::record),
        options: given.as_object().cloned().unwrap_or_default(),
    };
    let text = serde_json::to_string_pretty(&record)
        .map_err(|error| Error::new(format!("build.json: {error}")))?;
    let crates: Vec<&str> = recipe.binaries().iter().map(|it| it.krate.as_str()).collect();
    let built = kernel.built.as_ref();
    let bill = Bill {
        name: recipe.name.clone(),
        release: options.release,
        created: root.source_date_epoch,
        debs: root.debs.clone(),
        crates: if crates.is_empty() { Vec::new() } else { host.crates(&crates)? },
        kernel: Some(Kernel {
            version: kernel.version.clone(),
            sha256: rebuild::sha256(kernel_bytes),
            source_sha256: built.and_then(|it| it.source_sha256.clone()),
            config_sha256: built.and_then(|it| it.config_sha256.clone()),
        }),
    };
    Ok(vec![
        (rebuild::build::NAME.to_owned(), format!("{text}\n").into_bytes()),
        ("sbom.json".to_owned(), rebuild::sbom::write(&bill).into_bytes()),
    ])
}
