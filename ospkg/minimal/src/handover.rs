//! What the bootloader left under `/ramstrap/`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use report::BootReport;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HandOver {
    /// Whether there was anything at all.
    pub(crate) present: bool,
    /// Paths below the directory, sorted.
    pub(crate) files: Vec<String>,
    /// The boot report, if there is one that can be read.
    pub(crate) report: Option<BootReport>,
    /// What is not as it must be.
    pub(crate) problems: Vec<String>,
}

/// Reads a hand-over and checks that only root can: directories 0700, files 0600.
pub(crate) fn read(directory: impl AsRef<Path>) -> HandOver {
    let directory = directory.as_ref();
    let mut found = HandOver { present: directory.is_dir(), ..HandOver::default() };
    if !found.present {
        return found;
    }
    walk(directory, directory, &mut found);
    found.files.sort();
    let path = directory.join("boot-report.json");
    match fs::read(&path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
    {
        Ok(report) => found.report = Some(report),
        Err(error) => found.problems.push(format!("{}: {error}", path.display())),
    }
    found
}

fn walk(root: &Path, path: &Path, found: &mut HandOver) {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return found.problems.push(format!("{}: {error}", path.display())),
    };
    let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode != wanted {
        found.problems.push(format!("{} has mode {mode:04o}, not {wanted:04o}", path.display()));
    }
    if !metadata.is_dir() {
        let name = path.strip_prefix(root).unwrap_or(path);
        return found.files.push(name.display().to_string());
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        walk(root, &entry.path(), found);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::read;

    #[test]
    fn permissions_are_checked() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("boot-report.json");
        fs::write(&file, "{").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let found = read(directory.path());
        assert_eq!(found.files, ["boot-report.json"]);
        assert_eq!(found.report, None);
        assert!(found.problems[0].contains("has mode 0644, not 0600"), "{:?}", found.problems);
        assert_eq!(found.problems.len(), 2, "and the report is no JSON: {:?}", found.problems);
    }

    #[test]
    fn nothing_is_no_problem() {
        let found = read("/nowhere/at/all");
        assert!(!found.present && found.problems.is_empty());
    }
}
