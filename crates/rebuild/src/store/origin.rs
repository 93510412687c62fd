//! Where kept inputs come from: a directory, or a web server.

use core::fmt;
use core::time::Duration;
use std::io::Write;
use std::path::Path;

use futures_util::StreamExt;
use reqwest::Client;
use sha2::Digest;
use sha2::Sha256;
use tempfile::NamedTempFile;
use url::Url;

use super::DIRECTORY;
use super::PUBLIC;
use super::Store;
use super::no_digest;
use crate::Error;
use crate::Result;
use crate::files;
use crate::is_sha256;

const CONNECT: Duration = Duration::from_secs(30);
/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(60);

/// A store to read from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A directory of this machine.
    Directory(Store),
    /// A directory of a web server, `http` or `https`: digests are checked either way.
    Server(Url),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(store) => write!(f, "{}", store.root.display()),
            Self::Server(url) => {
                // The name and password in it are for the server alone.
                let mut url = url.clone();
                let _ = url.set_username("");
                let _ = url.set_password(None);
                write!(f, "{url}")
            }
        }
    }
}

impl Origin {
    /// From what a user writes: a directory, or an http(s) URL of one.
    ///
    /// # Errors
    /// If it is neither.
    pub fn parse(text: &str) -> Result<Self> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Store::open(Path::new(text)).map(Self::Directory);
        }
        let mut url = Url::parse(text).map_err(|error| Error::new(format!("{text}: {error}")))?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self::Server(url))
    }

    /// Copies the file with this digest to `into`, which appears whole and checked or not at all.
    ///
    /// # Errors
    /// If there is no such file, it has more than `limit` bytes, or is damaged.
    pub fn fetch(&self, sha256: &str, limit: u64, into: &Path) -> Result<()> {
        if !is_sha256(sha256) {
            return Err(no_digest(sha256));
        }
        let directory = match into.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let missing = || {
            Error::new(format!("{self} has no sha256/{sha256}")).remedy(
                "ask who published the release for its kept inputs, or give another --inputs",
            )
        };
        match self {
            Self::Directory(store) => {
                let path = store.get(sha256)?.ok_or_else(missing)?;
                let bytes = files::read(&path, limit)?;
                // Between check and copy somebody may have changed it.
                if crate::sha256(&bytes) != sha256 {
                    return Err(Error::new(format!("{} changes meanwhile", path.display())));
                }
                files::write(into, &bytes, PUBLIC)
            }
            Self::Server(base) => {
                let url = base.join(&format!("{DIRECTORY}/{sha256}"));
                let url = url.map_err(|error| Error::new(format!("{self}: {error}")))?;
                let mut file = files::temporary_in(directory)?;
                let found = download(&url, limit, &mut file)
                    .map_err(|error| error.on(self))?
                    .ok_or_else(missing)?;
                if found != sha256 {
                    return Err(Error::new(format!(
                        "{self}: sha256/{sha256} is damaged: its SHA-256 is {found}"
                    ))
                    .remedy("give another --inputs, and tell who runs that server"));
                }
                files::publish(file, into, PUBLIC)
            }
        }
    }
}

/// Downloads into a file and gives its SHA-256; none if the server has no such file.
///
/// # Errors
/// If the server cannot be reached or answers with an error, sends more than `limit` bytes, or the
/// file cannot be written.
pub fn download(url: &Url, limit: u64, file: &mut NamedTempFile) -> Result<Option<String>> {
    let failed = |error: &dyn fmt::Display| Error::new(format!("download: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| failed(&error))?.block_on(async {
        // A provider may be installed already; which of two is the same one does not matter.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).build();
        let client = client.map_err(|error| failed(&reason(error)))?;
        let response = client.get(url.clone()).send().await;
        let response = response.map_err(|error| failed(&reason(error)))?;
        if matches!(response.status().as_u16(), 404 | 410) {
            return Ok(None);
        }
        let response = response.error_for_status().map_err(|error| failed(&reason(error)))?;
        let mut hash = Sha256::new();
        let mut left = limit;
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| failed(&reason(error)))?;
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| Error::new(format!("the server sends more than {limit} bytes")))?;
            hash.update(&chunk);
            file.write_all(&chunk).map_err(|error| Error::io("write", file.path(), &error))?;
        }
        Ok(Some(hex::encode(hash.finalize())))
    })
}

/// What failed, down to the cause, without the URL: it may hold a password.
fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = core::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
