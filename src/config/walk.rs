//! Builds the tree of a document while numbering its nodes, within a budget.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess};
use serde::de::{SeqAccess, VariantAccess, Visitor};
use serde_json::Number;

use super::tree::{Entry, Kind, Node, NodeId};

/// Most keys and values of a file once its aliases are followed: a small file may repeat itself
/// without end ("billion laughs").
pub(super) const MAX_NODES: NodeId = 200_000;
/// Most text of a file once its aliases are followed, bytes.
pub(super) const MAX_TEXT: usize = 8 << 20;

/// A walk over a document that numbers its nodes. The parser tells places only in errors, so the
/// place of a node is found by a second walk that fails at its number.
#[derive(Default)]
pub(super) struct Walk {
    next: Cell<NodeId>,
    text: Cell<usize>,
    target: Option<NodeId>,
}

impl Walk {
    /// A walk that fails at a node.
    pub fn to(target: NodeId) -> Self {
        Self {
            target: Some(target),
            ..Self::default()
        }
    }

    pub fn is_over_budget(&self) -> bool {
        self.next.get() > MAX_NODES || self.text.get() > MAX_TEXT
    }

    fn node<E: Error>(&self, kind: impl FnOnce() -> Result<Kind, E>) -> Result<Node, E> {
        let id = self.next.get();
        self.next.set(id + 1);
        if self.target == Some(id) || self.is_over_budget() {
            return Err(E::custom("stopped"));
        }
        Ok(Node { id, kind: kind()? })
    }

    fn leaf<E: Error>(&self, kind: Kind) -> Result<Node, E> {
        self.node(|| Ok(kind))
    }
}

impl<'de> DeserializeSeed<'de> for &Walk {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Walk {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.leaf(Kind::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.leaf(Kind::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Kind::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(Kind::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Kind::Number(value.into()))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Node, E> {
        self.leaf(Kind::Unusable("a number of this size"))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Node, E> {
        self.leaf(Kind::Unusable("a number of this size"))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).map(Kind::Number);
        self.leaf(number.unwrap_or(Kind::Unusable("a number that is not finite")))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.text.set(self.text.get() + text.len());
        self.leaf(Kind::Text {
            text: text.to_owned(),
            interpolated: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.node(|| {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element_seed(self)? {
                items.push(item);
            }
            Ok(Kind::List(items))
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.node(|| {
            let mut entries = Vec::new();
            while let Some(key) = map.next_key_seed(self)? {
                entries.push(Entry {
                    key,
                    value: map.next_value_seed(self)?,
                });
            }
            Ok(Kind::Map(entries))
        })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        self.node(|| {
            let (_, content) = tagged.variant::<IgnoredAny>()?;
            content.newtype_variant::<IgnoredAny>()?;
            Ok(Kind::Unusable("a tag"))
        })
    }
}
