//! `docs/failure-codes.md` is made from the table of codes, so that they cannot disagree.
//!
//! After a change of the table: `UPDATE_DOCS=1 cargo test -p report --test docs`.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use report::Class;
use report::Code;

const INTRODUCTION: &str = "# Failure codes

A boot that fails says why on every console, in the boot report and on the report channel, always
with one of these codes. The operator's tool uses the same ones, and `ramstrap explain E0404` prints
the entry. Numbers are never reused.

<!-- Made from crates/report/src/code.rs: UPDATE_DOCS=1 cargo test -p report --test docs -->

Three classes decide what happens next:

| class | what `/init` does | reboot after |
| --- | --- | --- |
| transient | tries again with growing pauses, on every mirror and interface, until the deadline (`--deadline`, 20 minutes) | 10–60 s |
| permanent | drops that mirror for this boot; fails at once when nothing else is left | 60–600 s |
| security | as permanent, and says so loudly: somebody serves what must not run | 60–600 s |

The delay has full jitter, so that a fleet does not come back in step. `panic=N` on the kernel
command line sets it to N seconds, `panic=-1` to none. Whatever the failure, nothing is booted and
there is no shell.

[troubleshooting.md](troubleshooting.md) goes from what you see to the code.

Codes that begin with E08 come from [taking a machine into service](provisioning.md): they are told
to the member of staff who asked, and restart nothing.
";

const GROUPS: [(&str, &str); 8] = [
    ("E01", "Trust policy and host configuration"),
    ("E02", "Network"),
    ("E03", "Download"),
    ("E04", "Verification"),
    ("E05", "What is inside the verified package"),
    ("E06", "Memory and kexec"),
    ("E07", "The bootloader itself"),
    ("E08", "Taking a machine into service"),
];

fn render() -> String {
    let mut text = INTRODUCTION.to_owned();
    for (prefix, title) in GROUPS {
        let _ = write!(text, "\n## {prefix}xx: {title}\n");
        for code in Code::ALL.iter().filter(|code| code.id().starts_with(prefix)) {
            let class = match code.class() {
                Class::Transient => "transient",
                Class::Permanent => "permanent",
                Class::Security => "security",
            };
            let _ = write!(
                text,
                "\n### {code}\n\n**{}** ({class})\n\nWhat to do: {}.\n",
                capitalised(code.title()),
                code.remedy()
            );
        }
    }
    text
}

/// With a capital letter in front, unless the text begins with a file name.
fn capitalised(text: &str) -> String {
    let first_word = text.split(' ').next().unwrap_or_default();
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !first_word.contains('.') => first.to_uppercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/failure-codes.md");
    let wanted = render();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/failure-codes.md is stale: UPDATE_DOCS=1 cargo test -p report --test docs"
    );
}

#[test]
fn every_code_has_a_group() {
    for code in Code::ALL {
        assert!(GROUPS.iter().any(|(prefix, _)| code.id().starts_with(prefix)), "{code}");
    }
}
