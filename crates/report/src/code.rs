//! Stable failure codes: the same `E0404` on the console, in the boot report, in the operator's
//! tool and in `docs/failure-codes.md`.

use core::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// What a failure means for what happens next.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// May heal by itself: retried with back-off until the deadline.
    Transient,
    /// Will be the same on every try: said once, loudly.
    Permanent,
    /// Somebody serves what must not run: that mirror is dropped for this boot.
    Security,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Security => "security",
        })
    }
}

/// An error that carries a stable [`Code`].
pub trait Coded {
    /// The code of what went wrong.
    fn code(&self) -> Code;

    /// Shorthand for the class of [`Coded::code`].
    fn class(&self) -> Class {
        self.code().class()
    }
}

macro_rules! codes {
    ($($name:ident = $id:literal, $class:ident, $title:literal, $remedy:literal;)+) => {
        /// A stable failure code. Numbers are never reused.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $title] $name,)+
        }

        impl Code {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The number as operators see it, such as `E0404`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// Whether it can heal, never heals, or is an attack.
            #[must_use]
            pub const fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)+ }
            }

            /// One line that says what happened.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What an operator does about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

codes! {
    // 01xx: what the boot image holds, and the host configuration
    TrustPolicyMissing = "E0101", Permanent, "the boot image has no trust policy",
        "build the boot image with --trust-policy DIR; a policy is read from nowhere else";
    TrustPolicyMalformed = "E0102", Permanent, "trust_policy.json cannot be read",
        "check it with `ramstrap trust-policy check FILE`, then build the boot image again";
    TrustPolicyInvalid = "E0103", Permanent, "trust_policy.json asks for something impossible",
        "correct the key that the message names: ospkg_signature_threshold is 1 or more, ospkg_fetch_method \"network\" or \"initramfs\", denied_keys a list of SHA-256 in hex, min_release a number, max_cosignature_age seconds, channel a short name";
    SigningRootInvalid = "E0104", Permanent, "the signing roots of the trust policy cannot be used",
        "ospkg_signing_root.pem must hold one or more CA certificates in PEM";
    TlsRootsInvalid = "E0105", Permanent, "the TLS roots of the trust policy cannot be used",
        "tls_roots.pem must hold one or more certificates in PEM; without the file only http works";
    TrustPolicyUnsupported = "E0106", Permanent, "the trust policy asks for what this version cannot do",
        "remove the setting, or use a release of ramstrap that supports it; it is never ignored";
    SigsumPolicyInvalid = "E0107", Permanent, "the trust policy's ospkg_trust_policy cannot be used",
        "correct the line that the message names; docs/sigsum.md has the format of this Sigsum policy";
    HostConfigMissing = "E0111", Permanent, "no host configuration was found",
        "put host_configuration.json into the boot image, store it in the EFI variable STHostConfig, or set \
         ramstrap.url= on the kernel command line; a boot image with the package provision.zip needs none";
    HostConfigMalformed = "E0112", Permanent, "the host configuration cannot be read",
        "check it with `ramstrap host-config check FILE`";
    HostConfigInvalid = "E0113", Permanent, "the host configuration has a value that cannot be used",
        "check it with `ramstrap host-config check FILE`; the message names the field";
    HostConfigNoUrl = "E0114", Permanent, "the host configuration names no usable provisioning URL",
        "ospkg_pointer must be a comma-separated list of http:// or https:// URLs";
    TimeServerSilent = "E0120", Transient, "no time server answered",
        "check the servers under `ntp` in the host configuration or in the DHCP lease, and UDP port 123; the boot goes on with the machine's own clock";
    TimeServerRefused = "E0121", Security, "a time server's answer was not believed",
        "find out who answers: it must lie between the build of the boot image and max_clock_skew after it; the boot goes on with the machine's own clock";
    EntropyLate = "E0122", Transient, "the kernel had too little entropy for random numbers",
        "give a virtual machine a CPU with RDRAND or a virtio-rng device; the boot goes on when there is enough";
    RemoteLogFailed = "E0123", Transient, "the remote log was not taken",
        "check `remote_log` in the host configuration and the server that it names; the boot goes on without it";
    EmbeddedMissing = "E0124", Permanent, "the boot image does not hold the OS package that is to boot",
        "build the boot image with --ospkg NAME.json, and name it in ospkg_pointer; provision.zip is for machines without a host configuration";
    EmbeddedNameInvalid = "E0125", Permanent, "the host configuration names no OS package of the boot image",
        "the trust policy has packages come from the boot image: ospkg_pointer must be a file name such as os.zip there, without directories";
    EmbeddedOnly = "E0126", Permanent, "this machine's OS packages come from its boot image alone",
        "build a boot image with the new package and restart the machine";
    IdentitiesInvalid = "E0127", Permanent, "the decryption identities of the trust policy cannot be used",
        "decryption_identities must hold lines AGE-SECRET-KEY-1… as `age-keygen` writes them";
    // 02xx: network
    NoInterface = "E0201", Permanent, "there is no network interface",
        "the kernel has no driver for this machine's NIC: add its module (and firmware) to the boot image";
    InterfaceNotFound = "E0202", Permanent, "no interface matches the host configuration",
        "compare network_interfaces with the names and MAC addresses in the failure summary";
    NoCarrier = "E0203", Transient, "no network interface has a carrier",
        "check cable, switch port and transceiver";
    NoLease = "E0204", Transient, "no DHCP server gave a lease",
        "check the DHCP server and the VLAN of the switch port, or configure a static address";
    AddressSetup = "E0205", Permanent, "the kernel refused the network configuration",
        "check addresses, gateways, routes, vlan and the bonding settings of the host configuration";
    DnsFailed = "E0206", Transient, "a host name could not be resolved",
        "check the DNS servers of the lease or of the host configuration, and the name in the URL";
    NetworkUnsupported = "E0207", Permanent, "the network configuration asks for what this version cannot do",
        "use a setting that docs/system-transparency.md lists as supported";
    AddressConflict = "E0210", Transient, "another machine on the link has the address",
        "give one of the two another address; the message has the other machine's MAC address";
    // 03xx: download
    ConnectFailed = "E0301", Transient, "a provisioning server could not be reached",
        "check address, port, firewall and that the server runs";
    TlsUntrusted = "E0302", Security, "the server's TLS certificate is by none of the policy's TLS roots",
        "put the CA that issued it into tls_roots.pem, or find out who answers in the server's place";
    TlsExpired = "E0303", Security, "the server's TLS certificate is not valid at this time",
        "renew the certificate; if it is valid, check the machine's clock";
    TlsWrongName = "E0304", Security, "the server's TLS certificate is for another name",
        "use the name that the certificate has, or issue one for the name in the URL";
    TlsFailed = "E0305", Security, "the TLS connection to the server failed",
        "the server must speak TLS 1.2 or 1.3 with a certificate that fits the policy's TLS roots";
    TlsNoRoots = "E0306", Permanent, "an https URL, but the trust policy has no TLS roots",
        "add tls_roots.pem to the trust policy, or use an http URL";
    NotFound = "E0307", Permanent, "the server says that it has no such file",
        "check the URL, the user name and password in it, and that the file is published and readable";
    ServerError = "E0308", Transient, "the server answered with an error",
        "look into the server's log";
    RedirectRefused = "E0309", Security, "a redirect was refused",
        "serve the file itself; a redirect must not leave https, and at most five are followed";
    DescriptorTooLarge = "E0310", Permanent, "the descriptor is larger than 1 MiB",
        "the URL must name an OS package descriptor (NAME.json), not the archive";
    ArchiveTooLarge = "E0311", Permanent, "the archive is larger than this machine can take",
        "give the machine more memory, or make the OS package smaller";
    Stalled = "E0312", Transient, "the download stalled",
        "the server or the path to it is too slow (fewer than 4 KiB came in 10 seconds), or the path swallows long packets (MTU)";
    BodyTruncated = "E0313", Transient, "the connection ended before the whole file had come",
        "check the server and what stands between it and the machine";
    BodyTooLong = "E0314", Permanent, "the server sent more than it announced",
        "the server or a proxy in between is broken";
    ArchiveUrlInvalid = "E0315", Permanent, "the descriptor's os_pkg_url cannot be used",
        "it must be an http(s) URL or a relative path that ends in .zip";
    HttpInvalid = "E0316", Permanent, "the server's answer is not usable HTTP",
        "the URL must lead to a plain file server: no content encoding, no login page";
    ProxyRefused = "E0320", Transient, "the proxy does not let the machine through",
        "check the proxy of the host configuration, and that it lets this machine reach the server's port";
    ProxyAuth = "E0321", Permanent, "the proxy wants other credentials",
        "put the right user name and password into the proxy's URL: http://USER:PASSWORD@HOST:PORT";
    PageForPeople = "E0322", Transient, "a web page came instead of a descriptor",
        "the network has a login page (captive portal) for machines that it does not know: let this one through; or correct the URL";
    PiecesDiffer = "E0323", Transient, "pieces of an archive from several mirrors do not fit together",
        "one of the mirrors has a broken or outdated archive: compare them; the next try keeps to one mirror";
    NotEncrypted = "E0324", Permanent, "a file is not encrypted, and the trust policy wants it to be",
        "publish descriptor and archive encrypted with age, or build the boot image without decryption_identities";
    EncryptedUnexpected = "E0325", Permanent, "a file is encrypted, and the trust policy has no identities for it",
        "put the age identity into the trust policy as decryption_identities, or publish the file as it is";
    EncryptionHeader = "E0326", Permanent, "the header of an encrypted file cannot be used",
        "encrypt the file again with age, for X25519 recipients and without --armor";
    NoIdentityMatches = "E0327", Permanent, "an encrypted file is for none of the trust policy's identities",
        "encrypt it for the recipients (age1…) that `ramstrap trust-policy check` lists";
    DecryptionFailed = "E0328", Security, "an encrypted file was damaged or changed",
        "publish it again; if the mirror's copy is whole, find out who stands between";
    EncryptedTruncated = "E0329", Permanent, "an encrypted file ends too early",
        "publish it again: what the mirror has is a part of it";
    PackageReplaced = "E0330", Transient, "the package was replaced on the mirror during the download",
        "nothing, the next try takes the new one; give packages names of their own, and replace the descriptor last";
    // 04xx: verification
    DescriptorMalformed = "E0401", Security, "the descriptor cannot be read",
        "the URL must lead to an OS package descriptor of version 1; inspect it with `ramstrap ospkg inspect`";
    DescriptorMismatch = "E0402", Security, "the descriptor has not as many certificates as signatures",
        "sign the package again with `ramstrap ospkg sign`";
    DescriptorEntryInvalid = "E0403", Security, "a certificate or signature in the descriptor does not decode",
        "sign the package again with `ramstrap ospkg sign`";
    BelowThreshold = "E0404", Security, "not enough valid signatures",
        "have more of the trusted signers sign; each signature that did not count is named with its reason";
    SignatureWrong = "E0405", Security, "the signatures are not over this archive",
        "the archive was changed or cut, or the descriptor belongs to another package: publish both together";
    SignerUntrusted = "E0406", Security, "the signers are issued by none of the policy's signing roots",
        "use a certificate under a root of ospkg_signing_root.pem, or build the boot image with that root";
    SignerExpired = "E0407", Security, "the signers' certificates have expired",
        "issue new certificates with `ramstrap keygen certificate` and sign again";
    SignerNotYetValid = "E0408", Security, "the signers' certificates are not valid yet",
        "wait, or check the machine's clock";
    SignerAlgorithm = "E0409", Security, "the signers' keys are not Ed25519",
        "sign with an Ed25519 key; RSA and ECDSA signatures are skipped";
    SignatureLength = "E0410", Security, "the signatures are not 64 bytes long",
        "sign the package again with `ramstrap ospkg sign`";
    SignerRepeated = "E0411", Security, "one key signed more than once; it counts once",
        "have another of the trusted signers sign";
    SignerUsage = "E0412", Security, "the signers' certificates are not meant for signing packages",
        "issue certificates without extended key usage, or with codeSigning";
    SignerDenied = "E0413", Security, "the signers' keys are on the policy's denied_keys list",
        "sign with keys that are still trusted";
    ReleaseTooOld = "E0414", Security, "the package's release is older than is allowed",
        "publish a package with a higher release (`ramstrap ospkg create --release N`); an old one that is served may be an attack";
    SigsumKind = "E0415", Security, "the signatures are not of the kind that the trust policy wants",
        "with the file ospkg_trust_policy in the trust policy only Sigsum proofs count, without it only plain signatures: \
         attach proofs (`ramstrap ospkg sigsum attach`), or build the boot image with the other policy";
    SigsumProofMalformed = "E0416", Security, "the Sigsum proofs cannot be read",
        "attach the file that sigsum-submit wrote, byte for byte, with `ramstrap ospkg sigsum attach`";
    SigsumLogWrong = "E0417", Security, "no Sigsum log of the policy vouches for the signatures",
        "submit to a log of ospkg_trust_policy, or put that log into it; what is logged there and fails was changed on the way";
    SigsumQuorum = "E0418", Security, "too few Sigsum witnesses have cosigned",
        "submit again with the machines' own policy (`sigsum-submit -p ospkg_trust_policy`), which waits for the quorum; if it never comes, ask the witnesses";
    SigsumTooOld = "E0419", Security, "the Sigsum witnesses' cosignatures are older than the policy allows",
        "submit the package again and attach the new proof; an old one that is served may hide a newer release";
    PackageExpired = "E0420", Security, "the package has expired",
        "publish a newer package; `ramstrap ospkg create --not-after` says until when machines boot it. One that is served after its end may be an attack; if it has not ended, check the machine's clock";
    ChannelWrong = "E0421", Security, "the package is of another channel than the trust policy demands",
        "publish a package of that channel (`ramstrap ospkg create --channel NAME`) where these machines look, or correct `channel` in trust_policy.json";
    // 05xx: what is inside the verified package
    ArchiveInvalid = "E0501", Permanent, "the archive is signed but is not a usable ZIP file",
        "create the package again with `ramstrap ospkg create`";
    ManifestMissing = "E0502", Permanent, "the archive has no manifest.json",
        "create the package again with `ramstrap ospkg create`";
    ManifestInvalid = "E0503", Permanent, "the archive's manifest.json cannot be used",
        "create the package again with `ramstrap ospkg create`";
    KernelMissing = "E0504", Permanent, "the archive lacks the kernel that its manifest names, or it is empty",
        "create the package again with `ramstrap ospkg create --kernel FILE`";
    InitramfsMissing = "E0505", Permanent, "the archive lacks the initramfs that its manifest names, or it is empty",
        "create the package again with `ramstrap ospkg create --initramfs FILE`";
    MemberTooLarge = "E0506", Permanent, "a file in the archive is larger than 2 GiB",
        "make kernel and initramfs smaller than 2 GiB each";
    KernelInvalid = "E0507", Permanent, "the package's kernel is not a bzImage",
        "use the vmlinuz or bzImage file of an x86-64 kernel";
    // 06xx: memory and kexec
    MemoryTooSmall = "E0601", Permanent, "this machine has too little memory for the package",
        "give the machine more memory, or make the OS package smaller";
    MemoryFile = "E0602", Permanent, "the kernel refused memory for a file",
        "give the machine more memory";
    KexecForbidden = "E0603", Permanent, "the kernel does not allow kexec",
        "the boot kernel needs CONFIG_KEXEC_FILE, and nothing may have set kexec_load_disabled";
    KexecSignature = "E0604", Permanent, "the boot kernel wants a signature on the package's kernel",
        "sign the OS kernel with a key of the firmware's db, or boot without forced kernel signatures";
    KexecFormat = "E0605", Permanent, "the boot kernel cannot start the package's kernel",
        "use a bzImage of an x86-64 kernel of version 3.17 or later";
    KexecFailed = "E0606", Permanent, "loading or starting the new kernel failed",
        "see the kernel's own messages above";
    // 07xx: the bootloader itself
    Panicked = "E0701", Permanent, "the bootloader met a bug of its own",
        "please report it with the lines above";
    MountFailed = "E0702", Permanent, "a kernel file system could not be mounted",
        "the boot kernel needs proc, sysfs, devtmpfs and tmpfs";
    Internal = "E0703", Permanent, "the bootloader could not do what it must",
        "please report it with the lines above";
    DeadlineReached = "E0704", Transient, "the deadline passed before an OS package could be booted",
        "raise --deadline, or see above what was waited for";
    HandOverUnusable = "E0705", Permanent, "what the bootloader handed to the OS cannot be used",
        "the OS must have been started by ramstrap, and must keep /ramstrap as it found it";
    // 08xx: taking a machine into service
    StaffKeyUnknown = "E0801", Security, "the machine does not know this staff key",
        "use a key whose public half is in the machine's OS package, or build and boot a release with it";
    ProvisioningReplay = "E0802", Security, "a request was made for another connection",
        "send it again with `ramstrap provision`; if you did not send it twice, somebody records and replays";
    IdentityMismatch = "E0803", Security, "the machine's identity is another one",
        "read the identity from the machine's own console again: it is new after each start; if they still differ, somebody answers in the machine's place";
    PackageMismatch = "E0804", Security, "the machine runs another OS package than was expected",
        "find out which release it booted, and why; it gets no secrets until you name that package";
    AlreadyProvisioned = "E0805", Permanent, "the machine has its configuration already",
        "restart it (`ramstrap host reboot`) to give it another one; if you did not provision it, find out who did";
    ServiceConfigInvalid = "E0806", Permanent, "the service configuration cannot be used",
        "correct the fields that are named; `ramstrap provision check FILE` checks it without a machine";
    ProvisioningBusy = "E0807", Transient, "the machine is carrying out another request",
        "wait until that one is done, then look with `ramstrap host status`";
    NotProvisioned = "E0808", Permanent, "the machine has no configuration yet",
        "provision it first";
    NoNewerRelease = "E0809", Permanent, "there is no newer release",
        "publish one with a higher release number, signed by enough of the trusted signers";
    HostFailed = "E0810", Permanent, "the machine could not carry out the request",
        "see its reason; restart the machine if a part was applied";
    HostUnreachable = "E0811", Transient, "the machine could not be reached",
        "check the address on its console, the route and the firewall between, and that it runs";
    NotAHost = "E0812", Permanent, "what answers is not a machine that waits for staff",
        "check address and port; it must speak ramstrap's provisioning protocol over TLS 1.3 with raw keys";
    AnswerCut = "E0813", Transient, "the connection ended before the answer came",
        "what became of the request is not known: ask with `ramstrap host status`";
    ProvisioningMessage = "E0814", Permanent, "a message of the provisioning protocol cannot be used",
        "use the same release of ramstrap on both sides; a message is at most 1 MiB";
}

impl Code {
    /// The code with this number, such as `E0404`.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.id() == id)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = String::deserialize(deserializer)?;
        Self::from_id(&id).ok_or_else(|| serde::de::Error::custom(format!("unknown code {id}")))
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn numbers_are_unique_and_in_order() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].id() < pair[1].id(), "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn every_code_is_found_by_its_number() {
        for code in Code::ALL {
            assert_eq!(Code::from_id(code.id()), Some(*code));
        }
    }
}
