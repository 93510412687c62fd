//! What something is built with: a compiler of another version makes other bytes.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::Result;

/// Versions of what decides the bytes of what is compiled: the first line that each says of itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Toolchain {
    /// `rustc`, which `rust-toolchain.toml` pins.
    #[serde(default)]
    pub rustc: String,
    /// The C compiler, for the little C that is linked in, and the kernel.
    #[serde(default)]
    pub cc: String,
    /// The linker.
    #[serde(default)]
    pub binutils: String,
    /// The C library, which is linked in statically.
    #[serde(default)]
    pub libc: String,
}

impl Toolchain {
    /// What is another one, for people; empty if nothing is.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = [
            ("rustc", &self.rustc, &other.rustc),
            ("cc", &self.cc, &other.cc),
            ("binutils", &self.binutils, &other.binutils),
            ("libc", &self.libc, &other.libc),
        ];
        pairs
            .into_iter()
            // A record may come from a time when this was not recorded.
            .filter(|(_, one, other)| one != other && !one.is_empty())
            .map(|(name, one, other)| format!("{name}: recorded {one:?}, here {other:?}"))
            .collect()
    }
}

/// The tools that a build in this source tree uses on this machine.
///
/// # Errors
/// If one of them is missing.
pub fn of_this_host(root: &Path) -> Result<Toolchain> {
    of(&|program| {
        let mut command = Command::new(program);
        // What cargo told this program which rustc is; in another checkout it may be another one.
        command.env_remove("RUSTUP_TOOLCHAIN").current_dir(root);
        command
    })
}

/// The tools behind these commands, each of which is made of a program's name.
///
/// # Errors
/// If one of them is missing.
pub fn of(command: &dyn Fn(&str) -> Command) -> Result<Toolchain> {
    Ok(Toolchain {
        rustc: version(&mut command("rustc"), "rustc")?,
        cc: version(&mut command("cc"), "cc")?,
        binutils: version(&mut command("ld"), "ld")?,
        libc: version(&mut command("ldd"), "ldd")?,
    })
}

fn version(command: &mut Command, name: &str) -> Result<String> {
    let failed = |what: String| {
        Error::new(format!("{name} --version: {what}"))
            .remedy("install what builds need: rustup, gcc, binutils and libc6-dev")
    };
    let output = command.arg("--version").env("LC_ALL", "C").output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_of_this_machine_are_named() {
        let found = of_this_host(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(found.rustc.starts_with("rustc 1."), "{found:?}");
        assert!(found.binutils.starts_with("GNU ld"), "{found:?}");
        assert!(found.differences(&found).is_empty());
        let other = Toolchain { cc: "gcc 3".to_owned(), ..found.clone() };
        let words = other.differences(&found);
        assert!(words.len() == 1 && words[0].contains("recorded \"gcc 3\", here "), "{words:?}");
        assert!(Toolchain::default().differences(&found).is_empty());
    }
}
