//! Tarballs of pinned sources, kept by their digests: inputs of whoever builds a kernel again when the
//! distribution has moved on.
//!
//! Those that were downloaded or given stay in the cache, whole, beside the trees that were unpacked
//! from them.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use rebuild::build::Input;
use rebuild::store::Origin;
use rebuild::store::Store;

use super::pins::Pin;
use super::pins::Pins;
use super::unpack;
use crate::cache;
use crate::progress;

/// Kind of such an input in a package's `build.json`.
pub const KIND: &str = "kernel-source";

/// How many tarballs stay in the cache.
const KEPT: usize = 3;

/// A pinned source as the input of a package.
#[must_use]
pub fn input(pin: &Pin) -> Input {
    Input {
        name: pin.file.clone(),
        sha256: pin.sha256.clone(),
        size: pin.bytes,
        kind: KIND.to_owned(),
    }
}

/// The tarballs that are kept.
#[derive(Clone, Debug)]
pub struct Tarballs {
    dir: PathBuf,
    store: Store,
}

impl Tarballs {
    /// Those in the cache of this user.
    ///
    /// # Errors
    ///
    /// There is no place for a cache.
    pub fn of_this_user() -> Result<Self> {
        Self::open(&cache::subdir("kernels/tarballs")?)
    }

    fn open(dir: &Path) -> Result<Self> {
        Ok(Self { dir: dir.to_path_buf(), store: Store::create(dir)? })
    }

    /// The tarball with this digest, if it is there, undamaged.
    #[must_use]
    pub fn find(&self, sha256: &str) -> Option<PathBuf> {
        // A damaged one is as good as none: it is replaced when it comes anew.
        self.store.get(sha256).unwrap_or_default()
    }

    /// Keeps a tarball, or the one in a Debian package.
    ///
    /// # Errors
    ///
    /// It has another digest, or cannot be written.
    pub fn keep(&self, file: &Path, sha256: &str) -> Result<()> {
        if self.find(sha256).is_some() {
            return Ok(());
        }
        let place = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.dir)?;
        let tarball = unpack::tarball_of(file, place.path())?;
        self.store.put_file(&tarball, Some(sha256))?;
        cache::prune(&self.dir.join("sha256"), KEPT);
        Ok(())
    }

    /// Takes a pinned source from kept inputs, unless one is there. Gives whether one is there now: that
    /// the inputs have none is no error, for there is the distribution.
    pub fn take_from(&self, inputs: &Origin, pins: &Pins) -> bool {
        pins.iter().any(|pin| self.find(&pin.sha256).is_some() || self.fetch(inputs, pin).is_ok())
    }

    /// Puts the tarball of a pinned source into a store: from here, from other kept inputs, or as
    /// `download` keeps it here.
    ///
    /// # Errors
    ///
    /// It is not to be had, or the store cannot be written.
    pub fn put(
        &self,
        pin: &Pin,
        inputs: Option<&Origin>,
        into: &Store,
        download: impl FnOnce(&Pin) -> Result<()>,
    ) -> Result<()> {
        if into.get(&pin.sha256).is_ok_and(|it| it.is_some()) {
            return Ok(());
        }
        let here = self.find(&pin.sha256).is_some()
            || inputs.is_some_and(|inputs| self.fetch(inputs, pin).is_ok());
        if !here {
            download(pin).with_context(|| {
                format!(
                    "the kernel's source {} (SHA-256 {}) cannot be kept; get it elsewhere and put it \
                     into the store (ramstrap store put DIR {})",
                    pin.version, pin.sha256, pin.file
                )
            })?;
        }
        let tarball = self.find(&pin.sha256).context("the tarball has gone from the cache")?;
        into.put_file(&tarball, Some(&pin.sha256))?;
        Ok(())
    }

    fn fetch(&self, inputs: &Origin, pin: &Pin) -> Result<()> {
        let place = self.store.path(&pin.sha256);
        let label = format!("take {} from kept inputs", pin.file);
        progress::step(&label, |_| Ok(inputs.fetch(&pin.sha256, pin.bytes, &place)?))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use anyhow::bail;
    use rebuild::store::Origin;
    use rebuild::store::Store;

    use super::Tarballs;
    use super::input;
    use crate::kernel_build::pins::Pins;

    const SOURCE: &[u8] = b"a kernel's source";

    fn pins() -> Pins {
        let sha256 = rebuild::sha256(SOURCE);
        Pins::parse(&format!(
            "[[source]]\nversion = \"1\"\nkernel = \"1\"\norigin = \"D\"\npackage = \"p\"\n\
             file = \"linux.tar.xz\"\nbytes = {}\nsha256 = \"{sha256}\"\n",
            SOURCE.len()
        ))
        .unwrap()
    }

    #[test]
    fn a_pinned_source_is_an_input_whose_digest_is_that_of_the_file() {
        let (dir, pins) = (tempfile::tempdir().unwrap(), pins());
        let pin = pins.iter().next().unwrap();
        let found = input(pin);
        assert_eq!((found.name.as_str(), found.kind.as_str()), ("linux.tar.xz", "kernel-source"));
        let tarballs = Tarballs::open(&dir.path().join("cache")).unwrap();
        let file = dir.path().join("any name.tar.xz");
        fs::write(&file, SOURCE).unwrap();
        tarballs.keep(&file, &found.sha256).unwrap();
        let kept = tarballs.find(&found.sha256).unwrap();
        assert_eq!(fs::metadata(&kept).unwrap().len(), found.size);
        // What is damaged is none.
        fs::write(kept, "x").unwrap();
        assert_eq!(tarballs.find(&found.sha256), None);
        tarballs.keep(&file, &found.sha256).unwrap();
        assert!(tarballs.find(&found.sha256).is_some());
        fs::write(&file, "another").unwrap();
        let other = Tarballs::open(&dir.path().join("other")).unwrap();
        let error = other.keep(&file, &found.sha256).unwrap_err().to_string();
        assert!(error.contains("expected"), "{error}");
        assert_eq!(other.find(&found.sha256), None);
    }

    #[test]
    fn a_store_gets_it_from_wherever_it_is() {
        let (dir, pins) = (tempfile::tempdir().unwrap(), pins());
        let pin = pins.iter().next().unwrap();
        let kept = Store::create(&dir.path().join("kept")).unwrap();
        kept.put(SOURCE, None).unwrap();
        let inputs = Origin::parse(dir.path().join("kept").to_str().unwrap()).unwrap();
        let tarballs = Tarballs::open(&dir.path().join("cache")).unwrap();
        let into = Store::create(&dir.path().join("into")).unwrap();
        let error = tarballs.put(pin, None, &into, |_| bail!("no network")).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("ramstrap store put") && text.contains("no network"), "{text}");
        tarballs.put(pin, Some(&inputs), &into, |_| bail!("no network")).unwrap();
        assert!(into.get(&pin.sha256).unwrap().is_some());
        // From now on it is here.
        let again = Store::create(&dir.path().join("again")).unwrap();
        tarballs.put(pin, None, &again, |_| bail!("no network")).unwrap();
        assert!(tarballs.take_from(&inputs, &pins));
        let empty = Store::create(&dir.path().join("empty")).unwrap();
        let nothing = Origin::Directory(empty);
        let other = Tarballs::open(&dir.path().join("other")).unwrap();
        assert!(!other.take_from(&nothing, &pins));
        other
            .put(pin, Some(&nothing), &again, |_| bail!("it is in the store, nobody has to ask"))
            .unwrap();
    }
}
