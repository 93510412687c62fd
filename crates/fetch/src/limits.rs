//! What a download may cost.

use core::time::Duration;

/// Bounds on sizes, waits and retries. [`Limits::default`] is what a machine boots with.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest descriptor, in bytes.
    pub descriptor_len: u64,
    /// From the first byte of the request for a descriptor to the last of its body, redirects
    /// included.
    pub descriptor_time: Duration,
    /// Largest archive, in bytes: what comes after is not even read.
    pub max_archive_len: u64,
    /// From the start of name resolution to the end of the TLS handshake.
    pub connect: Duration,
    /// From the start of a request to the headers of its response, connecting included.
    pub header: Duration,
    /// Fewer bytes than this in [`Limits::stall_window`] are a stall.
    pub stall_bytes: u64,
    /// The same while another mirror may be asked instead: nobody is bound to the slowest.
    pub stall_bytes_with_others: u64,
    /// How long a download may lag behind before it is given up.
    pub stall_window: Duration,
    /// How many redirects are followed.
    pub redirects: u32,
    /// How often in a row a broken download is taken up again without getting
    /// [`Limits::stall_bytes`] further.
    pub resume_attempts: u32,
    /// The same while another mirror may be asked instead.
    pub resume_attempts_with_others: u32,
    /// Longest wait, by chance, before a broken download is taken up again; doubles with every try that brings nothing.
    pub resume_delay: Duration,
    /// Where the doubling of [`Limits::resume_delay`] ends.
    pub resume_delay_max: Duration,
    /// How long one DNS server has for its answer.
    pub dns_timeout: Duration,
    /// How many rounds are made over the DNS servers.
    pub dns_tries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            descriptor_len: 1 << 20,
            descriptor_time: Duration::from_secs(30),
            max_archive_len: u64::MAX,
            connect: Duration::from_secs(10),
            header: Duration::from_secs(15),
            stall_bytes: 4096,
            stall_bytes_with_others: 64 << 10,
            stall_window: Duration::from_secs(10),
            redirects: 5,
            resume_attempts: 6,
            resume_attempts_with_others: 1,
            resume_delay: Duration::from_millis(200),
            resume_delay_max: Duration::from_secs(5),
            dns_timeout: Duration::from_secs(3),
            dns_tries: 3,
        }
    }
}
