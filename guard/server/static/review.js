/** Review: one subject at a time, the most telling first, judged with single keys. */

import { get } from "./api.js";
import { button, chip, el, empty, fill, say } from "./dom.js";
import { edited, judge, judgements, reviewer, rulings, undo, unjudged } from "./judging.js";
import { timeline } from "./timeline.js";
import { count, many, score } from "./words.js";

const BATCH = 100;
const MOST = 1000; // that the server gives at once

export async function show(main) {
  const name = await reviewer();
  if (!name) {
    const again = button("Give a name", () => dispatchEvent(new Event("hashchange")), { kind: "main" });
    fill(main, el("h1", {}, "Review"), empty("Judgements stand under a reviewer's name.", again));
    return { title: "Review" };
  }
  const view = new Review(main, name);
  await view.begin();
  return { title: "Review", keys: view.keys() };
}

class Review {
  constructor(main, name) {
    this.main = main;
    this.name = name;
    this.queue = [];
    this.skipped = new Set();
    this.judged = new Set(); // those taken back among them: what others said of them may be seen
    this.done = 0;
    this.ahead = new Map();
  }

  async begin() {
    await this.refill();
    await this.draw();
  }

  keys() {
    const ruled = (ruling) => () => this.judge(ruling);
    return [
      ["c", "confirm, or rightly let pass", ruled("confirmed")],
      ["r", "reject, or missed", ruled("rejected")],
      ["u", "unsure", ruled("unsure")],
      ["e", "edit the correction", () => this.edit("correction")],
      ["l", "label", () => this.edit("label")],
      ["s", "skip for now", () => this.skip()],
      ["z", "undo", () => this.undo()],
      ["o", "open its timeline", () => this.open()],
    ];
  }

  async refill() {
    const limit = Math.min(BATCH + this.skipped.size, MOST);
    const page = await get("queue", { reviewer: this.name, limit });
    this.full = page.data.length === limit;
    this.queue = page.data.filter((one) => !this.skipped.has(one.id));
    this.agreement = await get("agreement").catch(() => null);
  }

  /** The whole of a subject; asked for once, the next one while this one is read. */
  whole(one) {
    if (!this.ahead.has(one.id)) this.ahead.set(one.id, get(`${one.kind}s/${encodeURIComponent(one.id)}`));
    return this.ahead.get(one.id);
  }

  async draw() {
    const [one, next] = this.queue;
    if (!one) {
      fill(this.main, this.head(), this.finished());
      return;
    }
    try {
      const told = await this.whole(one);
      this.told = this.judged.has(one.id) ? told : unjudged(told);
    } catch (error) {
      this.ahead.delete(one.id);
      say(error.message);
      this.queue.shift();
      await this.draw();
      return;
    }
    if (next) this.whole(next).catch(() => this.ahead.delete(next.id));
    fill(this.main, this.head(), this.card(one));
    this.main.querySelector(".question").focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  head() {
    const left = `${count(this.queue.length)}${this.full ? "+" : ""} to go`;
    const skipped = this.skipped.size ? `, ${count(this.skipped.size)} skipped` : "";
    return el("div", { class: "row head" }, [
      el("h1", {}, "Review"),
      el("span", { class: "num muted", role: "status" }, `${many(this.done, "judgement")} made, ${left}${skipped}`),
      el("span", { class: "gap" }),
      el("span", { class: "num muted" }, this.agreed()),
      button(this.name, () => this.rename(), { kind: "quiet", title: "Review under another name" }),
    ]);
  }

  agreed() {
    const { pairs, agreed, kappa } = this.agreement ?? {};
    if (!pairs) return "agreement: nothing judged twice yet";
    const told = kappa === null || kappa === undefined ? "" : `, κ ${kappa.toFixed(2)}`;
    return `agreement in ${count(agreed)} of ${many(pairs, "pair")}${told}`;
  }

  card(one) {
    const passed = one.kind === "segment";
    const title = passed ? "Should guard have interrupted this?" : "Was guard right to interrupt this?";
    return el("article", { class: "card review" }, [
      el("div", { class: "row" }, [
        chip(one.why, "why"),
        one.score ? chip(one.check, "role") : null,
        one.score ? el("span", { class: "muted num" }, `score ${score(one.score)}`) : null,
      ]),
      el("h2", { class: "question", tabindex: -1 }, title),
      el("div", { class: "dock" }, rulings(one.kind, (ruling) => this.judge(ruling),
        button("Edit", () => this.edit("correction"), { key: "e" }),
        button("Label", () => this.edit("label"), { key: "l" }),
        button("Skip", () => this.skip(), { key: "s" }),
        button("Undo", () => this.undo(), { key: "z" }),
      )),
      this.others(one),
      timeline(this.told, one.kind),
    ]);
  }

  /** What others said of a subject that this reviewer has judged and taken up again. */
  others(one) {
    if (!this.told.judgements.length) return null;
    const title = el("h3", {}, "What others said ", chip(this.told.review));
    return el("section", { class: "others" }, title, judgements(one.kind, this.told.judgements));
  }

  finished() {
    const again = () => {
      this.skipped.clear();
      return this.begin();
    };
    const left = this.skipped.size;
    const still = `${count(left)} that you skipped ${left === 1 ? "is" : "are"} left.`;
    const title = left ? `Nothing else is waiting: ${still}` : "Nothing is waiting for you.";
    const back = left ? button(`Take up what was skipped (${count(left)})`, again, { kind: "main" }) : null;
    const more = button("Look for more", () => this.begin(), { kind: left ? "" : "main" });
    const what = "New interruptions come here, with segments that were let pass among them.";
    return empty(title, what, el("span", { class: "row center" }, back, more));
  }

  /** One act at a time: a key that is pressed before the next subject is in sight must not judge it. */
  async alone(act) {
    const [one] = this.queue;
    if (this.busy) return;
    this.busy = true;
    try {
      await act(one);
    } finally {
      this.busy = false;
    }
  }

  judge(ruling) {
    return this.alone((one) => one && this.ruled(one, ruling));
  }

  async ruled(one, ruling, edit) {
    if (!(await judge(one.id, one.kind, ruling, edit))) return;
    this.done += 1;
    await this.advance();
  }

  async advance() {
    const [one] = this.queue.splice(0, 1);
    this.ahead.delete(one?.id);
    if (!this.queue.length) await this.refill();
    await this.draw();
  }

  edit(at) {
    return this.alone(async (one) => {
      const edit = one && (await edited(one.kind, this.told, at));
      if (edit) await this.ruled(one, edit.ruling, edit);
    });
  }

  skip() {
    return this.alone(async (one) => {
      if (!one) return;
      this.skipped.add(one.id);
      await this.advance();
    });
  }

  undo() {
    return this.alone(() => this.takenBack());
  }

  async takenBack() {
    const answer = await undo();
    if (!answer) return;
    this.done = Math.max(this.done - 1, 0);
    this.judged.add(answer.judgement.subject);
    await this.refill();
    const at = this.queue.findIndex((one) => one.id === answer.judgement.subject);
    if (at > 0) this.queue.unshift(...this.queue.splice(at, 1));
    this.ahead.clear();
    await this.draw();
  }

  async rename() {
    const name = await reviewer(true);
    if (!name || name === this.name) return;
    this.name = name;
    this.done = 0;
    this.skipped.clear();
    this.judged.clear();
    await this.begin();
  }

  open() {
    const [one] = this.queue;
    if (one) location.hash = `#/${one.kind}s/${encodeURIComponent(one.id)}`;
  }
}
