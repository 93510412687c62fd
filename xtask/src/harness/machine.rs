//! QEMU's command line.

use super::options::BootOptions;
use super::options::Netdev;
use crate::accel::Accel;

/// Where distributions keep UEFI firmware: code, and the variables to start from.
pub(super) const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
pub(super) const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

/// What QEMU is given besides the options: files and sockets that it inherits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resources {
    pub(super) accel: Accel,
    pub(super) initramfs_fd: i32,
    /// A copy of the UEFI variables that this machine may write to.
    pub(super) uefi_vars_fd: Option<i32>,
    pub(super) console_fd: i32,
    pub(super) report_fd: i32,
    pub(super) qmp_fd: i32,
}

/// The arguments of the machine. It starts paused.
pub(super) fn arguments(options: &BootOptions, resources: Resources) -> Vec<String> {
    let mut args = Arguments::default();
    args.flags(&["-nodefaults", "-no-user-config", "-no-reboot", "-S"]);
    args.option("-display", "none");
    args.option("-machine", "q35");
    accelerator(&mut args, options, resources.accel);
    args.option("-m", options.memory_mib);
    for (name, fd) in [("console", resources.console_fd), ("report", resources.report_fd)] {
        args.option("-chardev", format!("socket,id={name},fd={fd}"));
        args.option("-serial", format!("chardev:{name}"));
    }
    args.option("-chardev", format!("socket,id=qmp,fd={}", resources.qmp_fd));
    args.option("-mon", "chardev=qmp,mode=control");
    args.option("-object", "rng-random,id=rng,filename=/dev/urandom");
    args.option("-device", "virtio-rng-pci,rng=rng");
    network(&mut args, options);
    if let Some(date) = &options.rtc {
        // QEMU takes UTC without a zone.
        args.option("-rtc", format!("base={}", date.trim_end_matches('Z')));
    }
    if let Some(vars) = resources.uefi_vars_fd {
        args.option("-drive", format!("if=pflash,format=raw,readonly=on,file={OVMF_CODE}"));
        let vars = match &options.uefi_vars {
            // A comma in a value is written twice.
            Some(file) => format!("{},snapshot=on", file.display().to_string().replace(',', ",,")),
            None => path_of(vars),
        };
        args.option("-drive", format!("if=pflash,format=raw,file={vars}"));
    }
    args.option("-kernel", options.kernel.image.display());
    args.option("-initrd", path_of(resources.initramfs_fd));
    args.option("-append", kernel_command_line(&options.append));
    args.0.extend(options.qemu_args.iter().cloned());
    args.0
}

/// Name of a NIC's network backend, as QMP's `set_link` wants it.
pub(super) fn nic_id(index: usize) -> String {
    format!("nic{index}")
}

/// The harness's own parameters, then those of the caller, which win; what stands behind `--` stays
/// behind it.
fn kernel_command_line(append: &str) -> String {
    // An emulated timer may be late on a busy host, which some kernels take for a broken one and
    // panic.
    let own = "no_timer_check console=ttyS0 panic=-1 ramstrap.report=ttyS1";
    format!("{own} {append}").trim_end().to_owned()
}

fn accelerator(args: &mut Arguments, options: &BootOptions, accel: Accel) {
    match (accel, options.icount) {
        (_, Some(shift)) => {
            args.option("-accel", "tcg,thread=single");
            args.option("-icount", format!("shift={shift},sleep=off"));
            args.option("-cpu", "max");
        }
        (Accel::Tcg, None) => {
            args.option("-accel", "tcg");
            args.option("-cpu", "max");
        }
        (Accel::Kvm, None) => {
            args.option("-accel", "kvm");
            args.option("-cpu", "host");
        }
    }
}

fn network(args: &mut Arguments, options: &BootOptions) {
    for (index, nic) in options.nics.iter().enumerate() {
        let netdev = match &nic.netdev {
            Netdev::User => "user".to_owned(),
            Netdev::Custom(value) => value.clone(),
            // A hub of its own: a carrier, and nobody there.
            Netdev::None => format!("hubport,hubid={}", index + 1),
        };
        args.option("-netdev", format!("{netdev},id=net{index}"));
        let mac = nic.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
        let id = nic_id(index);
        args.option("-device", format!("{},netdev=net{index},id={id}{mac}", nic.model));
    }
}

/// A file that QEMU inherits, as it can open it.
fn path_of(fd: i32) -> String {
    format!("/proc/self/fd/{fd}")
}

#[derive(Debug, Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(|&flag| flag.to_owned()));
    }

    fn option(&mut self, name: &str, value: impl ToString) {
        self.0.extend([name.to_owned(), value.to_string()]);
    }
}

#[cfg(test)]
mod tests {
    use super::Resources;
    use super::arguments;
    use super::kernel_command_line;
    use crate::accel::Accel;
    use crate::harness::BootOptions;
    use crate::harness::Netdev;
    use crate::harness::Nic;
    use crate::kernels::Kernel;

    fn lines(change: impl FnOnce(&mut BootOptions)) -> String {
        let kernel = Kernel { image: "vmlinuz".into(), modules: None, release: "1".into() };
        let mut options = BootOptions::new(kernel, "policy");
        change(&mut options);
        let resources = Resources {
            accel: Accel::Tcg,
            initramfs_fd: 6,
            uefi_vars_fd: options.efi.then_some(7),
            console_fd: 3,
            report_fd: 4,
            qmp_fd: 5,
        };
        arguments(&options, resources).join(" ")
    }

    #[test]
    fn a_plain_machine() {
        let line = lines(|_| ());
        assert!(line.contains("-accel tcg -cpu max") && line.contains("-m 1024"), "{line}");
        assert!(line.contains("-netdev user,id=net0 -device virtio-net-pci,netdev=net0,id=nic0"));
        assert!(!line.contains("pflash") && !line.contains("-rtc") && !line.contains("-icount"));
    }

    #[test]
    fn nics_have_their_networks() {
        let line = lines(|options| {
            options.nics = vec![
                Nic::new("e1000e").on(Netdev::None),
                Nic { mac: Some("52:54:00:00:00:01".into()), ..Nic::default() },
                Nic::default().on(Netdev::Custom("socket,connect=127.0.0.1:4000".into())),
            ];
        });
        assert!(line.contains("-netdev hubport,hubid=1,id=net0 -device e1000e,netdev=net0"));
        assert!(line.contains("id=nic1,mac=52:54:00:00:00:01"), "{line}");
        assert!(line.contains("-netdev socket,connect=127.0.0.1:4000,id=net2"));
    }

    #[test]
    fn uefi_variables_are_copied_or_given() {
        let line = lines(|options| options.efi = true);
        assert!(line.contains("if=pflash,format=raw,file=/proc/self/fd/7"), "{line}");
        let line = lines(|options| {
            options.efi = true;
            options.uefi_vars = Some("a,b.fd".into());
        });
        assert!(line.contains("if=pflash,format=raw,file=a,,b.fd,snapshot=on"), "{line}");
        assert!(!line.contains("fd/7"), "{line}");
    }

    #[test]
    fn counted_instructions_need_tcg() {
        let line = lines(|options| options.icount = Some(0));
        assert!(line.contains("tcg,thread=single") && line.contains("shift=0,sleep=off"));
    }

    #[test]
    fn callers_arguments_come_last_and_in_order() {
        let line = lines(|options| {
            options.append = "panic=30 -- --dryrun".into();
            options.qemu_args = vec!["-smp".into(), "2".into()];
        });
        assert!(line.contains("ramstrap.report=ttyS1 panic=30 -- --dryrun"), "{line}");
        assert!(line.ends_with("-smp 2"));
        assert!(kernel_command_line("").ends_with("ttyS1"));
        assert!(kernel_command_line("-- --dryrun").ends_with("ttyS1 -- --dryrun"));
    }
}
