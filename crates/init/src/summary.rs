//! The failure summary: what was tried, what failed, what to do. At most 80 columns wide, but for words
//! that are longer by themselves.

use report::BootReport;
use report::Failure;
use report::MirrorReport;
use report::NicReport;

/// Columns of a terminal that nobody has made wider.
const WIDTH: usize = 80;

/// Where everything behind its name begins.
const INDENT: usize = 10;

/// The whole text.
pub(crate) fn summary(failure: &Failure, report: Option<&BootReport>) -> String {
    let rule = "-".repeat(72);
    let mut lines = vec![String::new(), rule.clone()];
    let mut head = format!("BOOT FAILED  {}  ", failure.code);
    let indent = head.chars().count();
    let title = format!("{} ({})", failure.title, failure.class);
    for row in wrapped(&title, WIDTH.saturating_sub(indent)) {
        lines.push(format!("{head}{row}"));
        head = " ".repeat(indent);
    }
    named(&mut lines, "what", &failure.detail);
    named(&mut lines, "remedy", &failure.remedy);
    if let Some(report) = report {
        let clock = &report.clock;
        let text = format!(
            "{} by {}; RTC {}; image built {}",
            clock.state, clock.source, clock.rtc, clock.floor
        );
        named(&mut lines, "clock", &text);
        if let Some(sntp) = &clock.sntp {
            let verdict = if sntp.used { "used" } else { "not believed" };
            named(
                &mut lines,
                "",
                &format!("{} over {} said {}, {verdict}", sntp.server, sntp.interface, sntp.time),
            );
        }
        report.nics.iter().for_each(|nic| tell_nic(&mut lines, nic, failure));
        for mirror in last_tries(report) {
            named(&mut lines, "mirror", &format!("{} over {}", mirror.url, mirror.interface));
            if !mirror.addresses.is_empty() {
                let addresses: Vec<String> =
                    mirror.addresses.iter().map(ToString::to_string).collect();
                named(&mut lines, "", &format!("DNS says {}", addresses.join(", ")));
            }
            let outcome = match &mirror.failure {
                Some(other) => beside(failure, other),
                None => "served".to_owned(),
            };
            named(&mut lines, "", &outcome);
        }
    }
    lines.push(rule);
    lines.join("\n")
}

/// One interface: what it is, what it has, and what went wrong on it.
fn tell_nic(lines: &mut Vec<String>, nic: &NicReport, failure: &Failure) {
    let carrier = if nic.carrier { "carrier" } else { "no carrier" };
    let driver = nic.driver.as_deref().map_or_else(String::new, |driver| format!(" ({driver})"));
    named(
        lines,
        "nic",
        &format!("{} {}{driver} {carrier}, {}", nic.interface, nic.mac, nic.method),
    );
    if nic.addresses.is_empty() {
        if nic.carrier {
            named(lines, "", "no address");
        }
    } else {
        let server =
            nic.dhcp_server.as_deref().map_or_else(String::new, |it| format!(" from {it}"));
        named(lines, "", &format!("address {}{server}", nic.addresses.join(", ")));
        let routes = match (nic.routes.as_slice(), nic.gateway.as_deref()) {
            ([], None) => "none".to_owned(),
            ([], Some(gateway)) => format!("default by {gateway}"),
            (routes, _) => routes.join(", "),
        };
        named(lines, "", &format!("routes {routes}"));
        let dns = if nic.dns.is_empty() { "none".to_owned() } else { nic.dns.join(", ") };
        named(lines, "", &format!("DNS {dns}"));
    }
    if let Some(other) = &nic.failure {
        named(lines, "", &beside(failure, other));
    }
}

/// Adds text behind its name, reason by reason and wrapped.
fn named(lines: &mut Vec<String>, name: &str, text: &str) {
    let mut head = format!("  {name:<8}");
    // A list of reasons has each of them on a line of its own.
    for reason in text.split_inclusive("; ") {
        for row in wrapped(reason.trim_end(), WIDTH - INDENT) {
            lines.push(format!("{head}{row}"));
            head = " ".repeat(INDENT);
        }
    }
}

/// The text in rows of at most `width` characters, where its words allow that.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = rows.last().is_none_or(|row| {
            row.is_empty() || row.chars().count() + 1 + word.chars().count() <= width
        });
        if !fits {
            rows.push(String::new());
        }
        if let Some(row) = rows.last_mut() {
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        }
    }
    rows
}

/// Another failure in the summary of one: in full only if it says something else.
fn beside(failure: &Failure, other: &Failure) -> String {
    if other == failure {
        format!("{}, as above", other.code)
    } else {
        format!("{}: {}", other.headline(), other.detail)
    }
}

/// The last try at each mirror over each interface, in the order of the first.
fn last_tries(report: &BootReport) -> Vec<&MirrorReport> {
    let mut tries: Vec<&MirrorReport> = Vec::new();
    for entry in &report.mirrors {
        match tries.iter_mut().find(|t| t.url == entry.url && t.interface == entry.interface) {
            Some(earlier) => *earlier = entry,
            None => tries.push(entry),
        }
    }
    tries
}

#[cfg(test)]
mod tests {
    use report::BootReport;
    use report::Code;
    use report::Failure;
    use report::MirrorReport;
    use report::NicReport;

    use super::summary;
    use super::wrapped;

    #[test]
    fn the_summary_says_each_reason_once() {
        let detail = "0 of 2 are valid: signature 1 is over nothing; signature 2 has expired";
        let failure = Failure::new(Code::BelowThreshold, detail);
        let mirror = |url: &str, failure: Failure| MirrorReport {
            url: url.to_owned(),
            interface: "eth0".to_owned(),
            addresses: Vec::new(),
            start_us: 0,
            bytes: 0,
            resumed: 0,
            failure: Some(failure),
        };
        let other = Failure::new(Code::NotFound, "it says 404");
        let report = BootReport {
            mirrors: vec![
                mirror("https://a/", failure.clone()),
                MirrorReport {
                    addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
                    ..mirror("https://b/", other)
                },
            ],
            ..report()
        };
        let text = summary(&failure, Some(&report));
        assert_eq!(text.matches("signature 2 has expired").count(), 1, "{text}");
        assert!(text.contains("over nothing;\n          signature 2"), "{text}");
        assert!(text.contains("https://a/ over eth0\n          E0404, as above\n"), "{text}");
        let second = "https://b/ over eth0\n          DNS says 192.0.2.9, 2001:db8::9\n";
        assert!(text.contains(second), "{text}");
        assert_eq!(text.matches("DNS says").count(), 1, "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("has no such file: it says 404"), "{text}");
    }

    fn report() -> BootReport {
        BootReport::new("")
    }

    #[test]
    fn the_summary_has_code_reason_and_remedy() {
        let text = summary(&Failure::new(Code::BelowThreshold, "1 of 2 are valid"), None);
        assert!(text.contains("BOOT FAILED  E0404  not enough valid signatures (security)"));
        assert!(text.contains("1 of 2 are valid"));
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(Code::BelowThreshold.remedy()), "{text}");
    }

    #[test]
    fn a_link_is_told_with_all_that_it_has_and_fits_on_a_terminal() {
        let nic = NicReport {
            interface: "eth0".into(),
            mac: "52:54:00:12:34:56".into(),
            carrier: true,
            method: "dhcp".into(),
            addresses: vec!["192.0.2.7/24".into(), "2001:db8::5054:ff:fe12:3456/64".into()],
            routes: vec!["default by 192.0.2.1".into(), "default by fe80::1".into()],
            dns: vec!["192.0.2.53".into()],
            driver: Some("virtio_net".into()),
            dhcp_server: Some("192.0.2.1".into()),
            failure: Some(Failure::new(Code::DnsFailed, "no DNS server resolved a.example")),
            ..NicReport::default()
        };
        let report = BootReport { nics: vec![nic], ..report() };
        let failure = Failure::new(
            Code::TlsUntrusted,
            "https://a.example/os.json: ".to_owned() + &"word ".repeat(30),
        );
        let text = summary(&failure, Some(&report));
        for part in [
            "  nic     eth0 52:54:00:12:34:56 (virtio_net) carrier, dhcp\n",
            "routes default by 192.0.2.1, default by fe80::1\n",
            "DNS 192.0.2.53\n",
            " from 192.0.2.1\n",
            "E0206 a host name could not be resolved",
        ] {
            assert!(text.contains(part), "{part:?} in {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn words_are_wrapped_and_never_cut() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("https://a.example/long x", 5), ["https://a.example/long", "x"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
