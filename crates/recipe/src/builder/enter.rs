//! Running a program in the builder root, without being root.
//!
//! The kernel's namespaces do it, by way of `unshare` and `mount` of util-linux, which every Debian has.
//! A small script, for that is what these are made for: it puts the root together on a file system in
//! memory, which is gone with the last process in it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::Error;
use crate::Result;

/// What a new process is cut off from: mounts, processes, network, names. It ends with its parent.
const CUT_OFF: [&str; 7] =
    ["--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc"];
/// The same for somebody who is not root: root within only.
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];

/// Arguments: root, stage, directory to be in, number of mounts, three words for each of them (`ro` or
/// `rw`, from, to), the program and its arguments.
const SCRIPT: &str = include_str!("enter.sh");

/// A place of this machine that is to be seen inside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mount {
    from: PathBuf,
    to: String,
    writable: bool,
}

impl Mount {
    /// One that is only read. `to` is an absolute path.
    #[must_use]
    pub fn read_only(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), writable: false }
    }

    /// One for results. `to` is an absolute path.
    #[must_use]
    pub fn writable(from: &Path, to: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), writable: true }
    }
}

/// The words before a program.
pub(super) fn words(
    namespaces: &[&str],
    (root, stage): (&Path, &Path),
    mounts: &[Mount],
    cwd: &str,
) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut words = vec!["unshare".to_owned()];
    words.extend(namespaces.iter().map(|&word| word.to_owned()));
    words.extend(["/bin/sh", "-c", SCRIPT, "builder"].map(str::to_owned));
    words.extend([path(root), path(stage), cwd.to_owned(), mounts.len().to_string()]);
    for mount in mounts {
        let mode = if mount.writable { "rw" } else { "ro" };
        words.extend([mode.to_owned(), path(&mount.from), mount.to.clone()]);
    }
    words
}

/// How this machine lets us have namespaces of our own: with a user of our own, or as the root that we
/// are.
///
/// # Errors
/// If it does not, with what has to be allowed.
pub(super) fn namespaces() -> Result<Vec<&'static str>> {
    let root = rustix::process::geteuid().is_root();
    let plain: Vec<&str> = CUT_OFF.into();
    let user: Vec<&str> = AS_USER.into_iter().chain(CUT_OFF).collect();
    let ways = if root { vec![plain, user] } else { vec![user] };
    let mut said = Vec::new();
    for way in ways {
        match attempt(&way) {
            Ok(()) => return Ok(way),
            Err(why) => said.push(why),
        }
    }
    let error = Error::new("this machine does not let us enter a root file system of our own");
    let error = said.into_iter().fold(error, Error::detail);
    Err(error.remedy(
        "a locked build needs user namespaces: on Ubuntu `sysctl -w \
         kernel.apparmor_restrict_unprivileged_userns=0`, elsewhere `sysctl -w \
         kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`; in a container let it have \
         them (`--security-opt seccomp=unconfined --security-opt apparmor=unconfined`, or \
         `--privileged`); or build as root; or without --locked, for an equal toolchain",
    ))
}

/// Tries a mount, which is what is forbidden where namespaces alone are not.
fn attempt(way: &[&str]) -> core::result::Result<(), String> {
    let output = Command::new("unshare")
        .args(way)
        .args(["/bin/sh", "-c", "mount -t tmpfs builder /proc && findmnt --version"])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("unshare cannot be run: {error} (install util-linux)"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(words.lines().next().unwrap_or("unshare failed").trim().to_owned())
}
