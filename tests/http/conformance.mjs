// What the conformance suite runs as the client under test: `envdeck`, as each scenario wants it used.
//
//   node conformance.mjs ENVDECK URL        the scenario is in MCP_CONFORMANCE_SCENARIO

import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [envdeck, url] = process.argv.slice(2);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

/** The server: its URL, or a configuration where the scenario gives us a client. */
function server() {
  if (context.client_secret === undefined) return ['--url', url];
  const { client_id, client_secret } = context;
  const backend = {
    backend_name_ref: 'server', orchestration_mode: 'external', url, oauth: { client_id, client_secret },
  };
  const file = join(mkdtempSync(join(process.env.HOME, 'conformance-')), 'envdeck.yaml');
  writeFileSync(file, JSON.stringify({ backends: [backend] }));
  return ['--config', file];
}

const there = server();

/** Runs envdeck; what it prints. A tool's error (1) is an answer. */
function run(...args) {
  const { status, stdout, stderr } = spawnSync(envdeck, [...args, ...there], { encoding: 'utf8' });
  process.stderr.write(stderr);
  if (status !== 0 && status !== 1) throw new Error(`envdeck ${args.join(' ')}: ${status}`);
  return stdout;
}

const list = () => JSON.parse(run('tools', '--json')).tools;
const call = (tool, args) => JSON.parse(run('call', tool, '--json', JSON.stringify(args)));

const scenarios = {
  initialize: list,
  tools_call: () => call('add_numbers', { a: 5, b: 3 }),
  'sse-retry': () => call('test_reconnection', {}),
  'request-metadata': list,
  'http-standard-headers': () => list().forEach(({ name }) => call(name, {})),
  'http-custom-headers': () => {
    for (const { name, arguments: args } of context.toolCalls) call(name, args);
  },
  'http-invalid-tool-headers': () => list().forEach(({ name }) => call(name, { value: 'x' })),
  'sep-2322-client-request-state': () => list().forEach(({ name }) => call(name, {})),
  'json-schema-ref-no-deref': list,
  'json-schema-2020-12-preservation': () => {
    const { inputSchema } = list().find(({ name }) => name === 'json_schema_2020_12_tool');
    call('json_schema_echo', { schema: inputSchema });
  },
};

// Servers that want a login: it is given in what BROWSER names.
const loggedIn = () => list().forEach(({ name }) => call(name, {}));

(scenarios[scenario] ?? loggedIn)();
