fn main() -> anyhow::Result<()> {
    use xtask::*;
    let kernel = kernels::select(&kernels::Choice::Fitting, &["virtio-net-pci".into()])?;
    println!("{kernel:?}");
    let t = std::time::Instant::now();
    let accel = accel::choose(&kernel)?;
    println!("{accel:?} {:?}", t.elapsed());
    let dir = tempfile::tempdir()?;
    let p = dir.path().join("i");
    std::fs::write(&p, minimal::initramfs(None)?)?;
    for after in std::env::args().skip(1) {
        let mut o = harness::BootOptions::new(kernel.clone(), "");
        o.append = format!("minimal.after={after}");
        o.timeout = std::time::Duration::from_secs(15);
        if after == "poweroff" { o.echo = harness::Echo::Stdout; }
        if after == "badarg" { o.qemu_args = vec!["-nonsense".into()]; }
        if after == "badnic" { o.nics = vec![harness::Nic::new("nonsense")]; }
        let r = harness::run(&o, accel, &p);
        match r { Ok(r) => println!("{after}: {:?} {:?} {:?}", r.status, r.ended, r.marks), Err(e) => println!("{after}: ERR {e:#}") }
    }
    Ok(())
}
