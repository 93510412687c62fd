//! What `ramstrap boot-image inspect` found, for people.

use std::path::Path;

use serde_json::Map;
use serde_json::Value;

use crate::commands::count;
use crate::commands::size;
use crate::dates;
use crate::inspect::Initramfs;
use crate::inspect::Inspection;
use crate::inspect::Kind;
use crate::inspect::Policy;
use crate::inspect::Root;
use crate::inspect::Uki;
use crate::output::Output;

pub(super) fn show(path: &Path, found: &Inspection, files: bool, output: &Output) {
    output.field("image", path.display());
    output.field("kind", found.kind.words());
    output.field("size", size(found.size));
    if let Some(digest) = &found.sha256 {
        output.field("SHA-256", digest);
    }
    if let Some(kernel) = &found.kernel {
        let release = kernel.release.as_deref().unwrap_or("of unknown release");
        output.field("kernel", format!("{release} ({})", size(kernel.size)));
        output.field("  SHA-256", &kernel.sha256);
    }
    if let Some(command_line) = &found.command_line {
        output.field("command line", command_line);
    }
    if let Some(uki) = &found.uki {
        show_uki(uki, found.kind, output);
    }
    if let Some(initramfs) = &found.initramfs {
        show_initramfs(initramfs, output);
        if files {
            output.line("");
            for file in &initramfs.files {
                output.line(format!("{} {:>10} /{}", file.mode, file.size, file.path));
            }
        }
    }
}

fn show_uki(uki: &Uki, kind: Kind, output: &Output) {
    if !matches!(kind, Kind::Uki | Kind::EfiExecutable | Kind::Kernel) {
        output.field("UEFI", format!("one executable ({})", size(uki.size)));
        output.field("  SHA-256", &uki.sha256);
    }
    if let Some(digest) = &uki.authenticode_sha256 {
        output.field("Authenticode", digest);
    }
    if uki.signatures.is_empty() {
        output.field("Secure Boot", "not signed");
    }
    for signature in &uki.signatures {
        let over =
            if signature.over_this_image { "over this image" } else { "NOT over this image" };
        output.field(
            "Secure Boot",
            format!(
                "signed by {}, {over}, certificate until {}",
                signature.subject, signature.not_after
            ),
        );
        output.field("  certificate", &signature.certificate_sha256);
    }
    let name = uki.os_release.as_deref().and_then(|text| {
        text.lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME=").map(|it| it.trim_matches('"')))
    });
    if let Some(name) = name {
        output.field("os-release", name);
    }
    let pcrs = [
        ("PCR 4", &uki.pcrs.four, " (Secure Boot off)"),
        ("", &uki.pcrs.four_secure_boot, " (Secure Boot on)"),
        ("PCR 9", &uki.pcrs.nine, ""),
        ("PCR 11", &uki.pcrs.eleven, ""),
    ];
    for (name, value, when) in pcrs {
        if let Some(value) = value {
            output.field(name, format!("{value}{when}"));
        }
    }
}

fn show_initramfs(initramfs: &Initramfs, output: &Output) {
    output.field("initramfs", size(initramfs.size));
    output.field("  SHA-256", &initramfs.sha256);
    for archive in &initramfs.archives {
        output.field(
            "  archive",
            format!(
                "{} ({}), {} of {} unpacked",
                size(archive.size),
                if archive.compression == "none" { "not compressed" } else { archive.compression },
                count(archive.members, "member"),
                size(archive.unpacked)
            ),
        );
    }
    if let Some(init) = &initramfs.init {
        output.field("/init", format!("{} SHA-256 {}", size(init.size), init.sha256));
    }
    if let Some(time) = initramfs.build_time {
        output.field("build time", dates::format(time));
    }
    if let Some(modules) = &initramfs.modules {
        let number = count(modules.count, "module");
        output.field("modules", format!("{number} for kernel {}", modules.release));
    }
    if !initramfs.firmware.is_empty() {
        output.field("firmware", initramfs.firmware.join(" "));
    }
    if let Some(policy) = &initramfs.trust_policy {
        show_policy(policy, output);
    }
    match &initramfs.host_configuration {
        Some(config) => output.field("host config", without_nothing(config)),
        None => output.field("host config", "none that is embedded: the EFI variable decides"),
    }
}

/// An object without the names that have no value.
fn without_nothing(config: &Value) -> Value {
    let Value::Object(object) = config else { return config.clone() };
    let kept = object.iter().filter(|(_, value)| !value.is_null());
    kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
}

fn show_policy(policy: &Policy, output: &Output) {
    let keys = usize::try_from(policy.threshold).unwrap_or(usize::MAX);
    let keys = if keys == 1 { "1 key".to_owned() } else { format!("{keys} distinct keys") };
    output.field("trust policy", format!("an OS package boots with valid signatures by {keys}"));
    output.field("  SHA-256", &policy.sha256);
    for root in &policy.signing_roots {
        show_root("  signing root", root, output);
    }
    for root in &policy.tls_roots {
        show_root("  TLS root", root, output);
    }
    // Where nothing is fetched, none are missed.
    let network = policy.document["ospkg_fetch_method"] != "initramfs";
    if policy.tls_roots.is_empty() && network {
        output.field("  TLS roots", "none: https cannot work, only http");
    }
}

fn show_root(name: &str, root: &Root, output: &Output) {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    let dates = format!("{} to {}", text(&root.not_before), text(&root.not_after));
    output.field(name, format!("{}, {dates}", text(&root.subject)));
    output.field("", format!("SHA-256 {}", root.sha256));
}
