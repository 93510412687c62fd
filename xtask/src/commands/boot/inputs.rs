//! Finds typing errors before anything is built: the machine would take minutes to say so.

use std::fs;
use std::fs::OpenOptions;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use jiff::civil::DateTime;
use xtask::setup;

use super::Args;

/// Looks at the files that the arguments name.
///
/// # Errors
///
/// An input is missing, or the result could not be written.
pub(super) fn check(args: &Args) -> Result<()> {
    if let Some(policy) = &args.trust_policy {
        if !policy.is_dir() {
            let what = if policy.exists() { "is no directory" } else { "does not exist" };
            bail!("--trust-policy: {} {what}", policy.display());
        }
        if !policy.join("trust_policy.json").exists() {
            eprintln!(
                "warning: there is no trust_policy.json in {}: the machine will boot nothing",
                policy.display()
            );
        }
    }
    args.hardware.check()?;
    if let Some(file) = args.host_config.as_ref().filter(|file| !file.is_file()) {
        let what = if file.exists() { "is no file" } else { "does not exist" };
        bail!("--host-config: {} {what}", file.display());
    }
    if let Some(file) = &args.json {
        check_writable(file).with_context(|| format!("--json: cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Leaves no trace: a boot that fails later must not have emptied or made the file.
pub(super) fn check_writable(file: &Path) -> std::io::Result<()> {
    if fs::metadata(file).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        // Opening a pipe waits for its reader, and closing it tells the reader that this was all.
        return Ok(());
    }
    let is_new = fs::symlink_metadata(file).is_err();
    OpenOptions::new().write(true).create(true).truncate(false).open(file)?;
    if is_new { fs::remove_file(file) } else { Ok(()) }
}

/// Reads the value of `--rtc`: what QEMU takes as `-rtc base=`, which it checks only at its start.
///
/// # Errors
///
/// It is none of the forms, or there is no such date.
pub(super) fn rtc(text: &str) -> Result<String, String> {
    const FORM: &[u8] = b"0000-00-00T00:00:00";
    // UTC is what is meant anyway.
    let text = text.strip_suffix('Z').unwrap_or(text);
    let formed = matches!(text.len(), 10 | 19)
        && text.bytes().zip(FORM).all(|(found, &form)| match form {
            b'0' => found.is_ascii_digit(),
            other => found == other,
        });
    if matches!(text, "utc" | "localtime") {
        Ok(text.to_owned())
    } else if !formed {
        Err("expected YYYY-MM-DD, YYYY-MM-DDTHH:MM:SS, utc or localtime".to_owned())
    } else if text.parse::<DateTime>().is_err() {
        Err("there is no such date".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// Asks QEMU whether it has NICs of these models.
///
/// # Errors
///
/// What is wrong, for the user: QEMU has no such NIC.
pub(super) fn check_nics(models: &[String]) -> Result<(), String> {
    let answer = setup::command("qemu-system-x86_64").args(["-device", "help"]).output();
    // A QEMU that cannot even be asked is reported when it is to run the machine.
    let Ok(answer) = answer else { return Ok(()) };
    let known = network_devices(&String::from_utf8_lossy(&answer.stdout));
    if known.is_empty() {
        return Ok(());
    }
    match models.iter().map(|model| model_name(model)).find(|name| !known.contains(name)) {
        Some(name) => Err(format!(
            "invalid value '{name}' for '--nic <MODEL>': QEMU has no such NIC\n  \
             [possible values: {}]",
            known.join(", ")
        )),
        None => Ok(()),
    }
}

/// The model without the properties behind it.
fn model_name(nic: &str) -> String {
    nic.split(',').next().unwrap_or_default().to_owned()
}

/// Names and aliases in the section `Network devices:` of `-device help`, whose lines are
/// `name "e1000", bus PCI, alias "e1000-82540em", desc "Intel Gigabit Ethernet"`.
fn network_devices(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Network devices:").skip(1);
    section
        .take_while(|line| !line.is_empty())
        .flat_map(|line| ["name \"", "alias \""].into_iter().filter_map(|key| quoted(line, key)))
        .collect()
}

fn quoted(line: &str, key: &str) -> Option<String> {
    let (_, rest) = line.split_once(key)?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::Args;
    use super::check;
    use super::model_name;
    use super::network_devices;
    use super::rtc;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn checked(policy: &Path, more: &[&str]) -> Result<(), String> {
        let policy = policy.to_str().unwrap();
        let words = ["boot", "--trust-policy", policy];
        let line = Line::try_parse_from(words.iter().chain(more)).unwrap();
        check(&line.args).map_err(|error| error.to_string())
    }

    #[test]
    fn inputs_that_are_missing_are_errors_and_an_empty_directory_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("host.json");
        std::fs::write(&file, "{}").unwrap();
        assert!(checked(dir.path(), &[]).is_ok());
        assert!(checked(dir.path(), &["--host-config", file.to_str().unwrap()]).is_ok());
        assert!(checked(&dir.path().join("none"), &[]).unwrap_err().contains("does not exist"));
        assert!(checked(&file, &[]).unwrap_err().contains("is no directory"));
        let missing = checked(dir.path(), &["--host-config", "/none"]).unwrap_err();
        assert_eq!(missing, "--host-config: /none does not exist");
    }

    #[test]
    fn a_result_that_could_not_be_written_is_an_error_before_the_boot() {
        let dir = tempfile::tempdir().unwrap();
        let json = |file: &Path| checked(dir.path(), &["--json", file.to_str().unwrap()]);
        let new = dir.path().join("new.json");
        json(&new).unwrap();
        assert!(!new.exists());
        std::fs::write(&new, "old").unwrap();
        json(&new).unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "old");
        json(Path::new("/dev/null")).unwrap();
        assert!(json(dir.path()).unwrap_err().contains("--json: cannot write"));
        assert!(json(&dir.path().join("none/new.json")).unwrap_err().contains("none/new.json"));
    }

    #[test]
    fn only_dates_are_dates() {
        for good in ["2001-01-01", "2024-02-29", "2001-01-01T12:00:00", "utc", "localtime"] {
            assert_eq!(rtc(good).as_deref(), Ok(good));
        }
        assert_eq!(rtc("2001-01-01T12:00:00Z").as_deref(), Ok("2001-01-01T12:00:00"));
        for bad in [
            "",
            "bla",
            "2001-1-1",
            "2001-01-01 12:00:00",
            "2001-01-01T12:00",
            "2001-01-01,clock=vm",
            "UTC",
            "20010101T1",
        ] {
            assert!(rtc(bad).unwrap_err().contains("YYYY-MM-DD"), "{bad}");
        }
        for bad in ["2001-02-29", "2001-13-01", "2001-01-01T24:00:00"] {
            assert_eq!(rtc(bad).unwrap_err(), "there is no such date", "{bad}");
        }
        let words = ["boot", "--trust-policy", "p", "--rtc", "bla"];
        assert_eq!(Line::try_parse_from(words).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn nics_are_found_in_qemus_list() {
        let help = "Storage devices:\nname \"nvme\", bus PCI\n\nNetwork devices:\n\
                    name \"ne2k_pci\", bus PCI\n\
                    name \"virtio-net-pci\", bus PCI, alias \"virtio-net\"\n\n\
                    Input devices:\nname \"i8042\", bus ISA\n";
        assert_eq!(network_devices(help), ["ne2k_pci", "virtio-net-pci", "virtio-net"]);
        assert!(network_devices("").is_empty());
        assert_eq!(model_name("e1000e,mac=52:54:00:00:00:01"), "e1000e");
    }
}
