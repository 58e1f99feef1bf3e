/** What is being said now: a card a response, its claims struck through as guard interrupts them. */

import { get } from "./api.js";
import { chip, el, empty, fill } from "./dom.js";
import { Flow, stretch } from "./flow.js";
import { watch } from "./watch.js";
import { channel, many, seconds, when } from "./words.js";

const HEARD = ["up", "down", "begin", "text", "interruption", "end", "gap"];
const KEPT = 12;
const MOST = 60; // more than anybody can watch: the rest runs unseen
const NEWEST = 12;

export async function show(main) {
  const view = new Live(main);
  const page = await get("interruptions", { limit: NEWEST });
  view.build();
  for (const told of page.data.reverse()) view.newest(told);
  view.unwatch = watch((event) => view.hear(event));
  return { title: "Live", keys: view.keys(), leave: () => view.unwatch() };
}

class Live {
  constructor(main) {
    this.main = main;
    this.cards = new Map();
  }

  build() {
    this.state = el("span", { class: "pulse", role: "status" }, "connecting");
    this.missed = el("span", { class: "muted num" });
    this.streams = el("div", { class: "streams" });
    this.none = empty("Nothing is running.", "Responses appear here while they are written.");
    this.recent = el("ol", { class: "recent" });
    fill(this.main, [
      el("div", { class: "row head" }, el("h1", {}, "Live"), this.state, this.missed),
      el("div", { class: "split" }, [
        el("section", { "aria-label": "Responses" }, this.none, this.streams),
        el("aside", {}, el("section", { class: "panel" }, el("h2", {}, "Newest interruptions"), this.recent)),
      ]),
    ]);
  }

  keys() {
    return [["o", "open the newest interruption", () => this.recent.querySelector("a")?.click()]];
  }

  hear(event) {
    if (HEARD.includes(event.type)) this[event.type](event);
  }

  /** The server tells again of what still runs; what does not, ended while nobody looked. */
  up() {
    for (const card of this.cards.values()) card.lost();
    this.state.classList.add("is-up");
    fill(this.state, "connected");
  }

  down({ why }) {
    this.state.classList.remove("is-up");
    fill(this.state, `not connected: ${why}`);
  }

  gap({ missed }) {
    fill(this.missed, `${many(missed, "event")} missed: this page could not keep up`);
  }

  begin(event) {
    this.drop(this.cards.get(event.session));
    const over = [...this.cards.values()].filter((one) => one.over);
    for (const one of over.slice(0, Math.max(this.cards.size + 1 - KEPT, 0))) this.drop(one);
    if (this.cards.size >= MOST) return;
    const card = new Card(event);
    this.cards.set(event.session, card);
    this.none.hidden = true;
    this.streams.prepend(card.box);
  }

  drop(card) {
    card?.box.remove();
    this.cards.delete(card?.session);
  }

  text(event) {
    this.cards.get(event.session)?.text(event);
  }

  interruption(event) {
    this.cards.get(event.session)?.interruption(event);
    this.newest(event);
  }

  end(event) {
    this.cards.get(event.session)?.end(event);
  }

  newest(told) {
    const claim = stretch(told.claim.trim() || "not shown", "claim");
    const link = el("a", { href: `#/interruptions/${encodeURIComponent(told.id)}` }, claim);
    this.recent.prepend(el("li", {}, link, el("span", { class: "muted num" }, `${when(told.at)} · ${told.check}`)));
    while (this.recent.children.length > NEWEST) this.recent.lastChild.remove();
  }
}

class Card {
  constructor({ session, model, policy, question, at, texts = true }) {
    this.session = session;
    this.texts = texts;
    this.flows = new Map();
    this.over = false;
    const source = `${when(at)} · ${model} · ${policy}`;
    this.state = chip("running", "running");
    this.body = el("div", { class: "flows" });
    this.made = el("p", { class: "row", hidden: true });
    this.box = el("article", { class: "card is-running", "aria-label": "Response", "aria-busy": "true" }, [
      el("div", { class: "row" }, el("span", { class: "num muted gap" }, source), this.state),
      el("p", { class: "asked" }, texts ? question : "Its text is not shown: the policy does not keep it as it is."),
      el("div", { class: "window" }, this.body),
      this.made,
    ]);
  }

  flow(choice, name) {
    const key = `${choice}.${name}`;
    if (!this.flows.has(key)) {
      const root = el("p", { class: `said flow is-${name}` });
      const title = choice ? `${channel(name)}, choice ${choice}` : channel(name);
      this.body.append(el("div", {}, el("h3", {}, title), root));
      this.flows.set(key, new Flow(root));
    }
    return this.flows.get(key);
  }

  text({ choice, channel: name, text, origin }) {
    this.flow(choice, name).add(text, origin === "guard" ? "guard" : "model");
  }

  interruption({ id, choice, channel: name, claim, correct }) {
    if (this.texts) this.strike(this.flow(choice, name), claim, correct);
    this.made.hidden = false;
    const href = `#/interruptions/${encodeURIComponent(id)}`;
    this.made.append(el("a", { class: "button", href }, "Open the interruption"));
  }

  /** What was sent is struck out where it stands; what was not, or not to this page, is shown struck out. */
  strike(flow, claim, correct) {
    if (correct !== "interrupt") flow.retract(claim);
    else if (flow.strike(claim)) flow.discard();
    else flow.note(claim, "claim");
  }

  lost() {
    if (!this.over) this.close("its end was not seen", "late");
  }

  end({ outcome, interruptions, seconds: took }) {
    const how = { finished: "done", client_left: "the client left" }[outcome] ?? outcome;
    const made = interruptions ? `, ${many(interruptions, "interruption")}` : "";
    this.close(`${how} in ${seconds(took)}${made}`, how === "done" ? "done" : "failed");
  }

  close(text, kind) {
    this.over = true;
    this.box.classList.remove("is-running");
    this.box.removeAttribute("aria-busy");
    this.state.replaceWith(chip(text, kind));
  }
}
