//! What a boot image is made from: the arguments, read and judged.

use std::path::Path;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::Error;
use crate::Result;
use crate::boot_image::Built;
use crate::boot_image::Config;
use crate::boot_image::EmbeddedPackage;
use crate::commands::FindInit;
use crate::commands::FoundInit;
use crate::files;
use crate::firmware;
use crate::firmware::Directory;
use crate::firmware::Firmware;
use crate::firmware::Wanted;
use crate::media;
use crate::modules::Modules;
use crate::modules::Nics;
use crate::modules::Selection;
use crate::modules::Tree;
use crate::output::Output;
use crate::progress::Progress;

/// Name of the `/init` executable where ramstrap is installed.
const INIT: &str = "ramstrap-init";

#[derive(Debug, clap::Args)]
pub(super) struct Inputs {
    /// The static executable that becomes /init. Without it: `ramstrap-init` beside this tool;
    /// `cargo xtask boot-image build` builds it from the source tree.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Directory with trust_policy.json, ospkg_signing_root.pem and, for https, tls_roots.pem.
    #[arg(long, value_name = "DIR", required_unless_present = "uki")]
    trust_policy: Option<PathBuf>,
    /// Host configuration to embed. Without it: machines take theirs from the EFI variable.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
    /// An OS package to embed, for a trust policy with ospkg_fetch_method "initramfs", or named
    /// provision.json for machines without a host configuration. The archive is NAME.zip beside it.
    /// It must be one that the trust policy lets boot.
    #[arg(long, value_name = "NAME.json")]
    ospkg: Vec<PathBuf>,
    /// The kernel, a bzImage. Needed for every format but initramfs.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Modules of the kernel that it is booted with. Without it: the kernel needs none.
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
    /// Which NIC drivers to take along.
    #[arg(long, value_enum, default_value_t = NicSet::All, requires = "modules")]
    nics: NicSet,
    /// Take only these NIC drivers.
    #[arg(
        long,
        value_name = "MODULE",
        value_delimiter = ',',
        requires = "modules",
        conflicts_with = "nics"
    )]
    nics_only: Option<Vec<String>>,
    /// One more module, which is also loaded at every boot.
    #[arg(long = "module", value_name = "MODULE", requires = "modules")]
    add_modules: Vec<String>,
    /// Take along what NIC drivers ask for from this directory, which is laid out as linux-firmware
    /// (/lib/firmware). It becomes an archive of its own: most firmware is not free software.
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,
    /// What the kernel's built-in drivers say of themselves. Without it: modules.builtin.modinfo
    /// beside the kernel.
    #[arg(long, value_name = "FILE")]
    builtin_modinfo: Option<PathBuf>,
    /// One more file and its path in the initramfs.
    #[arg(long, value_name = "FILE=PATH", value_parser = extra)]
    extra: Vec<(PathBuf, String)>,
    /// Put the files in as they are, for tests that want to see a boot fail.
    #[arg(long, hide = true)]
    allow_invalid: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NicSet {
    /// Every wired Ethernet driver.
    All,
    /// Those of virtual machines.
    Virtual,
}

/// The inputs, read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) config: Config,
    /// A bzImage, if one was given.
    pub(super) kernel: Option<Vec<u8>>,
    pub(super) init_file: PathBuf,
    pub(super) init: Vec<u8>,
    pub(super) modules: Option<Modules>,
    /// What of it was found, if a directory was given.
    pub(super) firmware: Option<Firmware>,
    /// Firmware that drivers may ask for.
    pub(super) wanted: Wanted,
}

impl Inputs {
    pub(super) fn has_kernel(&self) -> bool {
        self.kernel.is_some()
    }

    /// Files and directories that are read.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let single = [
            &self.init,
            &self.trust_policy,
            &self.host_config,
            &self.kernel,
            &self.modules,
            &self.firmware,
            &self.builtin_modinfo,
        ];
        let single = single.into_iter().filter_map(Option::as_deref);
        let several = self.extra.iter().map(|(file, _)| file);
        single.chain(several.chain(&self.ospkg).map(PathBuf::as_path))
    }

    pub(super) fn read(
        &self,
        build_time: i64,
        output: &mut Output,
        find_init: FindInit<'_>,
    ) -> Result<Read> {
        let kernel = self.kernel.as_deref().map(media::read_kernel).transpose()?;
        let directory = self.firmware.as_deref().map(Directory::open).transpose()?;
        let builtin =
            firmware::builtin_beside(self.kernel.as_deref(), self.builtin_modinfo.as_deref())?;
        if directory.is_some() && builtin.is_none() && self.modules.is_none() {
            return Err(Error::usage("it is not known which firmware the kernel asks for").remedy(
                "give modules.builtin.modinfo of the kernel's build with --builtin-modinfo, or \
                 --modules",
            ));
        }
        let (mut config, bonding) = self.configuration(build_time, output)?;
        let FoundInit { file: init_file, built } = match &self.init {
            Some(file) => FoundInit { file: file.clone(), built: None },
            None => find_init(kernel.as_deref())?,
        };
        config.built = built.map(|built| Built { options: self.options(), ..built });
        let init = files::read_large(&init_file)?;
        let modules = match &self.modules {
            Some(tree) => Some(self.modules(tree, bonding, output)?),
            None => None,
        };
        if let (Some(kernel), Some(modules)) = (&kernel, &modules) {
            check_release(kernel, modules)?;
        }
        if modules.is_none() {
            warn_of_modules(kernel.as_deref(), output);
        }
        let of_modules = modules.as_ref().map(Wanted::of_modules).unwrap_or_default();
        let wanted = builtin.unwrap_or_default().and(of_modules);
        let firmware = match &directory {
            Some(directory) => {
                let firmware = Firmware::find(&wanted, directory)?;
                if firmware.files.is_empty() && !firmware.drivers.is_empty() {
                    output.warning(
                        "firmware: the directory has nothing that a driver asks for; is it laid \
                         out as /lib/firmware?",
                    );
                }
                Some(firmware)
            }
            None => {
                self.warn_of_firmware(modules.as_ref(), output);
                None
            }
        };
        Ok(Read { config, kernel, init_file, init, modules, firmware, wanted })
    }

    /// What one has to know to choose the same modules and firmware again.
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if self.modules.is_some() {
            options.push("--modules".to_owned());
            options.push(match (&self.nics_only, self.nics) {
                (Some(names), _) => format!("--nics-only={}", names.join(",")),
                (None, NicSet::All) => "--nics=all".to_owned(),
                (None, NicSet::Virtual) => "--nics=virtual".to_owned(),
            });
            options.extend(self.add_modules.iter().map(|name| format!("--module={name}")));
        }
        if self.firmware.is_some() {
            options.push("--firmware".to_owned());
        }
        options
    }

    fn configuration(&self, build_time: i64, output: &mut Output) -> Result<(Config, bool)> {
        let host_config = self.host_config.as_deref().map(files::read).transpose()?;
        let Some(trust_policy) = &self.trust_policy else {
            return Err(Error::usage("a boot image needs a trust policy")
                .remedy("give its directory with --trust-policy"));
        };
        let mut config = Config {
            trust_policy: Config::read_trust_policy(trust_policy)?,
            host_config,
            build_time,
            ..Config::default()
        };
        for (file, path) in &self.extra {
            let content = (files::read_large(file)?, mode(file)?);
            if config.extra.insert(path.clone(), content).is_some() {
                return Err(Error::usage(format!("--extra names {path} twice")));
            }
        }
        for descriptor in &self.ospkg {
            let (name, package) = EmbeddedPackage::read(descriptor)?;
            if config.packages.insert(name.clone(), package).is_some() {
                return Err(Error::usage(format!("--ospkg names {name} twice")));
            }
        }
        if self.allow_invalid {
            output.warning("nothing was checked: this image is for tests");
            return Ok((config, false));
        }
        let checked = config.check().map_err(|error| match error.code() {
            Some(code) if code.id() < "E0111" => error.on(trust_policy.display()),
            // It names the package itself.
            Some(code) if code.id() > "E0199" => error,
            _ => match &self.host_config {
                Some(file) => error.on(file.display()),
                None => error,
            },
        })?;
        for warning in &checked.warnings {
            output.warning(warning);
        }
        let bonding = checked.host_config.is_some_and(|host| host.bonding.is_some());
        Ok((config.only_known_files(), bonding))
    }

    fn modules(&self, tree: &Path, bonding: bool, output: &mut Output) -> Result<Modules> {
        let mut selection = Selection {
            nics: match (&self.nics_only, self.nics) {
                (Some(names), _) => Nics::Only(names.clone()),
                (None, NicSet::All) => Nics::All,
                (None, NicSet::Virtual) => Nics::Virtual,
            },
            add: self.add_modules.clone(),
        };
        if bonding && !selection.add.iter().any(|name| name == "bonding") {
            selection.add.push("bonding".to_owned());
        }
        let _progress = Progress::spinner("reading modules");
        let modules = Tree::open(tree)?.select(&selection)?;
        for warning in &modules.warnings {
            output.warning(warning);
        }
        Ok(modules)
    }

    /// Modules know what they ask for; that one file of it is enough is for the operator to know:
    /// drivers name files for all models and versions.
    fn warn_of_firmware(&self, modules: Option<&Modules>, output: &mut Output) {
        let brought = |name: &String| {
            let path = format!("/lib/firmware/{name}");
            self.extra.iter().any(|(_, extra)| *extra == path)
        };
        let missing: Vec<&str> = modules
            .iter()
            .flat_map(|modules| &modules.firmware)
            .filter(|(_, files)| !files.iter().any(brought))
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            output.warning(format!(
                "no firmware is taken along for {}: where such a NIC wants some, give a directory \
                 that has it with --firmware DIR, or single files with --extra \
                 FILE=/lib/firmware/NAME",
                missing.join(", ")
            ));
        }
    }
}

/// A kernel of a distribution has hardly any driver in itself.
fn warn_of_modules(kernel: Option<&[u8]>, output: &mut Output) {
    let release = kernel.and_then(media::release);
    if let Some(release) = release.filter(|it| is_distributions(it)) {
        output.warning(format!(
            "{release} is a distribution's kernel, whose drivers are modules, and none are taken along: \
             machines will find no network. Give --modules /lib/modules/{release}"
        ));
    }
}

/// Whether distributions call their kernels so: Debian, Ubuntu, Fedora, RHEL, Arch, SUSE, Alpine.
fn is_distributions(release: &str) -> bool {
    const FLAVOURS: [&str; 14] = [
        "amd64",
        "generic",
        "lowlatency",
        "cloud",
        "azure",
        "aws",
        "gcp",
        "kvm",
        "oracle",
        "virt",
        "lts",
        "default",
        "pve",
        "zen",
    ];
    let last = release.rsplit('-').next().unwrap_or_default();
    FLAVOURS.contains(&last)
        || release.contains("-arch")
        || [".fc", ".el", ".amzn"].iter().any(|mark| release.contains(mark))
}

/// A kernel finds no modules but its own.
fn check_release(kernel: &[u8], modules: &Modules) -> Result<()> {
    match media::release(kernel) {
        Some(release) if release != modules.release => Err(Error::new(format!(
            "the kernel is {release}, and the modules are of {}",
            modules.release
        ))
        .remedy("give kernel and modules of one package")),
        _ => Ok(()),
    }
}

/// Where an installed tool has `/init`.
pub(in crate::commands) fn init_beside_this_tool(_: Option<&[u8]>) -> Result<FoundInit> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|tool| tool.canonicalize().ok())
        .map(|tool| tool.with_file_name(INIT));
    match beside {
        Some(file) if file.is_file() => Ok(FoundInit { file, built: None }),
        _ => Err(Error::new(format!("there is no {INIT} beside this tool")).remedy(
            "build it in the source tree with `cargo xtask init FILE`, and give FILE with --init or \
             install it beside ramstrap; `cargo xtask boot-image build` builds and takes it by itself",
        )),
    }
}

/// What `--extra` may not replace or add to: it would go round the checks.
const RESERVED: &[&str] = &[
    "/dev",
    "/etc/host_configuration.json",
    "/etc/ramstrap",
    "/etc/trust_policy",
    "/init",
    "/ospkg",
];

fn extra(text: &str) -> Result<(PathBuf, String), String> {
    let (file, path) = text
        .rsplit_once('=')
        .filter(|(file, path)| !file.is_empty() && path.starts_with('/'))
        .ok_or("write it as FILE=/path/in/the/initramfs")?;
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if !path.split('/').skip(1).all(plain) {
        return Err(format!("{path} is not a path without . and .."));
    }
    let below = |place: &&&str| Path::new(path).starts_with(place);
    match RESERVED.iter().find(below) {
        Some(place) => Err(format!("{place} is not for extra files")),
        None => Ok((PathBuf::from(file), path.to_owned())),
    }
}

/// Executable stays executable; nothing else of the mode is taken, so that a umask makes no
/// difference.
fn mode(file: &Path) -> Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    let data = std::fs::metadata(file).map_err(|error| Error::io("read", file, &error))?;
    Ok(if data.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 })
}

#[cfg(test)]
mod tests {
    use super::is_distributions;

    #[test]
    fn kernels_of_distributions_are_known_by_their_names() {
        for release in [
            "6.1.0-25-amd64",
            "6.1.0-25-cloud-amd64",
            "6.8.0-31-generic",
            "6.9.4-200.fc40.x86_64",
            "6.9.3-arch1-1",
        ] {
            assert!(is_distributions(release), "{release}");
        }
        for release in ["6.12.117", "6.12.1-test", "6.12.117-ramstrap"] {
            assert!(!is_distributions(release), "{release}");
        }
    }
}
