//! Downloads a file the way `/init` does (TLS by the given roots alone, into a memory file, hashed
//! while it comes) and says how long it took. Built like `/init`, for the throughput benchmark.
//!
//! `throughput URL CA.pem` prints `{"bytes", "seconds", "sha256"}`.

use std::io;
use std::io::Write;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use fetch::Client;
use fetch::ClientOptions;
use fetch::Partial;
use fetch::Patience;
use fetch::Sink;
use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use kexec_rs::MemFile;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use trust::Clock;
use trust::Timestamp;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(roots)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: throughput URL CA.pem");
    };
    let mirror = Mirror::plain(ProvisioningUrl::parse(&url)?);
    let tls_roots = CertificateDer::pem_file_iter(&roots)?
        .map(|certificate| certificate.map(|der| der.to_vec()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {roots}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let clock = Clock::exactly(Timestamp::from_unix(i64::try_from(now)?));
    let options = ClientOptions { tls_roots, ..ClientOptions::new(clock) };
    // As in /init: everything on one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let started = Instant::now();
        let client = Client::new(options)?;
        let mut partial = Partial::new(Memory(MemFile::create("archive")?));
        let download = client
            .archive(&mirror, &mirror.url, &mut partial, Patience::ALONE, |_| Ok(()), |_| ())
            .await?;
        let seconds = started.elapsed().as_secs_f64();
        let sha256 = download.sha256.to_string();
        println!("{}", json!({ "bytes": download.len, "seconds": seconds, "sha256": sha256 }));
        Ok(())
    })
}

struct Memory(MemFile);

impl Sink for Memory {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(&mut self.0, bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.clear().map_err(io::Error::other)
    }
}
