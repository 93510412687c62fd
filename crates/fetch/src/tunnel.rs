//! What a proxy says to `CONNECT`.
//!
//! The HTTP library makes the tunnels, and keeps to itself which status one was refused with. Some
//! proxies answer 401 instead of 407 to credentials that are wrong, which no pause will heal. So where
//! a tunnel was refused, the proxy is asked once more, to see why.

use core::net::IpAddr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hostcfg::Proxy;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::credentials;
use crate::dns::StubResolver;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest first line of an answer that is read.
const MAX_LINE: usize = 256;

/// Asks a proxy for tunnels.
pub(crate) struct Tunnels {
    pub(crate) interface: Option<String>,
    pub(crate) resolver: StubResolver,
    pub(crate) tls: ClientConfig,
}

impl Tunnels {
    /// The status that the proxy answers with when it is asked for a tunnel to the server of `target`;
    /// `None` if that cannot be found out.
    pub(crate) async fn status(&self, proxy: &Proxy, target: &Url) -> Option<u16> {
        let head = request(proxy, target)?;
        let line = timeout(PATIENCE, self.ask(proxy, &head)).await.ok()?.ok()?;
        status(&line)
    }

    async fn ask(&self, proxy: &Proxy, head: &[u8]) -> io::Result<Vec<u8>> {
        let addresses = self.resolver.lookup(&proxy.host).await.map_err(io::Error::other)?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            match self.connect(SocketAddr::new(address, proxy.port)).await {
                Ok(stream) if proxy.tls => {
                    let name =
                        ServerName::try_from(proxy.host.clone()).map_err(io::Error::other)?;
                    let connector = TlsConnector::from(Arc::new(self.tls.clone()));
                    return first_line(connector.connect(name, stream).await?, head).await;
                }
                Ok(stream) => return first_line(stream, head).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = match to.ip() {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        socket.connect(to).await
    }
}

/// The request, with the proxy's credentials.
fn request(proxy: &Proxy, target: &Url) -> Option<Vec<u8>> {
    let server = format!("{}:{}", target.host_str()?, target.port_or_known_default()?);
    let mut head = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").into_bytes();
    if let Some(credentials) = &proxy.credentials {
        head.extend_from_slice(b"Proxy-Authorization: ");
        head.extend_from_slice(credentials::basic(credentials).ok()?.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    Some(head)
}

async fn first_line<S>(mut stream: S, head: &[u8]) -> io::Result<Vec<u8>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(head).await?;
    stream.flush().await?;
    let mut line = Vec::new();
    let mut piece = [0; MAX_LINE];
    while line.len() < MAX_LINE && !line.contains(&b'\n') {
        let length = stream.read(&mut piece).await?;
        match piece.get(..length) {
            Some(bytes) if length > 0 => line.extend_from_slice(bytes),
            _ => break,
        }
    }
    Ok(line)
}

/// That of `HTTP/1.1 401 Unauthorized`.
pub(crate) fn status(line: &[u8]) -> Option<u16> {
    let text = line.strip_prefix(b"HTTP/1.")?;
    let digits = core::str::from_utf8(text.get(2..5)?).ok()?;
    let ends = text.get(5).is_none_or(|byte| byte.is_ascii_whitespace());
    let blank = text.get(1) == Some(&b' ');
    digits.parse().ok().filter(|status| ends && blank && (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::status;

    #[test]
    fn the_status_is_read() {
        assert_eq!(status(b"HTTP/1.1 401 Unauthorized\r\n"), Some(401));
        assert_eq!(status(b"HTTP/1.0 407\r\n"), Some(407));
        for line in
            ["", "HTTP/1.1", "HTTP/1.1 4010 x", "HTTP/1.1 +40 x", "HTTP/2 401", "HTTP/1.14401 "]
        {
            assert_eq!(status(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let line = [b"HTTP/1.", &bytes[..]].concat();
            prop_assert!(status(&line).is_none_or(|status| (100..600).contains(&status)));
        }
    }
}
