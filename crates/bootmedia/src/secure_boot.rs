//! Secure Boot's variables: who may start what, as signature lists and as signed updates of them.
//!
//! Source: UEFI specification, chapters "Secure Boot and Driver Signing" and "Variable Services".
//! The platform key (PK) may change the key exchange keys (KEK), these may change the database of
//! what may be started (db).

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use thiserror::Error;
use x509_cert::der::DateTime;
use x509_cert::der::Encode;

use crate::bytes;
use crate::pkcs7;
use crate::signer::SignError;
use crate::signer::Signer;
use crate::signer::failed;

/// Non-volatile, seen by boot services, seen by the OS, changed only by signed updates that are
/// newer than the last: the attributes of PK, KEK and db.
pub const ATTRIBUTES: u32 = 0x27;

/// `a5c059a1-94e4-4aa7-87b5-ab155c2bf072`: the list has X.509 certificates.
const X509: Guid = Guid([
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
]);
/// `4aafd29d-68df-49ee-8aa9-347d375665a7`: the signature is PKCS#7.
const PKCS7: Guid = Guid([
    0x9d, 0xd2, 0xaf, 0x4a, 0xdf, 0x68, 0xee, 0x49, 0x8a, 0xa9, 0x34, 0x7d, 0x37, 0x56, 0x65, 0xa7,
]);
/// `8be4df61-93ca-11d2-aa0d-00e098032b8c`: the vendor of the variables that UEFI defines.
pub const GLOBAL: Guid = Guid([
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
]);
/// `d719b2cb-3d3a-4596-a3bc-dad00e67656f`: the vendor of db.
const IMAGE_SECURITY: Guid = Guid([
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
]);

/// Length of a signature list's header.
const LIST_HEADER_LEN: usize = 28;
/// Revision 2.0, and a signature whose type a GUID says.
const UPDATE_KIND: [u8; 4] = [0x00, 0x02, 0xf1, 0x0e];
/// Length of `EFI_TIME`.
const TIME_LEN: usize = 16;
/// Length, revision, type and GUID before the signature of an update.
const UPDATE_HEADER_LEN: usize = 24;

/// Which byte of a GUID is written first, second and so on.
const TEXT_ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// A GUID as UEFI stores it: the first three fields little-endian.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, index) in TEXT_ORDER.into_iter().enumerate() {
            if matches!(count, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0.get(index).unwrap_or(&0))?;
        }
        Ok(())
    }
}

impl FromStr for Guid {
    type Err = NotGuid;

    fn from_str(text: &str) -> Result<Self, NotGuid> {
        let lengths = text.split('-').map(str::len);
        if !lengths.eq([8, 4, 4, 4, 12]) {
            return Err(NotGuid);
        }
        let digits = text.replace('-', "");
        let number = u128::from_str_radix(&digits, 16).map_err(|_| NotGuid)?;
        let mut guid = [0; 16];
        for (index, byte) in TEXT_ORDER.into_iter().zip(number.to_be_bytes()) {
            guid.get_mut(index).into_iter().for_each(|place| *place = byte);
        }
        Ok(Self(guid))
    }
}

/// A text that is no GUID.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("write it as 8be4df61-93ca-11d2-aa0d-00e098032b8c")]
pub struct NotGuid;

/// One of the variables with keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variable {
    /// The platform key: its owner owns the machine. Once it is there, signatures are verified.
    Pk,
    /// Key exchange keys.
    Kek,
    /// What may be started.
    Db,
}

impl Variable {
    /// All three, in the order in which they have to be written: the last one ends setup mode.
    pub const IN_ORDER: [Self; 3] = [Self::Db, Self::Kek, Self::Pk];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
        }
    }

    /// Who defined it.
    #[must_use]
    pub fn vendor(self) -> Guid {
        match self {
            Self::Pk | Self::Kek => GLOBAL,
            Self::Db => IMAGE_SECURITY,
        }
    }
}

/// A signature list with one certificate (DER), entered by this owner: the content of a variable.
/// Several lists may follow each other.
///
/// # Errors
/// If the certificate is longer than 4 GiB.
pub fn signature_list(certificate: &[u8], owner: Guid) -> Result<Vec<u8>, SignError> {
    let entry_len = owner.0.len() + certificate.len();
    let number = |len: usize| u32::try_from(len).map(u32::to_le_bytes).map_err(failed);
    let mut list = Vec::with_capacity(LIST_HEADER_LEN + entry_len);
    list.extend(X509.0);
    list.extend(number(LIST_HEADER_LEN + entry_len)?);
    // No header of its own.
    list.extend([0; 4]);
    list.extend(number(entry_len)?);
    list.extend(owner.0);
    list.extend(certificate);
    Ok(list)
}

/// A moment as UEFI writes it, to the second, in UTC (`EFI_TIME`).
///
/// # Errors
/// If it is after the year 9999.
pub fn efi_time(unix: u64) -> Result<[u8; 16], SignError> {
    let time = DateTime::from_unix_duration(Duration::from_secs(unix)).map_err(failed)?;
    let [low, high] = time.year().to_le_bytes();
    let (month, day) = (time.month(), time.day());
    let (hour, minute, second) = (time.hour(), time.minutes(), time.seconds());
    Ok([low, high, month, day, hour, minute, second, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// A signed update that gives `variable` this content: what an `.auth` file holds, and what is
/// written to the variable behind its attributes. Firmware takes it only if `unix` (seconds) is
/// later than the time of the update before.
///
/// # Errors
/// If signing fails, or the time cannot be written.
pub fn update(
    variable: Variable,
    content: &[u8],
    unix: u64,
    signer: &Signer,
) -> Result<Vec<u8>, SignError> {
    let time = efi_time(unix)?;
    let mut signed: Vec<u8> = variable.name().encode_utf16().flat_map(u16::to_le_bytes).collect();
    signed.extend(variable.vendor().0);
    signed.extend(ATTRIBUTES.to_le_bytes());
    signed.extend(time);
    signed.extend(content);
    // Signed data without the envelope that names its type: the specification wants it so.
    let signature = pkcs7::sign_detached(signer, &signed)?.to_der().map_err(failed)?;
    let len = u32::try_from(UPDATE_HEADER_LEN + signature.len()).map_err(failed)?;
    let mut update = time.to_vec();
    update.extend(len.to_le_bytes());
    update.extend(UPDATE_KIND);
    update.extend(PKCS7.0);
    update.extend(signature);
    update.extend(content);
    Ok(update)
}

/// The content that a signed update gives to its variable, or nothing, if it is no signed update.
/// The signature is not verified: firmware does that.
#[must_use]
pub fn update_content(update: &[u8]) -> Option<&[u8]> {
    let header = update.get(TIME_LEN..)?;
    let len = usize::try_from(bytes::u32(header, 0)?).ok()?;
    let is_signed = bytes::array(header, 4) == Some(UPDATE_KIND)
        && bytes::array(header, 8) == Some(PKCS7.0)
        && len > UPDATE_HEADER_LEN;
    header.get(len..).filter(|_| is_signed)
}
