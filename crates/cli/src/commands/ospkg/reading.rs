//! Reading the two files of a package as a machine does, which may have them from a mirror, where they
//! are encrypted with age.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;

use agefile::AgeError;
use agefile::Decryptor;
use agefile::Identities;
use ospkg::Descriptor;
use report::Code;
use trust::FetchMethod;
use trust::TrustPolicy;

use crate::Error;
use crate::Result;
use crate::files;
use crate::package;
use crate::package::Names;

/// What a file says, and whether it was encrypted.
pub(super) struct Found<T> {
    pub(super) plain: T,
    pub(super) encrypted: bool,
}

/// Reads a package with these identities, if any.
pub(super) struct Reader<'a> {
    names: &'a Names,
    identities: Option<&'a Identities>,
    /// Whether a trust policy was asked for them: then it is the one to blame.
    policy: bool,
}

/// The identities of a file.
pub(super) fn identities(file: Option<&Path>) -> Result<Option<Identities>> {
    let Some(file) = file else { return Ok(None) };
    let found = Identities::parse(&files::read(file)?);
    found.map(Some).map_err(|error| {
        Error::with_code(Code::IdentitiesInvalid, error.to_string()).on(file.display())
    })
}

impl<'a> Reader<'a> {
    /// With the identities that were given, or else those of the policy.
    pub(super) fn new(
        names: &'a Names,
        given: Option<&'a Identities>,
        policy: Option<&'a TrustPolicy>,
    ) -> Self {
        let own = || policy.and_then(TrustPolicy::decryption_identities);
        Self { names, identities: given.or_else(own), policy: policy.is_some() }
    }

    /// Reads, decrypts and parses the descriptor.
    pub(super) fn descriptor(&self) -> Result<Found<Descriptor>> {
        let path = &self.names.descriptor;
        let mut document = files::read(path)?;
        let encrypted = agefile::is_age_file(&document);
        if encrypted {
            let identities = self.identities(path, &document)?;
            document = agefile::decrypt(identities, &document)
                .map_err(|error| Error::coded(&error).on(path.display()))?;
        }
        Ok(Found { plain: self.names.parse_descriptor(&document)?, encrypted })
    }

    /// Opens the archive, and decrypts it into a file that nobody else sees.
    pub(super) fn archive(&self) -> Result<Found<File>> {
        let path = &self.names.archive;
        let failed = |error: std::io::Error| match AgeError::in_io(&error) {
            Some(inner) => Error::coded(inner).on(path.display()),
            None => Error::io("read", path, &error),
        };
        let mut archive = self.names.open_archive_as_it_is()?;
        let mut start = Vec::new();
        (&archive).take(64).read_to_end(&mut start).map_err(failed)?;
        archive.rewind().map_err(failed)?;
        let encrypted = agefile::is_age_file(&start);
        if encrypted {
            let identities = self.identities(path, &start)?;
            archive = decrypt(archive, identities).map_err(failed)?;
        }
        Ok(Found { plain: archive, encrypted })
    }

    /// Those by which this encrypted file may be read.
    fn identities(&self, path: &Path, start: &[u8]) -> Result<&'a Identities> {
        let armored = agefile::is_armored(start);
        match self.identities {
            Some(identities) if !armored => Ok(identities),
            None if self.policy && !armored => {
                Err(Error::coded(&AgeError::Unexpected).on(path.display()))
            }
            _ => Err(package::encrypted(path, armored)),
        }
    }
}

/// The archive in a file of its own, that nobody else sees.
fn decrypt(mut archive: File, identities: &Identities) -> std::io::Result<File> {
    let mut plain = tempfile::tempfile()?;
    let mut take = |bytes: &[u8]| plain.write_all(bytes);
    let mut decryptor = Decryptor::new(identities.clone());
    let mut block = vec![0; 256 << 10];
    loop {
        let read = archive.read(&mut block)?;
        if read == 0 {
            break;
        }
        decryptor.push(block.get(..read).unwrap_or_default(), &mut take)?;
    }
    decryptor.finish(&mut take)?;
    plain.rewind()?;
    Ok(plain)
}

/// For what the policy's machines would not take these files from a mirror, whatever is in them; in the
/// order in which a machine finds out. Nothing where they take packages from the boot image.
///
/// `archive` says whether that is encrypted, if it is at hand.
pub(super) fn refused_from_mirrors(
    policy: &TrustPolicy,
    descriptor: &Found<Descriptor>,
    archive: Option<bool>,
) -> Vec<Error> {
    if policy.document().fetch_method() != FetchMethod::Network {
        return Vec::new();
    }
    let wanted = policy.decryption_identities().is_some();
    let plain = |what: &str, encrypted: bool| {
        (wanted && !encrypted).then(|| {
            Error::coded(&AgeError::NotEncrypted).on(what).remedy(
                "`ramstrap ospkg encrypt --trust-policy DIR --out DIR NAME.json` makes the files that \
                 are published: ask about those",
            )
        })
    };
    let url = package::check_fetchable(descriptor.plain.os_pkg_url()).err().map(|error| {
        error
            .on("os_pkg_url")
            .remedy("create the package again with `--url NAME.zip`; its signatures can stay")
    });
    let archive = archive.and_then(|encrypted| plain("the archive", encrypted));
    [plain("the descriptor", descriptor.encrypted), url, archive].into_iter().flatten().collect()
}

/// The error in one line, with its code.
pub(super) fn line(error: &Error) -> String {
    let code = error.code().map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{error}{code}")
}
