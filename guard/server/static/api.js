/**
 * The server, as these pages ask it. Addresses are relative, so that guard may stand behind a path of a proxy.
 * The admin key lives in sessionStorage and goes into a header; it is in no address.
 */

const KEY = "guard.key";
let askForKey = async () => null;
let asking = null;

/** What went wrong, in words for the reader. `status` is 0 where the server was not reached. */
export class Refused extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/** Give the function that asks the reader for the admin key: resolves with a key or null. */
export function keyPrompt(prompt) {
  askForKey = prompt;
}

/** The admin key in use, or null. */
export function key() {
  return sessionStorage.getItem(KEY);
}

/** An address under /guard/api with its parameters; those without a value are left out. */
export function address(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined && value !== "") query.set(name, value);
  }
  const told = query.toString();
  return `api/${path}${told ? `?${told}` : ""}`;
}

/** GET, as JSON. Raises Refused. */
export async function get(path, parameters = {}, signal = undefined) {
  return (await request(address(path, parameters), { signal })).json();
}

/** POST of a JSON body, or DELETE where there is none. Raises Refused. */
export async function send(method, path, body = undefined) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await request(address(path), { method, headers, body: body && JSON.stringify(body) });
  return answer.json();
}

/** A response of /guard/api whose status is good; a missing key is asked for, once for all that miss it. */
export async function request(url, options = {}) {
  const sent = key();
  const headers = { ...options.headers, ...(sent ? { authorization: `Bearer ${sent}` } : {}) };
  const answer = await reached(url, { ...options, headers });
  if (answer.status !== 401) return good(answer);
  if (key() === sent) {
    asking ??= askForKey(Boolean(sent)).finally(() => (asking = null));
    const given = await asking;
    if (given === null) return good(answer);
    sessionStorage.setItem(KEY, given);
  }
  return request(url, options);
}

/** A response of the server, whatever its status. Raises Refused where there is none. */
export async function reached(url, options) {
  try {
    return await fetch(url, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("The server cannot be reached.");
  }
}

/** The response, if its status is good. Raises Refused with what the server said. */
export async function good(answer) {
  if (answer.ok) return answer;
  let said = null;
  try {
    said = (await answer.json()).error?.message;
  } catch {
    // Not guard's own words: the status must do.
  }
  throw new Refused(said || `The server answered ${answer.status} ${answer.statusText}`.trim(), answer.status);
}

/** The `data` of each server-sent event of a response, until it ends. Comments are skipped. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r?\n/);
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trimStart();
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
