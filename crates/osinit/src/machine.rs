//! The kernel's file systems and settings.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::MntFlags;
use nix::mount::umount2;
use nix::sys::reboot::set_cad_enabled;
use pid1::DEVICES;
use pid1::MsFlags;
use pid1::NOTHING;

/// A file system of the kernel.
struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MsFlags,
    options: &'static str,
}

/// In this order. Sizes are limits, not reservations; nothing is ever executed from them.
const MOUNTS: [Mount; 7] = [
    // A service sees no process but its own.
    Mount { kind: "proc", target: "/proc", flags: NOTHING, options: "hidepid=2" },
    Mount { kind: "sysfs", target: "/sys", flags: NOTHING, options: "" },
    Mount { kind: "devtmpfs", target: "/dev", flags: DEVICES, options: "" },
    Mount {
        kind: "devpts",
        target: "/dev/pts",
        flags: DEVICES,
        options: "mode=0620,gid=5,ptmxmode=0666",
    },
    Mount { kind: "tmpfs", target: "/dev/shm", flags: NOTHING, options: "mode=1777,size=16m" },
    Mount { kind: "tmpfs", target: "/run", flags: NOTHING, options: "mode=0755,size=32m" },
    Mount { kind: "tmpfs", target: "/tmp", flags: NOTHING, options: "mode=1777,size=32m" },
];

/// What programs look for in `/dev` that is no device.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Mounts what the OS needs. Gives what did not work, for the console.
pub(crate) fn mount_all() -> Vec<String> {
    let mut problems: Vec<String> = MOUNTS
        .iter()
        .filter_map(|one| pid1::mount(one.kind, one.target, one.flags, one.options).err())
        .map(|problem| format!("cannot mount {problem}"))
        .collect();
    for (link, target) in LINKS {
        match symlink(target, link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                problems.push(format!("cannot make {link}: {error}"));
            }
            _ => {}
        }
    }
    problems
}

/// Mounts a tmpfs of its own for one service, readable by that one only.
pub(crate) fn private_tmpfs(target: &str, owner: u32, size: &str) -> Result<(), String> {
    let options = format!("mode=0700,uid={owner},gid={owner},size={size}");
    pid1::mount("tmpfs", target, NOTHING, &options)
}

/// Gives up a file system and the memory behind it.
pub(crate) fn unmount(target: &str) {
    // Not mounted is as good.
    let _ = umount2(target, MntFlags::MNT_DETACH);
}

/// File systems whose memory is given back before the machine is left.
pub(crate) fn unmount_memory() {
    for target in ["/tmp", "/dev/shm", "/run"] {
        unmount(target);
    }
}

/// Settings of a `sysctl.conf`: lines `key = value`, `#` and `;` begin comments, a part of a key may
/// be `*`. Gives what the kernel did not take, one line each; a key with `-` in front may be unknown.
pub(crate) fn apply_sysctls(text: &str, root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            problems.push(format!("sysctl {line:?}: not of the form key = value"));
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        let (key, optional) = key.strip_prefix('-').map_or((key, false), |key| (key, true));
        let paths = sysctl_paths(root, key);
        if paths.is_empty() && !optional {
            problems.push(format!("sysctl {key}: this kernel has no such setting"));
        }
        for path in paths {
            if let Err(error) = fs::write(&path, value)
                && !optional
            {
                problems.push(format!("sysctl {key} = {value}: {error}"));
            }
        }
    }
    problems
}

fn sysctl_paths(root: &Path, key: &str) -> Vec<std::path::PathBuf> {
    let mut paths = vec![root.to_owned()];
    for part in key.split('.') {
        paths = paths
            .into_iter()
            .flat_map(|path| {
                if part != "*" {
                    return vec![path.join(part)];
                }
                let entries = fs::read_dir(path).into_iter().flatten().flatten();
                let mut all: Vec<_> = entries.map(|entry| entry.path()).collect();
                all.sort();
                all
            })
            .filter(|path| path.exists())
            .collect();
    }
    paths
}

/// Ctrl-Alt-Del is a signal to us instead of an immediate reset.
pub(crate) fn take_ctrl_alt_del() {
    // Where that is not possible there is no such key either.
    let _ = set_cad_enabled(false);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::apply_sysctls;

    #[test]
    fn settings_are_written_and_unknown_ones_named() {
        let root = tempfile::tempdir().unwrap();
        for name in ["all", "eth0"] {
            let directory = root.path().join("net/conf").join(name);
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join("accept_ra"), "1").unwrap();
        }
        let text = "# comment\nnet.conf.*.accept_ra = 0\nno.such = 1\n-nor.this = 1\nnonsense\n";
        let problems = apply_sysctls(text, root.path());
        for name in ["all", "eth0"] {
            let path = root.path().join("net/conf").join(name).join("accept_ra");
            assert_eq!(fs::read_to_string(path).unwrap(), "0");
        }
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("no.such") && problems[1].contains("nonsense"));
    }
}
