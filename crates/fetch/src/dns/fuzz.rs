//! See [`crate::fuzzing`].

use hickory_proto::op::Message;
use hickory_proto::op::MessageType;
use hickory_proto::op::OpCode;
use hickory_proto::op::Query;
use hickory_proto::rr::Name;
use hickory_proto::rr::RecordType;

use super::Answer;
use super::response_to;

/// An answer for `host`, to whichever number it names; whether it names an address.
pub(crate) fn answer(bytes: &[u8], host: &str) -> bool {
    let Ok(mut name) = Name::from_ascii(host) else { return false };
    name.set_fqdn(true);
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    [RecordType::A, RecordType::AAAA].into_iter().any(|kind| {
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name.clone(), kind));
        response_to(&query, bytes)
            .and_then(|response| Answer::read(&response, &name).ok())
            .is_some_and(|answer| !answer.list.is_empty())
    })
}
