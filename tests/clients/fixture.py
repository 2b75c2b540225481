"""A stdio MCP server with the tools that the conformance suite calls, without dependencies."""

import json
import sys
import time

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
WAV = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def text(words):
    return {"type": "text", "text": words}


IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}


def resource(name, kind, words):
    return {"type": "resource", "resource": {"uri": f"test://{name}", "mimeType": kind, "text": words}}


TOOLS = {
    "test_simple_text": [text("This is a simple text response for testing.")],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        resource("embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        text("Multiple content types test:"),
        IMAGE,
        resource("mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
    "test_tool_with_progress": [text("done")],
    "test_error_handling": [text("This tool intentionally returns an error for testing")],
    "json_schema_2020_12_tool": [text("fine")],
}


def send(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tool(name):
    schema = SCHEMA if name.startswith("json_schema") else {"type": "object", "properties": {}}
    return {"name": name, "description": f"The conformance suite calls {name}.", "inputSchema": schema}


def call(params):
    name, token = params["name"], params.get("_meta", {}).get("progressToken")
    if name == "test_tool_with_progress" and token is not None:
        for progress in (0, 50, 100):
            send(
                method="notifications/progress",
                params={"progressToken": token, "progress": progress, "total": 100},
            )
            time.sleep(0.05)
    return {"content": TOOLS[name], "isError": name == "test_error_handling"}


for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params", {})
    if "id" not in message:
        continue
    if method == "initialize":
        result = {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "fixture", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [tool(name) for name in TOOLS]}
    elif method == "tools/call" and params.get("name") in TOOLS:
        result = call(params)
    elif method == "ping":
        result = {}
    else:
        send(id=message["id"], error={"code": -32601, "message": f"no {method}"})
        continue
    send(id=message["id"], result=result)
