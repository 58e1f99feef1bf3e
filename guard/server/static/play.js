/** A chat against /v1/chat/completions, as any client has it, with guard's marks on the stream made visible. */

import { get } from "./api.js";
import { button, choice, el, field, fill, say } from "./dom.js";
import { stretch } from "./flow.js";
import { keyed, models, stream } from "./openai.js";
import { Turn } from "./turn.js";
import { spoken } from "./words.js";

const MARKS = [
  ["claim", "a claim, interrupted"],
  ["guard", "put in by guard"],
  ["discarded", "said after the claim"],
  ["retracted", "taken back before it was sent"],
  ["passed", "flagged, left standing"],
];
const EXAMPLE = "What is the birth country of Ada Velm?";

export async function show(main) {
  const state = await get("state");
  const view = new Playground(main, state);
  await view.build();
  const keys = [["/", "write", () => view.input.focus()], ["Escape", "stop", () => view.stop()]];
  return { title: "Playground", keys, leave: () => view.stop() };
}

class Playground {
  constructor(main, state) {
    this.main = main;
    this.state = state;
    this.messages = [];
    this.control = null;
  }

  async build() {
    const keydown = (event) => this.enter(event);
    const about = { name: "message", rows: 2, placeholder: "Write a message", "aria-label": "Message" };
    this.input = el("textarea", { ...about, on: { keydown } });
    this.act = button("Send", () => (this.control ? this.stop() : this.send()), { kind: "main" });
    this.turns = el("div", { class: "turns", role: "log", "aria-label": "Conversation" }, this.hint());
    const write = el("div", { class: "write" }, this.input, this.act);
    const chat = el("section", { class: "chat", "aria-label": "Chat" }, this.turns, write);
    const head = [el("h1", {}, "Playground"), el("span", { class: "gap" }), button("Clear", () => this.clear())];
    fill(this.main, el("div", { class: "row head" }, head), el("div", { class: "split" }, chat, this.settings()));
    await this.fillModels();
    this.input.focus({ preventScroll: true });
  }

  settings() {
    const { client_key_required: required, default_policy: unnamed } = this.state;
    const policies = ["", ...this.state.policies.map((policy) => policy.name)];
    this.model = choice("model", this.state.models, this.state.models[0]);
    this.policy = choice("policy", policies, "", (name) => name || `the model's, else ${unnamed}`);
    this.temperature = el("input", { type: "number", min: 0, max: 2, step: 0.1, value: "0" });
    const change = () => this.keyGiven();
    this.key = el("input", { type: "password", autocomplete: "off", value: keyed() ?? "", on: { change } });
    const hint = "Passages to check the answer against, a blank line between two";
    this.evidence = el("textarea", { rows: 5, placeholder: hint });
    return el("aside", {}, el("section", { class: "panel form" }, [
      el("h2", {}, "Request"),
      field("Model", this.model),
      field("Policy", this.policy),
      field("Temperature", this.temperature),
      field(required ? "Client key (required)" : "Key for the upstream, if it wants one", this.key),
      field("Evidence (guard.evidence)", this.evidence),
    ]), this.legend());
  }

  legend() {
    const lines = MARKS.map(([kind, text]) => el("li", {}, stretch(text, kind)));
    return el("section", { class: "panel" }, el("h2", {}, "Marks"), el("ul", { class: "legend" }, lines));
  }

  hint() {
    const told = el("p", {}, "What the model says is shown as a client receives it, with guard's acts marked in it.");
    const example = button(EXAMPLE, () => {
      this.input.value = EXAMPLE;
      this.send();
    });
    return el("div", { class: "empty" }, told, this.state.models.includes("guard-world") ? el("p", {}, example) : null);
  }

  async fillModels() {
    try {
      const names = await models();
      if (!names.length) return;
      const was = this.model.value;
      fill(this.model, names.map((name) => el("option", { value: name }, name)));
      this.model.value = names.includes(was) ? was : names[0];
    } catch (error) {
      if (error.status !== 401) say(error.message);
    }
  }

  keyGiven() {
    keyed(this.key.value.trim());
    return this.fillModels();
  }

  enter(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!this.control) this.send();
  }

  async send() {
    const text = this.input.value.trim();
    if (!text) return;
    if (!this.messages.length) this.turns.replaceChildren();
    this.messages.push({ role: "user", content: text });
    this.input.value = "";
    const turn = new Turn();
    const said = [el("h2", { class: "sr" }, "You"), el("p", { class: "said" }, text)];
    this.turns.append(el("article", { class: "turn is-user" }, said), turn.box);
    turn.box.scrollIntoView({ block: "end" });
    await this.answer(turn);
  }

  async answer(turn) {
    const { messages } = this; // those of another conversation, once this one is cleared
    this.control = new AbortController();
    this.act.firstChild.data = "Stop";
    try {
      for await (const chunk of stream(this.request(), this.control.signal)) {
        turn.take(chunk);
        if (this.nearEnd()) turn.box.scrollIntoView({ block: "end" });
      }
      turn.end();
    } catch (error) {
      turn.end(error.name === "AbortError" ? "Stopped." : error.message);
      if (error.status === 401) this.key.focus();
    }
    this.control = null;
    this.act.firstChild.data = "Send";
    if (turn.content) messages.push({ role: "assistant", content: turn.content });
    else messages.pop();
  }

  nearEnd() {
    return innerHeight + scrollY > document.documentElement.scrollHeight - 200;
  }

  request() {
    const guard = {};
    const passages = this.evidence.value.split(/\n\s*\n/).filter((passage) => passage.trim());
    if (this.policy.value) guard.policy = this.policy.value;
    if (passages.length) guard.evidence = passages;
    const messages = this.messages.map((message) => ({ role: message.role, content: spoken(message) }));
    const temperature = Number(this.temperature.value);
    const ours = Object.keys(guard).length ? { guard } : {};
    return { model: this.model.value, messages, stream: true, temperature, ...ours };
  }

  stop() {
    this.control?.abort();
  }

  clear() {
    this.stop();
    this.messages = [];
    fill(this.turns, this.hint());
    this.input.focus();
  }
}
