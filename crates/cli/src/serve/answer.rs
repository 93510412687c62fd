//! One request, one answer.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::Context;
use core::task::Poll;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Bytes;
use hyper::body::Frame;
use hyper::body::SizeHint;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use tokio::fs::File;
use tokio::io::AsyncRead;
use tokio::io::AsyncSeekExt;
use tokio::io::ReadBuf;

use super::OnAnswer;
use super::Served;
use super::secrets;

const CHUNK: usize = 256 << 10;

/// Answers one request.
pub(super) async fn answer<B>(
    root: &Path,
    peer: SocketAddr,
    request: &Request<B>,
    on_answer: &OnAnswer,
) -> Result<Response<FileBody>, core::convert::Infallible> {
    let mut log = Served {
        peer,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        status: 0,
        bytes: 0,
        range: None,
        cut: false,
        kept: None,
    };
    let found = match find(root, request.method(), request.uri().path()).await {
        Ok(found) => found,
        Err(refused) => {
            let Refused { status, kept } = refused;
            log.kept = kept;
            let allow = (header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            let headers = (status == StatusCode::METHOD_NOT_ALLOWED).then_some(allow);
            log.status = status.as_u16();
            let body = FileBody::empty(log, on_answer);
            return Ok(response(status, headers.into_iter().collect(), body));
        }
    };
    let (status, headers, start, length) = found.plan(request.headers());
    log.status = status.as_u16();
    log.range = headers
        .iter()
        .find(|(name, _)| *name == header::CONTENT_RANGE)
        .and_then(|(_, value)| Some(value.to_str().ok()?.to_owned()));
    let mut body = FileBody::empty(log, on_answer);
    if request.method() == Method::GET && length > 0 {
        let mut file = found.file;
        if file.seek(SeekFrom::Start(start)).await.is_ok() {
            body.file = Some(file);
            body.left = length;
        }
    }
    Ok(response(status, headers, body))
}

fn response(
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: FileBody,
) -> Response<FileBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// An answer without a file.
struct Refused {
    status: StatusCode,
    /// As [`Served::kept`].
    kept: Option<&'static str>,
}

impl From<StatusCode> for Refused {
    fn from(status: StatusCode) -> Self {
        Self { status, kept: None }
    }
}

struct Found {
    file: File,
    length: u64,
    etag: String,
    modified: Option<String>,
}

async fn find(root: &Path, method: &Method, path: &str) -> Result<Found, Refused> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(StatusCode::METHOD_NOT_ALLOWED.into());
    }
    let path = inside(root, path).ok_or(StatusCode::NOT_FOUND)?;
    // The real place, so that a symbolic link does not lead out of the directory.
    let real = tokio::fs::canonicalize(&path).await.map_err(|_| StatusCode::NOT_FOUND)?;
    if !real.starts_with(root) {
        return Err(StatusCode::NOT_FOUND.into());
    }
    let mut file = File::open(&real).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        _ => StatusCode::NOT_FOUND,
    })?;
    let data = file.metadata().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    if !data.is_file() {
        return Err(StatusCode::NOT_FOUND.into());
    }
    let kept = secrets::reason(&mut file, &data).await;
    if let Some(reason) = kept.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)? {
        return Err(Refused { status: StatusCode::FORBIDDEN, kept: Some(reason) });
    }
    let modified = data.modified().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    let nanos = modified.map_or(0, |it| it.as_nanos());
    Ok(Found {
        file,
        length: data.len(),
        etag: format!("\"{:x}-{nanos:x}\"", data.len()),
        modified: modified.and_then(|it| http_date(it.as_secs())),
    })
}

/// The file that a URL path means: plain names only, none that begins with a dot.
fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let path = percent_decode_str(path.strip_prefix('/')?).decode_utf8().ok()?;
    let mut file = root.to_owned();
    for part in path.split('/') {
        if part.is_empty() || part.starts_with('.') || part.contains('\0') {
            return None;
        }
        file.push(part);
    }
    Some(file)
}

impl Found {
    /// Status, headers, first byte and number of bytes.
    fn plan(&self, asked: &HeaderMap) -> (StatusCode, Vec<(HeaderName, HeaderValue)>, u64, u64) {
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
        let mut headers = vec![
            (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        let mut add = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.push((name, value));
            }
        };
        add(header::ETAG, &self.etag);
        if let Some(modified) = &self.modified {
            add(header::LAST_MODIFIED, modified);
        }
        let same =
            |list: &str| list.split(',').any(|it| it.trim() == self.etag || it.trim() == "*");
        if text(header::IF_NONE_MATCH).is_some_and(same) {
            return (StatusCode::NOT_MODIFIED, headers, 0, 0);
        }
        // A part of what is no longer the same file would be worse than the whole file.
        let unchanged = text(header::IF_RANGE)
            .is_none_or(|it| it == self.etag || Some(it) == self.modified.as_deref());
        let range = text(header::RANGE).filter(|_| unchanged).and_then(|it| range(it, self.length));
        let (status, start, length) = match range {
            None => (StatusCode::OK, 0, self.length),
            Some(Some((first, last))) => {
                add(header::CONTENT_RANGE, &format!("bytes {first}-{last}/{}", self.length));
                (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
            }
            Some(None) => {
                add(header::CONTENT_RANGE, &format!("bytes */{}", self.length));
                (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
            }
        };
        add(header::CONTENT_LENGTH, &length.to_string());
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            add(header::CONTENT_TYPE, "application/octet-stream");
        }
        (status, headers, start, length)
    }
}

/// One range of bytes, first and last; `Some(None)` if it cannot be satisfied; `None` to ignore
/// the header (several ranges, other units), as RFC 9110 allows.
fn range(text: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let spec = text.trim().strip_prefix("bytes=")?;
    let (first, last) = spec.split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => {
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    let end = length.checked_sub(1);
    match (number(first)?, number(last)?) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        (Some(first), last) => {
            let Some(end) = end.filter(|end| first <= *end) else { return Some(None) };
            Some(Some((first, last.unwrap_or(end).min(end))))
        }
        (None, Some(count)) => {
            let Some(end) = end.filter(|_| count > 0) else { return Some(None) };
            Some(Some((length.saturating_sub(count), end)))
        }
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(unix: u64) -> Option<String> {
    let time = jiff::Timestamp::from_second(i64::try_from(unix).ok()?).ok()?;
    Some(time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// Part of a file as an HTTP body. Tells of the answer when it is dropped.
pub(super) struct FileBody {
    file: Option<File>,
    left: u64,
    buffer: Vec<u8>,
    log: Served,
    on_answer: OnAnswer,
}

impl FileBody {
    fn empty(log: Served, on_answer: &OnAnswer) -> Self {
        let on_answer = OnAnswer::clone(on_answer);
        Self { file: None, left: 0, buffer: Vec::new(), log, on_answer }
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        self.log.cut = self.left > 0;
        (self.on_answer)(&self.log);
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        let Some(file) = this.file.as_mut().filter(|_| this.left > 0) else {
            return Poll::Ready(None);
        };
        let want = usize::try_from(this.left).unwrap_or(CHUNK).min(CHUNK);
        this.buffer.resize(want, 0);
        let mut buffer = ReadBuf::new(&mut this.buffer);
        match Pin::new(file).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) => {
                let read = buffer.filled();
                if read.is_empty() {
                    let cut = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(cut)));
                }
                let bytes = Bytes::copy_from_slice(read);
                this.left -= bytes.len() as u64;
                this.log.bytes += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rfc() {
        assert_eq!(range("bytes=0-9", 100), Some(Some((0, 9))));
        assert_eq!(range("bytes=90-", 100), Some(Some((90, 99))));
        assert_eq!(range("bytes=90-1000", 100), Some(Some((90, 99))));
        assert_eq!(range("bytes=-10", 100), Some(Some((90, 99))));
        assert_eq!(range("bytes=-1000", 100), Some(Some((0, 99))));
        assert_eq!(range("bytes=100-", 100), Some(None));
        assert_eq!(range("bytes=-0", 100), Some(None));
        assert_eq!(range("bytes=0-", 0), Some(None));
        for ignored in ["bytes=5-1", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b", ""] {
            assert_eq!(range(ignored, 100), None, "{ignored}");
        }
    }

    #[test]
    fn paths_stay_in_the_directory() {
        let root = Path::new("/srv");
        assert_eq!(inside(root, "/a/b.zip"), Some(PathBuf::from("/srv/a/b.zip")));
        assert_eq!(inside(root, "/a%20b"), Some(PathBuf::from("/srv/a b")));
        for path in ["/", "/..", "/%2e%2e/x", "/a/../b", "//x", "/.hidden", "/a%00", "/a//b"] {
            assert_eq!(inside(root, path), None, "{path}");
        }
        assert_eq!(http_date(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    }
}
