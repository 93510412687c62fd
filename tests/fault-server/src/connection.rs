//! One connection: HTTP/1.1 by hand, because a library would not let us do it wrong.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::config::Fault;
use crate::config::File;
use crate::config::Ranges;
use crate::request::Request;
use crate::server::Shared;

const MAX_HEAD_LEN: usize = 64 << 10;
const PIECE_LEN: usize = 64 << 10;
/// So long that a test never sees the end of it.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Whether the connection can take another request.
enum Next {
    Request,
    Close,
}

/// Answers requests until the peer or a fault ends it.
pub(crate) async fn serve<S>(mut stream: S, shared: &Arc<Shared>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = Vec::new();
    while let Some(head) = read_head(&mut stream, &mut buffer).await? {
        let Some(request) = Request::parse(&head) else { return Ok(()) };
        let next = match shared.log(request.clone()) {
            Some((file, index)) => answer(&mut stream, &request, &file, index).await?,
            None => status(&mut stream, 404, &[]).await?,
        };
        stream.flush().await?;
        if matches!(next, Next::Close) {
            break;
        }
    }
    stream.shutdown().await
}

/// The next request's head with its blank line; `None` at the end of the connection.
pub(crate) async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    const END: &[u8] = b"\r\n\r\n";
    loop {
        if let Some(at) = buffer.windows(END.len()).position(|window| window == END) {
            return Ok(Some(buffer.drain(..at + END.len()).collect()));
        }
        if buffer.len() > MAX_HEAD_LEN || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

async fn answer<S: AsyncWrite + Unpin>(
    stream: &mut S,
    request: &Request,
    file: &File,
    index: usize,
) -> io::Result<Next> {
    if let Some((user, password)) = &file.credentials {
        let expected = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
        if request.authorization() != Some(&expected) {
            return status(stream, 401, &[]).await;
        }
    }
    let fault = file.fault(index);
    match fault {
        Some(Fault::Status(code)) => return status(stream, *code, &[]).await,
        Some(Fault::StatusWith(code, headers)) => return status(stream, *code, headers).await,
        Some(Fault::Raw(bytes)) => {
            stream.write_all(bytes).await?;
            return Ok(Next::Close);
        }
        Some(Fault::Hangup) => return Ok(Next::Close),
        Some(Fault::Silence) => {
            sleep(FOR_EVER).await;
            return Ok(Next::Close);
        }
        _ => {}
    }
    body(stream, request, file, fault).await
}

async fn status<S: AsyncWrite + Unpin>(
    stream: &mut S,
    code: u16,
    headers: &[(String, String)],
) -> io::Result<Next> {
    let mut head = format!("HTTP/1.1 {code} Scripted\r\nContent-Length: 0\r\n");
    push_headers(&mut head, headers);
    stream.write_all(head.as_bytes()).await?;
    Ok(Next::Request)
}

fn push_headers(head: &mut String, headers: &[(String, String)]) {
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
}

/// Sends the file, or the part that was asked for, as far as the fault lets it.
async fn body<S: AsyncWrite + Unpin>(
    stream: &mut S,
    request: &Request,
    file: &File,
    fault: Option<&Fault>,
) -> io::Result<Next> {
    let total = len(&file.content);
    let same_version = match request.header("if-range") {
        Some(validator) => file.headers.iter().any(|(_, value)| value == validator),
        None => true,
    };
    let wanted = request.range_start().filter(|_| same_version && file.ranges != Ranges::Ignore);
    let (start, total_shown) = match (wanted, file.ranges) {
        (Some(_), Ranges::Refuse) => return unsatisfiable(stream, total).await,
        (Some(start), _) if start >= total => return unsatisfiable(stream, total).await,
        (Some(_), Ranges::WrongStart) => (0, total),
        (Some(start), Ranges::WrongTotal) => (start, total + 1),
        (start, _) => (start.unwrap_or(0), total),
    };

    let endless = matches!(fault, Some(Fault::Endless));
    let chunked = file.chunked || endless;
    let announced = match fault {
        Some(Fault::Announce(len)) => *len,
        _ => total - start,
    };
    let mut head = match wanted {
        Some(_) => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{total_shown}\r\n",
            total - 1
        ),
        None => "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\n".to_owned(),
    };
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else {
        head.push_str(&format!("Content-Length: {announced}\r\n"));
    }
    push_headers(&mut head, &file.headers);
    stream.write_all(head.as_bytes()).await?;
    if request.method == "HEAD" {
        return Ok(Next::Request);
    }
    if endless {
        loop {
            write_piece(stream, &[0; PIECE_LEN], true).await?;
        }
    }

    let mut content = file.content.get(index(start)..).unwrap_or_default().to_vec();
    if let Some(Fault::FlipBit { offset, bit }) = fault
        && let Some(byte) =
            offset.checked_sub(start).and_then(|offset| content.get_mut(index(offset)))
    {
        *byte ^= 1 << (bit % 8);
    }
    let well = match fault {
        Some(
            Fault::CloseAfter(bytes) | Fault::StallAfter(bytes) | Fault::Drip { after: bytes, .. },
        ) => index(*bytes).min(content.len()),
        Some(Fault::Slowly { .. }) => 0,
        _ => content.len(),
    };
    let (well, rest) = content.split_at(well);
    for piece in well.chunks(PIECE_LEN) {
        write_piece(stream, piece, chunked).await?;
    }
    match fault {
        Some(Fault::CloseAfter(_)) => return Ok(Next::Close),
        Some(Fault::StallAfter(_)) => {
            stream.flush().await?;
            sleep(FOR_EVER).await;
        }
        Some(Fault::Drip { every, .. }) => slowly(stream, rest, 1, *every, chunked).await?,
        Some(Fault::Slowly { bytes, every }) => {
            slowly(stream, rest, *bytes, *every, chunked).await?;
        }
        _ => {}
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    // After a wrong length nobody knows where the next response would begin.
    let sound = !matches!(fault, Some(Fault::Announce(_)));
    Ok(if sound { Next::Request } else { Next::Close })
}

async fn unsatisfiable<S: AsyncWrite + Unpin>(stream: &mut S, total: u64) -> io::Result<Next> {
    status(stream, 416, &[("Content-Range".to_owned(), format!("bytes */{total}"))]).await
}

/// Writes so many bytes at a time, and waits before each.
async fn slowly<S: AsyncWrite + Unpin>(
    stream: &mut S,
    content: &[u8],
    bytes: usize,
    every: Duration,
    chunked: bool,
) -> io::Result<()> {
    for piece in content.chunks(bytes.max(1)) {
        stream.flush().await?;
        sleep(every).await;
        write_piece(stream, piece, chunked).await?;
    }
    Ok(())
}

async fn write_piece<S: AsyncWrite + Unpin>(
    stream: &mut S,
    piece: &[u8],
    chunked: bool,
) -> io::Result<()> {
    if chunked {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
    }
    stream.write_all(piece).await?;
    if chunked {
        stream.write_all(b"\r\n").await?;
    }
    Ok(())
}

fn len(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// Positions past what memory can hold are past the end of any file here.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}
