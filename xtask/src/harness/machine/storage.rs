//! Disks, drives and sticks.

use super::super::hardware::Bus;
use super::super::hardware::Disk;
use super::super::hardware::Start;
use super::super::options::BootOptions;
use super::Arguments;
use super::value_of;

/// What the machine starts from, if that is a medium.
pub(super) fn start_medium(args: &mut Arguments, options: &BootOptions) {
    let (file, device) = match &options.start {
        Start::Direct | Start::Network { .. } | Start::HttpBoot { .. } => return,
        Start::Cdrom(file) => (file, "ide-cd,bus=ide.0"),
        Start::Usb(file) => {
            args.option("-device", "qemu-xhci,id=start-usb");
            (file, "usb-storage,bus=start-usb.0,removable=on")
        }
        Start::Disk(file) => (file, "ide-hd,bus=ide.0"),
    };
    let protection = match &options.start {
        Start::Cdrom(_) => "media=cdrom,readonly=on",
        // A disk cannot be write-protected, so writes go to a file that QEMU throws away.
        _ => "snapshot=on",
    };
    let file = value_of(file);
    args.option("-drive", format!("if=none,id=start,format=raw,{protection},file={file}"));
    args.option("-device", format!("{device},drive=start,bootindex=0"));
}

/// Disks that the machine may write to.
pub(super) fn disks(args: &mut Arguments, disks: &[Disk]) {
    for (index, Disk { file, bus }) in disks.iter().enumerate() {
        let file = value_of(file);
        args.option("-drive", format!("if=none,id=disk{index},format=raw,file={file}"));
        let device = match bus {
            Bus::Nvme => format!("nvme,serial=disk{index}"),
            Bus::Ahci => {
                args.option("-device", format!("ich9-ahci,id=ahci{index}"));
                format!("ide-hd,bus=ahci{index}.0")
            }
            Bus::Virtio => "virtio-blk-pci".to_owned(),
            Bus::Usb => {
                args.option("-device", format!("qemu-xhci,id=xhci{index}"));
                format!("usb-storage,bus=xhci{index}.0")
            }
        };
        args.option("-device", format!("{device},drive=disk{index}"));
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use super::Bus;
    use super::Disk;
    use super::disks;

    #[test]
    fn every_bus_has_a_controller_of_its_own() {
        let mut args = Arguments::default();
        let on = |bus| Disk { file: "/x,y".into(), bus };
        disks(&mut args, &[Bus::Nvme, Bus::Ahci, Bus::Virtio, Bus::Usb].map(on));
        let line = args.0.join(" ");
        assert!(
            line.contains("id=disk0,format=raw,file=/x,,y -device nvme,serial=disk0"),
            "{line}"
        );
        assert!(line.contains("ich9-ahci,id=ahci1 -device ide-hd,bus=ahci1.0,drive=disk1"));
        assert!(line.contains("usb-storage,bus=xhci3.0,drive=disk3"), "{line}");
    }
}
