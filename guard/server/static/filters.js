/** The filters of the list: a form, its values in the address, and the parameters that the API takes for them. */

import { choice, el, field } from "./dom.js";

const LISTS = ["model", "policy", "check", "channel", "outcome", "review"];
const FIXED = {
  channel: ["reasoning", "content", "tool_calls"],
  outcome: ["corrected", "relapsed", "abandoned"],
  review: ["unreviewed", "confirmed", "rejected", "disputed"],
};
const DATES = ["since", "until"];
const PLAIN = ["score_min", "score_max", "session", "conversation", "user", "correct", "late"];
export const NAMES = ["q", ...LISTS, ...PLAIN, ...DATES];

/** The filters that an address sets, by name. */
export function chosen(query) {
  return Object.fromEntries(NAMES.filter((name) => query.get(name)).map((name) => [name, query.get(name)]));
}

/** The same as parameters of the API: days become unix seconds of this reader's midnight, the last day included. */
export function parameters(filters) {
  const told = { ...filters };
  if (told.since) told.since = midnight(told.since, 0);
  if (told.until) told.until = midnight(told.until, 1);
  return told;
}

function midnight(day, later) {
  const [year, month, date] = day.split("-").map(Number);
  const at = new Date(year, month - 1, date + later);
  return Number.isNaN(at.getTime()) ? null : at.getTime() / 1000;
}

/** The form. `changed` is called with the filters, a moment after the last change. */
export function form(filters, facets, changed) {
  let timer = null;
  const read = () => {
    const told = new FormData(box);
    changed(chosen({ get: (name) => told.get(name)?.trim() }));
  };
  const soon = (wait) => () => {
    clearTimeout(timer);
    timer = setTimeout(read, wait);
  };
  const submit = (event) => {
    event.preventDefault();
    read();
  };
  const hint = "Words in claim, correction or question";
  const about = { type: "search", name: "q", placeholder: hint, "aria-label": "Search" };
  const search = el("input", { ...about, value: filters.q ?? "" });
  const grid = el("div", { class: "grid" }, controls(filters, facets));
  const more = el("details", { class: "more" }, summary(filters), grid);
  more.open = matchMedia("(min-width: 70rem)").matches;
  const box = el("form", { role: "search", class: "filters", on: { submit, input: soon(350), change: soon(0) } }, [
    search,
    more,
  ]);
  return { box, search, tell: (now) => more.firstChild.replaceWith(summary(now)) };
}

function summary(filters) {
  const set = Object.keys(filters).filter((name) => name !== "q").length;
  return el("summary", {}, "Filters", set ? el("span", { class: "count" }, String(set)) : null);
}

function controls(filters, facets) {
  const made = LISTS.map((name) => {
    const known = facets[name]?.length ? facets[name] : FIXED[name] ?? [];
    const values = ["", ...new Set([...known, ...(filters[name] ? [filters[name]] : [])])];
    return field(name, choice(name, values, filters[name] ?? "", (value) => value || "any"));
  });
  const number = (name, label) =>
    field(label, el("input", { type: "number", name, min: 0, max: 1, step: 0.05, value: filters[name] ?? "" }));
  const date = (name, label) => field(label, el("input", { type: "date", name, value: filters[name] ?? "" }));
  const flag = (name, label, shown) =>
    field(label, choice(name, ["", ...Object.keys(shown)], filters[name] ?? "", (value) => shown[value] ?? "any"));
  return [
    made,
    number("score_min", "score from"),
    number("score_max", "score to"),
    date("since", "from day"),
    date("until", "to day"),
    flag("correct", "way", { interrupt: "interrupted", retract: "retracted", restart: "asked again" }),
    flag("late", "in time", { false: "in time", true: "late" }),
    ["session", "conversation", "user"].filter((name) => filters[name]).map((name) =>
      field(name, el("input", { name, value: filters[name] })),
    ),
  ];
}
