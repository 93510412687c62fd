//! Looks for secrets in a copy of a machine's memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem::Finder;

/// How much is read at a time. Most of a machine's memory is empty: that is passed over.
const CHUNK: usize = 256 * 1024;
static EMPTY: [u8; 2 * CHUNK] = [0; 2 * CHUNK];

/// Fewer bytes than this are found by chance.
const SHORTEST: usize = 8;

/// Something to look for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Needle {
    /// What it is called in results.
    pub name: String,
    /// The bytes in each form that they may have.
    forms: Vec<(&'static str, Vec<u8>)>,
}

impl Needle {
    /// Bytes as they are, and nothing else.
    #[must_use]
    pub fn bytes(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), forms: vec![("raw", bytes.to_vec())] }
    }

    /// A secret in every form that it may have been left in: raw, hex, base64. The first and the
    /// last bytes are not looked for, because software may change them (clamping) and base64 mixes
    /// them with what stands beside.
    #[must_use]
    pub fn secret(name: &str, secret: &[u8]) -> Self {
        let inner = secret.get(1..secret.len().saturating_sub(1)).unwrap_or(secret);
        let mut forms = vec![
            ("raw", inner.to_vec()),
            ("hex", hex::encode(inner).into_bytes()),
            ("HEX", hex::encode_upper(inner).into_bytes()),
        ];
        // A secret may stand anywhere in what was encoded: three ways to cut it into groups of three.
        for (form, skip) in [("base64", 0), ("base64+1", 1), ("base64+2", 2)] {
            let whole = secret.get(skip..).unwrap_or_default();
            let groups = whole.get(..whole.len() / 3 * 3).unwrap_or_default();
            forms.push((form, STANDARD_NO_PAD.encode(groups).into_bytes()));
        }
        Self { name: name.to_owned(), forms }
    }
}

/// Where a needle was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Find {
    /// The needle's name.
    pub name: String,
    /// In which form: `raw`, `hex`, `HEX`, `base64` (`+1`, `+2`: shifted by so many bytes).
    pub form: &'static str,
    /// Physical address of its first place.
    pub first: u64,
    /// In how many places.
    pub places: usize,
}

/// Looks for all needles in all their forms.
///
/// # Errors
///
/// The file cannot be read, or a needle is too short to mean anything.
pub(super) fn search(file: &Path, needles: &[Needle]) -> Result<Vec<Find>> {
    let mut tracks = Vec::new();
    for Needle { name, forms } in needles {
        for (form, bytes) in forms {
            ensure!(bytes.len() >= SHORTEST, "{name} ({form}) is too short to look for");
            tracks.push(Track { name, form, finder: Finder::new(bytes), first: 0, places: 0 });
        }
    }
    let overlap = tracks.iter().map(Track::len).max().unwrap_or(1) - 1;
    scan(file, overlap, |window, base, seen| {
        tracks.iter_mut().for_each(|track| track.look(window, base, seen));
    })?;
    Ok(tracks.into_iter().filter(|track| track.places > 0).map(Track::find).collect())
}

/// Every address at which these bytes begin in a copy of a machine's memory.
///
/// # Errors
///
/// The file cannot be read, or there are too few or too many bytes to look for.
pub fn places(file: &Path, bytes: &[u8]) -> Result<Vec<u64>> {
    ensure!(bytes.len() >= SHORTEST, "{} bytes are too few to look for", bytes.len());
    let mut found = Vec::new();
    scan(file, bytes.len() - 1, |window, base, seen| {
        for at in Finder::new(bytes).find_iter(window).filter(|at| at + bytes.len() > seen) {
            found.push(base + at as u64);
        }
    })?;
    Ok(found)
}

/// Reads a file in windows that overlap by so much, passing over what is empty. The function is
/// given a window, the address of its first byte, and how many of its bytes were in the one before.
fn scan(file: &Path, overlap: usize, mut look: impl FnMut(&[u8], u64, usize)) -> Result<()> {
    ensure!(overlap < CHUNK, "too long to look for");
    let mut file = File::open(file).context("cannot read the memory")?;
    let mut window = Vec::with_capacity(CHUNK + overlap);
    let (mut base, mut seen) = (0_u64, 0);
    while file.by_ref().take(CHUNK as u64).read_to_end(&mut window)? > 0 {
        // As one comparison: that is quick even in a test's own, slow code.
        if EMPTY.get(..window.len()) != Some(&window[..]) {
            look(&window, base, seen);
        }
        seen = overlap.min(window.len());
        base += (window.len() - seen) as u64;
        window.drain(..window.len() - seen);
    }
    Ok(())
}

/// One form of one needle, and where it was found so far.
#[derive(Debug)]
struct Track<'a> {
    name: &'a str,
    form: &'static str,
    finder: Finder<'a>,
    first: u64,
    places: usize,
}

impl Track<'_> {
    fn len(&self) -> usize {
        self.finder.needle().len()
    }

    fn look(&mut self, window: &[u8], base: u64, seen: usize) {
        for at in self.finder.find_iter(window) {
            // What lies wholly in the part that was looked at before was counted then.
            if at + self.finder.needle().len() > seen {
                if self.places == 0 {
                    self.first = base + at as u64;
                }
                self.places += 1;
            }
        }
    }

    fn find(self) -> Find {
        let Self { name, form, first, places, .. } = self;
        Find { name: name.to_owned(), form, first, places }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::CHUNK;
    use super::Find;
    use super::Needle;
    use super::places;
    use super::search;

    const SECRET: [u8; 32] = *b"0123456789abcdef\xf0\xe1\xd2\xc3\xb4\xa5\x96\x87ghijklmn";

    fn found(memory: &[u8]) -> Vec<Find> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("memory");
        fs::write(&file, memory).unwrap();
        search(&file, &[Needle::secret("key", &SECRET)]).unwrap()
    }

    /// Memory of some chunks with something in it at this address.
    fn memory(at: usize, what: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; 3 * CHUNK + 1000];
        memory[at..at + what.len()].copy_from_slice(what);
        memory
    }

    #[test]
    fn a_secret_is_found_wherever_it_lies() {
        // At both ends, and across the seams between what is read at a time.
        for at in [0, 7, CHUNK - 31, CHUNK - 16, CHUNK - 1, CHUNK, 2 * CHUNK - 5, 3 * CHUNK + 968] {
            let finds = found(&memory(at, &SECRET));
            let expected =
                Find { name: "key".into(), form: "raw", first: at as u64 + 1, places: 1 };
            assert_eq!(finds, [expected], "at {at}");
        }
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let mut clamped = SECRET;
        (clamped[0], clamped[31]) = (0, 0xff);
        let forms =
            |memory: &[u8]| -> Vec<&str> { found(memory).iter().map(|find| find.form).collect() };
        assert_eq!(forms(&clamped), ["raw"]);
        assert_eq!(forms(hex::encode(SECRET).as_bytes()), ["hex"]);
        assert_eq!(forms(hex::encode_upper(SECRET).as_bytes()), ["HEX"]);
        for (before, form) in [(0, "base64"), (1, "base64+2"), (2, "base64+1"), (3, "base64")] {
            let text = STANDARD.encode([&[9; 3][..before], &SECRET, b"more"].concat());
            assert_eq!(forms(text.as_bytes()), [form], "{before}");
        }
    }

    #[test]
    fn all_places_are_counted_and_nothing_else() {
        let twice = [&memory(5, &SECRET)[..], &memory(CHUNK, &SECRET)].concat();
        assert_eq!(found(&twice)[0].places, 2);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &twice).unwrap();
        let second = memory(5, &SECRET).len() + CHUNK;
        assert_eq!(places(file.path(), &SECRET).unwrap(), [5, second as u64]);
        assert!(found(&memory(5, &SECRET[..20])).is_empty());
        assert!(found(&[]).is_empty());
    }

    #[test]
    fn what_is_too_short_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        search(file.path(), &[Needle::bytes("x", b"1234567")]).unwrap_err();
    }
}
