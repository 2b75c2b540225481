//! The demo MCP server, inside this process: no Docker, no network.
