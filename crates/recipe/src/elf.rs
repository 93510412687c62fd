//! Whether every program in an image finds its libraries: what is missing is said at build time, not
//! by a service that does not start.

use std::collections::BTreeMap;

use goblin::elf::Elf;

use crate::recipe::Patterns;
use crate::tree::Kind;
use crate::tree::Tree;

/// Where the dynamic linker looks without a cache.
const DIRECTORIES: [&str; 4] =
    ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"];

/// Programs and libraries that lack something: what, by path.
#[must_use]
pub fn missing(tree: &Tree, may_lack: &Patterns) -> BTreeMap<String, Vec<String>> {
    let mut missing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let Kind::File(content) = &node.kind else { continue };
        if !content.starts_with(b"\x7fELF") || may_lack.matches(path) {
            continue;
        }
        // What cannot be parsed (an object for another machine, say) needs nothing that we know.
        let Ok(elf) = Elf::parse(content) else { continue };
        let lacking = lacking(&elf, path, tree);
        if !lacking.is_empty() {
            missing.insert(path.to_owned(), lacking);
        }
    }
    missing
}

fn lacking(elf: &Elf<'_>, path: &str, tree: &Tree) -> Vec<String> {
    let is_file =
        |place: &str| tree.find(place).is_some_and(|node| matches!(node.kind, Kind::File(_)));
    let origin = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let own: Vec<String> = elf
        .runpaths
        .iter()
        .chain(&elf.rpaths)
        .flat_map(|paths| paths.split(':'))
        .map(|it| it.replace("$ORIGIN", origin).replace("${ORIGIN}", origin))
        .collect();
    let mut lacking = Vec::new();
    if let Some(interpreter) = elf.interpreter
        && !is_file(interpreter)
    {
        lacking.push(interpreter.to_owned());
    }
    for library in &elf.libraries {
        let directories = own.iter().map(String::as_str).chain(DIRECTORIES);
        let found = if library.contains('/') {
            is_file(library)
        } else {
            directories.into_iter().any(|directory| is_file(&format!("{directory}/{library}")))
        };
        if !found {
            lacking.push((*library).to_owned());
        }
    }
    lacking
}
