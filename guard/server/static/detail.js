/** One interruption, or one segment that was let pass: its timeline, cost, provenance and judgements. */

import { get } from "./api.js";
import { button, chip, el, fill, say, terms } from "./dom.js";
import { edited, judge, judgements, named, rulings, undo, unjudged, unseen } from "./judging.js";
import { timeline } from "./timeline.js";
import { count, many, percent, seconds, when, whole } from "./words.js";

const EDITED = [["label", "Label"], ["reason", "Reason, edited"], ["correction", "Correction, edited"]];

export async function show(main, { name, id }) {
  const view = new Detail(main, name === "segments" ? "segment" : "interruption", id);
  await view.load();
  return { title: view.title, keys: view.keys() };
}

class Detail {
  constructor(main, kind, id) {
    this.main = main;
    this.kind = kind;
    this.id = id;
    this.open = false;
  }

  get title() {
    return this.kind === "segment" ? "Let pass" : "Interruption";
  }

  async load() {
    this.whole = await get(`${this.kind}s/${encodeURIComponent(this.id)}`);
    this.draw();
  }

  /** Who reviews sees what others said once they have judged, or want to; what was seen once stays in sight. */
  draw() {
    this.open ||= !unseen(this.whole, named());
    this.told = this.open ? this.whole : unjudged(this.whole);
    const panels = [this.review(), this.cost(), this.provenance(), this.siblings()];
    const aside = el("aside", { "aria-label": "Review and record" }, panels);
    fill(this.main, this.head(), el("div", { class: "split" }, timeline(this.told, this.kind), aside));
  }

  keys() {
    const ruled = (ruling) => () => this.judge(ruling);
    return [
      ["c", "confirm", ruled("confirmed")],
      ["r", "reject", ruled("rejected")],
      ["u", "unsure", ruled("unsure")],
      ["e", "edit the correction", () => this.edit("correction")],
      ["l", "label", () => this.edit("label")],
      ["z", "undo the last judgement", () => this.undo()],
      ["y", "copy the id", () => this.copy()],
      ["b", "back", () => history.back()],
    ];
  }

  head() {
    const { at, outcome, late } = this.told;
    return el("div", { class: "row head" }, [
      el("h1", {}, this.title),
      el("time", { class: "muted num", title: whole(at) }, when(at)),
      outcome ? chip(outcome) : null,
      this.open ? chip(this.told.review ?? "unreviewed") : null,
      late ? chip("late") : null,
      el("span", { class: "gap" }),
      button("Copy id", () => this.copy()),
      button("Download JSON", () => this.download()),
    ]);
  }

  review() {
    const edit = button("Edit…", () => this.edit("correction"), { key: "e" });
    const { revised } = this.told;
    return el("section", { class: "panel" }, [
      el("h2", {}, this.kind === "segment" ? "Should guard have interrupted this?" : "Was guard right?"),
      rulings(this.kind, (ruling) => this.judge(ruling), edit),
      revised ? terms(EDITED.map(([name, title]) => [title, revised[name]])) : null,
      this.open ? judgements(this.kind, this.told.judgements ?? []) : this.others(),
    ]);
  }

  others() {
    const by = new Set(this.whole.judgements.map((one) => one.reviewer)).size;
    const show = () => {
      this.open = true;
      this.draw();
    };
    return el("div", { class: "row" }, [
      el("span", { class: "muted" }, `Judged by ${many(by, "other")}; shown once you have judged it.`),
      button("Show it now", show),
    ]);
  }

  cost() {
    const one = this.told;
    if (this.kind === "segment") return null;
    return el("section", { class: "panel" }, el("h2", {}, "Cost"), terms([
      ["Cut after", `${many(one.delay.characters, "character")}, ${seconds(one.delay.seconds)}`],
      ["Tokens wasted", count(one.tokens_wasted)],
      ["Supervisor tokens", count(one.supervisor_tokens ?? 0)],
      ["Model knows it", one.known === null || one.known === undefined ? null : percent(one.known, 0)],
    ]));
  }

  provenance() {
    const one = this.told;
    const link = (name) => one[name] && el("a", { href: like(name, one[name]), class: "id" }, one[name]);
    return el("section", { class: "panel" }, el("h2", {}, "Record"), terms([
      ["Id", el("code", { class: "id" }, one.id)],
      ["Model", one.model],
      ["Upstream's name", one.policy_model === one.model ? null : one.policy_model],
      ["Policy", [one.policy, " ", one.policy_hash ? el("code", {}, one.policy_hash.slice(0, 12)) : null]],
      ["Backend", one.backend],
      ["Continued by", one.continuation],
      ["Check", one.check],
      ["Session", link("session")],
      ["Conversation", link("conversation")],
      ["User", link("user")],
      ["Asked at", one.started ? whole(one.started) : null],
    ]));
  }

  siblings() {
    const others = (this.told.siblings ?? []).filter((id) => id !== this.told.id);
    if (!others.length) return null;
    const links = others.map((id) => {
      const [choice, number] = id.split(".").slice(-2);
      const title = `Interruption ${number}${choice === "0" ? "" : ` of choice ${choice}`}`;
      return el("li", {}, el("a", { href: `#/interruptions/${encodeURIComponent(id)}` }, title));
    });
    return el("section", { class: "panel" }, el("h2", {}, "Also in this session"), el("ul", {}, links));
  }

  async judge(ruling, edit) {
    if (await judge(this.told.id, this.kind, ruling, edit)) await this.load();
  }

  async edit(at) {
    const edit = await edited(this.kind, this.told, at);
    if (edit) await this.judge(edit.ruling, edit);
  }

  async undo() {
    if (await undo()) await this.load();
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.told.id);
      say("The id is copied.");
    } catch {
      say(this.told.id);
    }
  }

  download() {
    const url = URL.createObjectURL(new Blob([JSON.stringify(this.whole, null, 2)], { type: "application/json" }));
    el("a", { href: url, download: `${this.told.id.replace(/[^\w.-]/g, "_")}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }
}

/** The list, of what is like this. */
function like(name, value) {
  return `#/interruptions?${new URLSearchParams({ [name]: value })}`;
}
