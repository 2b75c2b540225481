// The flow of a session with the official TypeScript clients: bare arguments, progress, cancellation.
//
//   node flow.mjs URL v1|v2 MODULES
//
// The backend `demo` is the one that is built in.
import assert from 'node:assert/strict';
import { connect } from './connect.mjs';

const [url, version, modules] = process.argv.slice(2);
const { client, transport, call } = await connect(url, version, `flow-${version}`, modules);

// The clients check structured results against the output schemas of the tools they have listed.
const { tools } = await client.listTools();
assert.equal(tools.length, 5);
for (const tool of tools) assert.ok(tool.outputSchema && tool.annotations && tool.description, tool.name);

const ask = async (name, args, options) => {
  const result = await call(name, args, options);
  assert.ok(!result.isError, JSON.stringify(result));
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
  return result.structuredContent;
};

const opened = await ask('initialize_session', { backends: [{ backend_name_ref: 'demo', num_instances: 2 }] });
const [first, second] = opened.initialized_backends[0].instances;
const at = (instance, tool_name, tool_args) => ({
  rk_session_id: opened.rk_session_id,
  backend_name_ref: 'demo',
  instance_id: instance.instance_id,
  tool_name,
  tool_args,
});

const sum = await ask('call_backend_tool', at(first, 'add', { a: 2, b: 3 }));
assert.equal(sum.structuredContent.sum, 5);
const picture = await ask('call_backend_tool', at(second, 'picture', {}));
assert.ok(picture.content.some((block) => block.type === 'image' && block.data.length > 100));
const failed = await call('call_backend_tool', at(first, 'fail', {}));
assert.equal(failed.isError, true);

const seen = [];
await ask('call_backend_tool', at(first, 'countdown', { seconds: 0.5, steps: 5 }), {
  onprogress: (progress) => seen.push(progress.progress),
});
assert.deepEqual(seen, [1, 2, 3, 4, 5]);

const abort = new AbortController();
const hanging = call('call_backend_tool', at(first, 'hang', {}), { signal: abort.signal });
setTimeout(() => abort.abort('enough'), 300);
await assert.rejects(hanging);

const cleaned = await ask('cleanup_session', { rk_session_id: opened.rk_session_id });
assert.equal(cleaned.status, 'cleaned');
if (transport.terminateSession) await transport.terminateSession();
await client.close();
console.log('passed');
