#!/usr/bin/env python3
"""A stdio MCP server without dependencies whose tools do what hurts a client.

    nasty.py [--answer-initialize-after SECONDS] [--version REVISION] [--odd-schemas]
    nasty.py --start garbage|half|silent|exit|flood

Everything is deterministic: a test can count. `--start` names servers that never get as far as a tool list.
"""
import argparse
import json
import os
import sys
import threading
import time

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

# Everything a program could do to a terminal from within a text.
ESCAPES = (
    "colour \x1b[31mRED\x1b[0m, title \x1b]0;OWNED\x07, clipboard \x1b]52;c;T1dORUQ=\x07, clear \x1b[2J\x1b[H, "
    "C1 \u009b31m, turned \u202earound\u202c, wide 日本語, joined 👩‍👩‍👧, tab\tstop, return aaa\rb, zero \x00, the end"
)

FORM = {
    "type": "object",
    "$defs": {
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
            "required": ["street"],
        }
    },
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "note": {"type": "string", "description": "may be empty, must be there"},
        "count": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
        "big": {"type": "integer", "description": "more than a double holds"},
        "colour": {"enum": ["red", "green", "blue"], "default": "green"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "points": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
                "required": ["x", "y"],
            },
        },
        "home": {"$ref": "#/$defs/address"},
        "shape": {"oneOf": [{"type": "object", "properties": {"r": {"type": "number"}}}, {"type": "string"}]},
        "free": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["name", "note", "points"],
}

# What stands where a JSON Schema should; every one of these tools must stay callable.
ODD_SCHEMAS = {
    "schema_is_true": True,
    "schema_is_a_list": [1, 2],
    "schema_is_text": "object",
    "schema_is_null": None,
    "schema_points_at_itself": {"type": "object", "properties": {"me": {"$ref": "#"}}},
    "schema_points_nowhere": {"$ref": "#/$defs/missing"},
    "schema_has_odd_parts": {"type": ["object"], "properties": {"a": 7, "b": {"type": "wat"}}, "required": "a"},
}

output = threading.Lock()
cancelled = {}
answers = {}


def send(message):
    line = json.dumps(message, ensure_ascii=False) + "\n"
    with output:
        sys.stdout.write(line)
        sys.stdout.flush()


def notify(method, **params):
    send({"jsonrpc": "2.0", "method": method, "params": params})


def ask(method, **params):
    """A request of ours; the client's result or error."""
    number = f"ask-{method}"
    answers[number] = [threading.Event(), None]
    send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    answers[number][0].wait()
    return answers.pop(number)[1]


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


def rows(megabytes):
    """About so many megabytes of JSON; 100 bytes a row."""
    return [
        {"id": number, "name": f"row {number:08d}", "even": number % 2 == 0, "pad": "x" * 38}
        for number in range(int(megabytes * 10_000))
    ]


def huge(number, megabytes):
    """The same as structured content, written as it is made: nobody should have to wait for the test's server."""
    count = int(megabytes * 10_000)
    with output:
        sys.stdout.write('{"jsonrpc": "2.0", "id": %s, "result": {"content": [], "structuredContent": {"rows": [' % number)
        for start in range(0, count, 10_000):
            block = ['{"id": %d, "name": "row %08d", "pad": "%s"}' % (row, row, "x" * 54) for row in range(start, start + 10_000)]
            sys.stdout.write((", " if start else "") + ", ".join(block))
        sys.stdout.write("]}}}\n")
        sys.stdout.flush()


def endless(megabytes):
    """One line of so many megabytes that is no message."""
    with output:
        for _ in range(int(megabytes)):
            sys.stdout.write("y" * 1_000_000)
        sys.stdout.write("\n")
        sys.stdout.flush()
    return text("written")


def slow(number, meta, seconds, obeys):
    stop = cancelled.setdefault(number, threading.Event())
    steps = max(1, int(seconds * 10))
    for step in range(1, steps + 1):
        if obeys and stop.wait(0.1):
            print("slow: stopped, as it was told", file=sys.stderr, flush=True)
            return None
        if not obeys:
            time.sleep(0.1)
        if "progressToken" in meta:
            token = meta["progressToken"]
            words = f"step {step} of {steps}"
            notify("notifications/progress", progressToken=token, progress=step, total=steps, message=words)
    return text("it took its time")


def flood(lines):
    for start in range(0, lines, 1000):
        block = "".join(f"flood line {line:08d}\n" for line in range(start, min(start + 1000, lines)))
        sys.stderr.write(block)
    sys.stderr.flush()
    return text(f"{lines} lines on stderr")


def pour(rate, seconds):
    """`rate` lines a second, ten times a second."""
    began, lines = time.monotonic(), 0
    while lines < rate * seconds:
        due = int(min(seconds, time.monotonic() - began + 0.1) * rate)
        block = "".join(f"pour line {line:08d}\n" for line in range(lines, due))
        sys.stderr.write(block)
        sys.stderr.flush()
        lines = max(lines, due)
        time.sleep(0.1)
    return text(f"{lines} lines poured")


def garbage():
    with output:
        sys.stdout.write("a stray print, not JSON-RPC\n")
        sys.stdout.flush()
    return text("survived")


def deep(levels):
    value = {"leaf": 1}
    for _ in range(levels):
        value = {"d": value}
    return text("deep", structuredContent=value)


def crash():
    print('Traceback (most recent call last):\n  File "nasty.py", line 1, in crash\nRuntimeError: boom', file=sys.stderr)
    sys.stderr.flush()
    os._exit(3)


def chatter(count):
    for number in range(count):
        notify("notifications/message", level="info", logger="nasty", data=f"log {number}")
    return text(f"{count} messages")


def half():
    with output:
        sys.stdout.write('{"jsonrpc": "2.0", "id": 99, "result": {"content": [{"ty')
        sys.stdout.flush()
    os._exit(4)


def change():
    more.append(f"new_{len(more)}")
    notify("notifications/tools/list_changed")
    return text("changed")


more = []
NUMBER = {"type": "number"}
WISH = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}

# name: (properties or schema, what it does with the request's id, its arguments and `_meta`)
TOOLS = {
    "echo": ({"text": {"type": "string"}}, lambda i, a, m: text(json.dumps(a, ensure_ascii=False))),
    "form": (FORM, lambda i, a, m: text(json.dumps(a), structuredContent={"received": a})),
    "big_json": ({"mb": NUMBER}, lambda i, a, m: text(json.dumps(rows(a.get("mb", 10))))),
    "big_structured": (
        {"mb": NUMBER},
        lambda i, a, m: text("see structuredContent", structuredContent={"rows": rows(a.get("mb", 10))}),
    ),
    "huge": ({"mb": NUMBER}, lambda i, a, m: huge(i, a.get("mb", 100))),
    "endless": ({"mb": NUMBER}, lambda i, a, m: endless(a.get("mb", 300))),
    "big_lines": (
        {"lines": NUMBER},
        lambda i, a, m: text("\n".join(f"line {line:07d}" for line in range(a.get("lines", 100_000)))),
    ),
    "long_line": ({"mb": NUMBER}, lambda i, a, m: text("x" * int(a.get("mb", 5) * 1e6))),
    "deep": ({"levels": NUMBER}, lambda i, a, m: deep(a.get("levels", 500))),
    "slow": ({"seconds": NUMBER}, lambda i, a, m: slow(i, m, a.get("seconds", 30), True)),
    "stubborn": ({"seconds": NUMBER}, lambda i, a, m: slow(i, m, a.get("seconds", 30), False)),
    "hang": ({}, lambda i, a, m: None),
    "stderr_flood": ({"lines": NUMBER}, lambda i, a, m: flood(a.get("lines", 100_000))),
    "pour": (
        {"rate": NUMBER, "seconds": NUMBER},
        lambda i, a, m: pour(a.get("rate", 100_000), a.get("seconds", 10)),
    ),
    "log_flood": ({"count": NUMBER}, lambda i, a, m: chatter(a.get("count", 20_000))),
    "list_changed": ({}, lambda i, a, m: change()),
    "fail": ({}, lambda i, a, m: text("this tool fails on purpose", isError=True)),
    "rpc_error": ({}, None),
    "garbage": ({}, lambda i, a, m: garbage()),
    "half": ({}, lambda i, a, m: half()),
    "crash": ({}, lambda i, a, m: crash()),
    "ansi": ({}, lambda i, a, m: text(ESCAPES)),
    "image": ({}, lambda i, a, m: {"content": [{"type": "image", "mimeType": "image/png", "data": PIXEL}]}),
    "elicit": (
        {},
        lambda i, a, m: text(f"asked: {ask('elicitation/create', message='Who are you?', requestedSchema=WISH)}"),
    ),
    "sample": ({}, lambda i, a, m: text(f"asked: {ask('sampling/createMessage', messages=[], maxTokens=9)}")),
    "roots": ({}, lambda i, a, m: text(f"asked: {ask('roots/list')}")),
}


def listed(options):
    def schema(parts):
        return parts if parts is FORM else {"type": "object", "properties": parts, "required": list(parts)}

    tools = [{"name": name, "inputSchema": schema(parts)} for name, (parts, _) in TOOLS.items()]
    tools += [{"name": name, "inputSchema": {"type": "object"}} for name in more]
    if options.odd_schemas:
        tools += [{"name": name, "inputSchema": schema} for name, schema in ODD_SCHEMAS.items()]
    return tools


def call(number, params):
    """The message that answers a call, or nothing."""
    name, arguments = params["name"], params.get("arguments") or {}
    if name == "rpc_error":
        return {"error": {"code": -32603, "message": "an internal error on purpose", "data": {"why": "because"}}}
    _, work = TOOLS.get(name, (None, lambda i, a, m: text(json.dumps(a))))
    result = work(number, arguments, params.get("_meta") or {})
    return result and {"result": result}


def handle(message, options):
    number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method is None:
        if number in answers:
            answers[number][1] = message.get("result", message.get("error"))
            answers[number][0].set()
        return
    if method == "notifications/cancelled":
        cancelled.setdefault(params.get("requestId"), threading.Event()).set()
    if number is None:
        return
    if method == "initialize":
        time.sleep(options.answer_initialize_after)
        answer = {
            "result": {
                "protocolVersion": options.version or params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}, "logging": {}},
                "serverInfo": {"name": "nasty", "version": "1"},
            }
        }
    elif method == "tools/list":
        answer = {"result": {"tools": listed(options)}}
    elif method == "tools/call":
        answer = call(number, params)
    elif method in ("ping", "logging/setLevel"):
        answer = {"result": {}}
    else:
        answer = {"error": {"code": -32601, "message": f"no method {method}"}}
    if answer:
        send({"jsonrpc": "2.0", "id": number, **answer})


def misbehave(how):
    """Starts that come to nothing."""
    if how == "exit":
        sys.exit("no licence file\nset NASTY_LICENCE and try again")
    if how == "half":
        sys.stdin.readline()
        sys.stdout.write('{"jsonrpc": "2.0", "id": 1, "resu')
        sys.stdout.flush()
        sys.exit(5)
    if how == "flood":
        flood(100_000)
        sys.exit(6)
    while how == "garbage" and sys.stdin.readline():
        print("Welcome to nasty 1.0, type help", flush=True)
    while sys.stdin.readline():
        pass


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--start", choices=["garbage", "half", "silent", "exit", "flood"])
    options.add_argument("--answer-initialize-after", type=float, default=0, metavar="SECONDS")
    options.add_argument("--version")
    options.add_argument("--odd-schemas", action="store_true")
    options = options.parse_args()
    if options.start:
        return misbehave(options.start)
    print("nasty server ready", file=sys.stderr, flush=True)
    for line in sys.stdin:
        threading.Thread(target=handle, args=(json.loads(line), options), daemon=True).start()


if __name__ == "__main__":
    main()
