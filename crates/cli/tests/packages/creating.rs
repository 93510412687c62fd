//! Creating packages, and creating them again.

use std::process::Command;

use crate::VERIFY;
use crate::support;
use crate::support::Lab;
use crate::support::json;
use crate::support::mode;

#[test]
fn the_same_inputs_give_the_same_package_anywhere() {
    let make = |umask: &str| {
        let lab = Lab::new();
        lab.write("vmlinuz", support::kernel());
        lab.write("initramfs", vec![7; 50_000]);
        let script = format!(
            "umask {umask}; exec {} ospkg create --kernel vmlinuz --initramfs initramfs \
             --cmdline 'console=ttyS0' --label test --url os.zip --out out",
            env!("CARGO_BIN_EXE_ramstrap")
        );
        let output =
            Command::new("sh").args(["-c", &script]).current_dir(lab.path("")).output().unwrap();
        assert!(output.status.success());
        for name in ["out.zip", "out.json"] {
            assert_eq!(mode(&lab.path(name)), 0o644, "{name} under umask {umask}");
        }
        (lab.read("out.zip"), lab.read("out.json"))
    };
    assert_eq!(make("022"), make("077"));
}

#[test]
fn creating_refuses_and_warns() {
    let lab = Lab::new();
    lab.write("vmlinuz", support::kernel());
    lab.write("text", "not a kernel");
    lab.write("empty", "");
    let create = |kernel: &str, initramfs: &str, more: &str| {
        format!("ospkg create --kernel {kernel} --initramfs {initramfs} --out os {more}")
    };
    lab.refused(&create("text", "text", ""), "error[E0507]");
    lab.refused(&create("vmlinuz", "empty", ""), "error[E0505]");
    lab.refused(&create("empty", "text", ""), "error[E0504]");
    lab.refused(&create("none", "text", ""), "cannot read none");
    lab.refused(&create("vmlinuz", "text", "--url ftp://a/os.zip"), "error[E0315]");
    assert!(!lab.path("os.zip").exists() && !lab.path("os.json").exists());
    let ran = lab.ok(&create("text", "text", "--any-kernel"));
    for warning in ["no --url", "machines will not boot this kernel", "neither a cpio archive"] {
        assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    }
    let left: Vec<_> = std::fs::read_dir(lab.path("")).unwrap().collect();
    assert_eq!(left.len(), 5, "no temporary file stays: {left:?}");
    let ran =
        lab.refused(&create("vmlinuz", "text", "--url https://u:canary@a/os.zip"), "password");
    assert!(!ran.stderr.contains("canary"), "{}", ran.stderr);
    let long = "x".repeat(3000);
    let ran = lab.ok(&create("vmlinuz", "text", &format!("--url os.zip --cmdline {long}")));
    assert!(ran.stderr.contains("3000 bytes, but this kernel takes 2047"), "{}", ran.stderr);
    lab.write("dir/x", "");
    lab.ok("ospkg create --kernel vmlinuz --initramfs text --url x.zip --out dir");
    assert!(lab.path("dir/os-package.zip").exists());
    lab.ok("ospkg create --kernel vmlinuz --initramfs text --url x.zip --out not/yet/x");
    assert!(lab.path("not/yet/x.json").exists());
}

#[test]
fn packing_again_loses_no_signatures_unasked() {
    const CREATE: &str = "ospkg create --kernel vmlinuz --initramfs initramfs --out os";
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    lab.sign("b");
    let before = lab.read("os.json");
    let ran = lab.ok(&format!("{CREATE} --url os.zip"));
    assert!(ran.stdout.contains("2 signatures"), "{}", ran.stdout);
    assert_eq!(lab.read("os.json"), before);
    // The URL is not signed, so another one changes nothing about who has signed.
    let result = json(&lab.ok(&format!("{CREATE} --url ../b/os.zip --json")));
    assert_eq!(result["signatures"], 2);
    lab.ok(VERIFY);

    let archive = lab.read("os.zip");
    let descriptor = lab.read("os.json");
    let ran = lab.refused(&format!("{CREATE} --url os.zip --label new"), "is signed by CN=");
    assert!(ran.stderr.contains("--replace"), "{}", ran.stderr);
    assert_eq!((lab.read("os.zip"), lab.read("os.json")), (archive, descriptor));
    let ran = lab.ok(&format!("{CREATE} --url os.zip --label new --replace"));
    assert!(ran.stderr.contains("the new one is not signed"), "{}", ran.stderr);
    lab.refused(VERIFY, "error[E0404]");
    // Without signatures there is nothing to lose.
    lab.ok(&format!("{CREATE} --url os.zip --label newer"));

    lab.write("os.json", "{}");
    lab.refused(&format!("{CREATE} --url os.zip"), "another file of this name");
    lab.ok(&format!("{CREATE} --url os.zip --replace"));
}

#[test]
fn a_package_is_replaced_as_a_whole_or_not_at_all() {
    let lab = Lab::with_signers();
    lab.package();
    lab.sign("a");
    let (archive, descriptor) = (lab.read("os.zip"), lab.read("os.json"));
    let create = "ospkg create --kernel vmlinuz --initramfs initramfs --url os.zip --label new \
                  --out os --replace";
    // The descriptor cannot be written: the archive that it is about stays, too.
    std::fs::rename(lab.path("os.json"), lab.path("kept.json")).unwrap();
    std::fs::create_dir(lab.path("os.json")).unwrap();
    lab.refused(create, "os.json is a directory");
    assert_eq!(lab.read("os.zip"), archive);
    std::fs::remove_dir(lab.path("os.json")).unwrap();
    std::fs::rename(lab.path("kept.json"), lab.path("os.json")).unwrap();
    lab.ok(create);
    assert!(lab.read("os.zip") != archive && lab.read("os.json") != descriptor);
    let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".ramstrap-");
    let left = std::fs::read_dir(lab.path("")).unwrap();
    assert!(!left.map(|it| it.unwrap().file_name()).any(|name| hidden(&name)));
}
