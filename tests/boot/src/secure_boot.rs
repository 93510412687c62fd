//! Keys for Secure Boot, as an operator makes them.

use anyhow::Result;
use bootmedia::authenticode::Signer;
use bootmedia::secure_boot::Variable as Key;
use ramstrap_cli::secure_boot;
use ramstrap_cli::secure_boot::KeySet;
use ramstrap_cli::secure_boot::Request;
use tempfile::TempDir;
use xtask::harness::uefi_vars::Variable;

/// 1 January 2020 and 2040, in Unix seconds.
const VALIDITY: (i64, i64) = (1_577_836_800, 2_208_988_800);

/// 1 January 2025, in Unix seconds: when the keys' updates were signed.
const SIGNED: u64 = 1_735_689_600;

/// A set of keys.
#[derive(Debug)]
pub struct SecureBoot {
    /// Signs what a machine with these keys starts.
    pub signer: Signer,
    directory: TempDir,
}

impl SecureBoot {
    /// Makes the keys.
    ///
    /// # Errors
    /// If they cannot be made or written.
    pub fn generate() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let request = Request {
            name: "boot test".to_owned(),
            bits: secure_boot::DEFAULT_BITS,
            validity: VALIDITY,
            owner: None,
            time: SIGNED,
        };
        KeySet::generate(&request)?.write(directory.path())?;
        let file = |name: &str| directory.path().join(name);
        let signer = secure_boot::read_signer(&file("db.key"), &file("db.crt"))?;
        Ok(Self { signer, directory })
    }

    /// A file of the set.
    ///
    /// # Errors
    /// If it is not there.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        Ok(std::fs::read(self.directory.path().join(name))?)
    }

    /// The variables of a machine that these keys were entered into.
    ///
    /// # Errors
    /// If a file of the set cannot be read.
    pub fn variables(&self) -> Result<Vec<Variable>> {
        let variable = |key: Key| Variable::key(key, &self.file(&format!("{}.esl", key.name()))?);
        Key::IN_ORDER.into_iter().map(variable).collect()
    }
}
