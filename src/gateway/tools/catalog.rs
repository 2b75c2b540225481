//! How our tools describe themselves.

use serde_json::{Value, json};

use super::Tool;

/// `tools/list` for clients that know titles, annotations and structured results; the others ignore them.
pub(super) fn tools() -> Vec<Value> {
    Tool::ALL.into_iter().map(describe).collect()
}

fn describe(tool: Tool) -> Value {
    let (title, description) = words(tool);
    json!({
        "name": tool.name(),
        "title": title,
        "description": description,
        "inputSchema": input(tool),
        "outputSchema": output(tool),
        "annotations": annotations(tool, title),
    })
}

fn words(tool: Tool) -> (&'static str, &'static str) {
    match tool {
        Tool::Initialize => (
            "Open a session",
            "Starts environments and returns a session that owns them: for each backend asked for, its instances \
             with the ids that the other tools take. All instances start at the same time; the call returns when \
             each of them is ready or has failed. A backend that failed, wholly or in part, says why in \
             error_message; its other instances can be used. A backend of scope shared_global has one instance for \
             everybody: it is returned as often as it was asked for, under the same id, and stays when the session \
             is cleaned up. Call cleanup_session when you are done.",
        ),
        Tool::Call => (
            "Call a tool of an instance",
            "Calls a tool of one instance and returns what it answered, unchanged: the backend's own MCP result \
             (content, structuredContent, isError, _meta), as JSON in the first text and as structured content. \
             isError of this call is that of the backend's. Calls to one instance run concurrently. Progress \
             notifications are passed on to clients that ask for them, and cancelling this call cancels the \
             backend's.",
        ),
        Tool::List => (
            "List the tools of an instance",
            "Asks one instance for its tools and returns them as the backend describes them, with the JSON Schemas of \
             their arguments.",
        ),
        Tool::Cleanup => (
            "Clean up a session",
            "Stops and removes all instances of a session, with their data, and forgets it. Returns when nothing is \
             left. Doing it again is no error: the status then says that there was nothing to clean up.",
        ),
        Tool::Ping => (
            "Ping",
            "Answers at once: the gateway is there. Starts nothing.",
        ),
    }
}

fn annotations(tool: Tool, title: &str) -> Value {
    let (read_only, destructive, idempotent, open_world) = match tool {
        Tool::Initialize => (false, false, false, true),
        Tool::Call => (false, true, false, true),
        Tool::List | Tool::Ping => (true, false, true, false),
        Tool::Cleanup => (false, true, true, false),
    };
    json!({
        "title": title,
        "readOnlyHint": read_only,
        "destructiveHint": destructive,
        "idempotentHint": idempotent,
        "openWorldHint": open_world,
    })
}

/// The bare shape. Clients of the predecessor wrap it in `{"args": …}`, which is accepted, but not advertised: a
/// schema of both shapes has no properties of its own at the top, which model APIs do not take.
fn input(tool: Tool) -> Value {
    let (required, properties): (&[&str], Value) = match tool {
        Tool::Initialize => (&["backends"], json!({ "backends": backends() })),
        Tool::Call => {
            let mut properties = instance();
            properties["tool_name"] =
                text("A tool of the instance, as list_backend_tools names it.");
            properties["tool_args"] = json!({
                "type": "object",
                "description": "The arguments of that tool.",
                "default": {},
            });
            (
                &[
                    "rk_session_id",
                    "backend_name_ref",
                    "instance_id",
                    "tool_name",
                ],
                properties,
            )
        }
        Tool::List => (
            &["rk_session_id", "backend_name_ref", "instance_id"],
            instance(),
        ),
        Tool::Cleanup => (&["rk_session_id"], json!({ "rk_session_id": session() })),
        Tool::Ping => (
            &[],
            json!({ "rk_session_id": text("Comes back as session_id.") }),
        ),
    };
    json!({ "type": "object", "properties": properties, "required": required })
}

fn backends() -> Value {
    json!({
        "type": "array",
        "description": "The kinds of environments, and how many of each.",
        "items": {
            "type": "object",
            "properties": {
                "backend_name_ref": text("A configured backend, by its name."),
                "num_instances": {
                    "type": "integer",
                    "minimum": 1,
                    "default": 1,
                    "description": "How many instances of it.",
                },
                "template_details": {
                    "description": "Other data to begin with than those configured: a path below one of the \
                                    configured template roots. A remote API gets it as it is.",
                },
            },
            "required": ["backend_name_ref"],
            "additionalProperties": false,
        },
    })
}

fn instance() -> Value {
    json!({
        "rk_session_id": session(),
        "backend_name_ref": text("The backend of the instance, by its name."),
        "instance_id": text("The instance, as initialize_session named it."),
    })
}

fn session() -> Value {
    text("The session, as initialize_session named it.")
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn output(tool: Tool) -> Value {
    match tool {
        Tool::Initialize => json!({
            "type": "object",
            "properties": {
                "rk_session_id": text("What the other tools take."),
                "initialized_backends": {
                    "type": "array",
                    "description": "In the order of the request.",
                    "items": {
                        "type": "object",
                        "properties": {
                            "backend_name_ref": text("As asked for."),
                            "instances": {
                                "type": "array",
                                "description": "Those that are ready.",
                                "items": instance_info(),
                            },
                            "error_message": text("Why there are fewer than asked for."),
                        },
                        "required": ["backend_name_ref", "instances"],
                    },
                },
            },
            "required": ["rk_session_id", "initialized_backends"],
        }),
        Tool::Call => json!({
            "type": "object",
            "description": "The CallToolResult of the backend.",
            "properties": {
                "content": { "type": "array", "items": { "type": "object" } },
                "structuredContent": {},
                "isError": { "type": "boolean" },
                "_meta": { "type": "object" },
            },
        }),
        Tool::List => json!({
            "type": "object",
            "description": "The ListToolsResult of the backend, all pages of it.",
            "properties": { "tools": { "type": "array", "items": { "type": "object" } } },
            "required": ["tools"],
        }),
        Tool::Cleanup => json!({
            "type": "object",
            "properties": {
                "status": {
                    "type": "string",
                    "enum": ["cleaned", "custom_session_data_not_found_or_already_cleaned"],
                },
                "rk_session_id": text("As asked for."),
            },
            "required": ["status", "rk_session_id"],
        }),
        Tool::Ping => json!({
            "type": "object",
            "properties": {
                "reply": { "type": "string", "const": "pong" },
                "session_id": text("The session asked about, else that of the connection."),
            },
            "required": ["reply", "session_id"],
        }),
    }
}

fn instance_info() -> Value {
    json!({
        "type": "object",
        "properties": {
            "instance_id": text("What the other tools take."),
            "backend_name_ref": text("Its backend."),
            "orchestration_mode": text("How it runs, such as local_docker."),
            "mcp_transport": { "type": "string", "enum": ["http", "stdio"] },
            "mcp_endpoint_url": text("Where it speaks MCP over HTTP itself, if it does."),
            "internal_instance_details": {
                "type": "object",
                "description": "What it is to the system that runs it, such as container_id.",
            },
            "committed_image_tag": text("The image made of its template, if one was made."),
        },
        "required": [
            "instance_id",
            "backend_name_ref",
            "orchestration_mode",
            "mcp_transport",
            "internal_instance_details",
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_is_described_in_full() {
        let tools = tools();
        let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str()).collect();
        let expected = [
            "initialize_session",
            "call_backend_tool",
            "list_backend_tools",
            "cleanup_session",
            "ping",
        ];
        assert_eq!(names, expected.map(Some));
        for tool in &tools {
            for schema in ["inputSchema", "outputSchema"] {
                assert_eq!(tool[schema]["type"], "object", "{tool}");
                let properties = tool[schema]["properties"].as_object().expect("an object");
                for required in tool[schema]["required"].as_array().into_iter().flatten() {
                    let name = required.as_str().expect("text");
                    assert!(properties.contains_key(name), "{name} of {tool}");
                }
            }
            assert!(
                tool["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 40)
            );
        }
    }
}
