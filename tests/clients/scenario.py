"""The predecessor's public scenario: two filesystem instances from one template, each read, changed and read again.

    scenario.py URL BACKEND

Runs with the MCP SDK for Python of June 2025 (1.9) and with a current one (2.x).
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

from mcp import ClientSession

URL, BACKEND = sys.argv[1:3]
INSTANCES = 2


@asynccontextmanager
async def connected():
    """A session with the gateway, over whatever this version of the SDK calls the transport."""
    try:
        from mcp import Client
    except ImportError:
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(URL) as (read, write, _):
            async with ClientSession(read, write) as session:
                await session.initialize()
                yield session
    else:
        async with Client(URL) as client:
            yield client


def parsed(result):
    """As clients of the predecessor do it: JSON in the first text."""
    is_error = getattr(result, "is_error", None)
    if is_error is None:
        is_error = result.isError
    if is_error or not result.content or not hasattr(result.content[0], "text"):
        raise ValueError(result.content[0].text if result.content else "no content")
    return json.loads(result.content[0].text)


async def main():
    async with connected() as session:
        names = sorted(tool.name for tool in (await session.list_tools()).tools)
        assert names == [
            "call_backend_tool",
            "cleanup_session",
            "initialize_session",
            "list_backend_tools",
            "ping",
        ], names

        async def ask(tool, **args):
            return parsed(await session.call_tool(tool, {"args": args}))

        opened = await ask(
            "initialize_session",
            backends=[{"backend_name_ref": BACKEND, "num_instances": INSTANCES}],
        )
        rk_session_id = opened["rk_session_id"]
        instances = [
            instance
            for backend in opened["initialized_backends"]
            if backend["backend_name_ref"] == BACKEND
            for instance in backend["instances"]
        ]
        assert len(instances) == INSTANCES, opened
        for instance in instances:
            where = dict(
                rk_session_id=rk_session_id,
                backend_name_ref=BACKEND,
                instance_id=instance["instance_id"],
            )

            async def call(tool, **args):
                result = await ask("call_backend_tool", **where, tool_name=tool, tool_args=args)
                assert not result.get("isError"), result
                return result["content"][0]["text"].strip()

            listed = await ask("list_backend_tools", **where)
            assert "read_file" in [tool["name"] for tool in listed["tools"]]
            # "Allowed directories:" and then one a line.
            root = (await call("list_allowed_directories")).splitlines()[-1]
            source, target = f"{root}/source_dir", f"{root}/target_dir"
            assert await call("read_file", path=f"{source}/file_to_move.txt") == "Hello from source"
            assert await call("list_directory", path=target) in ("", "[FILE] .gitkeep")
            await call(
                "move_file",
                source=f"{source}/file_to_move.txt",
                destination=f"{target}/file_to_move.txt",
            )
            assert await call("read_file", path=f"{target}/file_to_move.txt") == "Hello from source"
            assert "file_to_move.txt" not in await call("list_directory", path=source)
            try:
                missing = await call("read_file", path=f"{source}/file_to_move.txt")
            except ValueError as error:
                assert "ENOENT" in str(error) or "no such file" in str(error).lower(), error
            else:
                raise AssertionError(f"a missing file was read: {missing}")
        cleaned = await ask("cleanup_session", rk_session_id=rk_session_id)
        assert cleaned == {"status": "cleaned", "rk_session_id": rk_session_id}, cleaned
        again = await ask("cleanup_session", rk_session_id=rk_session_id)
        assert again["status"] == "custom_session_data_not_found_or_already_cleaned", again
        assert (await ask("ping", rk_session_id="x")) == {"reply": "pong", "session_id": "x"}
    print("passed")


asyncio.run(asyncio.wait_for(main(), 120))
