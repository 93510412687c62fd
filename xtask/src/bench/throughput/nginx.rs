//! A web server with TLS on loopback that serves one file.

use std::fs;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use ramstrap_cli::serve::LabTls;
use tempfile::TempDir;

use crate::minimal;
use crate::setup;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Memory behind a file system, so that no disk has a say.
const IN_MEMORY: &str = "/dev/shm";

/// The server; stopped, and its files removed, when this is dropped.
pub(super) struct Nginx {
    child: Child,
    url: String,
    roots: PathBuf,
    scratch: TempDir,
}

impl Nginx {
    /// Starts it with a file of this length that holds random data. Files are kept in memory if
    /// there is room, else below `fallback`.
    pub(super) fn start(length: usize, fallback: &Path) -> Result<Self> {
        let scratch = scratch(length, fallback)?;
        let dir = scratch.path();
        let tls = LabTls::open(&dir.join("tls"), &[Ipv4Addr::LOCALHOST.to_string()])?;
        // Private: the CA's key is in the directory.
        fs::write(dir.join("server.pem"), &tls.server.certificates)?;
        fs::write(dir.join("server.key"), &tls.server.key)?;
        // Free now, and most likely still when nginx takes it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let file = dir.join("nginx.conf");
        fs::write(&file, configuration(dir, port))?;
        let child = setup::command("nginx")
            .arg("-p")
            .arg(dir)
            .arg("-e")
            .arg(dir.join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let url = format!("https://{}:{port}/file.zip", Ipv4Addr::LOCALHOST);
        let mut server = Self { child, url, roots: tls.roots, scratch };
        server.wait_until_up(port)?;
        Ok(server)
    }

    /// Where the file is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The CA of the server's certificate.
    pub(super) fn roots(&self) -> &Path {
        &self.roots
    }

    fn wait_until_up(&mut self, port: u16) -> Result<()> {
        let limit = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if self.child.try_wait()?.is_some() || Instant::now() > limit {
                let log = self.scratch.path().join("error.log");
                bail!("nginx does not start: {}", fs::read_to_string(log).unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory with the file in it.
fn scratch(length: usize, fallback: &Path) -> Result<TempDir> {
    let content = minimal::noise(length);
    let fill = |parent: &Path| -> std::io::Result<TempDir> {
        fs::create_dir_all(parent)?;
        let dir = tempfile::Builder::new().prefix("ramstrap-bench-").tempdir_in(parent)?;
        fs::create_dir(dir.path().join("site"))?;
        fs::write(dir.path().join("site/file.zip"), &content)?;
        Ok(dir)
    };
    fill(Path::new(IN_MEMORY))
        .or_else(|_| fill(fallback))
        .with_context(|| format!("no room for a file of {length} bytes"))
}

/// One process in the foreground, so that it ends with its parent's word.
fn configuration(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let unused: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {dir}/{name};\n"))
        .collect();
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid {dir}/nginx.pid;\n\
         events {{}}\n\
         http {{\n    \
             access_log off;\n    \
             sendfile on;\n\
         {unused}    \
             server {{\n        \
                 listen {address}:{port} ssl;\n        \
                 ssl_protocols TLSv1.2 TLSv1.3;\n        \
                 ssl_certificate {dir}/server.pem;\n        \
                 ssl_certificate_key {dir}/server.key;\n        \
                 root {dir}/site;\n    \
             }}\n\
         }}\n",
        address = Ipv4Addr::LOCALHOST,
    )
}
