//! Wires, and ways to download over them.

use core::fmt;

/// Bytes of the file.
pub(super) const LENGTH: u64 = 100_000_000;

/// Packets that fit in the wire and in the queue before it: it drops none that it was not told to.
const QUEUE: u32 = 30_000;

/// A wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Path {
    /// Rate towards the client in Mbit/s.
    pub(super) mbit: u32,
    /// Round trip in milliseconds, half of it each way.
    pub(super) round_trip_ms: u32,
    /// Packets in a hundred that are lost on their way to the client, by chance.
    pub(super) loss_percent: f64,
}

/// What is measured. About 20 Mbit in flight fit into one connection's windows; the last wires are
/// good ones with a little loss.
pub(super) const PATHS: [Path; 7] = [
    path(100, 20, 0.0),
    path(100, 100, 0.0),
    path(100, 200, 0.0),
    path(200, 100, 0.0),
    path(200, 200, 0.0),
    path(100, 20, 0.1),
    path(100, 100, 0.1),
];

const fn path(mbit: u32, round_trip_ms: u32, loss_percent: f64) -> Path {
    Path { mbit, round_trip_ms, loss_percent }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Mbit/s, {} ms", self.mbit, self.round_trip_ms)?;
        if self.loss_percent > 0.0 {
            write!(f, ", {} % lost", self.loss_percent)?;
        }
        Ok(())
    }
}

impl Path {
    /// Makes the wire this one, and the server send as the way wants it.
    pub(super) fn commands(&self, way: Way) -> String {
        let Self { mbit, round_trip_ms, loss_percent } = self;
        let delay = format!("netem limit {QUEUE} delay {}us", round_trip_ms * 500);
        let loss =
            if *loss_percent > 0.0 { format!("loss {loss_percent}%") } else { String::new() };
        let control = way.congestion_control();
        format!(
            "tc qdisc replace dev client root {delay}
             ip netns exec between tc qdisc replace dev right root {delay} rate {mbit}mbit {loss}
             ip netns exec far sysctl -q -w net.ipv4.tcp_congestion_control={control}
             ip tcp_metrics flush
             ip -n far tcp_metrics flush"
        )
    }
}

/// A way to download.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// As `/init` does, hashing included.
    Ramstrap,
    /// curl, which throws the bytes away.
    One,
    /// Four of it at once, a quarter each.
    Four,
    /// As `/init` does, from a server with another congestion control.
    Bbr,
}

impl Way {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Self; 4] = [Self::Ramstrap, Self::One, Self::Four, Self::Bbr];

    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ramstrap => "ramstrap",
            Self::One => "curl",
            Self::Four => "curl, four ranges at once",
            Self::Bbr => "ramstrap, server with BBR",
        }
    }

    /// For programs.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Ramstrap => "ramstrap",
            Self::One => "curl",
            Self::Four => "curl_four_ranges",
            Self::Bbr => "ramstrap_bbr",
        }
    }

    const fn congestion_control(self) -> &'static str {
        match self {
            Self::Bbr => "bbr",
            Self::Ramstrap | Self::One | Self::Four => "cubic",
        }
    }

    /// Prints how many seconds it took.
    pub(super) fn command(self) -> String {
        const URL: &str = "http://198.51.100.1/file.zip";
        let curl = format!("curl -sS --fail -o /dev/null {URL}");
        match self {
            // Plain http needs no roots.
            Self::Ramstrap | Self::Bbr => format!(
                "/run/downloader {URL} /dev/null | sed 's/.*\"seconds\":\\([0-9.]*\\).*/\\1/'"
            ),
            Self::One => format!("{curl} -w '%{{time_total}}'"),
            Self::Four => {
                let quarter = LENGTH / 4;
                let ranges = (0..4).map(|part| {
                    format!("{curl} -r {}-{} &\n", part * quarter, (part + 1) * quarter - 1)
                });
                let ranges: String = ranges.collect();
                format!(
                    "read begun rest < /proc/uptime\n{ranges}wait\nread ended rest < /proc/uptime\n\
                     awk \"BEGIN {{ print $ended - $begun }}\""
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LENGTH;
    use super::PATHS;
    use super::Way;

    #[test]
    fn ranges_are_the_whole_file() {
        let command = Way::Four.command();
        let ranges: Vec<(u64, u64)> = command
            .lines()
            .filter_map(|line| line.split_once(" -r ")?.1.strip_suffix(" &")?.split_once('-'))
            .map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
            .collect();
        assert_eq!(ranges.len(), 4);
        let mut next = 0;
        for (from, to) in ranges {
            assert_eq!(from, next);
            next = to + 1;
        }
        assert_eq!(next, LENGTH);
    }

    #[test]
    fn loss_is_said_only_where_there_is_some() {
        for path in PATHS {
            let lossy = path.loss_percent > 0.0;
            assert_eq!(path.commands(Way::One).contains("loss"), lossy);
            assert_eq!(path.to_string().contains("lost"), lossy);
        }
        assert!(PATHS[0].commands(Way::Bbr).contains("=bbr"));
    }
}
