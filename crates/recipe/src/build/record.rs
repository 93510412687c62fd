//! What a package says of itself: `build.json` and `sbom.json`.

use rebuild::build::BuildRecord;
use rebuild::build::Input;
use rebuild::sbom::Bill;
use rebuild::sbom::Kernel;
use rebuild::store::Store;
use serde_json::json;

use super::Host;
use super::KernelFile;
use super::Options;
use super::Root;
use crate::Error;
use crate::Recipe;
use crate::Result;

/// Something that was taken in; it is put into the store, if there is one.
pub(super) fn input(name: &str, kind: &str, bytes: &[u8], keep: Option<&Store>) -> Result<Input> {
    let sha256 = rebuild::sha256(bytes);
    if let Some(keep) = keep {
        keep.put(bytes, Some(&sha256))?;
    }
    Ok(Input { name: name.to_owned(), sha256, size: bytes.len() as u64, kind: kind.to_owned() })
}

/// Both files, by name.
pub(super) fn files(
    recipe: &Recipe,
    options: &Options,
    host: &dyn Host,
    root: &Root,
    kernel: &KernelFile,
    kernel_bytes: &[u8],
) -> Result<Vec<(String, Vec<u8>)>> {
    let (source, toolchain) = host.provenance()?;
    let given = json!({
        "label": options.label,
        "release": options.release,
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
