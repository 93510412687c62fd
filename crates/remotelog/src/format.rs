//! How lines look on the wire: syslog messages (RFC 5424) and JSON.

use core::time::Duration;

use hostcfg::LogLevel;
use serde::Serialize;
use trust::Timestamp;

use crate::queue::Line;

/// Facility "system daemons" (RFC 5424, section 6.2.1).
const DAEMON: u8 = 3;

/// Who says it, and when it began to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Sender {
    /// Address of the link that is used; `-` where there is none.
    pub(crate) address: String,
    /// MAC address of that link.
    pub(crate) mac: String,
    /// A number by chance, the same for all lines of one boot.
    pub(crate) boot: String,
    /// The time at the start of the program, if it is known.
    pub(crate) start: Option<Timestamp>,
}

impl Sender {
    /// RFC 3339 in UTC with microseconds, if the time is known.
    fn time(&self, at: Duration) -> Option<String> {
        let seconds = i64::try_from(at.as_secs()).ok()?;
        let time = self.start?.unix().checked_add(seconds)?;
        let text = Timestamp::from_unix(time).to_string();
        let whole = text.strip_suffix('Z')?;
        Some(format!("{whole}.{:06}Z", at.subsec_micros()))
    }

    /// A message of RFC 5424. The process id is the boot's number: it changes with every start.
    pub(crate) fn syslog(&self, line: &Line) -> Vec<u8> {
        let severity: u8 = match line.level {
            LogLevel::Error => 3,
            LogLevel::Warn => 4,
            LogLevel::Info => 6,
            LogLevel::Debug => 7,
        };
        let time = self.time(line.at);
        let (priority, time) = (DAEMON * 8 + severity, time.as_deref().unwrap_or("-"));
        // The byte order mark says that the text is UTF-8.
        let mark = if line.text.is_ascii() { "" } else { "\u{feff}" };
        let Self { address, boot, .. } = self;
        format!("<{priority}>1 {time} {address} ramstrap {boot} - - {mark}{}", line.text)
            .into_bytes()
    }

    /// The same for a stream: its length in front (RFC 6587's and RFC 5425's octet counting).
    pub(crate) fn counted(&self, line: &Line) -> Vec<u8> {
        let message = self.syslog(line);
        let mut counted = format!("{} ", message.len()).into_bytes();
        counted.extend(message);
        counted
    }

    /// One object on a line of its own.
    pub(crate) fn json(&self, line: &Line) -> Vec<u8> {
        #[derive(Serialize)]
        struct Entry<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            time: Option<String>,
            uptime: f64,
            level: &'a str,
            host: &'a str,
            mac: &'a str,
            boot: &'a str,
            number: u64,
            message: &'a str,
        }
        let entry = Entry {
            time: self.time(line.at),
            uptime: (line.at.as_secs_f64() * 1e6).round() / 1e6,
            level: line.level.name(),
            host: &self.address,
            mac: &self.mac,
            boot: &self.boot,
            number: line.number,
            message: &line.text,
        };
        // Strings and numbers always serialise.
        let mut json = serde_json::to_vec(&entry).unwrap_or_default();
        json.push(b'\n');
        json
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use hostcfg::LogLevel;
    use trust::Timestamp;

    use super::Sender;
    use crate::queue::Line;

    fn sender(start: Option<i64>) -> Sender {
        Sender {
            address: "192.0.2.7".into(),
            mac: "52:54:00:12:34:56".into(),
            boot: "b0071e55".into(),
            start: start.map(Timestamp::from_unix),
        }
    }

    fn line(level: LogLevel, text: &str) -> Line {
        Line { number: 4, at: Duration::from_micros(1_500_007), level, text: text.into() }
    }

    #[test]
    fn syslog_is_as_the_rfc_has_it() {
        let text = |sender: &Sender, line| String::from_utf8(sender.syslog(&line)).unwrap();
        assert_eq!(
            text(&sender(Some(1_795_338_000)), line(LogLevel::Warn, "no answer")),
            "<28>1 2026-11-22T09:00:01.500007Z 192.0.2.7 ramstrap b0071e55 - - no answer"
        );
        assert_eq!(
            text(&sender(None), line(LogLevel::Error, "größer")),
            "<27>1 - 192.0.2.7 ramstrap b0071e55 - - \u{feff}größer"
        );
    }

    #[test]
    fn a_stream_has_the_length_in_bytes_in_front() {
        let counted = sender(None).counted(&line(LogLevel::Info, "größer"));
        let text = String::from_utf8(counted).unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse(), Ok(message.len()));
    }

    #[test]
    fn json_is_one_line_with_what_is_known() {
        let json = sender(None).json(&line(LogLevel::Info, "a \"b\""));
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"uptime\":1.500007,\"level\":\"info\",\"host\":\"192.0.2.7\",\
             \"mac\":\"52:54:00:12:34:56\",\"boot\":\"b0071e55\",\"number\":4,\
             \"message\":\"a \\\"b\\\"\"}\n"
        );
    }
}
