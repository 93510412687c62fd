//! The host tools that the harness needs: which are missing, why they are needed, and how they get
//! here.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use anyhow::bail;

use crate::apt;
use crate::apt::Apt;
use crate::harness::Firmware;
use crate::progress;

/// A tool of the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tool {
    /// A command to look for in `PATH`, or a file by its absolute path.
    probe: &'static str,
    /// What it is for.
    why: &'static str,
    debian: &'static str,
    ubuntu: &'static str,
}

const QEMU: Tool = Tool {
    probe: "qemu-system-x86_64",
    why: "runs the machine that boots",
    debian: "qemu-system-x86",
    ubuntu: "qemu-system-x86",
};

const OVMF: Tool = Tool {
    probe: "/usr/share/OVMF/OVMF_CODE_4M.fd",
    why: "UEFI firmware for the machine that boots",
    debian: "ovmf",
    ubuntu: "ovmf",
};

const IPXE: Tool = Tool {
    probe: "/usr/lib/ipxe/qemu/efi-virtio.rom",
    why: "starts machines from the network",
    debian: "ipxe-qemu",
    ubuntu: "ipxe-qemu",
};

const UEFI_STUB: Tool = Tool {
    probe: "/usr/lib/systemd/boot/efi/linuxx64.efi.stub",
    why: "makes kernel and initramfs an EFI executable",
    debian: "systemd-boot-efi",
    ubuntu: "systemd-boot-efi",
};

const XORRISO: Tool =
    Tool { probe: "xorriso", why: "writes ISO images", debian: "xorriso", ubuntu: "xorriso" };

const ISOLINUX: Tool = Tool {
    probe: "/usr/lib/ISOLINUX/isolinux.bin",
    why: "starts ISO images by BIOS",
    debian: "isolinux",
    ubuntu: "isolinux",
};

const SYSLINUX: Tool = Tool {
    probe: "/usr/lib/syslinux/modules/bios/ldlinux.c32",
    why: "starts ISO images by BIOS",
    debian: "syslinux-common",
    ubuntu: "syslinux-common",
};

const DNSMASQ: Tool = Tool {
    probe: "dnsmasq",
    why: "a DHCP server for the network tests",
    debian: "dnsmasq-base",
    ubuntu: "dnsmasq-base",
};

const SWTPM: Tool =
    Tool { probe: "swtpm", why: "a TPM for machines under test", debian: "swtpm", ubuntu: "swtpm" };

const OPENSSL: Tool = Tool {
    probe: "openssl",
    why: "a second opinion on keys and certificates",
    debian: "openssl",
    ubuntu: "openssl",
};

const SSH_AGENT: Tool = Tool {
    probe: "ssh-agent",
    why: "has keys that packages are signed with",
    debian: "openssh-client",
    ubuntu: "openssh-client",
};

const SOFTHSM: Tool = Tool {
    probe: "softhsm2-util",
    why: "a token with keys that packages are signed with",
    debian: "softhsm2",
    ubuntu: "softhsm2",
};

const OPENSC: Tool = Tool {
    probe: "pkcs11-tool",
    why: "makes keys on that token",
    debian: "opensc",
    ubuntu: "opensc",
};

const XZ: Tool = Tool {
    probe: "xz",
    why: "unpacks a kernel's source and its modules",
    debian: "xz-utils",
    ubuntu: "xz-utils",
};

const CPIO: Tool = Tool {
    probe: "cpio",
    why: "a second opinion on the hand-over's format",
    debian: "cpio",
    ubuntu: "cpio",
};

const IP: Tool = Tool {
    probe: "ip",
    why: "sets up links for the network tests",
    debian: "iproute2",
    ubuntu: "iproute2",
};

const NGINX: Tool = Tool {
    probe: "nginx",
    why: "the TLS server of the throughput benchmark",
    debian: "nginx-light",
    ubuntu: "nginx-light",
};

const CURL: Tool = Tool {
    probe: "curl",
    why: "what the throughput benchmark compares with",
    debian: "curl",
    ubuntu: "curl",
};

const GCC: Tool = Tool { probe: "gcc", why: "compiles kernels", debian: "gcc", ubuntu: "gcc" };

const C_LIBRARY: Tool = Tool {
    probe: "/usr/include/stdio.h",
    why: "for programs that take part in building a kernel",
    debian: "libc6-dev",
    ubuntu: "libc6-dev",
};

const MAKE: Tool = Tool { probe: "make", why: "builds kernels", debian: "make", ubuntu: "make" };

const FLEX: Tool =
    Tool { probe: "flex", why: "reads a kernel's options", debian: "flex", ubuntu: "flex" };

const BISON: Tool =
    Tool { probe: "bison", why: "reads a kernel's options", debian: "bison", ubuntu: "bison" };

const BC: Tool =
    Tool { probe: "bc", why: "computes a kernel's time constants", debian: "bc", ubuntu: "bc" };

const LIBELF: Tool = Tool {
    probe: "/usr/include/gelf.h",
    why: "checks a kernel's object files",
    debian: "libelf-dev",
    ubuntu: "libelf-dev",
};

const ZSTD: Tool =
    Tool { probe: "zstd", why: "compresses kernels", debian: "zstd", ubuntu: "zstd" };

const PERL: Tool = Tool {
    probe: "perl",
    why: "runs scripts of a kernel's build",
    debian: "perl-base",
    ubuntu: "perl-base",
};

/// What a boot in QEMU needs.
#[must_use]
pub fn for_boot(firmware: Firmware) -> Vec<Tool> {
    let mut tools = vec![QEMU, IPXE];
    if firmware.is_uefi() {
        tools.push(OVMF);
    }
    tools
}

/// What building a kernel needs.
#[must_use]
pub fn for_kernel() -> Vec<Tool> {
    vec![GCC, C_LIBRARY, MAKE, FLEX, BISON, BC, LIBELF, ZSTD, XZ, PERL]
}

/// What building boot media needs.
#[must_use]
pub fn for_media() -> Vec<Tool> {
    vec![UEFI_STUB, XORRISO, ISOLINUX, SYSLINUX]
}

/// What the tests need.
#[must_use]
pub fn for_tests() -> Vec<Tool> {
    let mut tools = for_boot(Firmware::Uefi);
    tools.extend(for_media());
    tools.extend([DNSMASQ, IP, SWTPM, OPENSSL, SSH_AGENT, SOFTHSM, OPENSC, XZ, CPIO]);
    tools.extend(for_kernel().into_iter().filter(|tool| *tool != XZ));
    tools
}

/// What the benchmarks need.
#[must_use]
pub fn for_bench() -> Vec<Tool> {
    let mut tools = for_boot(Firmware::Bios);
    tools.extend([NGINX, CURL, UEFI_STUB]);
    tools
}

/// Installs the tools that are missing.
///
/// # Errors
///
/// Tools are missing and cannot be installed: no root, no known distribution, or APT failed. The
/// message has the command that would install them.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> = tools.iter().copied().filter(|tool| !is_there(tool.probe)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("Missing on this machine:");
    for tool in &missing {
        eprintln!("  {:<20} {}", tool.probe, tool.why);
    }
    let Some(distribution) = Distribution::of_this_machine() else {
        bail!("package names are known for Debian and Ubuntu only. {}", by_hand(&missing));
    };
    if !is_there("apt-get") {
        bail!("there is no apt-get here to install them with. {}", by_hand(&missing));
    }
    let packages: Vec<&str> = missing.iter().map(|tool| tool.package(distribution)).collect();
    install(&packages)?;
    match missing.iter().find(|tool| !is_there(tool.probe)) {
        Some(tool) => bail!("{} is still missing after the installation", tool.probe),
        None => Ok(()),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    let by_hand =
        format!("apt-get update && apt-get install --no-install-recommends {}", packages.join(" "));
    if apt::as_root("apt-get").is_none() {
        bail!("installing needs root. Run this, then try again:\n\n    sudo sh -c '{by_hand}'\n");
    }
    eprintln!("Installing: {}", packages.join(" "));
    Apt::open()?;
    if apt_install(packages).is_ok() {
        return Ok(());
    }
    // The lists may be older than the archive.
    Apt::refreshed()?;
    apt_install(packages)
}

fn apt_install(packages: &[&str]) -> Result<()> {
    // `env` passes the variable through sudo as well.
    let Some(mut command) = apt::as_root("env") else { bail!("installing needs root") };
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes"])
        .arg("--no-install-recommends")
        .args(packages);
    progress::run("install packages", &mut command)
}

impl Tool {
    const fn package(&self, distribution: Distribution) -> &'static str {
        match distribution {
            Distribution::Debian => self.debian,
            Distribution::Ubuntu => self.ubuntu,
        }
    }
}

/// A distribution whose package names are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Distribution {
    /// Debian and what is derived from it.
    Debian,
    /// Ubuntu and what is derived from it.
    Ubuntu,
}

impl Distribution {
    /// The distribution that `/etc/os-release` describes.
    #[must_use]
    pub fn from_os_release(text: &str) -> Option<Self> {
        let value = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or_default()
                .trim_matches('"')
        };
        // Ubuntu is "like debian": ask for the more special one first.
        let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
        let has = |id| ids.split_whitespace().any(|word| word == id);
        if has("ubuntu") {
            return Some(Self::Ubuntu);
        }
        has("debian").then_some(Self::Debian)
    }

    /// The distribution of this machine.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        Self::from_os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }
}

/// A command of this name that also finds system tools when `PATH` lacks `/usr/sbin`.
#[must_use]
pub fn command(name: &str) -> Command {
    let found =
        search_dirs().into_iter().map(|dir| Path::new(&dir).join(name)).find(|p| p.is_file());
    Command::new(found.unwrap_or_else(|| name.into()))
}

/// Whether QEMU has a device of this name.
#[must_use]
pub fn qemu_has(device: &str) -> bool {
    let help = command("qemu-system-x86_64").args(["-device", "help"]).output();
    help.is_ok_and(|help| {
        let name = format!("name \"{device}\"");
        String::from_utf8_lossy(&help.stdout).lines().any(|line| line.starts_with(&name))
    })
}

fn is_there(probe: &str) -> bool {
    if probe.starts_with('/') {
        return Path::new(probe).exists();
    }
    search_dirs().into_iter().any(|dir| dir.join(probe).is_file())
}

fn search_dirs() -> Vec<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

/// What somebody has to do whom nobody can help here.
fn by_hand(missing: &[Tool]) -> String {
    let named: Vec<_> = missing
        .iter()
        .map(|tool| format!("{} (Debian's package {})", tool.probe, tool.debian))
        .collect();
    format!("Install by hand, then try again: {}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::Distribution;
    use super::by_hand;
    use super::for_kernel;
    use super::is_there;

    #[test]
    fn distributions_are_told_apart() {
        let of = Distribution::from_os_release;
        assert_eq!(of("ID=debian\n"), Some(Distribution::Debian));
        assert_eq!(of("ID=ubuntu\nID_LIKE=debian\n"), Some(Distribution::Ubuntu));
        assert_eq!(of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Some(Distribution::Ubuntu));
        assert_eq!(of("ID=\"raspbian\"\nID_LIKE=debian\n"), Some(Distribution::Debian));
        assert_eq!(of("ID=fedora\n"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn what_a_kernel_is_built_with_has_names_of_packages() {
        let tools = for_kernel();
        for package in ["gcc", "libc6-dev", "make", "flex", "bison", "bc", "libelf-dev", "zstd"] {
            let named = tools.iter().any(|it| it.package(Distribution::Debian) == package);
            assert!(named, "{package}");
        }
        let words = by_hand(&tools);
        assert!(words.contains("gcc (Debian's package gcc), "), "{words}");
        assert!(words.contains("/usr/include/gelf.h (Debian's package libelf-dev)"), "{words}");
        assert!(tools.iter().all(|tool| tool.why.len() > 10));
    }

    #[test]
    fn commands_and_files_are_found() {
        assert!(is_there("sh") && is_there("/etc/passwd"));
        assert!(!is_there("no-such-command-anywhere") && !is_there("/no/such/file"));
    }
}
