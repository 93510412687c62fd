//! What every command needs that talks to a machine: where it is, who asks, and how it is known.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use provision::Accepted;
use provision::Fingerprint;
use provision::Hello;
use provision::Identity;
use provision::client;
use provision::client::Ask;
use provision::client::ClientError;
use provision::client::Deadlines;
use provision::client::Target;
use serde_json::Value;
use serde_json::json;
use trust::Sha256Digest;

use crate::Error;
use crate::Result;
use crate::commands::keygen;
use crate::output::Output;
use crate::package::Names;
use crate::progress::Progress;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Access {
    /// Name or address of the machine, with a port if it is not 7443.
    #[arg(value_name = "HOST[:PORT]", required = true)]
    host: Option<Target>,
    /// Your own private key, whose public half is in the package that the machine booted.
    #[arg(long, value_name = "FILE", required = true, env = "RAMSTRAP_STAFF_KEY")]
    key: Option<PathBuf>,
    /// The machine's identity, read from its own console: the line `identity SHA256:…`.
    #[arg(long, value_name = "SHA256:…")]
    fingerprint: Option<Fingerprint>,
}

#[derive(Debug, clap::Args)]
#[group(id = "expected_package", multiple = false)]
pub(in crate::commands) struct Package {
    /// The OS package that the machine must run: NAME.json or NAME.zip, both beside each other.
    #[arg(long, value_name = "NAME.json")]
    package: Option<PathBuf>,
    /// The same by the SHA-256 of its archive.
    #[arg(long, value_name = "HEX")]
    package_sha256: Option<Sha256Digest>,
}

/// What a machine answered.
pub(in crate::commands) struct Asked {
    pub(in crate::commands) hello: Hello,
    pub(in crate::commands) accepted: Accepted,
}

impl Package {
    /// The digest that was given, in either way.
    pub(in crate::commands) fn digest(&self) -> Result<Option<Sha256Digest>> {
        match (&self.package, self.package_sha256) {
            (_, Some(digest)) => Ok(Some(digest)),
            (None, None) => Ok(None),
            (Some(package), None) => {
                let names = Names::new(package);
                let mut archive = names.open_archive().map_err(|error| {
                    error.remedy(
                        "keep NAME.zip beside NAME.json, or give its digest with --package-sha256",
                    )
                })?;
                Ok(Some(names.digest_archive(&mut archive)?.0))
            }
        }
    }
}

impl Access {
    pub(in crate::commands) fn target(&self) -> Result<&Target> {
        self.host.as_ref().ok_or_else(|| Error::usage("which machine?"))
    }

    /// What the operator must have read from the machine's console.
    pub(in crate::commands) fn fingerprint(&self) -> Result<Fingerprint> {
        self.fingerprint.ok_or_else(|| {
            Error::usage("--fingerprint is missing, and without it anybody could be that machine")
                .detail("the key that a machine makes for itself and the package that it claims to run prove nothing:")
                .detail("whoever answers at its address can show a key and claim a package")
                .remedy(
                    "read the line `identity SHA256:…` on the machine's own console (screen, serial port, management \
                     controller) and give it with --fingerprint. A TPM quote will be another way; it is not there yet",
                )
        })
    }

    fn identity(&self, output: &mut Output) -> Result<Identity> {
        let file = self.key.as_ref().ok_or_else(|| Error::usage("--key is missing"))?;
        let key = keygen::read_private_key(file)?;
        let mode = std::fs::metadata(file).map(|found| found.permissions().mode());
        if mode.is_ok_and(|mode| mode & 0o077 != 0) {
            output.warning(format!(
                "others can read {}: `chmod 600` it, and make a new key if they may have",
                file.display()
            ));
        }
        Ok(Identity::from_seed(&key.signing_key().to_bytes()))
    }

    /// Connects, asks and waits for the answer. Without a package, what the machine claims to run
    /// is taken for what it should run: no secret is sent then.
    pub(in crate::commands) fn ask(
        &self,
        package: Option<Sha256Digest>,
        ask: Ask<'_>,
        output: &mut Output,
    ) -> Result<Asked> {
        let target = self.target()?;
        let expected = self.fingerprint()?;
        let key = self.identity(output)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(
            |error| Error::new(format!("cannot begin to wait for the network: {error}")),
        )?;
        let asked = runtime.block_on(async {
            let session = {
                let _progress = Progress::spinner("connecting");
                client::connect(target, &key, expected, Deadlines::default()).await?
            };
            let hello = session.hello().clone();
            let package = package.unwrap_or(hello.package_sha256);
            let lines = &*output;
            let accepted = session.ask(package, ask, &mut |line| lines.note(line)).await?;
            Ok(Asked { hello, accepted })
        });
        // A name that never resolves must not keep us here.
        runtime.shutdown_background();
        asked.map_err(|error| explain(target, &error))
    }
}

impl Asked {
    /// How the machine introduced itself, for scripts.
    pub(in crate::commands) fn machine(&self) -> Value {
        json!({
            "identity": self.hello.identity,
            "package_sha256": self.hello.package_sha256,
            "release": self.hello.release,
            "label": self.hello.label,
            "service": self.hello.service,
        })
    }
}

fn explain(target: &Target, error: &ClientError) -> Error {
    let coded = Error::coded(error);
    match error {
        // These name the machine themselves.
        ClientError::Unreachable(..) | ClientError::ClosedAtOnce(_) | ClientError::NotAHost(..) => {
            coded
        }
        _ => coded.on(target),
    }
}

/// Who answered, and the details of the answer, in columns.
pub(in crate::commands) fn tell_answer(asked: &Asked, output: &Output) {
    output.field("identity", asked.hello.identity);
    output.field("package", asked.hello.package_sha256);
    if let Some(release) = asked.hello.release {
        output.field("release", release);
    }
    if let Some(label) = &asked.hello.label {
        output.field("label", label);
    }
    output.field("service", &asked.hello.service);
    for (name, value) in &asked.accepted.details {
        match value {
            Value::String(text) => output.field(name, text),
            other => output.field(name, other),
        }
    }
}
