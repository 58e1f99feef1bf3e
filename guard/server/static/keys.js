/**
 * Keys: those of every view and those of the one that is shown. A key is a character, `Escape` or `g x` (one after the
 * other). They are silent while the reader types, in a dialogue, and with Ctrl, Alt or the command key held.
 */

import { ask, el } from "./dom.js";

const everywhere = new Map();
let here = new Map();
let first = null;

/** Keys that work in every view: rows of [key, what it does, function]. */
export function always(rows) {
  for (const [key, what, act] of rows) everywhere.set(key, { what, act });
}

/** The keys of the view that is shown now, in the place of the last one's. */
export function keys(rows) {
  here = new Map(rows.map(([key, what, act]) => [key, { what, act }]));
}

/** Show what the keys do. */
export function help() {
  if (document.querySelector("dialog")) return;
  ask("Keyboard", (done) => [
    table("This view", here),
    table("Everywhere", everywhere),
    el("form", { method: "dialog", class: "row end" }, el("button", { autofocus: true, on: { click: done } }, "Close")),
  ]);
}

function table(title, map) {
  if (!map.size) return null;
  const rows = [...map].map(([key, { what }]) =>
    el("div", {}, el("dt", {}, key.split(" ").map((part) => el("kbd", {}, part))), el("dd", {}, what)),
  );
  return el("section", { class: "keys" }, el("h3", {}, title), el("dl", {}, rows));
}

function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = first ? `${first} ${event.key}` : event.key;
  first = null;
  if (key === "g") {
    first = key;
    return;
  }
  const found = here.get(key) ?? everywhere.get(key);
  if (!found) return;
  event.preventDefault();
  found.act(event);
});
