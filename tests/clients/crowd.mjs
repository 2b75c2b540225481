// One of many clients at once: opens sessions, calls and leaves, at random, or waits to be killed in a call.
//
//   node crowd.mjs URL v1|v2 SEED leaves|hangs MODULES
//
// Says each step on a line before it is taken, and `passed` at the end, to which one that hangs never comes.
import assert from 'node:assert/strict';
import { connect } from './connect.mjs';

const [url, version, seed, end, modules] = process.argv.slice(2);

// Nobody waits longer for a client of a test that fails.
setTimeout(() => {
  console.error(`client ${seed} is stuck`);
  process.exit(1);
}, 180_000).unref();

// mulberry32: the same walk for the same seed.
let state = Number(seed);
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};
const between = (least, most) => least + Math.floor(random() * (most - least + 1));

console.log('connect');
const { client, transport, call } = await connect(url, version, `crowd-${seed}`, modules);
const ask = async (name, args) => {
  // Starts queue behind those of all others.
  const result = await call(name, args, { timeout: 170_000 });
  assert.ok(!result.isError, JSON.stringify(result));
  return result.structuredContent;
};

const sessions = end === 'hangs' ? 1 : between(1, 2);
for (let session = 0; session < sessions; session++) {
  console.log('open');
  const opened = await ask('initialize_session', { backends: [{ backend_name_ref: 'tiny' }] });
  const [{ instances, error_message }] = opened.initialized_backends;
  assert.equal(instances.length, 1, error_message);
  const use = (tool_name, tool_args) =>
    ask('call_backend_tool', {
      rk_session_id: opened.rk_session_id,
      backend_name_ref: 'tiny',
      instance_id: instances[0].instance_id,
      tool_name,
      tool_args,
    });
  for (let calls = end === 'hangs' ? 4 : between(1, 8); calls > 0; calls--) {
    console.log('call');
    const text = `${seed} ${random()}`;
    const { content } = await use('echo', { text });
    assert.equal(content[0].text, text, 'the answer to somebody else');
  }
  if (end === 'hangs') {
    console.log('hang');
    await use('hang', {});
  }
  // Some leave their environments to whoever cleans up.
  if (random() < 0.75) {
    console.log('clean up');
    const { status } = await ask('cleanup_session', { rk_session_id: opened.rk_session_id });
    assert.equal(status, 'cleaned');
  }
}
if (transport.terminateSession && random() < 0.5) await transport.terminateSession();
await client.close();
console.log('passed');
// Streams that the server keeps open would keep it here.
process.exit(0);
