/** Interruptions, newest first: filtered, paged as the reader scrolls, and told of new ones while it is open. */

import { get } from "./api.js";
import { button, chip, el, empty, fill, say } from "./dom.js";
import { exporting } from "./exporting.js";
import * as filters from "./filters.js";
import { stretch } from "./flow.js";
import { edited, judge, undo } from "./judging.js";
import { meter } from "./plot.js";
import { watch } from "./watch.js";
import { count, score, when, whole } from "./words.js";

const PAGE = 50;
let opened = null;

export async function show(main, { query }) {
  const list = new List(filters.chosen(query));
  list.facets = await get("facets");
  list.build(main);
  await list.load();
  list.focus(list.rows.find((row) => row.id === opened) ?? null);
  return { title: "Interruptions", keys: list.keys(), leave: () => list.leave() };
}

class List {
  constructor(chosen) {
    this.filters = chosen;
    this.rows = [];
    this.waiting = 0;
    this.turn = 0;
  }

  build(main) {
    this.form = filters.form(this.filters, this.facets, (now) => this.filter(now));
    this.total = el("span", { class: "num", role: "status" });
    this.news = button("", () => this.load(), { kind: "news", key: "n" });
    this.news.hidden = true;
    this.items = el("ol", { class: "items", "aria-label": "Interruptions" });
    this.more = button("Load more", () => this.page());
    this.more.hidden = true;
    this.end = el("div", { class: "row center" }, this.more);
    const export_ = exporting(() => filters.parameters(this.filters));
    const news = el("span", { role: "status" }, this.news);
    const head = [el("h1", {}, "Interruptions"), this.total, news, el("span", { class: "gap" }), export_];
    fill(main, el("div", { class: "row head" }, head), this.form.box, this.items, this.end);
    this.eye = new IntersectionObserver(([seen]) => seen.isIntersecting && this.page(), { rootMargin: "600px" });
    this.eye.observe(this.end);
    this.unwatch = watch((event) => this.hear(event));
  }

  leave() {
    this.turn += 1;
    this.eye.disconnect();
    this.unwatch();
    clearTimeout(this.timer);
  }

  keys() {
    const ruled = (ruling) => () => this.judge(ruling);
    return [
      ["j", "next", () => this.step(1)],
      ["k", "previous", () => this.step(-1)],
      ["Enter", "open", () => this.current()?.link.click()],
      ["c", "confirm: guard was right", ruled("confirmed")],
      ["r", "reject: guard was wrong", ruled("rejected")],
      ["u", "unsure", ruled("unsure")],
      ["e", "edit the correction", () => this.edit()],
      ["z", "undo the last judgement", () => this.undo()],
      ["n", "show new ones", () => this.load()],
      ["/", "search", () => this.form.search.select()],
    ];
  }

  filter(now) {
    this.filters = now;
    const told = new URLSearchParams(now).toString();
    history.replaceState(null, "", `#/interruptions${told ? `?${told}` : ""}`);
    this.form.tell(now);
    this.load();
  }

  /** Begin again at the newest. */
  async load() {
    const turn = ++this.turn;
    this.asking = false;
    const page = await this.ask({}, turn);
    if (!page) return;
    this.rows = [];
    this.waiting = 0;
    this.news.hidden = true;
    this.items.replaceChildren();
    fill(this.total, `${count(page.count)}${page.count_capped ? "+" : ""}`);
    this.take(page);
    if (!this.rows.length) this.items.append(el("li", {}, this.nothing()));
  }

  /** The next page, once at a time. */
  async page() {
    if (!this.next || this.asking) return;
    const { turn } = this;
    this.asking = true;
    const page = await this.ask({ before: this.next }, turn);
    if (turn === this.turn) this.asking = false;
    if (page) this.take(page);
  }

  async ask(more, turn) {
    try {
      const page = await get("interruptions", { limit: PAGE, ...filters.parameters(this.filters), ...more });
      return turn === this.turn ? page : null;
    } catch (error) {
      say(error.message);
      return null;
    }
  }

  take(page) {
    const made = page.data.map(row);
    this.rows.push(...made);
    this.items.append(...made.map((one) => one.item));
    this.next = page.has_more ? page.next : null;
    this.more.hidden = !this.next;
  }

  nothing() {
    if (Object.keys(this.filters).length) return empty("Nothing on record is like this.", "Loosen the filters above.");
    const how = "Ask a model something in the playground, or put guard in front of your app.";
    return empty("Nothing has been interrupted yet.", how);
  }

  hear(event) {
    if (event.type !== "interruption" && event.type !== "end") return;
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.look();
    }, 500);
  }

  /** What is new under these filters; what is shown already is brought up to date in its place. */
  async look() {
    const page = await this.ask({}, this.turn);
    if (!page) return;
    const shown = new Map(this.rows.map((one) => [one.id, one]));
    const fresh = page.data.filter((one) => !shown.has(one.id));
    for (const one of page.data) shown.get(one.id)?.update(one);
    if (!this.rows.length && fresh.length) await this.load();
    else if (fresh.length !== this.waiting) this.tell(fresh.length, page.has_more);
  }

  tell(waiting, capped) {
    this.waiting = waiting;
    this.news.hidden = !waiting;
    const text = `${waiting}${capped && waiting === PAGE ? "+" : ""} new`;
    this.news.firstChild.data = text;
  }

  current() {
    return this.rows.find((one) => one.item.contains(document.activeElement)) ?? null;
  }

  focus(one) {
    one?.link.focus();
    one?.item.scrollIntoView({ block: "nearest" });
  }

  step(by) {
    const at = this.rows.indexOf(this.current()) + by;
    this.focus(this.rows[Math.min(Math.max(at, 0), this.rows.length - 1)]);
    if (at > this.rows.length - 10) this.page();
  }

  async judge(ruling, edit) {
    const one = this.current();
    if (!one) {
      say("Choose one with j and k first.");
      return;
    }
    const answer = await judge(one.id, "interruption", ruling, edit);
    if (answer) one.update({ ...one.told, review: answer.review });
    this.focus(one);
  }

  async edit() {
    const one = this.current();
    if (!one) return;
    const whole = await get(`interruptions/${encodeURIComponent(one.id)}`);
    const edit = await edited("interruption", whole);
    if (edit) await this.judge(edit.ruling, edit);
  }

  async undo() {
    const answer = await undo();
    const one = answer && this.rows.find((known) => known.id === answer.judgement.subject);
    one?.update({ ...one.told, review: answer.review });
  }
}

function row(told) {
  const href = `#/interruptions/${encodeURIComponent(told.id)}`;
  const link = el("a", { href, on: { click: () => (opened = told.id) } });
  const item = el("li", { class: "item" });
  const one = { id: told.id, item, link, told, update };
  function update(now) {
    one.told = now;
    const at = el("time", { title: whole(now.at) }, when(now.at));
    const put = now.put_in.trim();
    fill(link, stretch(now.claim.trim(), now.correct === "interrupt" ? "claim" : "retracted"));
    fill(item, [
      el("div", { class: "at num" }, at, el("span", {}, `${now.model} · ${now.policy}`)),
      el("div", { class: "words" }, [
        now.question ? el("p", { class: "asked" }, now.question) : null,
        el("p", {}, tail(now.before), " ", link, " ", put ? stretch(put, "guard") : null, " ", now.followed),
      ]),
      el("div", { class: "by num" }, el("span", {}, now.check), el("span", {}, meter(now.score), score(now.score))),
      el("div", { class: "chips" }, chip(now.outcome), chip(now.review), now.late ? chip("late") : null),
    ]);
  }
  update(told);
  return one;
}

function tail(text) {
  const from = text.length > 120 ? text.slice(-120).replace(/^\S*\s/, "") : text;
  return from.length < text.length ? `…${from}` : from;
}
