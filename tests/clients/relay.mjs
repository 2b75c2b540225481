// Makes one instance behind the gateway look like a server of its own, so that the conformance suite can call its tools.
//
//   node relay.mjs URL BACKEND        prints the URL of the relay
//
// It renames requests and unwraps results; all else passes through it as it is: headers, streams, notifications.
import http from 'node:http';

const [url, backend] = process.argv.slice(2);
const gateway = new URL(url);
const VERSION = '2025-11-25';

// A session of its own owns the instance.
let session;
const post = async (message) => {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(session ? { 'mcp-session-id': session, 'mcp-protocol-version': VERSION } : {}),
  };
  const response = await fetch(gateway, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', ...message }) });
  session ??= response.headers.get('mcp-session-id');
  return response.status === 202 ? null : response.json();
};
const clientInfo = { name: 'relay', version: '1' };
await post({ id: 1, method: 'initialize', params: { protocolVersion: VERSION, capabilities: {}, clientInfo } });
await post({ method: 'notifications/initialized' });
const backends = [{ backend_name_ref: backend }];
const opened = await post({ id: 2, method: 'tools/call', params: { name: 'initialize_session', arguments: { backends } } });
const { rk_session_id, initialized_backends } = opened.result.structuredContent;
const where = {
  rk_session_id,
  backend_name_ref: backend,
  instance_id: initialized_backends[0].instances[0].instance_id,
};

const renamed = (message, headers) => {
  const { name, arguments: tool_args, ...rest } = message.params ?? {};
  const tool = message.method === 'tools/list' ? 'list_backend_tools' : 'call_backend_tool';
  const args = message.method === 'tools/list' ? where : { ...where, tool_name: name, tool_args };
  if (headers['mcp-method']) Object.assign(headers, { 'mcp-method': 'tools/call', 'mcp-name': tool });
  return { ...message, method: 'tools/call', params: { ...rest, name: tool, arguments: args } };
};

// What a backend says has no `resultType` and no caching hints: those are the gateway's to give.
const unwrapped = (message, listed) => {
  if (!message.result?.structuredContent) return message;
  const { resultType } = message.result;
  const hints = listed && resultType ? { ttlMs: 0, cacheScope: 'private' } : {};
  return { ...message, result: { ...message.result.structuredContent, ...(resultType ? { resultType } : {}), ...hints } };
};

const server = http.createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const headers = { ...request.headers, host: gateway.host };
  delete headers['content-length'];
  delete headers['transfer-encoding'];
  let body = Buffer.concat(chunks);
  const message = body.length ? JSON.parse(body) : {};
  const concerns = ['tools/list', 'tools/call'].includes(message.method);
  if (concerns) body = Buffer.from(JSON.stringify(renamed(message, headers)));
  if (body.length) headers['content-length'] = String(body.length);
  const onward = http.request(gateway, { method: request.method, headers }, (answer) => {
    const { 'content-length': _, 'transfer-encoding': __, ...passed } = answer.headers;
    response.writeHead(answer.statusCode, passed);
    if (!concerns) return void answer.pipe(response);
    const listed = message.method === 'tools/list';
    const rewrite = (text) => JSON.stringify(unwrapped(JSON.parse(text), listed));
    let pending = '';
    answer.setEncoding('utf8');
    answer.on('data', (text) => {
      pending += text;
      if (!passed['content-type']?.startsWith('text/event-stream')) return;
      const events = pending.split('\n\n');
      pending = events.pop();
      for (const event of events) {
        response.write(event.replace(/^data: (.*)$/m, (_, data) => `data: ${rewrite(data)}`) + '\n\n');
      }
    });
    answer.on('end', () => response.end(pending ? rewrite(pending) : ''));
  });
  onward.on('error', (error) => response.destroy(error));
  response.on('close', () => onward.destroy());
  onward.end(body);
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/mcp`));
