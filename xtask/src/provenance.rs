//! What a boot image is built of, as it says it of itself.

use anyhow::Result;
use anyhow::bail;
use ramstrap_cli::boot_image::Built;
use ramstrap_cli::boot_image::BuiltKernel;
use rebuild::toolchain::Toolchain;

use crate::build;
use crate::kernel_build::product;
use crate::kernel_build::tools::Tools;
use crate::locked::Locked;

/// The tools of a locked root, or those of this machine.
///
/// # Errors
///
/// One of them is missing.
pub fn toolchain(locked: Option<&Locked>) -> rebuild::Result<Toolchain> {
    match locked {
        Some(locked) => rebuild::toolchain::of(&|program| locked.command(program)),
        None => rebuild::toolchain::of_this_host(build::root()),
    }
}

/// What an image is built of whose `/init` comes from this source tree; none if that is no git
/// checkout, such as an unpacked release.
///
/// # Errors
///
/// A tool that the build needs is missing, there is no place for a cache, or the kernel was not built with
/// the tools of the locked root.
pub fn of_image(kernel: Option<&[u8]>, locked: Option<&Locked>) -> Result<Option<Built>> {
    let root = build::root();
    if !root.join(".git").exists() {
        return Ok(None);
    }
    let kernel = match kernel {
        Some(kernel) => product::with_image(&rebuild::sha256(kernel))?.map(|it| it.record),
        None => None,
    };
    if let (Some(locked), Some(record)) = (locked, &kernel)
        && Tools::of_root(locked.builder())?.digest != record.tools_sha256
    {
        bail!(
            "the {} kernel was built with other tools than those of the locked root: build it with \
             `cargo xtask kernel build {} --locked`, and give that one",
            record.kernel,
            record.kernel
        );
    }
    Ok(Some(Built {
        source: rebuild::source::of_checkout(root)?,
        toolchain: toolchain(locked)?,
        builder: locked.map(|it| it.builder().record()),
        kernel: kernel.map(|record| BuiltKernel {
            key: record.key,
            sha256: record.sha256,
            source_sha256: record.source.sha256,
            unpinned: record.unpinned,
        }),
        options: Vec::new(),
    }))
}
