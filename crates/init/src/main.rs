//! PID 1 of the boot image: read, connect, fetch, verify, kexec.
//!
//! There is no shell, no way back, and no other end than these: the verified OS package runs, or
//! the machine says why not and starts again.

mod channel;
mod cmdline;
mod entropy;
mod finish;
mod journal;
mod jump;
#[cfg(small_static)]
mod left_out;
mod log;
mod modules;
mod progress;
mod remote;
mod sources;
mod summary;
mod system;
mod watchdog;

use std::fs;
use std::panic;

use netboot::Inputs;
use netboot::Origin;
use netboot::Running;
use report::Code;
use report::Failure;
use report::Stage;

use crate::cmdline::Arguments;
use crate::cmdline::KernelSettings;
use crate::journal::Journal;

fn main() {
    pid1::start_clock();
    if std::process::id() != 1 {
        eprintln!(
            "ramstrap's init is PID 1 of a boot image and cannot run by hand; \
             build an image with `ramstrap boot-image build`, or try it with `cargo xtask demo`"
        );
        std::process::exit(2);
    }
    let mounted = system::mount_all();
    pid1::restart_after_kernel_panic();
    let settings = KernelSettings::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    settings.open_consoles();
    channel::open(settings.report.as_deref());
    let delay = settings.reboot_delay;
    panic::set_hook(Box::new(move |info| finish::on_panic(info, delay)));
    let arguments = Arguments::parse(std::env::args().skip(1));
    log::start(arguments.level);
    journal::start();
    let failure = match mounted.and_then(|()| boot(&arguments)) {
        Ok(never) => match never {},
        Err(failure) => failure,
    };
    finish::fail(&failure, delay)
}

/// The whole boot. Returns only when it failed.
fn boot(arguments: &Arguments) -> Result<core::convert::Infallible, Failure> {
    for unknown in &arguments.unknown {
        tracing::warn!("argument {unknown:?} is not understood and was left out");
    }
    system::reap_children();

    let entropy = entropy::begin();
    let reading = Running::begin(&Journal, Stage::Read);
    modules::load_all();
    modules::remove_files();
    watchdog::arm();
    system::mount_efi_variables();
    let read = read_inputs().and_then(|read| entropy.wait().map(|()| read));
    let (inputs, origin) = reading.close(read, |(inputs, origin)| summary(inputs, origin))?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Failure::new(Code::Internal, format!("tokio: {error}")))?;
    let result = runtime.block_on(async {
        remote::start(&inputs);
        // On this thread, between the steps of the boot: what hangs the one hangs the other.
        tokio::spawn(watchdog::keep_petting(arguments.deadline));
        if let Origin::BootImage(name) = &origin {
            let package = netboot::embedded(&inputs, &Journal, name)?;
            return jump::into(&inputs, package, arguments.dryrun).await;
        }
        // The lease is held until the jump.
        let (_connected, package) = netboot::package(&inputs, &Journal, arguments.deadline).await?;
        jump::into(&inputs, package, arguments.dryrun).await
    });
    if let Err(failure) = &result {
        finish::announce(failure);
        runtime.block_on(remote::flush());
    }
    result
}

/// What the machine knows before it asks the network, if it has to ask.
fn read_inputs() -> Result<(Inputs, Origin), Failure> {
    let rtc = system::rtc();
    let policy = sources::trust_policy()?;
    let clock = sources::clock(&policy.policy, rtc);
    journal::update(|report| {
        report.trust_policy = Some(policy.policy.report());
        report.clock = netboot::clock_report(&clock);
    });
    if !clock.is_trusted() {
        tracing::warn!(
            "clock: untrusted; the RTC says {rtc}, the image was built {}: nothing that \
             expired before that boots, later expiry cannot be seen",
            clock.floor()
        );
    }
    let host = sources::host_configuration()?;
    journal::update(|report| report.host_configuration = Some(host.report.clone()));
    let origin = Origin::of(&policy, &host)?;
    Ok((Inputs { policy, host, clock }, origin))
}

fn summary(inputs: &Inputs, origin: &Origin) -> String {
    let packages = match origin {
        Origin::Mirrors => format!("{} URL(s)", inputs.host.config.mirrors.len()),
        Origin::BootImage(name) => format!("{name} of the boot image"),
    };
    format!(
        "{} signature(s) needed, {} root(s); {}, {packages}",
        inputs.policy.policy.document().threshold(),
        inputs.policy.policy.signing_roots().len(),
        inputs.host.report.source,
    )
}
