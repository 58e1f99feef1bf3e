/**
 * Builds the page. Whatever a model, a reviewer or a client wrote is text and is only ever set as text: nothing in
 * these modules parses markup, and `href` takes addresses of these pages and of the API alone.
 */

import { shown } from "./controls.js";

const SVG = "http://www.w3.org/2000/svg";
const ADDRESS = /^(#|api\/|blob:)/;

/** An element. `on` maps event names to listeners; null and false leave an attribute out; children may be nested. */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "value") node.value = value;
    else if (name === "href" && !ADDRESS.test(value)) throw new Error(`not an address of these pages: ${value}`);
    else if (/^on|^style$|^src$/.test(name)) throw new Error(`${name} is not set as an attribute`);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  const given = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  node.append(...given.flatMap((child) => (child instanceof Node ? [child] : shown(String(child)))));
  return node;
}

/** Put these children in the place of what is there. */
export function fill(node, ...children) {
  node.replaceChildren();
  return filled(node, {}, children);
}

/** A button of these pages; `key` is shown on it and told to assistive software. */
export function button(text, press, { key = null, kind = "", title = null, disabled = false } = {}) {
  const shown = key ? [text, " ", el("kbd", { "aria-hidden": "true" }, key)] : [text];
  const told = { type: "button", class: kind, title, disabled, "aria-keyshortcuts": key, on: { click: press } };
  return el("button", told, shown);
}

let labelled = 0;

/** A control under its label. */
export function field(label, control) {
  control.id ||= `control-${++labelled}`;
  return el("div", { class: "field" }, el("label", { for: control.id }, label), control);
}

/** A select over values; `shown` says what a value is called. */
export function choice(name, values, chosen, shown = (value) => value) {
  const control = el("select", { name });
  for (const value of values) control.append(el("option", { value }, shown(value)));
  control.value = values.includes(chosen) ? chosen : values[0] ?? "";
  return control;
}

/** A small word that says what state something is in. */
export function chip(text, kind = text) {
  return el("span", { class: `chip is-${kind}` }, text);
}

/** A list of terms and what they are; rows without a value are left out. */
export function terms(rows) {
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const lines = known.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)));
  return el("dl", { class: "terms" }, lines);
}

/** Say something once, in sight and to assistive software. */
export function say(text) {
  const said = document.getElementById("said");
  fill(said, text);
  said.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => said.classList.remove("shown"), 4000);
}

/** What stands in place of a view that has nothing to show. */
export function empty(title, ...lines) {
  return el("div", { class: "empty" }, el("p", { class: "lead" }, title), lines.map((line) => el("p", {}, line)));
}

/** A modal dialogue; resolves with what `done` was given, or null if it was left. */
export function ask(title, build) {
  return new Promise((answered) => {
    let answer = null;
    const dialog = el("dialog", { "aria-label": title });
    const done = (value) => {
      answer = value;
      dialog.close();
    };
    dialog.append(el("h2", {}, title), el("div", {}, build(done)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      answered(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    const first = dialog.querySelector("[autofocus]");
    first?.focus({ preventScroll: true });
    if (first?.tagName === "INPUT") first.select();
  });
}

/** A yes-or-no question. */
export function confirmed(title, text, yes) {
  return ask(title, (done) => {
    const buttons = [button("Cancel", () => done(null)), button(yes, () => done(true), { kind: "main" })];
    return [el("p", {}, text), el("div", { class: "row end" }, buttons)];
  });
}
