// Connects one of the official TypeScript clients.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/**
 * A connected client and its transport, of the packages in `modules`.
 *
 * `version` is `v1`, the client for sessions, or `v2`, the one that also speaks 2026-07-28.
 */
export async function connect(url, version, name, modules) {
  const require = createRequire(modules + '/');
  const load = (name) => import(pathToFileURL(require.resolve(name)));
  const about = { name, version: '1' };
  let client, transport;
  if (version === 'v1') {
    const { Client } = await load('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await load('@modelcontextprotocol/sdk/client/streamableHttp.js');
    client = new Client(about);
    transport = new StreamableHTTPClientTransport(new URL(url));
  } else {
    const { Client, StreamableHTTPClientTransport } = await load('@modelcontextprotocol/client');
    client = new Client(about, { versionNegotiation: { mode: 'auto' } });
    transport = new StreamableHTTPClientTransport(new URL(url));
  }
  await client.connect(transport);
  const call = (name, args, options) =>
    version === 'v1'
      ? client.callTool({ name, arguments: args }, undefined, options)
      : client.callTool({ name, arguments: args }, options);
  return { client, transport, call };
}
