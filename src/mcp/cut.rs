//! What can be told of a message that cannot be read, or is too long to keep: whether it is an answer, and to what.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::wire::{Text, our_id};

/// What a message is of which only the first and the last bytes were kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Reply(Option<u64>),
    /// A request or notification of the server.
    Other,
    NotJson,
}

pub(super) fn cut_message(head: &[u8], tail: &[u8]) -> Cut {
    if head.trim_ascii_start().first() != Some(&b'{') {
        return Cut::NotJson;
    }
    let seen = Seen::default();
    // The text is cut, so this ends in an error; what was seen before it counts.
    let _ = serde_json::Deserializer::from_slice(head).deserialize_map(&seen);
    if seen.method.get() {
        return Cut::Other;
    }
    // Many servers write `id` last.
    Cut::Reply(seen.id.get().or_else(|| id_in_tail(tail)))
}

/// The request that an answer with broken JSON belongs to, such as one that holds `NaN`.
pub(super) fn broken_reply(line: &[u8]) -> Option<u64> {
    let seen = Seen::default();
    let _ = serde_json::Deserializer::from_slice(line).deserialize_map(&seen);
    if !seen.jsonrpc.get() || seen.method.get() {
        return None;
    }
    seen.id.get().or_else(|| id_in_tail(line))
}

/// The keys of a message as far as it was read.
#[derive(Default)]
struct Seen {
    id: Cell<Option<u64>>,
    method: Cell<bool>,
    jsonrpc: Cell<bool>,
}

impl<'de> Visitor<'de> for &Seen {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "id" => self.id.set(our_id(map.next_value()?)),
                "method" => {
                    self.method.set(true);
                    map.next_value::<IgnoredAny>()?;
                }
                other => {
                    let value = map.next_value::<IgnoredAny>();
                    self.jsonrpc.set(self.jsonrpc.get() || other == "jsonrpc");
                    value?;
                }
            }
        }
        Ok(())
    }
}

fn id_in_tail(tail: &[u8]) -> Option<u64> {
    let tail = String::from_utf8_lossy(tail);
    let (_, after) = tail.rsplit_once("\"id\"")?;
    let value = after.trim().strip_prefix(':')?.strip_suffix('}')?;
    our_id(serde_json::from_str(value).ok()?)
}
