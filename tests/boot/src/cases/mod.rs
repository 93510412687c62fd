//! The cases, by what goes wrong.

mod clock;
mod config;
mod download;
mod embedded;
mod encrypted;
mod failing;
mod lab;
mod machine;
mod matrix;
mod net;
mod network;
mod nics;
mod platform;
mod relay;
mod secure_boot;
mod signatures;
mod sigsum;
mod times;
mod vpn;
mod vpn_elsewhere;

use crate::case::Case;

/// All cases.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        signatures::cases(),
        sigsum::cases(),
        download::cases(),
        network::cases(),
        nics::cases(),
        config::cases(),
        embedded::cases(),
        encrypted::cases(),
        machine::cases(),
        clock::cases(),
        matrix::cases(),
        secure_boot::cases(),
        platform::cases(),
        lab::cases(),
        net::cases(),
        vpn::cases(),
        vpn_elsewhere::cases(),
        relay::cases(),
        failing::cases(),
        times::cases(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::collections::HashSet;

    use report::Code;

    use super::all;
    use crate::case::Expected;
    use crate::case::Tier;

    /// Codes that no boot here can bring about, and where they are tested.
    const WITHOUT_A_BOOT: [(Code, &str); 19] = [
        (Code::TrustPolicyUnsupported, "no setting of this version leads to it"),
        (Code::TimeServerSilent, "the boot goes on: time_server_silent"),
        (Code::TimeServerRefused, "the boot goes on: net_time_server_not_believed"),
        (Code::RemoteLogFailed, "the boot goes on: remote_log_to_nobody"),
        (Code::PiecesDiffer, "netboot: wants mirrors that differ in the middle of a file"),
        (Code::PackageReplaced, "netboot: wants a mirror that changes in the middle of a download"),
        (Code::EmbeddedOnly, "netboot: of an upgrade, not of a boot"),
        (Code::AddressSetup, "netup: the kernel takes every address that hostcfg lets through"),
        (Code::NetworkUnsupported, "no setting of this version leads to it"),
        (Code::TlsFailed, "fetch: mirrors::tls"),
        (Code::MemberTooLarge, "ospkg: 2 GiB are too much for a guest here"),
        (Code::MemoryFile, "kexec-rs"),
        (Code::KexecSignature, "kexec-rs: wants a kernel that is locked down"),
        (Code::KexecFormat, "kexec-rs: a bad image is refused before, as E0507"),
        (Code::KexecFailed, "kexec-rs"),
        (Code::Panicked, "init: the panic hook; there is no known way to make it panic"),
        (Code::MountFailed, "init: wants a kernel without proc"),
        (Code::Internal, "init: no way there from outside"),
        (Code::HandOverUnusable, "netboot: of an upgrade, not of a boot"),
    ];

    #[test]
    fn names_are_unique() {
        let mut names = HashSet::new();
        for case in all() {
            assert!(names.insert(case.name), "{} is there twice", case.name);
        }
    }

    #[test]
    fn every_code_has_a_boot_or_a_reason() {
        let booted: HashSet<Code> = all()
            .iter()
            .filter_map(|case| match case.expected {
                Expected::Refused(code) => Some(code),
                _ => None,
            })
            .collect();
        // Those of provisioning end no boot: crates/provision/tests, and the story vpn_server.
        for code in Code::ALL.iter().filter(|code| !code.id().starts_with("E08")) {
            let excused = WITHOUT_A_BOOT.iter().any(|(without, _)| without == code);
            assert!(booted.contains(code) != excused, "{code}: one of both, not {excused}");
        }
    }

    /// What the guide says of the cases is so: they are there, and those in bold are in every run.
    #[test]
    fn the_guide_names_cases_as_they_are() {
        let guide = include_str!("../../../../docs/boot-tests.md");
        let (_, rest) = guide.split_once("\n## What hurts").expect("a section");
        let (table, _) = rest.split_once("\n## ").expect("its end");
        let cases: HashMap<&str, Tier> = all().iter().map(|case| (case.name, case.tier)).collect();
        let (mut named, mut wrong) = (0, Vec::new());
        for line in table.lines().filter(|line| line.starts_with("| ")) {
            let cell = line.split('|').nth(2).unwrap_or_default();
            for word in cell.split([' ', ',', ';', ':']).filter(|word| word.contains('_')) {
                let name = word.trim_matches('*');
                let tier = cases.get(name).unwrap_or_else(|| panic!("there is no case {name}"));
                let bold = word.starts_with("**");
                if (*tier == Tier::Quick) != bold {
                    wrong.push(name);
                }
                named += 1;
            }
        }
        assert!(wrong.is_empty(), "in bold, or not, and should not be so: {wrong:?}");
        assert!(named > 50, "{named} cases are named");
    }
}
