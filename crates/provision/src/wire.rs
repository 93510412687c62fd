//! Messages on a stream: four bytes of length, most significant first, then that many bytes.

use core::time::Duration;
use std::io;

use rustls::AlertDescription;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Longest message in bytes.
pub const MAX_LEN: usize = 1 << 20;

/// Why there is no message.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The other side closed the connection where a message could have begun.
    #[error("the connection was closed")]
    Closed,
    /// The connection ended inside a message.
    #[error("the connection ended inside a message")]
    Cut,
    /// The length is above [`MAX_LEN`].
    #[error("a message of {0} bytes, more than 1 MiB")]
    TooLong(usize),
    /// The message did not come or go in time.
    #[error("no message within {} s", .0.as_secs())]
    Deadline(Duration),
    /// The other side's TLS refused the key of this one.
    #[error("access denied")]
    Denied,
    /// The stream failed.
    #[error("{0}")]
    Failed(String),
}

impl WireError {
    /// As an I/O error, with TLS's own words in place of the system's.
    fn failed(error: &io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match error.kind() {
            _ if tls == Some(&rustls::Error::AlertReceived(AlertDescription::AccessDenied)) => {
                Self::Denied
            }
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Reads one message. The deadline is for all of it, so that a byte now and then does not hold it
/// up; its memory is wiped when it is dropped.
///
/// # Errors
/// [`WireError`].
pub async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    deadline: Duration,
) -> Result<Zeroizing<Vec<u8>>, WireError> {
    timeout(deadline, read_all(stream)).await.map_err(|_| WireError::Deadline(deadline))?
}

async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let mut length = [0; 4];
    let mut filled = 0;
    while let Some(rest) = length.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest).await.map_err(|error| WireError::failed(&error))? {
            0 if filled == 0 => return Err(WireError::Closed),
            0 => return Err(WireError::Cut),
            read => filled += read,
        }
    }
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_LEN {
        return Err(WireError::TooLong(length));
    }
    // At its full length at once: a buffer that grows leaves copies behind.
    let mut message = Zeroizing::new(vec![0; length]);
    stream.read_exact(&mut message).await.map_err(|error| WireError::failed(&error))?;
    Ok(message)
}

/// Writes one message.
///
/// # Errors
/// [`WireError`].
pub async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &[u8],
    deadline: Duration,
) -> Result<(), WireError> {
    let length = u32::try_from(message.len()).ok().filter(|_| message.len() <= MAX_LEN);
    let length = length.ok_or(WireError::TooLong(message.len()))?;
    let all = async {
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(message).await?;
        stream.flush().await
    };
    timeout(deadline, all)
        .await
        .map_err(|_| WireError::Deadline(deadline))?
        .map_err(|error| WireError::failed(&error))
}
