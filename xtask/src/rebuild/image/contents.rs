//! What a boot image holds that is not built from source: it is taken over into the rebuild.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ramstrap_cli::Error;
use ramstrap_cli::boot_image::Built;
use rebuild::initramfs;
use rebuild::initramfs::Limits;
use rebuild::initramfs::Member;

use super::Failure;

const POLICY: &str = "etc/trust_policy/";
const HOST_CONFIG: &str = "etc/host_configuration.json";
const OSPKG: &str = "ospkg/";
const IMAGE: &str = "etc/ramstrap/image.json";
/// The archive with what changes with the machine; the first has what changes with the software.
const CONFIGURATION: usize = 1;

const TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Inputs that the image itself holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// What it says of its build.
    pub(super) built: Built,
    build_time: i64,
    trust_policy: BTreeMap<String, Vec<u8>>,
    host_config: Option<Vec<u8>>,
    /// Files of OS packages that it holds, by name.
    packages: BTreeMap<String, Vec<u8>>,
    /// More files: path, content, permissions.
    extra: Vec<(String, Vec<u8>, u32)>,
}

impl Contents {
    /// Reads an initramfs, which may come from anywhere.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let archives = initramfs::read(bytes, Limits::default())?;
        let configuration = archives.get(CONFIGURATION).ok_or_else(|| {
            Error::new("it is no initramfs of `boot-image build`: it has no second archive")
        })?;
        let (mut trust_policy, mut extra) = (BTreeMap::new(), Vec::new());
        let (mut host_config, mut image) = (None, None);
        let files = configuration.members.iter().filter(|it| it.mode & TYPE == REGULAR);
        for Member { path, mode, content, .. } in files {
            let content = configuration.plain.get(content.clone()).unwrap_or_default().to_vec();
            if let Some(name) = path.strip_prefix(POLICY) {
                trust_policy.insert(checked(name)?.to_owned(), content);
            } else if path == HOST_CONFIG {
                host_config = Some(content);
            } else if path == IMAGE {
                image = Some(content);
            } else {
                extra.push((path.clone(), content, mode & 0o777));
            }
        }
        let image = image.ok_or_else(|| Error::new(format!("it has no /{IMAGE}")))?;
        let document: serde_json::Value = serde_json::from_slice(&image)
            .map_err(|error| Error::new(format!("/{IMAGE}: {error}")))?;
        let build_time = document.get("build_time").and_then(serde_json::Value::as_i64);
        let build_time =
            build_time.ok_or_else(|| Error::new(format!("/{IMAGE} has no build_time")))?;
        let mut packages = BTreeMap::new();
        for archive in archives.iter().skip(CONFIGURATION + 1) {
            for member in archive.members.iter().filter(|it| it.mode & TYPE == REGULAR) {
                if let Some(name) = member.path.strip_prefix(OSPKG) {
                    packages.insert(checked(name)?.to_owned(), archive.content(member).to_vec());
                }
            }
        }
        let built = Built::parse(&image)?;
        Ok(Self { built, build_time, trust_policy, host_config, packages, extra })
    }

    /// Writes all of it below a directory; gives the words of `boot-image build` that take it.
    pub(super) fn words(&self, directory: &Path) -> Result<Vec<String>, Failure> {
        let policy = directory.join("trust_policy");
        let mut words = vec![format!("--trust-policy={}", policy.display())];
        for (name, content) in &self.trust_policy {
            write(&policy.join(name), content, 0o644)?;
        }
        if let Some(content) = &self.host_config {
            let file = directory.join("host_configuration.json");
            // It may hold passwords.
            write(&file, content, 0o600)?;
            words.push(format!("--host-config={}", file.display()));
        }
        words.push(format!("--build-time={}", self.build_time));
        for (name, content) in &self.packages {
            let file = directory.join("ospkg").join(name);
            write(&file, content, 0o644)?;
            if name.ends_with(".json") {
                words.push(format!("--ospkg={}", file.display()));
            }
        }
        for (number, (path, content, mode)) in self.extra.iter().enumerate() {
            let file = directory.join(format!("extra-{number}"));
            write(&file, content, *mode)?;
            words.push(format!("--extra={}=/{path}", file.display()));
        }
        Ok(words)
    }
}

/// A name without a directory.
fn checked(name: &str) -> Result<&str, Failure> {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    if plain { Ok(name) } else { Err(Error::new(format!("{name:?} is no plain name of a file"))) }
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        fs::write(path, content)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    write().map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use ramstrap_cli::boot_image;
    use ramstrap_cli::boot_image::Config;
    use ramstrap_cli::boot_image::EmbeddedPackage;
    use ramstrap_cli::boot_image::PackedBase;

    use super::*;

    fn image(config: &Config) -> Vec<u8> {
        // The first archive does not matter here.
        let first = Config::default();
        let base = boot_image::assemble(&PackedBase::from_bytes(Vec::new()), &first).unwrap();
        boot_image::assemble(&PackedBase::from_bytes(base), config).unwrap()
    }

    #[test]
    fn what_an_image_holds_is_taken_over() {
        let package = EmbeddedPackage { descriptor: b"d".to_vec(), archive: b"a".to_vec() };
        let config = Config {
            trust_policy: [("trust_policy.json".to_owned(), b"policy".to_vec())].into(),
            host_config: Some(b"secret".to_vec()),
            build_time: 1_700_000_000,
            packages: [("os".to_owned(), package)].into(),
            extra: [("/usr/bin/x".to_owned(), (b"x".to_vec(), 0o755))].into(),
            built: Some(Built::default()),
        };
        let directory = tempfile::tempdir().unwrap();
        let words = Contents::read(&image(&config)).unwrap().words(directory.path()).unwrap();
        let place = directory.path().display();
        let expected = [
            format!("--trust-policy={place}/trust_policy"),
            format!("--host-config={place}/host_configuration.json"),
            "--build-time=1700000000".to_owned(),
            format!("--ospkg={place}/ospkg/os.json"),
            format!("--extra={place}/extra-0=/usr/bin/x"),
        ];
        assert_eq!(words, expected);
        let mode = |name: &str| {
            fs::metadata(directory.path().join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!((mode("host_configuration.json"), mode("extra-0")), (0o600, 0o755));
        let policy = fs::read(directory.path().join("trust_policy/trust_policy.json")).unwrap();
        assert_eq!(policy, b"policy");
    }

    #[test]
    fn images_that_do_not_say_it_are_told() {
        let error = Contents::read(&image(&Config::default())).unwrap_err().to_string();
        assert!(error.contains("does not say what the image was built of"), "{error}");
        let one = boot_image::assemble(&PackedBase::from_bytes(Vec::new()), &Config::default());
        let error = Contents::read(&one.unwrap()).unwrap_err().to_string();
        assert!(error.contains("no second archive"), "{error}");
    }
}
