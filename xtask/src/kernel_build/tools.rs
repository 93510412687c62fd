//! The tools of this host that a kernel is made with. They are inputs, like its source: another
//! compiler makes another kernel.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use recipe::builder::Builder;
use sha2::Digest;
use sha2::Sha256;

/// Programs whose work ends up in a kernel, or that decide what does.
const PROGRAMS: [&str; 16] = [
    "ar", "as", "awk", "bc", "bison", "flex", "gcc", "gzip", "ld", "make", "nm", "objcopy", "perl",
    "readelf", "strip", "zstd",
];

/// Those whose version is shown.
const SHOWN: [&str; 4] = ["gcc", "ld", "make", "zstd"];

/// What the tools are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tools {
    /// The first line of what the main ones say about themselves.
    pub versions: BTreeMap<String, String>,
    /// SHA-256 over the programs, the compiler proper and every library that they load.
    pub digest: String,
}

impl Tools {
    /// Those of this host; looked at once in the life of a process.
    ///
    /// # Errors
    ///
    /// A tool is missing or cannot be run.
    pub fn of_this_host() -> Result<Self> {
        static FOUND: Mutex<Option<Tools>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tools) = found.as_ref() {
            return Ok(tools.clone());
        }
        let tools = Self::look(&Place::Host)?;
        *found = Some(tools.clone());
        Ok(tools)
    }

    /// Those of a builder root. The digest is that of the files: a host that has the very same ones
    /// makes the same kernels.
    ///
    /// # Errors
    ///
    /// A tool is missing or cannot be run.
    pub fn of_root(builder: &Builder) -> Result<Self> {
        Self::look(&Place::Root(builder))
    }

    fn look(place: &Place<'_>) -> Result<Self> {
        let mut files = BTreeSet::new();
        for name in PROGRAMS {
            files.insert(place.find(name)?.with_context(|| format!("{name} is missing"))?);
        }
        // What the compiler's driver runs, and the library that objtool is linked with.
        for (question, name) in [
            ("-print-prog-name", "cc1"),
            ("-print-prog-name", "as"),
            ("-print-file-name", "libelf.so"),
        ] {
            let answer = first_line(place.command("gcc").arg(format!("{question}={name}")))?;
            files.extend(Some(PathBuf::from(answer)).filter(|path| path.is_absolute()));
        }
        let mut ldd = place.command("ldd");
        let libraries = output(ldd.args(&files))?;
        files.extend(libraries.lines().filter_map(library));
        let mut hash = Sha256::new();
        for digest in place.digests(&files)? {
            hash.update(digest);
        }
        let versions = SHOWN
            .into_iter()
            .map(|name| Ok((name.to_owned(), first_line(place.command(name).arg("--version"))?)))
            .collect::<Result<_>>()?;
        Ok(Self { versions, digest: hex::encode(hash.finalize()) })
    }
}

/// Where tools are looked at.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    Host,
    Root(&'a Builder),
}

impl Place<'_> {
    fn command(&self, program: &str) -> Command {
        match self {
            Self::Host => Command::new(program),
            Self::Root(builder) => builder.command(&[], "/", program),
        }
    }

    fn find(&self, name: &str) -> Result<Option<PathBuf>> {
        if matches!(self, Self::Host) {
            return Ok(in_path(name));
        }
        let mut shell = self.command("sh");
        let answer = first_line(shell.args(["-c", "command -v \"$0\"", name]))?;
        Ok(Some(PathBuf::from(answer)).filter(|path| path.is_absolute()))
    }

    /// SHA-256 of each, in their order.
    fn digests(&self, files: &BTreeSet<PathBuf>) -> Result<Vec<Vec<u8>>> {
        if matches!(self, Self::Host) {
            let digest = |file: &PathBuf| {
                let content =
                    fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(Sha256::digest(content).to_vec())
            };
            return files.iter().map(digest).collect();
        }
        // Links in the root lead to other places when they are followed from outside.
        let output = output(self.command("sha256sum").args(files))?;
        let digests: Vec<Vec<u8>> =
            output.lines().filter_map(|line| hex::decode(line.get(..64)?).ok()).collect();
        if digests.len() != files.len() {
            bail!("the builder root lacks some of the {} files of its tools", files.len());
        }
        Ok(digests)
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Lines are `libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)`, or the dynamic linker's path alone.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.split_once("=>").map_or(line, |(_, path)| path);
    let path = Path::new(line.split_whitespace().next()?);
    // A line `/usr/bin/as:` stands above the libraries of each program.
    let named = path.is_absolute() && !line.trim_end().ends_with(':');
    named.then(|| path.to_path_buf())
}

fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.env("LC_ALL", "C").output().with_context(|| format!("cannot run {name}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    Ok(output.lines().next().unwrap_or_default().trim().trim_matches('*').trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::library;

    #[test]
    fn libraries_are_taken_from_ldd() {
        let of = |line: &str| library(line);
        assert_eq!(
            of("\tlibz.so.1 => /lib/libz.so.1 (0x00007f)"),
            Some(PathBuf::from("/lib/libz.so.1"))
        );
        assert_eq!(
            of("\t/lib64/ld-linux-x86-64.so.2 (0x0)"),
            Some("/lib64/ld-linux-x86-64.so.2".into())
        );
        assert_eq!(of("/usr/bin/as:"), None);
        assert_eq!(of("\tlinux-vdso.so.1 (0x00007ffd)"), None);
        assert_eq!(of("\tnot a dynamic executable"), None);
    }
}
