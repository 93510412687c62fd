//! `ramstrap serve`: a provisioning server for labs.

use core::net::IpAddr;
use core::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use tokio::runtime::Runtime;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::Error;
use crate::Result;
use crate::files;
use crate::output::Output;
use crate::serve;
use crate::serve::Config;
use crate::serve::LabTls;
use crate::serve::Served;
use crate::serve::TlsFiles;
use crate::unfinished;

/// Where a guest of QEMU's user network finds this computer's loopback.
const QEMU_HOST: &str = "10.0.2.2";

/// Serve OS packages from a directory, for labs and tests.
///
/// Answers GET and HEAD with byte ranges, so that broken downloads resume. In production use any
/// static file server.
///
/// What lies there by mistake is refused (403), with a line that says so: private keys in PEM, age
/// identities, and files that others than their owner and group may not read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Directory with NAME.json and NAME.zip files.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    #[command(flatten)]
    transport: Transport,
    /// Directory that keeps the lab's CA (with --self-signed). Without it: DIR-tls beside DIR.
    #[arg(long, value_name = "DIR", requires = "self_signed")]
    lab_dir: Option<PathBuf>,
    /// One more host name or address for the certificate (with --self-signed).
    #[arg(long = "name", value_name = "NAME", requires = "self_signed")]
    names: Vec<String>,
    /// Private key of --tls-cert in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Transport {
    /// HTTPS with this certificate chain in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// HTTPS with a certificate by a CA of the lab's own; prints where its tls_roots.pem is.
    #[arg(long)]
    self_signed: bool,
    /// HTTP. Packages stay protected by their signatures; passwords in URLs do not.
    #[arg(long)]
    plain_http: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap serve packages/ --self-signed
  ramstrap serve packages/ --plain-http --listen 0.0.0.0:8080
  ramstrap serve packages/ --tls-cert fullchain.pem --tls-key key.pem \\
      --listen '[::]:443'";

pub(super) fn run(args: Args, output: &Output) -> Result<()> {
    let (tls, roots) = transport(&args)?;
    // Before anybody is told that it listens, so that a request to end is never missed.
    unfinished::leave_the_end_to_others();
    let end = End::new()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let json = output.is_json();
    let server = serve::start(Config {
        directory: args.directory.clone(),
        listen: args.listen,
        tls,
        on_answer: Arc::new(move |served: &Served| Output::new(json).answer(served)),
    })?;
    let url = format!("{scheme}://{}/", server.address());
    output.line(format!("serving {} at {url}", args.directory.display()));
    if let Some(roots) = &roots {
        output.line(format!("TLS root for a trust policy: {}", roots.display()));
    }
    output.event(&json!({ "event": "listening", "url": url, "tls_roots": roots }));
    end.wait();
    server.stop();
    output.line("stopped");
    output.event(&json!({ "event": "stopped" }));
    Ok(())
}

fn transport(args: &Args) -> Result<(Option<TlsFiles>, Option<PathBuf>)> {
    if let (Some(certificates), Some(key)) = (&args.transport.tls_cert, &args.tls_key) {
        let files = TlsFiles { certificates: files::read(certificates)?, key: files::read(key)? };
        return Ok((Some(files), None));
    }
    if !args.transport.self_signed {
        return Ok((None, None));
    }
    let directory = match &args.lab_dir {
        Some(directory) => directory.clone(),
        None => beside(&args.directory)?,
    };
    let lab = LabTls::open(&directory, &names(args))?;
    Ok((Some(lab.server), Some(lab.roots)))
}

/// `packages-tls` for `packages`: never inside, where it would be served.
fn beside(directory: &Path) -> Result<PathBuf> {
    let full = directory.canonicalize().map_err(|error| Error::io("serve", directory, &error))?;
    let name = full.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.ok_or_else(|| {
        Error::usage(format!("{} has no directory beside it", directory.display()))
            .remedy("say with --lab-dir where the lab's CA is kept")
    })?;
    Ok(full.with_file_name(format!("{name}-tls")))
}

fn names(args: &Args) -> Vec<String> {
    let mut names: Vec<String> =
        ["localhost", "127.0.0.1", "::1", QEMU_HOST].map(str::to_owned).to_vec();
    let listen: IpAddr = args.listen.ip();
    if !listen.is_unspecified() {
        names.push(listen.to_string());
    }
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        names.push(host.trim().to_owned());
    }
    names.extend(args.names.iter().cloned());
    names.sort();
    names.dedup();
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names
}

/// Ctrl-C, or a request to end.
struct End {
    runtime: Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl End {
    fn new() -> Result<Self> {
        let failed =
            |error: std::io::Error| Error::new(format!("cannot wait for signals: {error}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let inside = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(failed)?;
        drop(inside);
        Ok(Self { runtime, interrupt, terminate })
    }

    fn wait(self) {
        let Self { runtime, mut interrupt, mut terminate } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
    }
}

impl Output {
    fn answer(&self, served: &Served) {
        self.line(served);
        if self.is_json() {
            let mut event = serde_json::to_value(served).unwrap_or_default();
            event["event"] = "answer".into();
            self.event(&event);
        }
    }
}
