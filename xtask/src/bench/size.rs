//! Bytes of `/init` and of the initramfs.

use std::fs;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use ramstrap_cli::boot_image::Base;
use serde_json::Value;
use serde_json::json;

use super::aim;
use super::length;
use super::peer;
use super::table::Table;
use super::table::ratio;
use super::table::thousands;
use crate::build;
use crate::image;
use crate::kernels::Kernel;
use crate::progress;

/// What was weighed.
struct Weight {
    name: &'static str,
    key: &'static str,
    bytes: u64,
    aim: Option<u64>,
    peer: Option<u64>,
}

pub(super) fn measure(kernel: &Kernel) -> Result<(String, Value)> {
    let binary = build::init()?;
    let init = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
    let init_bytes = length(&init);
    let kernel_bytes = fs::metadata(&kernel.image).context("the kernel has gone")?.len();
    let lab = super::lab(kernel, 0)?;
    let whole = progress::step("pack", |_| image::boot_image(&lab.boot_options(kernel.clone())))?;
    let with_modules = image::packed_base(&binary, kernel, &["virtio-net-pci"])?;
    let without_modules =
        progress::step("pack /init alone", |_| Ok(Base { init, modules: None }.pack()?))?;
    let modules = length(with_modules.as_bytes()) - length(without_modules.as_bytes());
    let whole_bytes = length(&whole);
    let weights = [
        Weight {
            name: "/init, static, stripped",
            key: "init_bytes",
            bytes: init_bytes,
            aim: Some(aim::INIT),
            peer: Some(peer::BINARY),
        },
        Weight {
            name: "initramfs (zstd -19) beside modules",
            key: "initramfs_beside_modules_bytes",
            bytes: whole_bytes - modules,
            aim: Some(aim::INITRAMFS_BESIDE_MODULES),
            peer: None,
        },
        Weight {
            name: "initramfs (zstd -19) in all",
            key: "initramfs_bytes",
            bytes: whole_bytes,
            aim: None,
            peer: Some(peer::INITRAMFS),
        },
        Weight {
            name: "kernel image",
            key: "kernel_bytes",
            bytes: kernel_bytes,
            aim: None,
            peer: Some(kernel_bytes),
        },
    ];
    Ok((text(&weights), json(&weights)))
}

/// Holds `/init` against its aim: what makes it larger is to be seen in the change that does so.
///
/// # Errors
///
/// It is larger.
pub(crate) fn hold_init() -> Result<()> {
    let binary = build::init()?;
    let length = fs::metadata(&binary).context("/init has gone")?.len();
    judge(length)?;
    println!("/init has {} of {} bytes", thousands(length), thousands(aim::INIT));
    Ok(())
}

fn judge(length: u64) -> Result<()> {
    if length > aim::INIT {
        bail!(
            "/init has {} bytes, its aim is {}: see docs/benchmarks.md for where its bytes are",
            thousands(length),
            thousands(aim::INIT)
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a ratio")]
fn text(weights: &[Weight]) -> String {
    let mut table = Table::new(["bytes", "ramstrap", "aim", "stboot", "of stboot"]);
    for weight in weights {
        table.row([
            weight.name.to_owned(),
            thousands(weight.bytes),
            weight.aim.map(thousands).unwrap_or_default(),
            weight.peer.map(thousands).unwrap_or_default(),
            ratio(weight.bytes as f64, weight.peer.unwrap_or_default() as f64),
        ]);
    }
    format!(
        "{}\nstboot's initramfs holds nine modules and a PID 1 beside stboot. The kernel is the \
         same for both.\n",
        table.render()
    )
}

fn json(weights: &[Weight]) -> Value {
    weights
        .iter()
        .map(|weight| {
            let figures =
                json!({ "bytes": weight.bytes, "aim": weight.aim, "stboot": weight.peer });
            (weight.key.to_owned(), figures)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::aim;
    use super::judge;

    #[test]
    fn one_byte_too_many_is_too_many() {
        assert!(judge(aim::INIT).is_ok());
        let error = judge(aim::INIT + 1).unwrap_err().to_string();
        assert!(error.contains("4,500,001") && error.contains("4,500,000"), "{error}");
    }
}
