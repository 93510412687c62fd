//! Staff's shell, where it is configured.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ed25519_dalek::SigningKey;
use provision::config::Ssh;
use ring::digest;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use zeroize::Zeroizing;

use super::DIRECTORY;
use crate::app::App;
use crate::machine;
use crate::process::Program;
use crate::process::Rights;
use crate::secret_files;

const DROPBEAR: &str = "/usr/sbin/dropbear";

/// Home of root, of its own and empty at each boot.
pub(crate) const HOME: &str = "/root";

const KEY_TYPE: &[u8] = b"ssh-ed25519";

/// Seconds without a sign of life after which a session ends.
const IDLE: &str = "3600";

/// Starts it with a key made now; gives the key's fingerprint.
pub(super) fn start(app: &App, ssh: &Ssh) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("ssh: {error}");
    machine::private_tmpfs(HOME, 0, "8m")?;
    let directory = Path::new(HOME).join(".ssh");
    secret_files::directory(&directory, 0).map_err(failed)?;
    let mut keys = ssh.authorized_keys.join("\n");
    keys.push('\n');
    secret_files::write(&directory.join("authorized_keys"), keys.as_bytes(), 0).map_err(failed)?;

    let directory = Path::new(DIRECTORY).join("ssh");
    secret_files::directory(&directory, 0).map_err(failed)?;
    let key = HostKey::generate()?;
    let path = directory.join("host_key");
    secret_files::write(&path, &key.file(), 0).map_err(failed)?;

    let (path, port) = (path.to_string_lossy().into_owned(), ssh.port.to_string());
    // In the foreground; keys only; no forwarding of ports through the server; at most three tries.
    let arguments = [
        "-F", "-s", "-g", "-j", "-k", "-m", "-T", "3", "-I", IDLE, "-P", "", "-r", &path, "-p",
        &port,
    ];
    app.supervisor.keep(Program::new(DROPBEAR, &arguments, Rights::All));
    Ok(key.fingerprint())
}

/// The key by which the machine is known to SSH clients.
struct HostKey(SigningKey);

impl HostKey {
    fn generate() -> Result<Self, String> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(seed.as_mut_slice())
            .map_err(|_| "the kernel gives no random numbers".to_owned())?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// As dropbear reads it: the type, then secret and public part as one string.
    fn file(&self) -> Zeroizing<Vec<u8>> {
        let mut file = Zeroizing::new(Vec::with_capacity(128));
        string(&mut file, KEY_TYPE);
        let pair = Zeroizing::new(self.0.to_keypair_bytes());
        string(&mut file, pair.as_slice());
        file
    }

    /// As `ssh` shows it.
    fn fingerprint(&self) -> String {
        let mut blob = Vec::new();
        string(&mut blob, KEY_TYPE);
        string(&mut blob, self.0.verifying_key().as_bytes());
        let digest = digest::digest(&digest::SHA256, &blob);
        format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(digest))
    }
}

/// A string of the SSH protocol: its length, then itself.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::HostKey;

    #[test]
    fn dropbear_reads_the_key() {
        let key = HostKey::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, key.file().as_slice()).unwrap();
        let output = match Command::new("dropbearkey").arg("-y").arg("-f").arg(&path).output() {
            Ok(output) => output,
            Err(error) => {
                println!("skipped: dropbearkey: {error}");
                return;
            }
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&key.fingerprint()), "{said} is not {}", key.fingerprint());
    }
}
