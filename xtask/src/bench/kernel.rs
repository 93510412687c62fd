//! The budget of the slim kernels: bytes, virtual time from kernel entry to `/init`, and the smallest
//! memory that gets there, beside the distribution's cloud kernel.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use ospkg::bzimage::BzImage;
use ramstrap_cli::media;
use serde_json::Value;
use serde_json::json;

use super::aim;
use super::length;
use super::memory::search;
use super::memory::search::Tried;
use super::table::Table;
use super::table::ratio;
use super::table::thousands;
use crate::harness;
use crate::harness::BootOptions;
use crate::image;
use crate::kernel_build;
use crate::kernels;
use crate::kernels::Kernel;
use crate::kernels::Which;
use crate::progress;

/// Virtual nanoseconds that an instruction takes, as a power of two: with 1, two.
const ICOUNT_SHIFT: u8 = 1;

/// Counting instructions is slow.
const TIMEOUT: Duration = Duration::from_secs(300);

/// A kernel with too little memory may hang without a word.
const TIMEOUT_MEMORY: Duration = Duration::from_secs(60);

/// What was measured of one kernel.
struct Entry {
    name: &'static str,
    key: &'static str,
    bytes: u64,
    init_size: u32,
    /// With the host configuration and trust policy of a lab, and the modules that it needs.
    initramfs: u64,
    /// Both in one unsigned image for UEFI.
    uki: u64,
    /// Virtual milliseconds.
    entry_to_init: f64,
    /// MiB; only of kernels that boot machines.
    memory: Option<u32>,
}

pub(super) fn measure() -> Result<(String, Value)> {
    kernel_build::ensure()?;
    let cloud = kernels::select(&super::CLOUD, &[])?;
    let entries = [
        entry("ours, boot", "boot", &ours(Which::Boot)?, true)?,
        entry("ours, os", "os", &ours(Which::Os)?, false)?,
        entry("distribution's cloud kernel", "cloud", &cloud, true)?,
    ];
    Ok((text(&entries), json(&entries)))
}

fn ours(which: Which) -> Result<Kernel> {
    kernels::ours(which)?
        .with_context(|| format!("our {which} kernel has just been built, and is gone"))
}

fn entry(name: &'static str, key: &'static str, kernel: &Kernel, boots: bool) -> Result<Entry> {
    let bzimage = fs::read(&kernel.image).context("the kernel has gone")?;
    let lab = super::lab(kernel, 0)?;
    let options = lab.boot_options(kernel.clone());
    let initramfs = progress::step("pack", |_| image::boot_image(&options))?;
    let initramfs_len = length(&initramfs);
    let init_size = BzImage::parse(&bzimage).context("the kernel is not a bzImage")?.init_size;
    let bytes = length(&bzimage);
    let parts = media::Parts::new(bzimage, initramfs, None, 0)?;
    let uki = media::uki(&parts, &media::Loaders::default(), None)?;
    Ok(Entry {
        name,
        key,
        bytes,
        init_size,
        initramfs: initramfs_len,
        uki: length(&uki),
        entry_to_init: entry_to_init(name, &options)?,
        memory: boots.then(|| least_memory(name, &options)).transpose()?,
    })
}

/// A machine that boots no further than `/init` has to go to say when it started.
fn entry_to_init(name: &str, options: &BootOptions) -> Result<f64> {
    let options = BootOptions {
        icount: Some(ICOUNT_SHIFT),
        host_config: None,
        timeout: TIMEOUT,
        allow_invalid: true,
        ..options.clone()
    };
    let label = format!("{name}: kernel entry to /init with counted instructions");
    let result = progress::step(&label, |_| harness::boot(&options))?;
    let Some(report) = &result.report else {
        bail!("/init said nothing; its console:\n{}", result.serial)
    };
    Ok(Duration::from_micros(report.kernel_us).as_secs_f64() * 1000.0)
}

fn least_memory(name: &str, options: &BootOptions) -> Result<u32> {
    let label = format!("{name}: smallest memory to /init");
    let found = progress::step(&label, |step| {
        search::least(|mebibytes| {
            step.at(&format!("{mebibytes} MiB"));
            let options = BootOptions {
                memory_mib: mebibytes,
                host_config: None,
                timeout: TIMEOUT_MEMORY,
                allow_invalid: true,
                ..options.clone()
            };
            let boots = harness::boot(&options)?.mark("init").is_some();
            let verdict = if boots { "/init runs" } else { "never gets to /init" };
            step.println(&format!("  {name}, {mebibytes} MiB: {verdict}"));
            Ok(Tried { boots, missing: None, verdict: () })
        })
    })?;
    Ok(found.least)
}

#[expect(clippy::cast_precision_loss, reason = "ratios")]
fn text(entries: &[Entry; 3]) -> String {
    let [boot, _, cloud] = entries;
    let mut head = vec![""];
    head.extend(entries.iter().map(|entry| entry.name));
    head.extend(["boot of cloud", "aim for boot"]);
    let mut table = Table::new(head);
    let mut row = |name: &str, value: &dyn Fn(&Entry) -> (String, f64), aim: String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(entries.iter().map(|entry| value(entry).0));
        cells.push(ratio(value(boot).1, value(cloud).1));
        cells.push(aim);
        table.row(cells);
    };
    let bytes = |bytes: u64| (thousands(bytes), bytes as f64);
    row("kernel image, bytes", &|it| bytes(it.bytes), String::new());
    row("initramfs, bytes", &|it| bytes(it.initramfs), String::new());
    row("UKI, bytes", &|it| bytes(it.uki), thousands(aim::UKI));
    row("memory to unpack itself, bytes", &|it| bytes(it.init_size.into()), String::new());
    row(
        "kernel entry to /init, virtual ms",
        &|it| (format!("{:.0}", it.entry_to_init), it.entry_to_init),
        format!("{:.2} ×", aim::ENTRY_TO_INIT),
    );
    row(
        "smallest memory to /init",
        &|it| {
            let memory = it.memory.map(|mebibytes| format!("{mebibytes} MiB"));
            (memory.unwrap_or_default(), it.memory.map_or(0.0, f64::from))
        },
        format!("{} MiB", aim::BOOT_MEMORY),
    );
    format!(
        "{}\nThe initramfs holds /init, a trust policy, a host configuration and, for the distribution's \
         kernel, modules. Virtual time: -icount shift={ICOUNT_SHIFT}.\n",
        table.render()
    )
}

fn json(entries: &[Entry]) -> Value {
    let kernels: serde_json::Map<String, Value> = entries
        .iter()
        .map(|entry| {
            let figures = json!({
                "kernel_bytes": entry.bytes,
                "initramfs_bytes": entry.initramfs,
                "uki_bytes": entry.uki,
                "init_size_bytes": entry.init_size,
                "entry_to_init_ms": entry.entry_to_init,
                "least_memory_mib": entry.memory,
            });
            (entry.key.to_owned(), figures)
        })
        .collect();
    json!({
        "clock": format!("virtual, -icount shift={ICOUNT_SHIFT},sleep=off"),
        "kernels": kernels,
        "aim": {
            "uki_bytes": aim::UKI,
            "entry_to_init_of_cloud": aim::ENTRY_TO_INIT,
            "least_memory_mib": aim::BOOT_MEMORY,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::Entry;
    use super::text;

    #[test]
    fn the_table_sets_ours_beside_the_distributions() {
        let entry = |name, bytes, entry_to_init, memory| Entry {
            name,
            key: "x",
            bytes,
            init_size: 1 << 24,
            initramfs: 1_000_000,
            uki: bytes + 1_100_000,
            entry_to_init,
            memory,
        };
        let text = text(&[
            entry("boot", 5_000_000, 900.0, Some(48)),
            entry("os", 7_000_000, 1200.0, None),
            entry("cloud", 14_000_000, 3000.0, Some(80)),
        ]);
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap().to_owned();
        let uki = line("UKI");
        assert!(uki.contains("6,100,000") && uki.contains("0.40 ×") && uki.contains("8,000,000"));
        assert!(line("kernel entry").contains("0.30 ×") && line("kernel entry").contains("0.33 ×"));
        assert!(line("smallest").contains("48 MiB") && line("smallest").contains("64 MiB"));
    }
}
