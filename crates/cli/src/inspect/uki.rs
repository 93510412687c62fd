//! UEFI executables.

use bootmedia::authenticode;
use bootmedia::pcr;
use ospkg::bzimage::BzImage;
use serde::Serialize;

use super::Initramfs;
use super::Inspection;
use super::Kernel;
use super::Kind;
use super::sha256;
use crate::dates;
use crate::media;

/// What a UEFI executable says of itself.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Uki {
    /// Length in bytes.
    pub size: u64,
    /// Of the file.
    pub sha256: String,
    /// The digest that signatures and firmware's event log have.
    pub authenticode_sha256: Option<String>,
    /// Who signed it for Secure Boot.
    pub signatures: Vec<Signature>,
    /// What it says as `/etc/os-release` would.
    pub os_release: Option<String>,
    /// Release of the kernel, as the section `.uname` has it.
    pub uname: Option<String>,
    /// Generations of what is inside, for revocation.
    pub sbat: Option<String>,
    /// Expected PCR values, where they can be computed.
    pub pcrs: Pcrs,
}

/// PCR values (SHA-256, hex) after this image was the first thing that the firmware tried. Only
/// those that follow from the image; 4 and 11 are known for the stub of systemd 252 alone.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Pcrs {
    /// PCR 4 with Secure Boot off.
    #[serde(rename = "4")]
    pub four: Option<String>,
    /// PCR 4 with Secure Boot on.
    #[serde(rename = "4_secure_boot")]
    pub four_secure_boot: Option<String>,
    /// PCR 9, by the EFI stub of Linux 6.12.
    #[serde(rename = "9")]
    pub nine: Option<String>,
    /// PCR 11.
    #[serde(rename = "11")]
    pub eleven: Option<String>,
}

/// A signature for Secure Boot.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Signature {
    /// Subject of the certificate that signed.
    pub subject: String,
    /// Its issuer.
    pub issuer: String,
    /// RFC 3339; firmware does not look at it.
    pub not_after: String,
    /// SHA-256 of the certificate's DER.
    pub certificate_sha256: String,
    /// Whether it is a good signature over this very image. Whether firmware trusts the
    /// certificate is for the firmware to know.
    pub over_this_image: bool,
}

/// Reads an executable, which may be a UKI, a kernel or something else.
pub(super) fn executable(bytes: &[u8]) -> Inspection {
    let contents = bootmedia::uki::read(bytes).ok();
    let kernel = BzImage::parse(bytes).is_ok();
    let kind = match (&contents, kernel) {
        (Some(_), _) => Kind::Uki,
        (None, true) => Kind::Kernel,
        (None, false) => Kind::EfiExecutable,
    };
    let mut found = Inspection::new(kind);
    let mut uki = Uki { size: bytes.len() as u64, sha256: sha256(bytes), ..Uki::default() };
    match authenticode::digest(bytes) {
        Ok(digest) => uki.authenticode_sha256 = Some(hex::encode(digest)),
        Err(error) => found.warnings.push(format!("Authenticode digest: {error}")),
    }
    match authenticode::signatures(bytes) {
        Ok(signatures) => uki.signatures = signatures.iter().map(signature).collect(),
        Err(error) => found.warnings.push(format!("signatures: {error}")),
    }
    for signature in uki.signatures.iter().filter(|signature| !signature.over_this_image) {
        found
            .warnings
            .push(format!("the signature by {} is NOT over this image", signature.subject));
    }
    if kernel {
        found.kernel = Some(Kernel::of(bytes, &mut found.warnings));
    }
    if let Some(contents) = contents {
        let text = |section: Option<&[u8]>| section.map(media::text);
        let of_kernel = Kernel::of(contents.linux, &mut found.warnings);
        found.command_line = text(contents.command_line);
        uki.os_release = text(contents.os_release);
        uki.uname = text(contents.uname);
        uki.sbat = text(contents.sbat);
        uki.pcrs = Pcrs {
            four: pcr::uki_pcr4(bytes, false).ok().map(hex::encode),
            four_secure_boot: pcr::uki_pcr4(bytes, true).ok().map(hex::encode),
            nine: pcr::uki_pcr9(bytes).ok().map(hex::encode),
            eleven: pcr::uki_pcr11(bytes).ok().map(hex::encode),
        };
        if uki.uname.is_some() && uki.uname != of_kernel.release {
            found.warnings.push("the kernel's release is another than .uname says".to_owned());
        }
        found.kernel = Some(of_kernel);
        match contents.initrd.map(|initrd| Initramfs::read(initrd, &mut found.warnings)) {
            Some(Ok(initramfs)) => found.initramfs = Some(initramfs),
            Some(Err(error)) => found.warnings.push(format!("initramfs: {error}")),
            None => found.warnings.push("it holds no initramfs".to_owned()),
        }
    }
    found.uki = Some(uki);
    found
}

fn signature(found: &authenticode::Signature) -> Signature {
    Signature {
        subject: found.subject.clone(),
        issuer: found.issuer.clone(),
        not_after: dates::format(i64::try_from(found.not_after).unwrap_or(i64::MAX)),
        certificate_sha256: sha256(&found.certificate),
        over_this_image: found.digest_matches && found.is_valid,
    }
}
