//! Drivers that cannot be loaded, and those that there are.

use std::path::Path;

use cryptoki::error::Error as ModuleError;

use crate::protocol::Failure;

/// Where the packages of distributions put drivers.
const PLACES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/x86_64-linux-gnu/softhsm",
    "/usr/lib64",
    "/usr/lib64/pkcs11",
    "/usr/lib",
    "/usr/lib/pkcs11",
    "/usr/lib/softhsm",
    "/usr/local/lib",
];

/// Names that drivers have which are often used.
const NAMES: &[&str] = &[
    "opensc-pkcs11.so",
    "p11-kit-proxy.so",
    "libykcs11.so",
    "libsofthsm2.so",
    "libtpm2_pkcs11.so",
];

/// The error about a driver, with those that are installed where they usually are.
pub(super) fn not_loaded(module: &Path, error: &ModuleError) -> Failure {
    let reason = match error {
        ModuleError::LibraryLoading(error) => error.to_string(),
        other => other.to_string(),
    };
    let failure = Failure::new(
        format!("cannot load the PKCS#11 module {}: {reason}", module.display()),
        "give the driver of the token, a shared library of its vendor, with --pkcs11-module or \
         `?module-path=`; OpenSC's is opensc-pkcs11.so",
    );
    let details = installed().into_iter().map(|it| format!("this machine has {it}")).collect();
    Failure { details, ..failure }
}

/// Drivers that are there, each file once.
fn installed() -> Vec<String> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for path in PLACES.iter().flat_map(|place| NAMES.iter().map(|it| Path::new(place).join(it))) {
        let Ok(file) = path.canonicalize() else { continue };
        if file.is_file() && !seen.contains(&file) {
            seen.push(file);
            found.push(path.display().to_string());
        }
    }
    found
}
