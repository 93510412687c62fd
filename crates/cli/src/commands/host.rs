//! `ramstrap host`: machines that are in service, or wait for it.

mod access;

use clap::Subcommand;
use provision::RequestKind;
use provision::client::Ask;
use serde_json::Value;
use serde_json::json;

use crate::Result;
use crate::output::Output;

pub(super) use access::Access;
pub(super) use access::Package;
pub(super) use access::tell_answer;

/// Ask a machine how it is, have it upgrade, restart or switch off.
///
/// As staff of its package, and only if it proves the identity that its console shows.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap host status vpn1.example --key alice.key \\
      --fingerprint SHA256:Wd1Xk0rkJ9Ff2nSBzAgGbE5g9sJ1Wb3CwlrH2E3QvVA
  ramstrap host upgrade vpn1.example --key alice.key --fingerprint SHA256:…
  ramstrap host reboot [2001:db8::1]:7443 --key alice.key \\
      --fingerprint SHA256:…";

const STATUS_EXAMPLES: &str = "\
Examples:
  ramstrap host status vpn1.example --key alice.key --fingerprint SHA256:…
  ramstrap host status --json vpn1.example --key alice.key \\
      --fingerprint SHA256:… | jq .state";

const UPGRADE_EXAMPLES: &str = "\
Examples:
  ramstrap host upgrade vpn1.example --key alice.key --fingerprint SHA256:…";

const REBOOT_EXAMPLES: &str = "\
Examples:
  ramstrap host reboot vpn1.example --key alice.key --fingerprint SHA256:…";

const POWEROFF_EXAMPLES: &str = "\
Examples:
  ramstrap host poweroff vpn1.example --key alice.key --fingerprint SHA256:…";

#[derive(Debug, Subcommand)]
enum What {
    /// Show what a machine runs and how it is.
    #[command(after_help = STATUS_EXAMPLES)]
    Status(Common),
    /// Have a machine fetch the next release and start it without going through the firmware.
    ///
    /// It verifies the release by the trust policy that it was booted with, and forgets its
    /// configuration: provision it again afterwards. Its identity is a new one then.
    #[command(after_help = UPGRADE_EXAMPLES)]
    Upgrade(Common),
    /// Restart a machine from the firmware. It forgets its configuration and its identity.
    #[command(after_help = REBOOT_EXAMPLES)]
    Reboot(Common),
    /// Switch a machine off.
    #[command(after_help = POWEROFF_EXAMPLES)]
    Poweroff(Common),
}

#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    package: Package,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let (kind, Common { access, package }) = match &args.what {
        What::Status(common) => (RequestKind::Status, common),
        What::Upgrade(common) => (RequestKind::Upgrade, common),
        What::Reboot(common) => (RequestKind::Reboot, common),
        What::Poweroff(common) => (RequestKind::Poweroff, common),
    };
    let (ask, verdict) = match kind {
        RequestKind::Upgrade => (Ask::Upgrade, "upgrading"),
        RequestKind::Reboot => (Ask::Reboot, "restarting"),
        RequestKind::Poweroff => (Ask::Poweroff, "switching off"),
        // Provisioning is another command.
        RequestKind::Status | RequestKind::Provision => (Ask::Status, "answered"),
    };
    let (target, package) = (access.target()?, package.digest()?);
    let asked = access.ask(package, ask, output)?;
    output.verdict(true, verdict, target);
    let shown = if kind == RequestKind::Status {
        Value::from(asked.hello.state.to_string())
    } else {
        Value::Null
    };
    if !shown.is_null() {
        output.field("state", asked.hello.state);
        output.field("up for", format!("{} s", asked.hello.uptime));
    }
    tell_answer(&asked, output);
    output.result(json!({
        "host": target.to_string(),
        "request": kind.name(),
        "state": shown,
        "uptime": asked.hello.uptime,
        "machine": asked.machine(),
        "details": asked.accepted.details,
    }));
    Ok(())
}
