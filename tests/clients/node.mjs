// The clients on node, spoken with as tests/clients/python/protocol.py says: a JSON job a line, a JSON answer a line.
// `node node.mjs openai` is openai-node, `node node.mjs ai` Vercel's AI SDK.
import { createInterface } from "node:readline";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import OpenAI from "openai";
import { z } from "zod";

const PATIENCE_MS = 40_000;
const WEATHER = { Paris: "rain", Oslo: "snow" };
const PERSON = z.object({ name: z.string(), town: z.string() });
const CITY = z.object({ city: z.string() });

const newest = async (watch) => (await (await fetch(watch)).json()).data[0]?.id;

// Asks, and aborts once what it asked has been interrupted.
async function leaveWhole(job, ask) {
  const before = await newest(job.watch);
  const control = new AbortController();
  const asked = ask(job, control.signal).then(
    () => ({ left: false }),
    () => ({ left: true }),
  );
  while ((await newest(job.watch)) === before) await new Promise((wake) => setTimeout(wake, 20));
  control.abort();
  return asked;
}

// ---- openai-node

const openai = (job) => new OpenAI({ baseURL: job.url, apiKey: job.key, maxRetries: 0 }).chat.completions;

function fields(job, more) {
  const messages = [{ role: "user", content: job.question }];
  return { model: job.model, messages, stream: job.stream, temperature: 0, ...more };
}

async function gathered(stream) {
  const got = { content: "", reasoning: "", events: [] };
  const calls = [];
  for await (const chunk of stream) {
    if (chunk.guard) got.events.push(chunk.guard);
    for (const { delta } of chunk.choices) {
      got.content += delta.content ?? "";
      got.reasoning += delta.reasoning_content ?? "";
      for (const { index, id, function: part } of delta.tool_calls ?? []) {
        calls[index] ??= { id, type: "function", function: { name: part.name, arguments: "" } };
        calls[index].function.arguments += part.arguments ?? "";
      }
    }
  }
  return { ...got, calls };
}

function opened(answer) {
  const message = answer.choices[0].message;
  return {
    content: message.content ?? "",
    reasoning: message.reasoning_content ?? "",
    calls: message.tool_calls ?? [],
    events: answer.guard?.events ?? [],
  };
}

async function openaiAsk(job, signal, more) {
  const answer = await openai(job).create(fields(job, more), { signal });
  return job.stream ? gathered(answer) : opened(answer);
}

async function openaiTools(job) {
  const parameters = z.toJSONSchema(CITY);
  const tools = [{ type: "function", function: { name: "weather", description: "The weather in a city.", parameters } }];
  const first = await openaiAsk(job, undefined, { tools });
  const results = first.calls.map((call) => ({
    role: "tool",
    tool_call_id: call.id,
    content: WEATHER[JSON.parse(call.function.arguments).city],
  }));
  const made = { role: "assistant", content: null, tool_calls: first.calls };
  const last = await openaiAsk(job, undefined, { tools, messages: [...fields(job).messages, made, ...results] });
  const calls = first.calls.map((call) => ({
    name: call.function.name,
    arguments: JSON.parse(call.function.arguments),
  }));
  return { ...last, calls };
}

async function openaiStructured(job) {
  const schema = { name: "person", strict: true, schema: z.toJSONSchema(PERSON) };
  const got = await openaiAsk(job, undefined, { response_format: { type: "json_schema", json_schema: schema } });
  return { ...got, object: PERSON.parse(JSON.parse(got.content)) };
}

async function openaiLeave(job) {
  for await (const chunk of await openai(job).create(fields(job))) if (chunk.choices[0].delta.content) break;
  return { left: true };
}

// ---- AI SDK

function setting(job, signal, more) {
  const options = { name: "guarded", baseURL: job.url, apiKey: job.key, supportsStructuredOutputs: true };
  const model = createOpenAICompatible(options).chatModel(job.model);
  return { model, prompt: job.question, temperature: 0, maxRetries: 0, abortSignal: signal, ...more };
}

async function aiAsk(job, signal, more) {
  if (!job.stream) return aiOpened(await generateText(setting(job, signal, more)), more);
  let failure;
  const result = streamText(setting(job, signal, { ...more, onError: ({ error }) => (failure = error) }));
  await result.consumeStream();
  if (failure) throw failure;
  const { text, reasoningText, steps, output } = result;
  return aiOpened({
    text: await text,
    reasoningText: await reasoningText,
    steps: await steps,
    output: more?.output && (await output),
  }, more);
}

function aiOpened({ text, reasoningText, steps, output }, more) {
  const calls = steps.flatMap((step) => step.toolCalls).map((call) => ({ name: call.toolName, arguments: call.input }));
  return { content: text, reasoning: reasoningText ?? "", calls, object: more?.output && output };
}

function aiTools(job) {
  const execute = async ({ city }) => WEATHER[city];
  const weather = tool({ description: "The weather in a city.", inputSchema: CITY, execute });
  return aiAsk(job, undefined, { tools: { weather }, stopWhen: stepCountIs(3) });
}

async function aiStructured(job) {
  const got = await aiAsk(job, undefined, { output: Output.object({ schema: PERSON }) });
  return { ...got, content: undefined };
}

async function aiLeave(job) {
  const control = new AbortController();
  const { fullStream } = streamText(setting(job, control.signal, { onError: () => {} }));
  for await (const part of fullStream) if (part.type === "text-delta") control.abort();
  return { left: true };
}

// ---- the protocol

const CLIENTS = {
  openai: { ask: openaiAsk, tools: openaiTools, structured: openaiStructured, leave: openaiLeave },
  ai: { ask: aiAsk, tools: aiTools, structured: aiStructured, leave: aiLeave },
};
const client = CLIENTS[process.argv[2]];

async function answer(job) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("nothing came")), PATIENCE_MS).unref());
  const whole = job.kind === "leave" && !job.stream;
  try {
    return await Promise.race([whole ? leaveWhole(job, client.ask) : client[job.kind](job), late]);
  } catch (error) {
    return { error: error?.name ?? error?.constructor?.name ?? "Error", message: String(error?.message ?? error) };
  }
}

console.log = console.error; // what a library prints is no answer
globalThis.AI_SDK_LOG_WARNINGS = false;
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
process.exit(0);
