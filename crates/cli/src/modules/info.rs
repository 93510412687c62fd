//! What a module says of itself: the `.modinfo` section of its ELF file.

/// Notes of one module that matter for loading it.
#[derive(Debug, Default)]
pub(super) struct Info {
    /// Modules that must be there before, names as in [`normal`].
    depends: Vec<String>,
    /// Patterns of hardware and protocols that it serves.
    pub(super) aliases: Vec<String>,
    /// Modules that should be there before, such as the driver of a NIC's PHY.
    soft: Vec<String>,
    /// Files below `/lib/firmware` that it may ask for.
    pub(super) firmware: Vec<String>,
}

impl Info {
    /// Reads the notes. `None` if this is no 64-bit little-endian ELF file with such a section.
    pub(super) fn parse(elf: &[u8]) -> Option<Self> {
        let mut info = Self::default();
        for note in section(elf, b".modinfo")?.split(|byte| *byte == 0) {
            let Ok(note) = core::str::from_utf8(note) else { continue };
            match note.split_once('=') {
                Some(("depends", list)) => {
                    info.depends =
                        list.split(',').filter(|it| !it.is_empty()).map(normal).collect();
                }
                Some(("alias", pattern)) => info.aliases.push(pattern.to_owned()),
                Some(("firmware", file)) => info.firmware.push(file.to_owned()),
                Some(("softdep", words)) => info.soft.extend(pre(words)),
                _ => {}
            }
        }
        Some(info)
    }

    /// Modules that have to be in the image with this one.
    pub(super) fn needs(&self) -> impl Iterator<Item = &String> {
        self.depends.iter().chain(&self.soft)
    }
}

/// The one spelling of a module's name: the kernel takes `-` and `_` for the same.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn pre(words: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut before = false;
    for word in words.split_whitespace() {
        match word {
            "pre:" => before = true,
            "post:" => before = false,
            name if before => names.push(normal(name)),
            _ => {}
        }
    }
    names
}

fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64_at(elf, 0x28)?).ok()?;
    let size = usize::from(u16_at(elf, 0x3a)?);
    let count = usize::from(u16_at(elf, 0x3c)?);
    let names_index = usize::from(u16_at(elf, 0x3e)?);
    let header = |index: usize| elf.get(table.checked_add(index.checked_mul(size)?)?..);
    let content = |header: &[u8]| {
        let start = usize::try_from(u64_at(header, 0x18)?).ok()?;
        let length = usize::try_from(u64_at(header, 0x20)?).ok()?;
        elf.get(start..start.checked_add(length)?)
    };
    let names = content(header(names_index)?)?;
    (0..count).find_map(|index| {
        let header = header(index)?;
        let name = names.get(usize::try_from(u32_at(header, 0)?).ok()?..)?;
        let name = name.split(|byte| *byte == 0).next()?;
        (name == wanted).then(|| content(header)).flatten()
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            let mut elf = b"\x7fELF\x02\x01".to_vec();
            elf.extend(tail);
            let _ = Info::parse(&elf);
        }
    }

    #[test]
    fn soft_dependencies_before_are_told_from_those_after() {
        assert_eq!(pre("pre: a-b c post: d"), ["a_b", "c"]);
        assert_eq!(pre("post: d"), Vec::<String>::new());
    }
}
