//! A root file system in memory: paths, owners, modes, links. Nothing of it touches the disk, so
//! nothing in a package can reach out of it, and no privilege is needed to own a file by root.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Error;
use crate::Result;

/// How many links are followed in one path, as in Linux.
const MAX_LINKS: usize = 40;
/// Longest path, in bytes.
const MAX_PATH: usize = 4096;

/// What something in a root file system is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Arc<[u8]>),
    /// A symbolic link to this target.
    Symlink(String),
    /// A character device with these numbers.
    CharacterDevice(u32, u32),
}

impl Kind {
    /// A word for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File(_) => "file",
            Self::Symlink(_) => "symbolic link",
            Self::CharacterDevice(..) => "device",
        }
    }
}

/// Something in a root file system.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions, with set-id bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Where it comes from, for people: a package, or the files of a recipe.
    pub origin: Arc<str>,
}

impl Node {
    /// Something of root's.
    #[must_use]
    pub fn new(kind: Kind, mode: u32, origin: &Arc<str>) -> Self {
        Self { kind, mode, uid: 0, gid: 0, origin: Arc::clone(origin) }
    }

    /// Whether it is the same, wherever it comes from.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let of = |node: &Self| (node.mode, node.uid, node.gid);
        self.kind == other.kind && of(self) == of(other)
    }

    /// Length of its content in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.len() as u64,
            Kind::Symlink(target) => target.len() as u64,
            _ => 0,
        }
    }

    /// Whether it has no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A root file system, by paths without a leading slash; the root itself is always there.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is at exactly this path; links are not followed.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path.trim_start_matches('/'))
    }

    /// What is at this path, behind all links.
    #[must_use]
    pub fn find(&self, path: &str) -> Option<&Node> {
        self.nodes.get(&self.resolve(path, true)?)
    }

    /// Everything, sorted by path; a directory comes before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Puts something at a path, whose directories are made if they are missing; links among them
    /// are followed, as a package's `/lib/x` belongs into `/usr/lib` where the one is a link to the
    /// other. A directory that is there already stays. Gives the path where it is now, and what was
    /// there before.
    ///
    /// # Errors
    /// If the path is none inside a root file system, leads through a file, or a directory would
    /// take the place of something else or the other way round.
    pub fn put(&mut self, path: &str, node: Node) -> Result<(String, Option<Node>)> {
        let path = checked(path)?;
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let origin = Arc::clone(&node.origin);
        let parent =
            self.directories(parent, &origin).map_err(|error| error.on(format!("/{path}")))?;
        let place = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        if node.kind == Kind::Directory
            && let Some(target) = self.resolve(&place, true)
            && self.is_directory(&target)
        {
            // A link to a directory stays a link; of two directories the later one's owner counts.
            if let Some(found) = self.nodes.get_mut(&place).filter(|it| it.kind == Kind::Directory)
            {
                let before = std::mem::replace(found, node);
                return Ok((place, Some(before)));
            }
            return Ok((place, None));
        }
        let found = self.nodes.get(&place);
        if let Some(found) = found
            && (found.kind == Kind::Directory) != (node.kind == Kind::Directory)
        {
            return Err(Error::new(format!(
                "/{place}: a {} of {} and a {} of {} cannot both be there",
                found.kind.name(),
                found.origin,
                node.kind.name(),
                node.origin
            )));
        }
        let before = self.nodes.insert(place.clone(), node);
        Ok((place, before))
    }

    /// Takes something away, with all that is in it.
    pub fn remove(&mut self, path: &str) {
        let path = path.trim_start_matches('/');
        self.nodes.remove(path);
        let below = format!("{path}/");
        let inside: Vec<String> = self
            .nodes
            .range(below.clone()..)
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(&below))
            .collect();
        for name in inside {
            self.nodes.remove(&name);
        }
    }

    /// To change owner or mode.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(path.trim_start_matches('/'))
    }

    /// Keeps what this says yes to.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Node) -> bool) {
        self.nodes.retain(|path, node| keep(path, node));
    }

    /// The path behind all links (or all but the last); none if a part of it is missing, no
    /// directory, or the links go round in circles. Missing last parts are fine unless they are
    /// to be followed.
    #[must_use]
    pub fn resolve(&self, path: &str, follow_last: bool) -> Option<String> {
        let mut todo: Vec<String> = parts(path).rev().map(ToOwned::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            let here = at.join("/");
            match self.nodes.get(&here).map(|node| &node.kind) {
                Some(Kind::Symlink(target)) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return None;
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    todo.extend(parts(target).rev().map(ToOwned::to_owned));
                }
                Some(Kind::Directory) => {}
                Some(_) | None if todo.is_empty() => {}
                _ => return None,
            }
        }
        Some(at.join("/"))
    }

    fn is_directory(&self, place: &str) -> bool {
        place.is_empty() || self.nodes.get(place).is_some_and(|node| node.kind == Kind::Directory)
    }

    /// Makes the directories of a path that are missing; gives the path behind all links.
    fn directories(&mut self, path: &str, origin: &Arc<str>) -> Result<String> {
        let mut at = String::new();
        for part in parts(path) {
            let next = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
            if !self.nodes.contains_key(&next) {
                self.nodes.insert(next.clone(), Node::new(Kind::Directory, 0o755, origin));
            }
            at = self.resolve(&next, true).filter(|it| self.is_directory(it)).ok_or_else(|| {
                let of = self.nodes.get(&next).map(|node| node.origin.to_string());
                Error::new(format!(
                    "its path leads through /{next}, which is no directory (it comes from {})",
                    of.unwrap_or_default()
                ))
            })?;
        }
        Ok(at)
    }
}

/// The path without its leading slash. Every part must be a plain name.
///
/// # Errors
/// If one is not, or the path is too long.
pub fn checked(path: &str) -> Result<&str> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if relative.len() < MAX_PATH && relative.split('/').all(plain) {
        return Ok(relative);
    }
    Err(Error::new(format!("{path:?} is not a path inside a root file system")))
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::new(Kind::File(text.as_bytes().into()), 0o644, &"test".into())
    }

    fn link(target: &str) -> Node {
        Node::new(Kind::Symlink(target.to_owned()), 0o777, &"test".into())
    }

    #[test]
    fn links_among_the_directories_are_followed() {
        let mut tree = Tree::new();
        tree.put("usr/lib", Node::new(Kind::Directory, 0o755, &"test".into())).unwrap();
        tree.put("lib", link("usr/lib")).unwrap();
        let (place, before) = tree.put("/lib/x/y", file("a")).unwrap();
        assert_eq!((place.as_str(), before), ("usr/lib/x/y", None));
        assert_eq!(tree.find("/lib/x/../x/y").map(Node::len), Some(1));
        // The directory that a package has there does not take the place of the link.
        tree.put("lib", Node::new(Kind::Directory, 0o700, &"deb".into())).unwrap();
        assert_eq!(tree.get("lib").unwrap().kind, Kind::Symlink("usr/lib".into()));
    }

    #[test]
    fn links_stay_inside() {
        let mut tree = Tree::new();
        tree.put("up", link("../../etc")).unwrap();
        tree.put("etc/x", file("a")).unwrap();
        assert_eq!(tree.resolve("up/x", true).as_deref(), Some("etc/x"));
        tree.put("a", link("b")).unwrap();
        tree.put("b", link("a")).unwrap();
        assert_eq!(tree.resolve("a/x", true), None);
        assert!(tree.put("a/x", file("")).unwrap_err().to_string().contains("leads through /a"));
    }

    #[test]
    fn paths_are_plain() {
        let mut tree = Tree::new();
        for path in ["", "/", "../x", "/a/../b", "a//b", "./a", "a\0", "a/"] {
            assert!(tree.put(path, file("")).is_err(), "{path:?}");
        }
        tree.put("f", file("")).unwrap();
        assert!(tree.put("f/x", file("")).is_err());
        let directory = Node::new(Kind::Directory, 0o755, &"test".into());
        assert!(tree.put("f", directory).unwrap_err().to_string().contains("cannot both be"));
    }

    #[test]
    fn removing_takes_what_is_inside() {
        let mut tree = Tree::new();
        for path in ["a/b/c", "a-b", "ab"] {
            tree.put(path, file("")).unwrap();
        }
        tree.remove("/a");
        let left: Vec<&str> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(left, ["a-b", "ab"]);
    }
}
