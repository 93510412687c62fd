//! Linker settings that keep `/init` small. They change nothing but its size.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=small.ld");
    println!("cargo::rustc-check-cfg=cfg(small_static)");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_static = env::var("CARGO_CFG_TARGET_FEATURE")
        .is_ok_and(|features| features.split(',').any(|feature| feature == "crt-static"));
    // Of the profile that aborts on panic, only the optimisation level can be seen from here. A
    // development build (cargo test) unwinds and links dynamically: leave it alone.
    if !is_static || !is("OPT_LEVEL", "z") || !is("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    println!("cargo::rustc-cfg=small_static");
    let directory = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{directory}/small.ld");
    if links_with_lld() {
        // Functions with the same instructions become one. Nothing here compares their addresses.
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
    if glibc_version() >= Some((2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the linker is the compiler's own LLD: since Rust 1.90 it is on x86-64, if nothing else is
/// asked for.
fn links_with_lld() -> bool {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !["link-self-contained", "linker-features", "fuse-ld"]
            .iter()
            .any(|it| flags.contains(it))
}

/// Static programs of older C libraries do not understand packed relocations.
fn glibc_version() -> Option<(u32, u32)> {
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}
