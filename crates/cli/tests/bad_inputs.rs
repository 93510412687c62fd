//! The tool refuses every kind of bad input with the code and the words that a machine refuses it
//! with, and says what to do; what a machine reads, it accepts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "all of this file is a test")]

#[path = "../../ospkg/tests/bad_inputs/cases.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library's test uses the rest")]
mod cases;
mod support;

use cases::Case;
use cases::Files;
use cases::Input;
use cases::Verdict;
use support::Lab;
use support::Ran;

const VERIFY: &str = "ospkg verify --trust-policy policy --at 2026-11-21T22:07:17Z os.json";

/// Puts good files around the bad one, and asks the tool.
fn verify(lab: &Lab, input: &Input) -> Ran {
    let Files { archive, descriptor, policy, roots } = input.among_good_ones();
    lab.write("os.zip", archive);
    lab.write("os.json", descriptor);
    lab.write("policy/trust_policy.json", policy);
    lab.write("policy/ospkg_signing_root.pem", roots);
    lab.run(VERIFY)
}

#[test]
fn the_tool_says_what_a_machine_says() {
    let lab = Lab::new();
    let mut wrong = Vec::new();
    for Case { name, input, verdict } in cases::all() {
        let ran = verify(&lab, &input);
        let right = match verdict {
            Verdict::Refused(code, says) => {
                ran.status == 1
                    && ran.stderr.contains(&format!("error[{code}]"))
                    && ran.stderr.contains(says)
                    && ran.stderr.contains("\nhelp: ")
            }
            // It was read to its end: the kernels in these archives are none, which is seen last.
            Verdict::Read(_) => ran.status == 1 && ran.stderr.starts_with("error[E0507]"),
        };
        let quiet = |text: &str| text.chars().all(|it| it == '\n' || !it.is_control());
        if !right || !quiet(&ran.stdout) || !quiet(&ran.stderr) {
            wrong.push(format!("{name}: {}\n{}{}", ran.status, ran.stdout, ran.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
