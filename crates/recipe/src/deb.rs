//! Debian packages: an `ar` archive whose member `data.tar.*` is the files. Maintainer scripts are
//! not run; what they would do, a recipe does.

use std::sync::Arc;

use crate::Error;
use crate::Result;
use crate::tarball;
use crate::tarball::Devices;
use crate::tarball::Unpacked;
use crate::tree::Tree;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// Unpacks the files of a package into a tree.
///
/// # Errors
/// If it is no package, is damaged, or has an entry that no package should have.
pub fn unpack(bytes: &[u8], tree: &mut Tree, origin: &Arc<str>) -> Result<Unpacked> {
    let mut unpack = || {
        let data = member(bytes, "data.tar")?;
        tarball::unpack(tarball::decompress(data)?, tree, origin, Devices::Refuse)
    };
    unpack().map_err(|error| error.on(origin))
}

/// The first member whose name begins like this.
fn member<'a>(bytes: &'a [u8], prefix: &str) -> Result<&'a [u8]> {
    let no_package = |why: &str| {
        Error::new(format!("it is no Debian package: {why}")).remedy("delete it and get it anew")
    };
    let mut rest =
        bytes.strip_prefix(MAGIC).ok_or_else(|| no_package("it does not begin as one"))?;
    while !rest.is_empty() {
        let (header, after) =
            rest.split_at_checked(HEADER).ok_or_else(|| no_package("a header is cut short"))?;
        let field = |range: core::ops::Range<usize>| {
            let bytes = header.get(range).unwrap_or_default();
            core::str::from_utf8(bytes).unwrap_or_default().trim_end()
        };
        if header.get(58..) != Some(b"`\n") {
            return Err(no_package("a header is damaged"));
        }
        let size: usize = field(48..58).parse().map_err(|_| no_package("a length is no number"))?;
        let (data, next) =
            after.split_at_checked(size).ok_or_else(|| no_package("it is cut short"))?;
        if field(0..16).trim_end_matches('/').starts_with(prefix) {
            return Ok(data);
        }
        rest = if size % 2 == 1 { next.get(1..).unwrap_or_default() } else { next };
    }
    Err(no_package(&format!("it has no {prefix}")))
}
