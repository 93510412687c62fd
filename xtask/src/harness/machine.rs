//! QEMU's command line.

mod storage;

use std::path::Path;

use super::hardware::Display;
use super::hardware::Firmware;
use super::hardware::Machine;
use super::hardware::Start;
use super::options::BootOptions;
use super::options::Netdev;
use super::options::RandomNumbers;
use crate::accel::Accel;

/// What QEMU is given besides the options: files and sockets that it inherits.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    pub(super) accel: Accel,
    pub(super) initramfs_fd: i32,
    /// A copy of the UEFI variables that this machine may write to.
    pub(super) uefi_vars_fd: Option<i32>,
    pub(super) console_fd: i32,
    pub(super) report_fd: i32,
    pub(super) qmp_fd: i32,
    /// For [`BootOptions::ports`], in their order.
    pub(super) port_fds: Vec<i32>,
}

/// The arguments of the machine. It starts paused.
pub(super) fn arguments(options: &BootOptions, resources: &Resources) -> Vec<String> {
    let mut args = Arguments::default();
    args.flags(&["-nodefaults", "-no-user-config", "-S"]);
    if !options.restarts {
        args.flags(&["-no-reboot"]);
    }
    args.option("-display", "none");
    args.option("-machine", chipset(options));
    accelerator(&mut args, options, resources.accel);
    args.option("-m", options.memory_mib);
    args.option("-smp", options.cpus);
    consoles(&mut args, options, resources);
    args.option("-chardev", format!("socket,id=qmp,fd={}", resources.qmp_fd));
    args.option("-mon", "chardev=qmp,mode=control");
    if options.random_numbers != RandomNumbers::None {
        args.option("-object", "rng-random,id=rng,filename=/dev/urandom");
        args.option("-device", "virtio-rng-pci,rng=rng");
    }
    ports(&mut args, options, &resources.port_fds);
    network(&mut args, options);
    if let Some(date) = &options.rtc {
        // QEMU takes UTC without a zone.
        args.option("-rtc", format!("base={}", date.trim_end_matches('Z')));
    }
    firmware(&mut args, options, resources);
    storage::start_medium(&mut args, options);
    storage::disks(&mut args, &options.disks);
    if options.watchdog {
        args.option("-device", "i6300esb");
        args.option("-action", "watchdog=reset");
    }
    if options.start == Start::Direct {
        args.option("-kernel", options.kernel.image.display());
        args.option("-initrd", path_of(resources.initramfs_fd));
        args.option("-append", kernel_command_line(options));
    }
    args.0.extend(options.qemu_args.iter().cloned());
    args.0
}

/// Name of a NIC's network backend, as QMP's `set_link` wants it.
pub(super) fn nic_id(index: usize) -> String {
    format!("nic{index}")
}

/// Parameters that a kernel in a machine of this harness wants: an emulated timer may be late on a
/// busy host, which some kernels take for a broken one and panic; a panic is the end; the report
/// goes to a port of its own.
pub(super) const PARAMETERS: &str = "no_timer_check panic=-1 ramstrap.report=ttyS1";

/// The harness's own parameters, then those of the caller, which win; what stands behind `--` stays
/// behind it.
fn kernel_command_line(options: &BootOptions) -> String {
    let console = match options.display {
        Display::Serial => "console=ttyS0",
        Display::Both => "console=tty0 console=ttyS0",
        Display::Vga => "console=tty0",
        Display::Mute => "console=ttynull",
    };
    format!("{console} {PARAMETERS} {}", options.append).trim_end().to_owned()
}

fn chipset(options: &BootOptions) -> String {
    let mut value = options.machine.name().to_owned();
    if options.firmware == Firmware::UefiSecureBoot && options.machine == Machine::Q35 {
        value += ",smm=on";
    }
    let bios_speaks = options.firmware == Firmware::Bios && options.start != Start::Direct;
    if bios_speaks && !options.display.has_screen() {
        // SeaBIOS then writes to the serial port what would be on the screen.
        value += ",graphics=off";
    }
    value
}

fn consoles(args: &mut Arguments, options: &BootOptions, resources: &Resources) {
    args.option("-chardev", format!("socket,id=report,fd={}", resources.report_fd));
    if options.display.has_serial() {
        args.option("-chardev", format!("socket,id=console,fd={}", resources.console_fd));
        args.option("-serial", "chardev:console");
        args.option("-serial", "chardev:report");
    } else {
        // The second port, with no first one.
        args.option("-device", "isa-serial,index=1,chardev=report");
    }
    if options.display.has_screen() {
        args.option("-device", "VGA");
        // The screen of a machine that has switched itself off must still be there to be looked at.
        args.flags(&["-no-shutdown"]);
    }
}

fn ports(args: &mut Arguments, options: &BootOptions, fds: &[i32]) {
    if !options.ports.is_empty() {
        args.option("-device", "virtio-serial-pci");
    }
    for (index, (name, fd)) in options.ports.iter().zip(fds).enumerate() {
        args.option("-chardev", format!("socket,id=port{index},fd={fd}"));
        args.option("-device", format!("virtserialport,chardev=port{index},name={name}"));
    }
}

fn firmware(args: &mut Arguments, options: &BootOptions, resources: &Resources) {
    let (Some(code), Some(vars)) = (options.firmware.code(), resources.uefi_vars_fd) else {
        return;
    };
    if options.firmware == Firmware::UefiSecureBoot {
        // Only the firmware's own code, in system management mode, may write to its variables.
        args.option("-global", "driver=cfi.pflash01,property=secure,value=on");
        // Waking from sleep would let the OS run code before the lock is set again.
        args.option("-global", "ICH9-LPC.disable_s3=1");
    }
    args.option("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
    args.option("-drive", format!("if=pflash,unit=1,format=raw,file={}", path_of(vars)));
}

fn accelerator(args: &mut Arguments, options: &BootOptions, accel: Accel) {
    let cpu = match (accel, options.icount) {
        (_, Some(shift)) => {
            args.option("-accel", "tcg,thread=single");
            args.option("-icount", format!("shift={shift},sleep=off"));
            "max"
        }
        (Accel::Tcg, None) => {
            args.option("-accel", "tcg");
            "max"
        }
        (Accel::Kvm, None) => {
            args.option("-accel", "kvm");
            "host"
        }
    };
    let without = match options.random_numbers {
        RandomNumbers::Both => "",
        RandomNumbers::Device | RandomNumbers::None => ",-rdrand,-rdseed",
    };
    args.option("-cpu", format!("{cpu}{without}"));
}

fn network(args: &mut Arguments, options: &BootOptions) {
    for (index, nic) in options.nics.iter().enumerate() {
        let starts = index == 0 && matches!(options.start, Start::Network { .. });
        let mut netdev = match &nic.netdev {
            Netdev::User => "user".to_owned(),
            Netdev::Custom(value) => value.clone(),
            // A hub of its own: a carrier, and nobody there.
            Netdev::None => format!("hubport,hubid={}", index + 1),
        };
        if let (Start::Network { directory, file }, true) = (&options.start, starts) {
            if let Some(directory) = directory {
                netdev += &format!(",tftp={}", value_of(directory));
            }
            netdev += &format!(",bootfile={}", file.replace(',', ",,"));
        }
        args.option("-netdev", format!("{netdev},id=net{index}"));
        let mac = nic.mac.as_ref().map(|mac| format!(",mac={mac}")).unwrap_or_default();
        let boot = if starts { ",bootindex=0" } else { "" };
        let rom = if wants_rom(&nic.model, starts, options.firmware) { "" } else { ",romfile=" };
        let id = nic_id(index);
        args.option("-device", format!("{},netdev=net{index},id={id}{mac}{boot}{rom}", nic.model));
    }
}

/// Whether a NIC keeps its boot ROM, which is iPXE. One that the machine does not start from only
/// costs time with it; and OVMF drives virtio NICs by itself, and boots from them in its own way.
fn wants_rom(model: &str, starts: bool, firmware: Firmware) -> bool {
    let has_none = model.starts_with("usb-") || model.starts_with("ne2k_isa");
    let own_driver = firmware.is_uefi() && model.starts_with("virtio-net");
    has_none || model.contains("romfile") || (starts && !own_driver)
}

/// A path as a value among others: a comma is written twice.
fn value_of(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
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
    use crate::accel::Accel;
    use crate::harness::BootOptions;
    use crate::harness::Display;
    use crate::harness::Firmware;
    use crate::harness::Machine;
    use crate::harness::Netdev;
    use crate::harness::Nic;
    use crate::harness::RandomNumbers;
    use crate::harness::Start;
    use crate::kernels::Kernel;

    fn lines(change: impl FnOnce(&mut BootOptions)) -> String {
        let kernel = Kernel { image: "vmlinuz".into(), modules: None, release: "1".into() };
        let mut options = BootOptions::new(kernel, "policy");
        change(&mut options);
        let resources = Resources {
            accel: Accel::Tcg,
            initramfs_fd: 6,
            uefi_vars_fd: options.firmware.is_uefi().then_some(7),
            console_fd: 3,
            report_fd: 4,
            qmp_fd: 5,
            port_fds: vec![8; options.ports.len()],
        };
        arguments(&options, &resources).join(" ")
    }

    #[test]
    fn a_plain_machine() {
        let line = lines(|_| ());
        assert!(line.contains("-accel tcg -cpu max") && line.contains("-m 1024"), "{line}");
        assert!(
            line.contains(
                "-netdev user,id=net0 -device virtio-net-pci,netdev=net0,id=nic0,romfile="
            )
        );
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
    fn uefi_has_code_and_variables() {
        let line = lines(|options| options.firmware = Firmware::Uefi);
        assert!(line.contains("unit=0,format=raw,readonly=on,file=/usr/share/OVMF/"), "{line}");
        assert!(line.contains("if=pflash,unit=1,format=raw,file=/proc/self/fd/7"), "{line}");
        assert!(!line.contains("smm") && !line.contains("secure"), "{line}");
        let line = lines(|options| options.firmware = Firmware::UefiSecureBoot);
        assert!(line.contains("-machine q35,smm=on") && line.contains("property=secure"), "{line}");
        assert!(line.contains("OVMF_CODE_4M.secboot.fd"), "{line}");
    }

    #[test]
    fn a_machine_that_starts_from_the_network_has_no_kernel() {
        let line = lines(|options| {
            options.machine = Machine::Pc;
            options.cpus = 4;
            options.start =
                Start::Network { directory: Some("/a,b".into()), file: "boot.ipxe".into() };
        });
        assert!(line.contains("user,tftp=/a,,b,bootfile=boot.ipxe,id=net0"), "{line}");
        assert!(
            line.contains("netdev=net0,id=nic0,bootindex=0") && !line.contains("romfile"),
            "{line}"
        );
        assert!(line.contains("-machine pc,graphics=off") && line.contains("-smp 4"), "{line}");
        assert!(!line.contains("-kernel") && !line.contains("-append"), "{line}");
    }

    #[test]
    fn a_machine_with_a_screen_only_has_the_second_port() {
        let line = lines(|options| options.display = Display::Vga);
        assert!(line.contains("isa-serial,index=1,chardev=report -device VGA"), "{line}");
        assert!(line.contains("console=tty0 no_timer") && !line.contains("ttyS0"), "{line}");
        assert!(!line.contains("id=console"), "{line}");
    }

    #[test]
    fn a_mute_machine_has_its_ports() {
        let line = lines(|options| options.display = Display::Mute);
        assert!(line.contains("-append console=ttynull no_timer") && !line.contains("ttyS0"));
        assert!(line.contains("-serial chardev:console -serial chardev:report"), "{line}");
    }

    #[test]
    fn a_machine_may_lack_random_numbers() {
        let line = lines(|_| ());
        assert!(line.contains("virtio-rng-pci") && !line.contains("-rdrand"), "{line}");
        let line = lines(|options| options.random_numbers = RandomNumbers::Device);
        assert!(line.contains("virtio-rng-pci") && line.contains("-cpu max,-rdrand"), "{line}");
        let line = lines(|options| options.random_numbers = RandomNumbers::None);
        assert!(!line.contains("virtio-rng-pci") && line.contains("-cpu max,-rdrand"), "{line}");
    }

    #[test]
    fn counted_instructions_need_tcg() {
        let line = lines(|options| options.icount = Some(0));
        assert!(line.contains("tcg,thread=single") && line.contains("shift=0,sleep=off"));
    }

    #[test]
    fn a_machine_that_restarts_has_no_end_and_may_have_ports() {
        let line = lines(|_| ());
        assert!(line.contains("-no-reboot") && !line.contains("virtio-serial"), "{line}");
        let line = lines(|options| {
            options.restarts = true;
            options.ports = vec!["test.port".into()];
        });
        assert!(!line.contains("-no-reboot"), "{line}");
        let port = "-device virtio-serial-pci -chardev socket,id=port0,fd=8 \
                    -device virtserialport,chardev=port0,name=test.port";
        assert!(line.contains(port), "{line}");
    }

    #[test]
    fn callers_arguments_come_last_and_in_order() {
        let line = lines(|options| {
            options.append = "panic=30 -- --dryrun".into();
            options.qemu_args = vec!["-smp".into(), "2".into()];
        });
        assert!(line.contains("ramstrap.report=ttyS1 panic=30 -- --dryrun"), "{line}");
        assert!(line.ends_with("-smp 2"));
    }
}
