//! Looks for traces of a customer where the server could have written them: in all file systems in
//! its memory, and in the kernel's log. Staff does it, over SSH.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use lab::Client;

use super::CUSTOMER;
use super::NAME;
use super::SERVER;
use super::STAFF;

/// Searching all files of an emulated machine takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

/// For each file system that keeps files: its place, and every file in it that has a trace in its
/// name or in its content.
const SEARCH: &str = r#"
while read -r device place kind rest; do
    case $kind in rootfs|tmpfs|ramfs|devtmpfs|overlay|hugetlbfs) ;; *) continue ;; esac
    echo "searched $place"
    find "$place" -xdev 2>/dev/null | grep -F -e "$A" -e "$B" | sed 's/^/named /'
    find "$place" -xdev -type f -exec grep -lF -e "$A" -e "$B" {} + 2>/dev/null | sed 's/^/found /'
done < /proc/mounts
dmesg | grep -F -e "$A" -e "$B" | sed 's/^/kernel /'
echo end
"#;

/// Leaves a trace in every file system that takes one, and in the kernel's log.
const PLANT: &str = r#"
while read -r device place kind rest; do
    case $kind in rootfs|tmpfs|ramfs) ;; *) continue ;; esac
    echo "x $A x" 2>/dev/null > "$place/planted" && echo "$place/planted"
done < /proc/mounts
echo "planted $A" > /dev/kmsg && echo kernel
"#;

/// Asserts that there is no trace of the customer's address nor of a name that it has asked for, and
/// that the same search finds one that is left on purpose.
///
/// # Errors
/// Which traces there are.
pub fn are_none(lab: &mut Client) -> Result<()> {
    let live = ssh(lab, "wg show wg0 endpoints")?;
    ensure!(live.contains(CUSTOMER), "the server knows the customer by another address: {live}");
    let before = search(lab)?;
    let places = before.iter().filter(|line| line.starts_with("searched ")).count();
    ensure!(places >= 2, "only {places} file systems were searched: {before:?}");
    let traces: Vec<&String> =
        before.iter().filter(|line| !line.starts_with("searched ")).collect();
    ensure!(traces.is_empty(), "traces of the customer: {traces:?}");

    let planted = ssh(lab, PLANT)?;
    let after = search(lab)?;
    let mut files = 0;
    for place in planted.lines() {
        let place = place.replace("//", "/");
        let found = if place == "kernel" {
            after.iter().any(|line| line.starts_with("kernel ") && line.contains("planted"))
        } else {
            files += 1;
            after.iter().any(|line| line.replace("//", "/") == format!("found {place}"))
        };
        ensure!(found, "the search overlooks {place}: {after:?}");
    }
    ensure!(files > 0, "no trace could be planted: {planted:?}");
    Ok(())
}

fn search(lab: &mut Client) -> Result<Vec<String>> {
    let output = ssh(lab, SEARCH)?;
    let lines: Vec<String> = output.lines().map(|line| line.trim().to_owned()).collect();
    let (last, lines) = lines.split_last().context("the search says nothing")?;
    ensure!(last == "end", "the search broke off: {output}");
    Ok(lines.to_vec())
}

/// Runs a script on the server as the member of staff who may log in. It goes through standard
/// input, so that it is in no list of processes.
///
/// # Errors
/// If it fails.
pub fn ssh(lab: &mut Client, script: &str) -> Result<String> {
    let script = format!("A={CUSTOMER}; B={}; {script}", NAME.0);
    let target = format!("root@{SERVER}");
    let argv = [
        "ssh",
        "-i",
        "/run/staff",
        "-b",
        STAFF,
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=20",
        // The machine may have been provisioned this very moment.
        "-o",
        "ConnectionAttempts=30",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        &target,
        "sh -s",
    ];
    let output = lab.run_with(&argv, script.as_bytes(), PATIENCE)?;
    ensure!(output.is_success(), "ssh: {} {}", output.text(), output.complaints());
    Ok(output.text())
}
