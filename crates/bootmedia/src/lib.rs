//! What UEFI firmware starts and trusts: PE images, unified kernel images, Secure Boot signatures
//! and keys, and the PCR values that a boot leaves in the TPM.
//!
//! Pure: bytes in, bytes out. The same inputs give the same bytes; there is no clock, no network and
//! no file system here, and no reader panics, whatever it is given.

#![forbid(unsafe_code)]

pub mod authenticode;
mod bytes;
pub mod efi_vars;
pub mod pcr;
pub mod pe;
mod pkcs7;
pub mod secure_boot;
pub mod signer;
pub mod uki;
