//! `ramstrap boot-image`: what machines boot.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use clap::ValueEnum;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::FindInit;
use super::count;
use super::size;
use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::boot_image::Base;
use crate::boot_image::Config;
use crate::dates;
use crate::files;
use crate::modules::Modules;
use crate::modules::Nics;
use crate::modules::Selection;
use crate::modules::Tree;
use crate::output::Output;
use crate::progress::Progress;

/// Name of the `/init` executable where ramstrap is installed.
const INIT: &str = "ramstrap-init";

/// Build boot images.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap boot-image build --trust-policy trust-policy/ --host-config host.json \\
      --modules /lib/modules/6.1.0-25-cloud-amd64 --out initramfs.img
  ramstrap boot-image build --trust-policy trust-policy/ --init ramstrap-init \\
      --modules modules/6.1.0-25-amd64 --nics-only ixgbe,igb --build-time 2026-11-21 \\
      --out initramfs.img";

#[derive(Debug, Subcommand)]
enum What {
    Build(Box<Build>),
}

/// Build the initramfs of a boot image: /init, trust policy, host configuration, kernel modules.
///
/// Trust policy and host configuration are judged first, exactly as the machine will; nothing is
/// built from what it would refuse. The same inputs give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Build {
    /// What to build.
    #[arg(long, value_enum, default_value_t = Format::Initramfs)]
    format: Format,
    /// The static executable that becomes /init. Without it: `ramstrap-init` beside this tool;
    /// `cargo xtask boot-image build` builds it from the source tree.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// Directory with trust_policy.json, ospkg_signing_root.pem and, for https, tls_roots.pem.
    #[arg(long, value_name = "DIR")]
    trust_policy: PathBuf,
    /// Host configuration to embed. Without it: machines take theirs from the EFI variable.
    #[arg(long, value_name = "FILE")]
    host_config: Option<PathBuf>,
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
    /// What counts as the build's time: what expired before it never boots, whatever the machine's
    /// clock says. A date, or Unix seconds. Without it: SOURCE_DATE_EPOCH, else now.
    #[arg(
        long, value_name = "DATE", value_parser = dates::parse_or_epoch, env = "SOURCE_DATE_EPOCH",
        hide_env_values = true
    )]
    build_time: Option<i64>,
    /// One more file and its path in the initramfs.
    #[arg(long, value_name = "FILE=PATH", value_parser = extra)]
    extra: Vec<(PathBuf, String)>,
    /// Where the image goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Put the files in as they are, for tests that want to see a boot fail.
    #[arg(long, hide = true)]
    allow_invalid: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A compressed cpio archive for a kernel of your own.
    Initramfs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NicSet {
    /// Every wired Ethernet driver.
    All,
    /// Those of virtual machines.
    Virtual,
}

pub(super) fn run(args: Args, output: &mut Output, find_init: FindInit<'_>) -> Result<()> {
    let What::Build(args) = args.what;
    let (config, bonding) = configuration(&args, output)?;
    let init_file = match &args.init {
        Some(file) => file.clone(),
        None => find_init()?,
    };
    let init = files::read_large(&init_file)?;
    let modules = match &args.modules {
        Some(tree) => Some(modules(tree, &args, bonding, output)?),
        None => None,
    };
    let base = Base { init, modules };
    let packed = {
        let _progress = Progress::spinner("compressing /init and modules");
        base.pack().map_err(|error| error.on(init_file.display()))?
    };
    let image = boot_image::assemble(&packed, &config)?;
    files::write(&args.out, &image, files::PUBLIC, true)?;
    tell(&args.out, &image, (&init_file, &base), &config, output);
    Ok(())
}

fn configuration(args: &Build, output: &mut Output) -> Result<(Config, bool)> {
    let host_config = args.host_config.as_deref().map(files::read).transpose()?;
    let mut config = Config {
        trust_policy: Config::read_trust_policy(&args.trust_policy)?,
        host_config,
        build_time: args.build_time.unwrap_or_else(dates::now),
        ..Config::default()
    };
    for (file, path) in &args.extra {
        let content = (files::read_large(file)?, mode(file)?);
        if config.extra.insert(path.clone(), content).is_some() {
            return Err(Error::usage(format!("--extra names {path} twice")));
        }
    }
    if args.allow_invalid {
        output.warning("nothing was checked: this image is for tests");
        return Ok((config, false));
    }
    let checked = config.check().map_err(|error| match error.code() {
        Some(code) if code.id() < "E0111" => error.on(args.trust_policy.display()),
        _ => match &args.host_config {
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

fn modules(tree: &Path, args: &Build, bonding: bool, output: &mut Output) -> Result<Modules> {
    let mut selection = Selection {
        nics: match (&args.nics_only, args.nics) {
            (Some(names), _) => Nics::Only(names.clone()),
            (None, NicSet::All) => Nics::All,
            (None, NicSet::Virtual) => Nics::Virtual,
        },
        add: args.add_modules.clone(),
    };
    if bonding && !selection.add.iter().any(|name| name == "bonding") {
        selection.add.push("bonding".to_owned());
    }
    let _progress = Progress::spinner("reading modules");
    let modules = Tree::open(tree)?.select(&selection)?;
    for warning in &modules.warnings {
        output.warning(warning);
    }
    let missing = without_firmware(&modules, args);
    if !missing.is_empty() {
        output.warning(format!(
            "no firmware is taken along for {}: where such a NIC wants some, add what `modinfo -F \
             firmware MODULE` names with --extra FILE=/lib/firmware/NAME",
            missing.join(", ")
        ));
    }
    Ok(modules)
}

/// Modules that know of firmware, of which `--extra` brings none. That one file is enough is for
/// the operator to know: drivers name files for all models and versions.
fn without_firmware<'a>(modules: &'a Modules, args: &Build) -> Vec<&'a str> {
    let brought = |name: &String| {
        let path = format!("/lib/firmware/{name}");
        args.extra.iter().any(|(_, extra)| *extra == path)
    };
    let missing = modules.firmware.iter().filter(|(_, files)| !files.iter().any(brought));
    missing.map(|(name, _)| name.as_str()).collect()
}

/// Where an installed tool has `/init`.
pub(super) fn init_beside_this_tool() -> Result<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|tool| tool.canonicalize().ok())
        .map(|tool| tool.with_file_name(INIT));
    match beside {
        Some(file) if file.is_file() => Ok(file),
        _ => Err(Error::new(format!("there is no {INIT} beside this tool")).remedy(
            "build it in the source tree with `cargo xtask init FILE`, and give FILE with --init or \
             install it beside ramstrap; `cargo xtask boot-image build` builds and takes it by itself",
        )),
    }
}

/// What `--extra` may not replace or add to: it would go round the checks.
const RESERVED: &[&str] =
    &["/dev", "/etc/host_configuration.json", "/etc/ramstrap", "/etc/trust_policy", "/init"];

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

fn tell(
    path: &Path,
    image: &[u8],
    (init_file, base): (&Path, &Base),
    config: &Config,
    output: &Output,
) {
    let digest = hex::encode(Sha256::digest(image));
    output.field("image", path.display());
    output.field("size", size(image.len() as u64));
    output.field("SHA-256", &digest);
    output.field("/init", format!("{} ({})", init_file.display(), size(base.init.len() as u64)));
    output.field("build time", dates::format(config.build_time));
    if let Some(modules) = &base.modules {
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
    output.result(json!({
        "image": path,
        "format": "initramfs",
        "size": image.len(),
        "sha256": digest,
        "build_time": config.build_time,
        "init": init_file,
        "init_size": base.init.len(),
        "modules": base.modules.as_ref().map(|modules| json!({
            "release": modules.release,
            "count": modules.files.len(),
            "size": modules.size(),
            "files": modules.files.keys().collect::<Vec<_>>(),
            "always_loaded": modules.always,
            "firmware": modules.firmware,
        })),
    }));
}
