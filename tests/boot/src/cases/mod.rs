//! The cases, by what goes wrong.

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
        config::cases(),
        embedded::cases(),
        encrypted::cases(),
        machine::cases(),
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
    const WITHOUT_A_BOOT: [(Code, &str); 21] = [
        (Code::TrustPolicyUnsupported, "no setting of this version leads to it"),
        (Code::TimeServerSilent, "sntp: the boot goes on"),
        (Code::TimeServerRefused, "sntp: the boot goes on"),
        (Code::EntropyLate, "init: two minutes without; the kernel measures its timing in seconds"),
        (Code::RemoteLogFailed, "remotelog: the boot goes on"),
        (Code::PiecesDiffer, "netboot: wants mirrors that differ in the middle of a file"),
        (Code::PackageReplaced, "netboot: wants a mirror that changes in the middle of a download"),
        (Code::EmbeddedOnly, "netboot: of an upgrade, not of a boot"),
        (Code::AddressSetup, "netup: the kernel takes every address that hostcfg lets through"),
        (Code::NetworkUnsupported, "no setting of this version leads to it"),
        (Code::TlsFailed, "fetch: mirrors::tls"),
        (Code::MemberTooLarge, "ospkg: 2 GiB are too much for a guest here"),
        (Code::MemoryFile, "kexec-rs"),
        (Code::KexecForbidden, "kexec-rs: wants a kernel without kexec_file_load"),
        (Code::KexecSignature, "kexec-rs: wants a kernel that is locked down"),
        (Code::KexecFormat, "kexec-rs: a bad image is refused before, as E0507"),
        (Code::KexecFailed, "kexec-rs"),
        (Code::Panicked, "init: the panic hook; there is no known way to make it panic"),
        (Code::MountFailed, "init: wants a kernel without proc"),
        (Code::Internal, "init: no way there from outside"),
        (Code::HandOverUnusable, "netboot: of an upgrade, not of a boot"),
    ];

    /// The page with the results says of every case how its last run went, or that there was none.
    #[test]
    fn the_page_has_every_case_or_says_why_not() {
        let page = include_str!("../../../../docs/boot-tests.md");
        let (_, results) = page.split_once("\n## All cases").expect("a section");
        let (table, footer) = results.split_once("\nNot in the last run").expect("a footer");
        let rows: Vec<&str> = table
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.split_once(" |"))
            .map(|(name, _)| name)
            .filter(|name| *name != "Case")
            .collect();
        let left_out: Vec<&str> = footer
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .filter(|word| word.contains('_'))
            .collect();
        for case in all() {
            let there = rows.iter().chain(&left_out).filter(|name| **name == case.name).count();
            assert_eq!(there, 1, "{}: a row, or named in the footer", case.name);
        }
        assert_eq!(rows.len() + left_out.len(), all().len(), "a row of no case");
        let said = format!("{} of {} cases as expected", rows.len(), rows.len());
        assert!(table.contains(&said), "{said}");
        let quick = all().iter().filter(|case| case.tier == Tier::Quick).count();
        let said = format!("runs {quick} of the {} cases", all().len());
        assert!(page.split_whitespace().collect::<Vec<_>>().join(" ").contains(&said), "{said}");
    }

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
