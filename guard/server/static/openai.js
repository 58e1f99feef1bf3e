/** The OpenAI routes of this server, as a client of it asks them: with the client's key, never the admin's. */

import { events, good, reached, Refused } from "./api.js";

const KEY = "guard.client";

/** The client's key; with a value, keeps it until the tab is closed. */
export function keyed(value) {
  if (value !== undefined) sessionStorage.setItem(KEY, value);
  return sessionStorage.getItem(KEY) || null;
}

function headers() {
  return { "content-type": "application/json", ...(keyed() ? { authorization: `Bearer ${keyed()}` } : {}) };
}

/** The names of the models. Raises Refused. */
export async function models() {
  const answer = await good(await reached("../v1/models", { headers: headers() }));
  return (await answer.json()).data.map((model) => model.id);
}

/** The chunks of a streamed answer. Raises Refused for an error, before or in the stream. */
export async function* stream(body, signal) {
  const sent = { method: "POST", headers: headers(), body: JSON.stringify(body), signal };
  const answer = await good(await reached("../v1/chat/completions", sent));
  for await (const data of events(answer)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Refused(chunk.error.message ?? "The upstream failed.");
    yield chunk;
  }
  throw new Refused("The stream broke off.");
}

/** The text of a chunk by channel, in whatever form this upstream sends reasoning. */
export function texts(chunk) {
  const delta = chunk.choices?.[0]?.delta ?? {};
  const found = [["reasoning", delta.reasoning_content ?? delta.reasoning ?? ""]];
  if (typeof delta.content === "string") found.push(["content", delta.content]);
  for (const part of Array.isArray(delta.content) ? delta.content : []) {
    if (part.type !== "thinking") found.push(["content", part.text ?? ""]);
    for (const piece of part.thinking ?? []) found.push(["reasoning", piece.text ?? ""]);
  }
  for (const { function: called } of delta.tool_calls ?? []) {
    found.push(["tool_calls", `${called?.name ?? ""}${called?.arguments ?? ""}`]);
  }
  return found.filter(([, text]) => text);
}
