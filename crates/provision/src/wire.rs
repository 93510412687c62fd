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

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::prelude::any;
    use proptest::proptest;
    use tokio::io::AsyncWriteExt;

    use super::MAX_LEN;
    use super::WireError;
    use super::read;
    use super::write;

    const SOON: Duration = Duration::from_millis(50);

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(future)
    }

    /// What is heard when these bytes come and then nothing.
    fn heard(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
        run(async {
            let mut bytes = bytes;
            read(&mut bytes, SOON).await.map(|message| message.to_vec())
        })
    }

    #[test]
    fn ends_are_told_apart() {
        assert_eq!(heard(b""), Err(WireError::Closed));
        assert_eq!(heard(b"\0\0"), Err(WireError::Cut));
        assert_eq!(heard(b"\0\0\0\x02a"), Err(WireError::Cut));
        assert_eq!(heard(b"\0\0\0\x02abc"), Ok(b"ab".to_vec()));
        assert_eq!(heard(&[0, 0x10, 0, 1]), Err(WireError::TooLong(MAX_LEN + 1)));
        run(async {
            let (mut near, mut far) = tokio::io::duplex(64);
            far.write_all(b"\0\0\0").await.unwrap();
            assert_eq!(read(&mut near, SOON).await, Err(WireError::Deadline(SOON)));
            let long = vec![0; MAX_LEN + 1];
            let error = write(&mut near, &long, SOON).await.unwrap_err();
            assert_eq!(error, WireError::TooLong(MAX_LEN + 1));
        });
    }

    proptest! {
        #[test]
        fn messages_come_as_they_went(message in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut bytes = Vec::new();
            run(write(&mut bytes, &message, SOON)).unwrap();
            proptest::prop_assert_eq!(heard(&bytes), Ok(message));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = heard(&bytes);
        }
    }
}
