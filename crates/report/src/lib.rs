//! Failure codes and the boot report: the words that every part of ramstrap uses to say what
//! happened.
//!
//! Pure data, no I/O. [`Code`] is the stable number of a failure with its class, title and remedy;
//! [`BootReport`] is what a boot leaves behind; [`channel`] is how the harness hears of it;
//! [`strict_json`] reads JSON objects that must not be ambiguous.

#![forbid(unsafe_code)]

mod boot;
pub mod channel;
mod code;
pub mod strict_json;

pub use boot::BootReport;
pub use boot::ClockReport;
pub use boot::EntropyReport;
pub use boot::Failure;
pub use boot::HostConfigReport;
pub use boot::MemoryReport;
pub use boot::MirrorReport;
pub use boot::NicReport;
pub use boot::Outcome;
pub use boot::PackageReport;
pub use boot::PolicyReport;
pub use boot::SignerReport;
pub use boot::SigsumReport;
pub use boot::SkippedReport;
pub use boot::SntpReport;
pub use boot::Stage;
pub use boot::StageTiming;
pub use boot::UpgradedFrom;
pub use boot::VERSION;
pub use boot::WatchdogReport;
pub use boot::WatchdogState;
pub use boot::micros;
pub use code::Class;
pub use code::Code;
pub use code::Coded;
