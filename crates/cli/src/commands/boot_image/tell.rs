//! What `ramstrap boot-image build` says when it is done.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::build::Args;
use super::build::Format;
use super::build::From;
use super::build::Image;
use super::build::Made;
use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::size;
use crate::dates;
use crate::files;
use crate::firmware::Firmware;
use crate::output::Output;

pub(super) fn tell(args: &Args, made: &Made, output: &mut Output) -> Result<()> {
    let written = Written::read(&args.out)?;
    if let Some(From { firmware: Some(firmware), .. }) = &made.from {
        warn_of_missing(firmware, output);
    }
    if output.is_json() {
        output.result(result(args, made, &written));
        return Ok(());
    }
    let total: u64 = written.files.values().map(|(length, _)| length).sum();
    output.field("image", args.out.display());
    output.field("size", size(total));
    for (name, (_, digest)) in &written.files {
        output.field(
            "SHA-256",
            if written.is_directory { format!("{digest}  {name}") } else { digest.clone() },
        );
    }
    if let Image::Medium { parts, signed, .. } = &made.image {
        output.field("kernel", &parts.release);
        output.field("command line", &parts.command_line);
        output.field("Secure Boot", if *signed { "signed" } else { "not signed" });
    }
    output.field("build time", dates::format(made.build_time));
    if let Some(from) = &made.from {
        let init = format!("{} ({})", from.init_file.display(), size(from.init_len as u64));
        output.field("/init", init);
        show_drivers(from, output);
    }
    output.line("");
    for (name, length) in &made.sizes {
        output.line(format!("  {name:<14} {:>12}", size(*length as u64)));
    }
    if let Image::Medium { uki, .. } = &made.image {
        output.line(format!("  {:<14} {:>12}", "as one UKI", size(uki.len() as u64)));
    }
    output.line(format!("  {:<14} {:>12}", "written", size(total)));
    output.line("");
    output.line(format!("next: {}", next(args.format, &args.out)));
    Ok(())
}

fn show_drivers(from: &From, output: &Output) {
    if let Some(modules) = &from.modules {
        output.field(
            "modules",
            format!(
                "{} for kernel {}, {} before compression",
                count(modules.files.len(), "module"),
                modules.release,
                size(modules.size())
            ),
        );
    }
    match &from.firmware {
        Some(firmware) => output.field(
            "firmware",
            format!(
                "{}, {} before compression",
                count(firmware.files.len(), "file"),
                size(firmware.size())
            ),
        ),
        None => {
            let drivers: Vec<&str> = from.wanted.drivers().collect();
            if !drivers.is_empty() {
                output.field("firmware", format!("none; may ask for some: {}", drivers.join(", ")));
            }
        }
    }
}

/// One warning, with a line for each driver.
fn warn_of_missing(firmware: &Firmware, output: &mut Output) {
    let lines: Vec<String> = firmware
        .drivers
        .iter()
        .filter(|(_, of)| !of.missing.is_empty())
        .map(|(driver, of)| {
            let all = of.found.is_empty();
            let some = if all { String::new() } else { format!(" ({} found)", of.found.len()) };
            format!("{driver:<10} {}{some}", of.missing.join(" "))
        })
        .collect();
    if !lines.is_empty() {
        output.warning_list(
            "firmware that drivers name and the directory has not (a NIC may do without):",
            &lines,
        );
    }
}

/// What now is at the place that was named.
struct Written {
    is_directory: bool,
    /// Length and SHA-256 of each file; one without a name, if it is no directory.
    files: BTreeMap<String, (u64, String)>,
}

impl Written {
    fn read(out: &Path) -> Result<Self> {
        let is_directory = out.is_dir();
        let mut found = BTreeMap::new();
        let mut add = |name: String, path: &Path| -> Result<()> {
            let bytes = files::read_large(path)?;
            found.insert(name, (bytes.len() as u64, hex::encode(Sha256::digest(&bytes))));
            Ok(())
        };
        if is_directory {
            let failed = |error: std::io::Error| Error::io("read", out, &error);
            for entry in std::fs::read_dir(out).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                add(entry.file_name().to_string_lossy().into_owned(), &entry.path())?;
            }
        } else {
            add(String::new(), out)?;
        }
        Ok(Self { is_directory, files: found })
    }
}

fn next(format: Format, out: &Path) -> String {
    let out = out.display();
    match format {
        Format::Initramfs => format!(
            "give {out} to a loader, with the kernel; or choose --format iso, pxe, disk or uki"
        ),
        Format::Uki => format!(
            "copy it to EFI/BOOT/BOOTX64.EFI of a FAT file system, or make a medium of it: ramstrap \
             boot-image build --uki {out} --format disk --out stick.img"
        ),
        Format::Iso => format!(
            "put it into a CD drive, or write it to a stick, of which all is lost: dd if={out} \
             of=/dev/sdX bs=4M conv=fsync"
        ),
        Format::Disk => {
            format!(
                "write it to a stick, of which all is lost: dd if={out} of=/dev/sdX bs=4M conv=fsync"
            )
        }
        Format::Pxe => {
            format!("serve {out} by TFTP or HTTP; its README.txt has what the DHCP server must say")
        }
    }
}

fn result(args: &Args, made: &Made, written: &Written) -> Value {
    let format = clap::ValueEnum::to_possible_value(&args.format);
    let total: u64 = written.files.values().map(|(length, _)| length).sum();
    let sizes: BTreeMap<&str, usize> = made.sizes.iter().copied().collect();
    let mut result = json!({
        "image": args.out,
        "format": format.as_ref().map(|value| value.get_name()),
        "size": total,
        "build_time": made.build_time,
        "parts": sizes,
    });
    if written.is_directory {
        let files: BTreeMap<&String, Value> = written
            .files
            .iter()
            .map(|(name, (length, digest))| (name, json!({ "size": length, "sha256": digest })))
            .collect();
        result["files"] = json!(files);
    } else {
        result["sha256"] = json!(written.files.values().next().map(|(_, digest)| digest));
    }
    if let Image::Medium { parts, uki, signed } = &made.image {
        result["kernel"] = parts.release.as_str().into();
        result["command_line"] = parts.command_line.as_str().into();
        result["uki"] = json!({
            "size": uki.len(),
            "sha256": hex::encode(Sha256::digest(uki)),
            "signed": signed,
        });
    }
    if let Some(from) = &made.from {
        result["init"] = json!(from.init_file);
        result["init_size"] = from.init_len.into();
        result["modules"] = json!(from.modules.as_ref().map(|modules| json!({
            "release": modules.release,
            "count": modules.files.len(),
            "size": modules.size(),
            "files": modules.files.keys().collect::<Vec<_>>(),
            "always_loaded": modules.always,
            "firmware": modules.firmware,
        })));
        result["firmware"] = json!(from.firmware.as_ref().map(|firmware| json!({
            "size": firmware.size(),
            "files": firmware.files.keys().collect::<Vec<_>>(),
            "drivers": firmware.drivers,
        })));
    }
    result
}
