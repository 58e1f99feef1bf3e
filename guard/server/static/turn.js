/** One answer in the playground: its channels, and what guard did to them, from the `guard` objects on the chunks. */

import { chip, el } from "./dom.js";
import { Flow } from "./flow.js";
import { texts } from "./openai.js";
import { channel, seconds } from "./words.js";

const WHAT = {
  interruption: "interrupted",
  retraction: "taken back before it was sent",
  late: "found too late, left standing",
  limit: "left standing: guard had interrupted as often as it may",
  unscanned: "not checked",
};

export class Turn {
  constructor() {
    this.flows = {};
    this.began = performance.now();
    this.state = el("span", { class: "muted num" }, "…");
    this.body = el("div", { class: "flows" });
    this.acts = el("ol", { class: "acts", "aria-label": "What guard did" });
    const name = el("h2", { class: "sr" }, "The model");
    const foot = el("p", { class: "row" }, this.state);
    const about = { class: "turn is-model is-running", "aria-busy": "true" };
    this.box = el("article", about, name, this.body, this.acts, foot);
  }

  /** The answer without what was discarded from it: what the next request has as its context. */
  get content() {
    return this.flows.content?.kept ?? "";
  }

  flow(name) {
    if (!this.flows[name]) {
      const root = el("p", { class: `said flow is-${name}` });
      this.body.append(el("div", {}, el("h3", {}, channel(name)), root));
      this.flows[name] = new Flow(root);
    }
    return this.flows[name];
  }

  /** Take in a chunk: guard's mark first, which speaks of what was received before it, then its text. */
  take(chunk) {
    const { guard } = chunk;
    if (guard) this.act(guard);
    for (const [name, text] of texts(chunk)) this.flow(name).add(text, guard ? "guard" : "model");
  }

  act(told) {
    const flow = this.flow(told.channel);
    const [start, end] = told.span;
    if (told.event === "interruption") flow.mark(start, end, "claim");
    if (told.event === "late" || told.event === "limit") flow.mark(start, end, "passed");
    if (told.event === "retraction") flow.retract(told.retracted ?? "");
    if (told.event === "unscanned") flow.note("not checked");
    if (told.discarded) flow.mark(...told.discarded, "discarded");
    this.acts.append(this.line(told));
  }

  line(told) {
    const recorded = told.event === "interruption" || told.event === "retraction";
    const why = [told.reason, told.correction].filter(Boolean).join(" ") || told.why;
    return el("li", {}, [
      chip(WHAT[told.event] ?? told.event, told.event),
      told.check ? el("span", { class: "muted" }, told.check) : null,
      el("span", {}, why),
      recorded ? el("a", { href: `#/interruptions/${encodeURIComponent(told.id)}` }, "timeline") : null,
    ]);
  }

  /** The answer is over; `why` where it did not end well. */
  end(why = null) {
    this.box.classList.remove("is-running");
    this.box.removeAttribute("aria-busy");
    this.state.textContent = seconds((performance.now() - this.began) / 1000);
    if (why) this.state.before(el("strong", { class: "failed", role: "alert" }, why));
  }
}
