//! The kernel command line.

use super::settings::Settings;
use crate::mac::Mac;

/// Longest command line that is read, in bytes. The kernel's own limit on x86 is 2048.
pub const MAX_COMMAND_LINE_LEN: usize = 4096;

/// Where the kernel cuts on x86, without its final NUL.
const KERNEL_LIMIT: usize = 2047;

/// What the kernel command line says about the host configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CommandLine {
    /// `ramstrap.…=`
    pub settings: Settings,
    /// `BOOTIF=`: the interface that a boot loader has loaded the image over.
    pub boot_interface: Option<Mac>,
    /// What was tolerated. Holds no secret, and nothing of [`Settings::warnings`].
    pub warnings: Vec<String>,
}

impl CommandLine {
    /// Reads the content of `/proc/cmdline` up to ` -- `, at most [`MAX_COMMAND_LINE_LEN`] bytes of
    /// it. Words may be in double quotes, as the kernel has it.
    #[must_use]
    pub fn parse(line: &str) -> Self {
        let mut warnings = Vec::new();
        let line = line.trim_end_matches(['\n', '\0']);
        if line.len() > MAX_COMMAND_LINE_LEN {
            warnings.push(format!("longer than {MAX_COMMAND_LINE_LEN} bytes; the rest is ignored"));
        } else if line.len() >= KERNEL_LIMIT {
            warnings.push(format!(
                "{} bytes long: the kernel has probably cut its end off",
                line.len()
            ));
        }
        let end = (0..=MAX_COMMAND_LINE_LEN).rev().find(|&end| line.is_char_boundary(end));
        let words = words(line.get(..end.unwrap_or_default()).unwrap_or_default());
        let boot_interface = words.iter().rev().find_map(|word| {
            let value = word.strip_prefix("BOOTIF=")?;
            let mac = boot_interface(value);
            if mac.is_none() {
                warnings.push(
                    "BOOTIF: not a MAC address such as 01-52-54-00-12-34-56, ignored".to_owned(),
                );
            }
            mac
        });
        let settings = Settings::read(words.iter().map(String::as_str));
        Self { settings, boot_interface, warnings }
    }
}

/// The words before ` -- `, without their quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in line.chars().chain([' ']) {
        match character {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => {
                if word == "--" {
                    return words;
                }
                if !word.is_empty() {
                    words.push(core::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Hardware type 1 (Ethernet) and the MAC address, as boot loaders write it; or the address alone.
fn boot_interface(value: &str) -> Option<Mac> {
    let address = match value.get(..3) {
        Some("01-" | "01:") if value.len() == "01-52-54-00-12-34-56".len() => value.get(3..)?,
        _ => value,
    };
    // An address of a group is no interface's; neither is one that the type was cut off.
    let is_group = |mac: &Mac| mac.as_bytes().first().is_some_and(|byte| byte & 1 == 1);
    address.parse::<Mac>().ok().filter(|mac| mac.is_ethernet() && !is_group(mac))
}

#[cfg(test)]
mod tests {
    use super::CommandLine;
    use super::MAX_COMMAND_LINE_LEN;

    fn names(line: &str) -> Vec<String> {
        CommandLine::parse(line).settings.names()
    }

    #[test]
    fn words_end_at_blanks_outside_of_quotes_and_at_two_dashes() {
        assert_eq!(
            names(
                "quiet \"ramstrap.url=https://a/b c\"\tramstrap.dns=\"192.0.2.1\" -- ramstrap.ip=x\n"
            ),
            ["ramstrap.url", "ramstrap.dns"]
        );
        assert_eq!(names("x --ramstrap.ip=1 \"ramstrap.mtu=1500"), ["ramstrap.mtu"]);
        assert!(names("").is_empty());
    }

    #[test]
    fn the_boot_interface_is_read_in_the_forms_of_boot_loaders() {
        let read = |line: &str| CommandLine::parse(line).boot_interface.map(|mac| mac.to_string());
        for text in ["01-52-54-00-12-34-AB", "01:52:54:00:12:34:ab", "52:54:00:12:34:ab"] {
            assert_eq!(read(&format!("BOOTIF={text} quiet")).as_deref(), Some("52:54:00:12:34:ab"));
        }
        // InfiniBand and nonsense.
        for text in ["20-52-54-00-12-34-56", "eth0", "", "01-", "01-52-54-00-12-34"] {
            assert_eq!(read(&format!("BOOTIF={text}")), None, "{text}");
            assert_eq!(CommandLine::parse(&format!("BOOTIF={text}")).warnings.len(), 1);
        }
        assert_eq!(read("quiet -- BOOTIF=52:54:00:12:34:ab"), None);
    }

    #[test]
    fn a_long_line_is_warned_of_and_cut() {
        let filler = "x".repeat(2047);
        assert!(CommandLine::parse(&filler).warnings[0].contains("cut"));
        let line = format!("{} ramstrap.mtu=1500", "ä".repeat(MAX_COMMAND_LINE_LEN));
        let read = CommandLine::parse(&line);
        assert!(read.settings.is_empty() && read.warnings.len() == 1);
    }
}
