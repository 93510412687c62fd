//! OS packages: descriptor, archive and manifest; create, sign, open.
//!
//! An OS package is two files: the *descriptor* `NAME.json` says where the archive is and carries
//! the signatures; the *archive* `NAME.zip` holds kernel, initramfs and `manifest.json`. What is
//! signed is the SHA-256 digest of the whole archive.
//!
//! The types keep the order in which things may be done: [`Descriptor::parse`] yields endorsements
//! that prove nothing; [`trust::authorize`] turns them and a digest into [`trust::Authorized`];
//! only with that can [`Package::open`] look into the archive, and [`Package::extract`] gives a
//! [`VerifiedPackage`]. ZIP directory, manifest, kernel and initramfs are never parsed before.
//!
//! The reader of archives is private, so there is no way around it:
//!
//! ```compile_fail
//! let directory = ospkg::zip::Directory::read(&mut std::io::empty());
//! ```
//!
//! docs/formats.md has these formats to the byte, and lists what is parsed before.
//!
//! Nothing here opens files, asks the time or uses the network: bytes come in through
//! [`std::io::Read`] and go out through [`std::io::Write`].

#![forbid(unsafe_code)]

mod admission;
pub mod bzimage;
mod create;
mod descriptor;
mod json;
mod manifest;
mod package;
mod sign;
mod url_reference;
mod zip;

pub use admission::AdmissionError;
pub use create::CreateError;
pub use create::CreateOptions;
pub use create::Input;
pub use create::create;
pub use descriptor::Descriptor;
pub use descriptor::DescriptorError;
pub use descriptor::MAX_DESCRIPTOR_LEN;
pub use manifest::MAX_MANIFEST_LEN;
pub use manifest::Manifest;
pub use manifest::ManifestError;
pub use manifest::WATCHDOG_SECONDS;
pub use package::MAX_MEMBER_LEN;
pub use package::Package;
pub use package::PackageError;
pub use package::VerifiedPackage;
pub use sign::SignerError;
pub use sign::check_signer;
pub use sign::sign;
pub use zip::MAX_DIRECTORY_LEN;
pub use zip::MAX_ENTRIES;
pub use zip::MAX_ENTRY_NAME_LEN;
