//! What a lab provisions: throw-away keys, and the minimal OS as a package that two of three
//! signers have signed. Kept between runs while nothing that goes in has changed.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use ramstrap_cli::certificate;
use ramstrap_cli::certificate::Certificate;
use ramstrap_cli::certificate::Validity;
use ramstrap_cli::dates;
use ramstrap_cli::files;
use ramstrap_cli::keys::KeyFormat;
use ramstrap_cli::keys::PrivateKey;
use ramstrap_cli::keys::Signer;
use ramstrap_cli::package;
use ramstrap_cli::package::Contents;
use ramstrap_cli::package::InDoubt;
use ramstrap_cli::package::Names;
use serde::Deserialize;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use crate::build;
use crate::cache;
use crate::kernels::Kernel;
use crate::minimal;
use crate::progress;

/// The package's name.
const NAME: &str = "minimal";

/// Names of the signers.
const SIGNERS: [&str; 3] = ["alice", "bob", "carol"];

/// How many of them must have signed.
const THRESHOLD: usize = 2;

/// Keys and certificates are made anew this often, so that they never come near their end.
const RENEWAL: i64 = 30 * dates::DAY;

/// `ospkg/minimal/recipe.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    label: String,
    cmdline: String,
}

/// The directory of a provisioning server, and the policy that trusts what is in it.
#[derive(Clone, Debug)]
pub struct Site {
    dir: PathBuf,
    archive_length: u64,
}

impl Site {
    /// Makes keys and package below `dir`, or finds them there. Ballast makes the archive at least
    /// that many bytes long.
    ///
    /// # Errors
    ///
    /// Something does not build, or a file cannot be written.
    pub fn prepare(dir: &Path, kernel: &Kernel, length: u64) -> Result<Self> {
        let recipe_file = build::root().join("ospkg/minimal/recipe.json");
        let recipe_text = fs::read_to_string(&recipe_file)
            .with_context(|| format!("cannot read {}", recipe_file.display()))?;
        let binary = build::minimal_os()?;
        let inputs = inputs(&[
            &fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?,
            &fs::read(&kernel.image)
                .with_context(|| format!("cannot read {}", kernel.image.display()))?,
            recipe_text.as_bytes(),
            &length.to_le_bytes(),
            &(dates::now() / RENEWAL).to_le_bytes(),
        ]);
        let mark = dir.join("inputs.sha256");
        if fs::read_to_string(&mark).ok().as_deref() != Some(inputs.as_str()) {
            let recipe: Recipe = serde_json::from_str(&recipe_text)
                .with_context(|| format!("cannot use {}", recipe_file.display()))?;
            progress::step("make throw-away keys, build and sign the OS package", |_| {
                make(dir, kernel, &recipe, length)
            })?;
            // Last: it says that everything else is there.
            cache::publish_file(&mark, inputs.as_bytes())?;
        }
        let names = names(dir);
        let archive_length = fs::metadata(&names.archive).context("the package has gone")?.len();
        Ok(Self { dir: dir.to_path_buf(), archive_length })
    }

    /// Length of the archive in bytes.
    #[must_use]
    pub const fn archive_length(&self) -> u64 {
        self.archive_length
    }

    /// What a server is to serve.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        site_dir(&self.dir)
    }

    /// File name of the descriptor in [`Site::directory`].
    #[must_use]
    pub fn descriptor_name(&self) -> String {
        format!("{NAME}.json")
    }

    /// One line about the package.
    #[must_use]
    pub fn describe(&self) -> String {
        let signers = SIGNERS.get(..THRESHOLD).unwrap_or(&SIGNERS).join(" and ");
        format!(
            "{NAME}.zip, {} bytes, signed by {signers} ({THRESHOLD} of {} must)",
            self.archive_length,
            SIGNERS.len()
        )
    }

    /// Writes the trust policy: the throw-away root, the threshold, and this CA for TLS. Returns
    /// its directory.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write_trust_policy(&self, tls_roots: &[u8]) -> Result<PathBuf> {
        let policy = self.dir.join("trust_policy");
        let document = json!({
            "ospkg_signature_threshold": THRESHOLD,
            "ospkg_fetch_method": "network",
        });
        let root = fs::read(root_certificate(&self.dir)).context("cannot read the signing root")?;
        cache::publish_file(
            &policy.join("trust_policy.json"),
            format!("{document:#}\n").as_bytes(),
        )?;
        cache::publish_file(&policy.join("ospkg_signing_root.pem"), &root)?;
        cache::publish_file(&policy.join("tls_roots.pem"), tls_roots)?;
        Ok(policy)
    }
}

fn make(dir: &Path, kernel: &Kernel, recipe: &Recipe, length: u64) -> Result<()> {
    let site = site_dir(dir);
    let keys = dir.join("keys");
    for directory in [&site, &keys] {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
    }
    let initramfs = dir.join("initramfs.zst");
    let bare = minimal::initramfs(None)?;
    let kernel_length = fs::metadata(&kernel.image)?.len();
    let content = match length.checked_sub(kernel_length + bare.len() as u64) {
        None | Some(0) => bare,
        Some(ballast) => minimal::initramfs(Some(ballast))?,
    };
    fs::write(&initramfs, content).context("cannot write the initramfs")?;
    let contents = Contents {
        kernel: kernel.image.clone(),
        initramfs,
        cmdline: Some(recipe.cmdline.clone()),
        watchdog_seconds: None,
        release: None,
        not_after: None,
        channel: None,
        label: Some(recipe.label.clone()),
        url: format!("{NAME}.zip"),
        any_kernel: false,
        extra: Vec::new(),
        replace: false,
        unsigned: false,
    };
    let names = names(dir);
    // New keys sign it, so signatures of former ones must not stay.
    if let Err(error) = fs::remove_file(&names.descriptor)
        && error.kind() != ErrorKind::NotFound
    {
        return Err(error).context("cannot remove the former descriptor");
    }
    package::create(&contents, &names)?;
    for (index, (key, certificate)) in make_keys(&keys)?.into_iter().enumerate() {
        if index < THRESHOLD {
            package::sign(&names, &Signer::from(key), &certificate, InDoubt::Refuse)?;
        }
    }
    Ok(())
}

/// A root, and a key and certificate for each signer.
fn make_keys(dir: &Path) -> Result<Vec<(PrivateKey, Certificate)>> {
    // From yesterday on, so that a clock that is a little slow does no harm.
    let from = dates::now() - dates::DAY;
    let root_key = PrivateKey::generate()?;
    let validity = Validity::days(from, certificate::ROOT_DAYS);
    let root =
        certificate::issue_root(&Signer::from(&root_key), Some("ramstrap demo root"), validity)?;
    write_pair(dir, "root", &root_key, &root)?;
    let validity = Validity::days(from, certificate::SIGNER_DAYS);
    SIGNERS
        .into_iter()
        .map(|name| {
            let key = PrivateKey::generate()?;
            let public = key.public();
            let certificate = certificate::issue_signer(
                &root,
                &Signer::from(&root_key),
                &public,
                Some(name),
                validity,
            )?;
            write_pair(dir, name, &key, &certificate)?;
            Ok((key, certificate))
        })
        .collect()
}

fn write_pair(dir: &Path, name: &str, key: &PrivateKey, certificate: &Certificate) -> Result<()> {
    let key = key.to_pem(KeyFormat::Pkcs8, name)?;
    let certificate = certificate.to_pem()?;
    files::write(&dir.join(format!("{name}-key.pem")), key.as_bytes(), files::SECRET, true)?;
    files::write(&dir.join(format!("{name}.pem")), certificate.as_bytes(), files::PUBLIC, true)?;
    Ok(())
}

fn inputs(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

fn names(dir: &Path) -> Names {
    Names::new(&site_dir(dir).join(NAME))
}

fn site_dir(dir: &Path) -> PathBuf {
    dir.join("site")
}

fn root_certificate(dir: &Path) -> PathBuf {
    dir.join("keys/root.pem")
}

#[cfg(test)]
mod tests {
    use super::Recipe;
    use super::inputs;
    use crate::build;

    #[test]
    fn the_recipe_can_be_read() {
        let text =
            std::fs::read_to_string(build::root().join("ospkg/minimal/recipe.json")).unwrap();
        let recipe: Recipe = serde_json::from_str(&text).unwrap();
        assert!(recipe.cmdline.contains("console=ttyS0"), "{}", recipe.cmdline);
    }

    #[test]
    fn inputs_do_not_run_together() {
        assert_ne!(inputs(&[b"ab", b"c"]), inputs(&[b"a", b"bc"]));
    }
}
