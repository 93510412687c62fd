//! Asks time servers for the time: a simple client of the Network Time Protocol (RFC 4330, and the
//! client mode of RFC 5905).
//!
//! One answer is enough, to about a second. Nothing here is authenticated: whoever answers may lie, and
//! it is for the caller to judge how far it may be believed. What is seen to is that an answer is one
//! to our own question: it must repeat 64 random bits of it and come to the port that they left from.
//!
//! The request has no time of this machine in it, which would only say how wrong its clock is: where
//! the protocol has the client's time, it has those random bits. (That, and a word on why an answer is
//! no good, is what keeps the `sntpc` crate from being used here.)

#![forbid(unsafe_code)]

mod packet;
mod query;

pub use packet::Answer;
pub use packet::PACKET_LEN;
pub use packet::Rejected;
pub use packet::request;
pub use query::Failure;
pub use query::MAX_SERVERS;
pub use query::PORT;
pub use query::Reading;
pub use query::ask;
