//! What the demo server offers, and how its tools read their arguments.

use std::sync::LazyLock;

use rmcp::model::{ContentBlock, ErrorData, JsonObject, Tool};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// All tools as the client sees them, in the order in which they teach.
pub static CATALOG: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("tools.json")).expect("a test reads the embedded file")
});

/// The arguments of one call.
pub struct Arguments(Value);

impl Arguments {
    pub fn new(arguments: Option<JsonObject>) -> Self {
        Self(Value::Object(arguments.unwrap_or_default()))
    }

    pub fn into_value(self) -> Value {
        self.0
    }

    /// The arguments as the tool needs them; otherwise the refusal says what is wrong.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, ErrorData> {
        serde_json::from_value(self.0)
            .map_err(|error| ErrorData::invalid_params(format!("arguments: {error}"), None))
    }
}

impl From<Value> for Arguments {
    fn from(arguments: Value) -> Self {
        Self(arguments)
    }
}

pub fn text(text: impl Into<String>) -> ContentBlock {
    ContentBlock::text(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_of_the_catalog_explains_itself() {
        for tool in CATALOG.iter() {
            assert!(tool.title.is_some(), "{} has a title", tool.name);
            assert!(
                tool.description
                    .as_ref()
                    .is_some_and(|text| text.len() > 20),
                "{}",
                tool.name
            );
            assert!(tool.annotations.is_some(), "{} has annotations", tool.name);
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        }
    }
}
