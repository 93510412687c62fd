//! Requests as they came.

/// A request that the server has read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// `GET`, for example.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// What followed the question mark.
    pub query: Option<String>,
    /// Header names in lower case, and their values, in their order.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// Reads the head of a request, blank line included.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let head = core::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { method: method.to_owned(), path: path.to_owned(), query, headers })
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The credentials as sent: `Basic …`.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }

    /// The range as sent: `bytes=5-`.
    #[must_use]
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// First byte of a range of the form `bytes=N-`.
    pub(crate) fn range_start(&self) -> Option<u64> {
        self.range()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}
