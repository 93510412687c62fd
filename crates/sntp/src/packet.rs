//! The 48 bytes of a request and of its answer (RFC 5905, section 7.3), without clock and socket.

use core::time::Duration;

/// Length of a packet without extensions and authenticator.
pub const PACKET_LEN: usize = 48;

/// Seconds from 1900-01-01, where the protocol counts from, to 1970-01-01.
const NTP_TO_UNIX: i64 = 2_208_988_800;

/// After so many seconds the protocol's 32 bits begin anew: in 2036 for the first time.
const ERA: i64 = 1 << 32;

/// A server that may be further off than this does not know what time it is, in units of 2⁻¹⁶ seconds
/// (RFC 5905, MAXDISP).
const MAX_ROOT_DISTANCE: u64 = 16 << 16;

/// Why an answer is not used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// Shorter than a packet.
    #[error("an answer of {0} bytes; {PACKET_LEN} are needed")]
    Short(usize),
    /// It does not repeat what was sent: it is somebody's guess, or an answer to something else.
    #[error("an answer to another question")]
    Origin,
    /// Not from a server.
    #[error("an answer of mode {0}; a server's is 4")]
    Mode(u8),
    /// A version that does not exist.
    #[error("an answer of NTP version {0}")]
    Version(u8),
    /// The server wants not to be asked (RFC 5905, section 7.4); the code says why.
    #[error("the server does not want to be asked ({})", .0.escape_ascii())]
    KissOfDeath([u8; 4]),
    /// The server says that its own clock is not set, or not well enough.
    #[error("the server's own clock is not set")]
    Unsynchronised,
}

/// An answer to our own question, from a server whose clock is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    /// When it was sent: seconds of the protocol's era, and 2⁻³² of a second.
    seconds: u32,
    fraction: u32,
    /// How many servers lie between this one and a reference clock, from 1.
    pub stratum: u8,
}

/// The request with this nonce: client mode, version 4, everything else zero.
#[must_use]
pub const fn request(nonce: [u8; 8]) -> [u8; PACKET_LEN] {
    let mut packet = [0; PACKET_LEN];
    // Leap indicator 0, version 4, mode 3.
    packet[0] = 4 << 3 | 3;
    // The transmit timestamp, which a server sends back without looking at it.
    let [a, b, c, d, e, f, g, h] = nonce;
    packet[40] = a;
    packet[41] = b;
    packet[42] = c;
    packet[43] = d;
    packet[44] = e;
    packet[45] = f;
    packet[46] = g;
    packet[47] = h;
    packet
}

impl Answer {
    /// Reads the answer to the request with this nonce. What follows the 48 bytes is not looked at.
    ///
    /// # Errors
    /// [`Rejected`]; an answer that is not to our question is told from all others, because the real
    /// one may still come.
    pub fn parse(packet: &[u8], nonce: [u8; 8]) -> Result<Self, Rejected> {
        let short = || Rejected::Short(packet.len());
        let fixed: &[u8; PACKET_LEN] = packet.first_chunk().ok_or_else(short)?;
        let word = |at: usize| -> u32 {
            fixed
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |w| u32::from_be_bytes(*w))
        };
        let [first, stratum, ..] = *fixed;
        let (leap, version, mode) = (first >> 6, first >> 3 & 7, first & 7);
        if fixed.get(24..32) != Some(nonce.as_slice()) {
            return Err(Rejected::Origin);
        }
        if mode != 4 {
            return Err(Rejected::Mode(mode));
        }
        if !(1..=4).contains(&version) {
            return Err(Rejected::Version(version));
        }
        if stratum == 0 {
            return Err(Rejected::KissOfDeath(word(12).to_be_bytes()));
        }
        let distance = u64::from(word(4)) / 2 + u64::from(word(8));
        let (seconds, fraction) = (word(40), word(44));
        if leap == 3
            || stratum > 15
            || distance > MAX_ROOT_DISTANCE
            || (seconds, fraction) == (0, 0)
        {
            return Err(Rejected::Unsynchronised);
        }
        Ok(Self { seconds, fraction, stratum })
    }

    /// The time, in seconds since 1970-01-01T00:00:00Z, when an answer is read that was `travelling`
    /// for so long. Of the eras that the protocol's 32 bits leave open, the one is meant that comes
    /// closest to `about`, in the same seconds.
    #[must_use]
    pub fn unix_time(&self, about: i64, travelling: Duration) -> i64 {
        let since_1970 = i64::from(self.seconds) - NTP_TO_UNIX;
        let half = ERA / 2;
        // Wraps for no time that a machine has: `about` is a date.
        let start = about.saturating_sub(half);
        let time = start.saturating_add(since_1970.wrapping_sub(start).rem_euclid(ERA));
        let sent = Duration::from_nanos((u64::from(self.fraction) * 1_000_000_000) >> 32);
        time.saturating_add_unsigned(sent.saturating_add(travelling).as_secs())
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::proptest;

    use super::Answer;
    use super::NTP_TO_UNIX;
    use super::PACKET_LEN;
    use super::Rejected;
    use super::request;

    const NONCE: [u8; 8] = *b"01234567";
    /// 2026-11-22T09:00:00Z.
    const NOW: i64 = 1_795_338_000;

    /// The answer of a good server at stratum 2.
    fn answer() -> Vec<u8> {
        let mut packet = vec![0; PACKET_LEN];
        packet[0] = 4 << 3 | 4;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&NONCE);
        packet[40..44].copy_from_slice(&u32::try_from(NOW + NTP_TO_UNIX).unwrap().to_be_bytes());
        packet[44] = 0xc0;
        packet
    }

    fn with(at: usize, bytes: &[u8]) -> Result<Answer, Rejected> {
        let mut packet = answer();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        Answer::parse(&packet, NONCE)
    }

    #[test]
    fn a_request_says_nothing_about_this_machine() {
        let packet = request(NONCE);
        assert_eq!(packet[0], 0x23);
        assert!(packet[1..40].iter().all(|byte| *byte == 0));
        assert_eq!(packet[40..], NONCE);
    }

    #[test]
    fn a_good_answer_tells_the_time() {
        let answer = Answer::parse(&answer(), NONCE).unwrap();
        assert_eq!(answer.stratum, 2);
        assert_eq!(answer.unix_time(NOW, Duration::ZERO), NOW);
        // Three quarters of a second, and a quarter on the way.
        assert_eq!(answer.unix_time(NOW, Duration::from_millis(260)), NOW + 1);
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        assert_eq!(Answer::parse(&answer()[..47], NONCE), Err(Rejected::Short(47)));
        assert_eq!(Answer::parse(&answer(), [0; 8]), Err(Rejected::Origin));
        assert_eq!(with(0, &[4 << 3 | 3]), Err(Rejected::Mode(3)), "our own packet, sent back");
        assert_eq!(with(0, &[4 << 3 | 5]), Err(Rejected::Mode(5)));
        assert_eq!(with(0, &[7 << 3 | 4]), Err(Rejected::Version(7)));
        assert_eq!(with(0, &[4]), Err(Rejected::Version(0)));
        assert_eq!(with(0, &[3 << 6 | 4 << 3 | 4]), Err(Rejected::Unsynchronised));
        assert_eq!(with(1, &[16]), Err(Rejected::Unsynchronised));
        assert_eq!(with(40, &[0; 8]), Err(Rejected::Unsynchronised));
        assert_eq!(with(8, &[0, 17, 0, 0]), Err(Rejected::Unsynchronised), "17 s of dispersion");
        assert!(with(8, &[0, 15, 0, 0]).is_ok());
    }

    #[test]
    fn a_server_that_wants_no_questions_is_understood() {
        let mut packet = answer();
        packet[1] = 0;
        packet[12..16].copy_from_slice(b"RATE");
        let rejected = Answer::parse(&packet, NONCE).unwrap_err();
        assert_eq!(rejected, Rejected::KissOfDeath(*b"RATE"));
        assert_eq!(rejected.to_string(), "the server does not want to be asked (RATE)");
        packet[12..16].copy_from_slice(b"\x1b[2J");
        let text = Answer::parse(&packet, NONCE).unwrap_err().to_string();
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn time_goes_on_after_2036() {
        // 2036-02-07T06:28:16Z is second 0 of the next era; 2040-01-01 is in it.
        for time in [2_085_978_495_i64, 2_085_978_496, 2_085_978_497, 2_208_988_800, NOW] {
            let seconds = u32::try_from((time + NTP_TO_UNIX) % (1 << 32)).unwrap();
            let answer = Answer { seconds, fraction: 1, stratum: 1 };
            for about in [NOW, NOW + 315_360_000] {
                assert_eq!(answer.unix_time(about, Duration::ZERO), time);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(packet: Vec<u8>, nonce: [u8; 8]) {
            let _ = Answer::parse(&packet, nonce);
        }

        #[test]
        fn any_timestamp_is_within_68_years_of_what_is_expected(
            seconds: u32, fraction: u32, about in -62_135_596_800_i64..253_402_300_800
        ) {
            let answer = Answer { seconds, fraction, stratum: 1 };
            let time = answer.unix_time(about, Duration::ZERO);
            proptest::prop_assert!((time - about).abs() <= 1 << 31);
            proptest::prop_assert_eq!((time + NTP_TO_UNIX).rem_euclid(1 << 32), i64::from(seconds));
        }

        #[test]
        fn no_time_panics(seconds: u32, about: i64, travelling: Duration) {
            let answer = Answer { seconds, fraction: u32::MAX, stratum: 1 };
            let _ = answer.unix_time(about, travelling);
        }
    }
}
