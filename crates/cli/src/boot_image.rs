//! Puts a boot image's initramfs together.
//!
//! Two zstd-compressed cpio archives, one behind the other, as the kernel takes them: the *base*
//! (`/init`, kernel modules), which changes with the software and can be kept, and the
//! *configuration* (trust policy, host configuration, build time), which changes with the machine.
//! Same inputs, same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use hostcfg::HostConfig;
use hostcfg::ProvisioningUrl;
use report::Code;
use sha2::Digest;
use sha2::Sha256;
use trust::FetchMethod;
use trust::PolicyFiles;
use trust::TrustPolicy;

use crate::Error;
use crate::Result;
use crate::cpio;
use crate::cpio::Archive;
use crate::files;
use crate::host_config;
use crate::modules::Modules;

mod built;
mod packages;

pub use built::Built;
pub use built::BuiltKernel;
pub use packages::EmbeddedPackage;
pub use packages::PACKAGES;

/// Names in a trust policy directory that go into a boot image.
pub const POLICY_FILES: [&str; 5] =
    [TRUST_POLICY, SIGNING_ROOT, TLS_ROOTS, SIGSUM_POLICY, DECRYPTION_IDENTITIES];

const TRUST_POLICY: &str = "trust_policy.json";
const SIGNING_ROOT: &str = "ospkg_signing_root.pem";
const TLS_ROOTS: &str = "tls_roots.pem";
pub(crate) const SIGSUM_POLICY: &str = "ospkg_trust_policy";
const DECRYPTION_IDENTITIES: &str = "decryption_identities";

/// Best ratio that still unpacks in a fraction of a second; the window stays at 8 MiB.
const ZSTD_LEVEL: i32 = 19;

/// What changes with the software only.
#[derive(Clone, Debug)]
pub struct Base {
    /// The static executable that becomes `/init`.
    pub init: Vec<u8>,
    /// Modules for the kernel that it is booted with; none for a kernel that has all built in.
    pub modules: Option<Modules>,
}

impl Base {
    /// SHA-256 over everything that goes in, hex: the key to keep [`Base::pack`]'s result under.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(b"ramstrap base 1");
        part(&self.init);
        if let Some(modules) = &self.modules {
            part(modules.release.as_bytes());
            part(modules.dep.as_bytes());
            part(modules.alias.as_bytes());
            part(&modules.builtin);
            part(modules.always.join("\n").as_bytes());
            for (path, bytes) in &modules.files {
                part(path.as_bytes());
                part(bytes);
            }
        }
        hex::encode(hash.finalize())
    }

    /// Packs and compresses it: takes seconds.
    ///
    /// # Errors
    /// If `/init` is no static x86-64 executable, or compression fails.
    pub fn pack(&self) -> Result<PackedBase> {
        check_init(&self.init)?;
        let mut archive = Archive::new();
        for directory in ["dev", "etc/ramstrap", "proc", "run", "sys", "tmp"] {
            archive.directory(directory)?;
        }
        archive.character_device("dev/console", 0o600, (5, 1))?;
        // On a machine without any console, /init starts without open files, and its runtime opens
        // this in their place before the first line of ours.
        archive.character_device("dev/null", 0o666, (1, 3))?;
        archive.file("init", 0o755, self.init.clone())?;
        if let Some(modules) = &self.modules {
            add_modules(&mut archive, modules)?;
        }
        compress(&archive).map(PackedBase)
    }
}

/// A packed [`Base`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PackedBase(Vec<u8>);

impl PackedBase {
    /// Takes back what [`Self::as_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The compressed archive.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What changes with the machine, as raw files: [`Config::check`] says whether they are any good.
#[derive(Clone, Default)]
pub struct Config {
    /// Files of `/etc/trust_policy/` by name.
    pub trust_policy: BTreeMap<String, Vec<u8>>,
    /// `/etc/host_configuration.json`; without it the machine's other sources decide.
    pub host_config: Option<Vec<u8>>,
    /// Unix seconds: what expired before then never boots, whatever the machine's clock says.
    pub build_time: i64,
    /// OS packages that the image holds, by their name without extension.
    pub packages: BTreeMap<String, EmbeddedPackage>,
    /// More files by path in the initramfs, with their permissions.
    pub extra: BTreeMap<String, (Vec<u8>, u32)>,
    /// What the image is built of, for who rebuilds it; none if that is not known.
    pub built: Option<Built>,
}

impl core::fmt::Debug for Config {
    // The host configuration may hold passwords.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Config")
            .field("trust_policy", &self.trust_policy.keys())
            .field("host_config", &self.host_config.as_ref().map(Vec::len))
            .field("build_time", &self.build_time)
            .field("packages", &self.packages.keys())
            .field("extra", &self.extra.keys())
            .field("built", &self.built)
            .finish()
    }
}

/// What a configuration that passed [`Config::check`] means.
#[derive(Debug)]
pub struct Checked {
    /// The trust policy.
    pub policy: TrustPolicy,
    /// The host configuration, if one is embedded.
    pub host_config: Option<HostConfig>,
    /// What works but is probably not meant.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads the files of a trust policy directory, whatever is in them. Names that begin with a dot
    /// are passed over. What is no file, such as a directory, counts as an empty one of its name.
    ///
    /// # Errors
    /// If the directory or a file in it cannot be read.
    pub fn read_trust_policy(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
        if directory.is_file() {
            let name = directory.display();
            let above = files::directory(directory).display();
            return Err(Error::new(format!("{name} is a file, and a trust policy is a directory"))
                .remedy(format!(
                    "give the directory that has {TRUST_POLICY}, {SIGNING_ROOT} and, for https, \
                     {TLS_ROOTS}; of {name} that is {above}"
                )));
        }
        let failed = |error: std::io::Error| Error::io("read", directory, &error);
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            // What is no file has no content, but its name may ask for something (Sigsum, age).
            let is_file = entry.path().is_file();
            let content = if is_file { files::read(&entry.path())? } else { Vec::new() };
            found.insert(name, content);
        }
        Ok(found)
    }

    /// Judges the configuration exactly as the machine will.
    ///
    /// # Errors
    /// With the code that the boot would end with.
    pub fn check(&self) -> Result<Checked> {
        let policy = load_policy(&self.trust_policy)?;
        let mut warnings: Vec<String> =
            policy.warnings().iter().map(|it| format!("trust policy: {it}")).collect();
        warnings.extend(
            self.trust_policy
                .keys()
                .filter(|name| !POLICY_FILES.contains(&name.as_str()))
                .map(|name| format!("trust policy: {name} is not part of one and is left out")),
        );
        let mut host_config = None;
        if let Some(bytes) = &self.host_config {
            let parsed = host_config::read(bytes)?;
            let network = self.check_origin(&policy, &parsed)?;
            let https = network && parsed.urls().any(ProvisioningUrl::is_https);
            if https && policy.tls_roots().is_empty() {
                warnings.push(format!(
                    "host configuration: an https URL, but the trust policy has no tls_roots.pem ({})",
                    Code::TlsNoRoots
                ));
            }
            warnings.extend(parsed.warnings.iter().map(|it| format!("host configuration: {it}")));
            host_config = Some(parsed);
        }
        for (name, package) in &self.packages {
            let refused = |error: Error| error.on(format!("/{PACKAGES}/{name}.json"));
            package.check(&policy, self.build_time).map_err(refused)?;
        }
        if policy.document().fetch_method() == FetchMethod::Initramfs && self.packages.is_empty() {
            warnings.push(
                "the trust policy has packages come from the boot image, and this one holds none: \
                 give them with --ospkg"
                    .to_owned(),
            );
        }
        Ok(Checked { policy, host_config, warnings })
    }

    /// Whether packages come over the network, as a machine decides it. The one that it would start
    /// instead must be here.
    fn check_origin(&self, policy: &TrustPolicy, host: &HostConfig) -> Result<bool> {
        let method = policy.document().fetch_method();
        let name = match &host.package {
            Some(name) if name.is_provision() || method == FetchMethod::Initramfs => name,
            None if method == FetchMethod::Initramfs => {
                let detail = "ospkg_pointer is no file name such as os.zip";
                return Err(Error::with_code(Code::EmbeddedNameInvalid, detail));
            }
            _ => {
                host.provisioning_urls().map_err(|error| Error::coded(&error))?;
                return Ok(true);
            }
        };
        if self.packages.keys().any(|stem| format!("{stem}.zip") == name.archive()) {
            return Ok(false);
        }
        let detail = format!("ospkg_pointer names {name}, which is not among --ospkg");
        Err(Error::with_code(Code::EmbeddedMissing, detail))
    }

    /// Whether there are passwords or keys in it: in URLs of the host configuration, or as
    /// identities that packages are decrypted with. A host configuration that cannot be read may
    /// hold some.
    #[must_use]
    pub fn holds_secrets(&self) -> bool {
        let host = self.host_config.as_deref().map(HostConfig::parse);
        self.trust_policy.contains_key(DECRYPTION_IDENTITIES)
            || host.is_some_and(|it| it.map_or(true, |it| it.holds_secrets()))
    }

    /// The same without the files that no boot image needs.
    #[must_use]
    pub fn only_known_files(mut self) -> Self {
        self.trust_policy.retain(|name, _| POLICY_FILES.contains(&name.as_str()));
        self
    }

    fn pack(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::new();
        for (name, bytes) in &self.trust_policy {
            let mode = if name == DECRYPTION_IDENTITIES { files::SECRET } else { files::PUBLIC };
            archive.file(&format!("etc/trust_policy/{name}"), mode, bytes.clone())?;
        }
        if let Some(bytes) = &self.host_config {
            archive.file("etc/host_configuration.json", files::SECRET, bytes.clone())?;
        }
        // Readers ignore keys that they do not know; `built` came later than the others.
        let mut image = serde_json::json!({ "version": 1, "build_time": self.build_time });
        if let (Some(built), Some(image)) = (&self.built, image.as_object_mut()) {
            let built = serde_json::to_value(built).unwrap_or_default();
            image.insert("built".to_owned(), built);
        }
        archive.file("etc/ramstrap/image.json", files::PUBLIC, format!("{image}\n").into())?;
        for (path, (bytes, permissions)) in &self.extra {
            archive.file(path, *permissions, bytes.clone())?;
        }
        compress(&archive)
    }
}

/// The finished initramfs. Puts the files in as they are; [`Config::check`] comes before.
///
/// # Errors
/// If a path in [`Config::extra`] cannot be used, or compression fails.
pub fn assemble(base: &PackedBase, config: &Config) -> Result<Vec<u8>> {
    let mut image = base.0.clone();
    image.extend_from_slice(&config.pack()?);
    cpio::pad(&mut image);
    image.extend_from_slice(&packages::pack(&config.packages)?);
    Ok(image)
}

/// Loads a trust policy from the files of its directory.
///
/// # Errors
/// With the code that a boot would end with.
pub fn load_policy(found: &BTreeMap<String, Vec<u8>>) -> Result<TrustPolicy> {
    let get = |name: &str| found.get(name).map(Vec::as_slice);
    let json = get(TRUST_POLICY).ok_or_else(|| {
        Error::with_code(Code::TrustPolicyMissing, format!("there is no {TRUST_POLICY}")).remedy(
            "a trust policy is a directory with trust_policy.json and ospkg_signing_root.pem",
        )
    })?;
    TrustPolicy::load(&PolicyFiles {
        trust_policy_json: json,
        signing_root_pem: get(SIGNING_ROOT),
        tls_roots_pem: get(TLS_ROOTS),
        sigsum_policy: get(SIGSUM_POLICY),
        decryption_identities: get(DECRYPTION_IDENTITIES),
    })
    .map_err(|error| {
        let refused = Error::coded(&error);
        let about = match refused.code() {
            Some(Code::TrustPolicyMalformed) => TRUST_POLICY,
            Some(Code::SigningRootInvalid) => SIGNING_ROOT,
            Some(Code::SigsumPolicyInvalid) => SIGSUM_POLICY,
            _ => return refused,
        };
        match get(about) {
            Some(bytes) => refused.if_odd(bytes),
            None => refused,
        }
    })
}

fn add_modules(archive: &mut Archive, modules: &Modules) -> Result<()> {
    let root = format!("lib/modules/{}", modules.release);
    for (path, bytes) in &modules.files {
        archive.file(&format!("{root}/{path}"), 0o644, bytes.clone())?;
    }
    for (name, text) in [
        ("modules.dep", modules.dep.as_bytes()),
        ("modules.alias", modules.alias.as_bytes()),
        ("modules.builtin", &modules.builtin),
    ] {
        archive.file(&format!("{root}/{name}"), 0o644, text.to_vec())?;
    }
    let always: String = modules.always.iter().map(|name| format!("{name}\n")).collect();
    archive.file("etc/ramstrap/modules", 0o644, always.into_bytes())
}

/// A dynamically linked `/init` is a kernel panic at boot, so it is refused here.
fn check_init(init: &[u8]) -> Result<()> {
    let refused = |why: &str| {
        Err(Error::new(format!("the file for /init {why}"))
            .remedy("give the static ramstrap-init executable of this release"))
    };
    let half = |at: usize| init.get(at..at + 2).map(|it| u16::from_le_bytes([it[0], it[1]]));
    let word = |at: usize| {
        let bytes = init.get(at..at.checked_add(8)?)?;
        usize::try_from(u64::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    const X86_64: u16 = 62;
    if init.get(..5) != Some(b"\x7fELF\x02") || half(18) != Some(X86_64) {
        return refused("is no x86-64 executable");
    }
    let (Some(table), Some(size), Some(count)) = (word(32), half(54), half(56)) else {
        return refused("is cut short");
    };
    const INTERPRETER: &[u8] = &[3, 0, 0, 0];
    let dynamic = (0..usize::from(count)).any(|index| {
        let at = table.saturating_add(index.saturating_mul(usize::from(size)));
        init.get(at..at.saturating_add(4)) == Some(INTERPRETER)
    });
    if dynamic { refused("is dynamically linked") } else { Ok(()) }
}

/// One zstd frame, padded with zeros to a multiple of 4: the kernel skips them.
pub(crate) fn compress(archive: &Archive) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::new(format!("compressing the initramfs: {error}"));
    let plain = archive.to_bytes();
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
    compressor.include_checksum(true).map_err(failed)?;
    let mut bytes = compressor.compress(&plain).map_err(failed)?;
    cpio::pad(&mut bytes);
    Ok(bytes)
}
