//! TCG or KVM: KVM only where a guest has been seen to start, for on some hosts `/dev/kvm` exists
//! and guests hang.

use std::env;
use std::fs;
use std::fs::OpenOptions;
use std::time::Duration;

use anyhow::Result;
use anyhow::bail;

use crate::cache;
use crate::harness;
use crate::harness::BootOptions;
use crate::kernels::Kernel;
use crate::minimal;
use crate::progress;

/// How long a guest may take to start under KVM; it takes less than two seconds where it works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// How QEMU runs the guest's instructions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accel {
    /// By translation: slow, and works everywhere.
    Tcg,
    /// On the processor.
    Kvm,
}

/// The accelerator for this host. `RAMSTRAP_ACCEL` may say `tcg` or `kvm`; otherwise KVM is probed
/// with a real guest, once for each start of the host.
///
/// # Errors
///
/// `RAMSTRAP_ACCEL` has another value, or the probe could not be made.
pub fn choose(kernel: &Kernel) -> Result<Accel> {
    match env::var("RAMSTRAP_ACCEL").as_deref() {
        Ok("tcg") => return Ok(Accel::Tcg),
        Ok("kvm") => return Ok(Accel::Kvm),
        Ok("" | "auto") | Err(_) => {}
        Ok(other) => bail!("RAMSTRAP_ACCEL is {other:?}; it can be auto, tcg or kvm"),
    }
    if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return Ok(Accel::Tcg);
    }
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let answer = cache::subdir("kvm")?.join(boot_id.trim());
    match fs::read_to_string(&answer).as_deref() {
        Ok("works") => return Ok(Accel::Kvm),
        Ok(_) => return Ok(Accel::Tcg),
        Err(_) => {}
    }
    let works = progress::step("try whether KVM works", |_| probe(kernel))?;
    cache::publish_file(&answer, if works { b"works" } else { b"hangs" })?;
    if let Some(dir) = answer.parent() {
        cache::prune(dir, 4);
    }
    eprintln!("KVM {}.", if works { "works" } else { "does not start a guest: using TCG" });
    Ok(if works { Accel::Kvm } else { Accel::Tcg })
}

/// Whether a guest gets as far as its first process.
fn probe(kernel: &Kernel) -> Result<bool> {
    let initramfs = minimal::initramfs(None)?;
    let mut options = BootOptions::new(kernel.clone(), "");
    options.nics.clear();
    options.memory_mib = 512;
    options.timeout = PROBE_TIMEOUT;
    // QEMU that fails under KVM is an answer, too.
    Ok(harness::run(&options, Accel::Kvm, &initramfs)
        .is_ok_and(|result| result.mark("os-up").is_some()))
}
