// An MCP server for the tests of Box runtimes: stdio, node alone, no packages.
//
// Options: --stubborn (ignores the end of its input and SIGTERM), --cold MS (reads nothing at first), --banner TEXT
// (to stderr), --noise TEXT (a line on stdout that is no message).
import { readFileSync, readdirSync, statSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const option = (name) => {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : (process.argv[at + 1] ?? "");
};

const write = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const text = (value) => ({ content: [{ type: "text", text: String(value) }], isError: false });

const tools = {
  echo: ({ text: value }) => text(value),
  pid: () => text(process.pid),
  env: ({ name }) => text(process.env[name] ?? "<unset>"),
  big: ({ fill = "x", count }) => text(fill.repeat(count)),
  stderr: ({ text: value }) => (process.stderr.write(value + "\n"), text("said")),
  size: ({ path }) => text(statSync(path).size),
  // How many of us run here.
  processes: () => {
    const isUs = (pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("node\0");
      } catch {
        return false;
      }
    };
    return text(readdirSync("/proc").filter((pid) => /^[0-9]+$/.test(pid) && isUs(pid)).length);
  },
  slow: async ({ ms }) => (await sleep(ms), text("slept")),
  // A notification and the answer in one write.
  both: (_, id) => {
    const note = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "note" } };
    const answer = { jsonrpc: "2.0", id, result: text("both") };
    process.stdout.write(JSON.stringify(note) + "\n" + JSON.stringify(answer) + "\n");
  },
  die: ({ code }) => {
    process.stderr.write("dying on request\n", () => process.exit(code));
    return new Promise(() => {});
  },
};

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: "box-fixture", version: "1" },
  }),
  ping: () => ({}),
  "tools/list": () => ({
    tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: "object" } })),
  }),
  "tools/call": ({ name, arguments: values = {} }, id) => tools[name](values, id),
};

const stubborn = process.argv.includes("--stubborn");
if (stubborn) process.on("SIGTERM", () => {});
if (option("--banner")) process.stderr.write(option("--banner") + "\n");
if (option("--noise")) process.stdout.write(option("--noise") + "\n");
await sleep(Number(option("--cold") ?? 0));

const lines = createInterface({ input: process.stdin });
lines.on("line", async (line) => {
  const { id, method, params = {} } = JSON.parse(line);
  if (id === undefined || method === undefined) return;
  const result = await methods[method]?.(params, id);
  if (result !== undefined) write({ jsonrpc: "2.0", id, result });
  else if (!methods[method]) write({ jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } });
});
lines.on("close", () => {
  if (stubborn) setInterval(() => {}, 1000);
  else process.exit(0);
});
