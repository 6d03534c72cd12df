// The official JavaScript clients, as programs use them. TestRealClients runs
// it against keywheel: it knows nothing of keywheel but the base URLs that the
// environment gives to the clients.
//
//	node client.mjs work    round after round, until its input ends; no error is forgiven, not even by a retry
//	node client.mjs retry   one request of each client, with the retries it makes by itself; it says "ready" and waits for a line
//	node client.mjs gone    one request of each client that must fail, and what it was told
import assert from 'node:assert/strict';
import Anthropic, { toFile as anthropicFile } from '@anthropic-ai/sdk';
import OpenAI, { toFile } from 'openai';

const mode = process.argv[2];
const options = mode === 'work' ? { maxRetries: 0 } : {};
const openai = new OpenAI(options);
const anthropic = new Anthropic(options);
const messages = [{ role: 'user', content: 'Say hello.' }];
const chat = { model: 'gpt-4o', messages };
const message = { model: 'claude-test-1', max_tokens: 200, messages };
const parameters = { type: 'object', properties: {} };

const steps = {
  async 'openai chat'() {
    const r = await openai.chat.completions.create(chat);
    assert.ok(r.choices[0].message.content && r.usage.total_tokens > 0);
  },
  async 'openai stream'() {
    let text = '', usage;
    for await (const c of await openai.chat.completions.create({ ...chat, stream: true, stream_options: { include_usage: true } })) {
      text += c.choices[0]?.delta.content ?? '';
      usage = c.usage ?? usage;
    }
    assert.ok(text && usage.total_tokens > 0);
  },
  async 'openai stream without usage'() {
    for await (const c of await openai.chat.completions.create({ ...chat, stream: true })) {
      assert.equal(c.choices.length, 1, 'a chunk that was not asked for');
    }
  },
  async 'openai tools'() {
    const tools = [{ type: 'function', function: { name: 'now', parameters } }];
    const r = await openai.chat.completions.create({ ...chat, tools, tool_choice: 'required' });
    const call = r.choices[0].message.tool_calls[0];
    assert.equal(call.function.name, 'now');
    const after = await openai.chat.completions.create({ ...chat, tools,
      messages: [...messages, r.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'noon' }] });
    assert.ok(after.choices[0].message.content);
  },
  async 'openai responses'() {
    const first = await openai.responses.create({ model: 'gpt-4o', input: 'Say hello.' });
    assert.ok(first.output_text);
    const next = await openai.responses.create({ model: 'gpt-4o', input: 'Again.', previous_response_id: first.id });
    assert.ok(next.output_text);
  },
  async 'openai files'() {
    const f = await openai.files.create({ file: await toFile(Buffer.alloc(100_000, 'x'), 'a.txt'), purpose: 'user_data' });
    assert.equal((await openai.files.retrieve(f.id)).id, f.id);
    assert.ok((await openai.files.delete(f.id)).deleted);
  },
  async 'openai models'() {
    assert.ok((await openai.models.list()).data.length > 0);
  },
  async 'openai abort'() {
    const stream = await openai.chat.completions.create({ ...chat, stream: true });
    for await (const _ of stream) {
      stream.controller.abort();
      break;
    }
    let e = null;
    for (let tries = 0; e === null && tries < 1000; tries++) { // until it is not answered sooner
      const early = new AbortController();
      const r = openai.chat.completions.create(chat, { signal: early.signal });
      setTimeout(() => early.abort(), 5);
      e = await r.then(() => null, (e) => e);
    }
    assert.ok(e instanceof OpenAI.APIUserAbortError, `aborted, but: ${e}`);
  },
  async 'anthropic message'() {
    const r = await anthropic.messages.create(message);
    assert.ok(r.content[0].text && r.usage.output_tokens > 0);
  },
  async 'anthropic stream'() {
    const r = await anthropic.messages.stream(message).finalMessage();
    assert.ok(r.content[0].text && r.usage.output_tokens > 0);
  },
  async 'anthropic tools'() {
    const tools = [{ name: 'now', input_schema: parameters }];
    const r = await anthropic.messages.stream({ ...message, tools, tool_choice: { type: 'any' } }).finalMessage();
    assert.equal(r.content[0].name, 'now');
    const after = await anthropic.messages.create({ ...message, tools, messages: [...messages, { role: 'assistant', content: r.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: r.content[0].id, content: 'noon' }] }] });
    assert.ok(after.content[0].text);
  },
  async 'anthropic files'() {
    const files = anthropic.files ?? anthropic.beta.files;
    const f = await files.upload({ file: await anthropicFile(Buffer.from('hello'), 'a.txt', { type: 'text/plain' }) });
    assert.equal((await files.retrieveMetadata(f.id)).id, f.id);
  },
  async 'anthropic tokens'() {
    assert.ok((await anthropic.messages.countTokens({ model: message.model, messages })).input_tokens > 0);
  },
  async 'anthropic abort'() {
    const stream = anthropic.messages.stream(message);
    stream.once('text', () => stream.abort());
    await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
  },
};

async function step(name) {
  try {
    await steps[name]();
  } catch (e) {
    console.log(`failed: ${name}: ${e.status ?? ''} ${e.stack}`);
    process.exit(1);
  }
}

if (mode === 'work') {
  let over = false;
  process.stdin.on('end', () => { over = true; }).resume();
  for (let round = 1; !over; round++) {
    for (const name of Object.keys(steps)) await step(name);
    console.log(`round ${round}`);
  }
} else if (mode === 'retry') {
  console.log('ready');
  await new Promise((go) => process.stdin.once('data', go));
  process.stdin.unref();
  await Promise.all([step('openai chat'), step('anthropic message')]);
} else {
  for (const [name, ask] of [['openai', () => openai.chat.completions.create(chat)], ['anthropic', () => anthropic.messages.create(message)]]) {
    const e = await ask().then(() => assert.fail('was served'), (e) => e);
    console.log(`${name} was told: ${e.status} ${e.message}`);
  }
}
