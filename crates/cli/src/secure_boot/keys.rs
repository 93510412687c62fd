//! A set of keys for Secure Boot: PK, KEK and db, in every form that firmware and tools ask for.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode::Signer;
use bootmedia::efi_vars;
use bootmedia::efi_vars::NewVariable;
use bootmedia::secure_boot;
use bootmedia::secure_boot::Guid;
use bootmedia::secure_boot::Variable;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_RSA_SHA256;
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core;
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;

use crate::Error;
use crate::Result;
use crate::files;
use crate::new_directory::NewDirectory;

/// What every firmware verifies. Some stop at this length.
pub const DEFAULT_BITS: u16 = 2048;

/// What keys to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// What the certificates' names start with; behind it stands `PK`, `KEK` or `db`.
    pub name: String,
    /// Length of the RSA keys: 2048, 3072 or 4096 bits.
    pub bits: u16,
    /// First and last second of the certificates, Unix time.
    pub validity: (i64, i64),
    /// Who enters the keys, in the signature lists. Without it: a new one.
    pub owner: Option<Guid>,
    /// Time of the signed updates, Unix seconds.
    pub time: u64,
}

/// A set of keys in memory.
#[derive(Debug)]
pub struct KeySet {
    /// Who enters them.
    pub owner: Guid,
    files: Vec<(String, Vec<u8>, u32)>,
}

impl KeySet {
    /// Makes three RSA keys, their certificates, and the signed updates: PK and KEK signed by PK, db
    /// by KEK. Takes some seconds.
    ///
    /// # Errors
    /// If the name or the dates cannot be written into a certificate, or there are no random numbers.
    pub fn generate(request: &Request) -> Result<Self> {
        let owner = match request.owner {
            Some(owner) => owner,
            None => random_guid()?,
        };
        let platform = Key::generate(Variable::Pk, request)?;
        let exchange = Key::generate(Variable::Kek, request)?;
        let database = Key::generate(Variable::Db, request)?;
        let mut files = Vec::new();
        for (key, by) in [(&platform, &platform), (&exchange, &platform), (&database, &exchange)] {
            files.extend(key.files(by, owner, request.time)?);
        }
        files.push(("GUID.txt".to_owned(), format!("{owner}\n").into_bytes(), files::PUBLIC));
        Ok(Self { owner, files })
    }

    /// Names of the files, in the order PK, KEK, db.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|(name, _, _)| name.as_str())
    }

    /// Writes all files into a new directory, which takes its name when all are in it. Private keys
    /// are readable by their owner alone, and so is the directory.
    ///
    /// # Errors
    /// If there is something of this name other than an empty directory, or it cannot be written.
    pub fn write(&self, directory: &Path) -> Result<()> {
        refuse_used(directory)?;
        let new = NewDirectory::create(directory, 0o700)?;
        for (name, bytes, mode) in &self.files {
            new.file(name, bytes, *mode)?;
        }
        new.publish()
    }
}

/// Asked before keys are made, which takes a while.
pub(crate) fn refuse_used(directory: &Path) -> Result<()> {
    let is_used = match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => directory.symlink_metadata().is_ok(),
    };
    if !is_used {
        return Ok(());
    }
    Err(Error::new(format!("{} exists already, and is not empty", directory.display()))
        .detail("keys are never overwritten: machines that trust them need them for every update")
        .remedy("give the name of a new directory with --out"))
}

/// The variables of a virtual machine's firmware with the keys of this directory entered: Secure
/// Boot is on from the first start.
///
/// # Errors
/// If the signature lists are missing, or `template` is no empty variable store of UEFI firmware.
pub fn vm_variables(directory: &Path, template: &Path, unix: u64) -> Result<Vec<u8>> {
    let time = secure_boot::efi_time(unix).map_err(|error| Error::new(error.to_string()))?;
    let mut store = files::read(template)?;
    for variable in Variable::IN_ORDER {
        let list = files::read(&list_file(directory, variable))?;
        let variable = NewVariable::key(variable, time, &list);
        store = efi_vars::with_variable(&store, &variable).map_err(|error| {
            Error::new(error.to_string()).on(template.display()).remedy(
                "give the empty variable store that came with the firmware, such as \
                 /usr/share/OVMF/OVMF_VARS_4M.fd",
            )
        })?;
    }
    Ok(store)
}

fn list_file(directory: &Path, variable: Variable) -> PathBuf {
    directory.join(format!("{}.esl", variable.name()))
}

struct Key {
    variable: Variable,
    key_pem: String,
    certificate_pem: String,
    signer: Signer,
}

impl Key {
    fn generate(variable: Variable, request: &Request) -> Result<Self> {
        let failed = |error: &dyn core::fmt::Display| {
            Error::new(format!("making the {} key: {error}", variable.name()))
        };
        let bits = usize::from(request.bits);
        let key = RsaPrivateKey::new(&mut SystemRandom, bits).map_err(|error| failed(&error))?;
        let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
        let der = PrivatePkcs8KeyDer::from(der.as_bytes());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256)
            .map_err(|error| failed(&error))?;
        let certificate = parameters(&format!("{} {}", request.name, variable.name()), request)?
            .self_signed(&pair)
            .map_err(|error| failed(&error))?;
        let (key_pem, certificate_pem) = (pair.serialize_pem(), certificate.pem());
        let signer = Signer::from_pem(key_pem.as_bytes(), certificate_pem.as_bytes())
            .map_err(|error| failed(&error))?;
        Ok(Self { variable, key_pem, certificate_pem, signer })
    }

    fn files(&self, by: &Self, owner: Guid, time: u64) -> Result<Vec<(String, Vec<u8>, u32)>> {
        let failed = |error: bootmedia::authenticode::SignError| Error::new(error.to_string());
        let certificate = self.signer.certificate_der().map_err(failed)?;
        let list = secure_boot::signature_list(&certificate, owner).map_err(failed)?;
        let update = secure_boot::update(self.variable, &list, time, &by.signer).map_err(failed)?;
        let file = |ending: &str, bytes: Vec<u8>, mode| {
            (format!("{}.{ending}", self.variable.name()), bytes, mode)
        };
        Ok(vec![
            file("key", self.key_pem.clone().into_bytes(), files::SECRET),
            file("crt", self.certificate_pem.clone().into_bytes(), files::PUBLIC),
            file("cer", certificate, files::PUBLIC),
            file("esl", list, files::PUBLIC),
            file("auth", update, files::PUBLIC),
        ])
    }
}

fn parameters(name: &str, request: &Request) -> Result<CertificateParams> {
    let date = |unix| {
        OffsetDateTime::from_unix_timestamp(unix)
            .map_err(|_| Error::usage("a date of the certificates is out of range"))
    };
    if name.chars().any(char::is_control) || name.len() > 64 {
        return Err(Error::usage(
            "--name must be at most 60 letters long, without control characters",
        ));
    }
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = date(request.validity.0)?;
    parameters.not_after = date(request.validity.1)?;
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(parameters)
}

/// A random GUID (RFC 9562, version 4).
fn random_guid() -> Result<Guid> {
    let mut guid = [0; 16];
    getrandom::fill(&mut guid)
        .map_err(|error| Error::new(format!("no random numbers from the system: {error}")))?;
    // The third field, with the version in it, is little-endian here.
    let [_, _, _, _, _, _, _, version, variant, ..] = &mut guid;
    *version = (*version & 0x0f) | 0x40;
    *variant = (*variant & 0x3f) | 0x80;
    Ok(Guid(guid))
}

/// The system's random numbers, as `rsa` asks for them.
struct SystemRandom;

impl rand_core::RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    #[expect(
        clippy::panic,
        reason = "the trait has no other way, and a weak key must never be made"
    )]
    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        if let Err(error) = self.try_fill_bytes(bytes) {
            panic!("no random numbers from the system: {error}");
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        getrandom::fill(bytes).map_err(|error| rand_core::Error::new(error.to_string()))
    }
}

impl rand_core::CryptoRng for SystemRandom {}
