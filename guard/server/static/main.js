/** The frame around the views: which one the address names, the header, and the keys that work everywhere. */

import { get, keyPrompt, send } from "./api.js";
import * as charts from "./charts.js";
import * as detail from "./detail.js";
import { ask, button, confirmed, el, empty, field, fill, say } from "./dom.js";
import { always, help, keys } from "./keys.js";
import * as list from "./list.js";
import * as live from "./live.js";
import * as play from "./play.js";
import * as review from "./review.js";

const VIEWS = { live, play, interruptions: list, review, charts };
const WHAT = {
  supervise: "Every request is supervised by its policy again.",
  observe: "Claims are checked and logged, and no request is interrupted until you switch back.",
  off: "Nothing is checked and nothing is logged until you switch back.",
};
const main = document.getElementById("main");
const mode = document.getElementById("mode");
let leave = null;
let shown = 0;

/** What the address after # names: a view, perhaps an id, and parameters. */
function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/").map(decoded);
  return { name: name || "live", id, query: new URLSearchParams(query) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // no address that these pages made
  }
}

async function route() {
  const { name, id, query } = place();
  const mine = ++shown;
  leave?.();
  leave = null;
  keys([]);
  mark(name === "segments" ? "review" : name);
  fill(main);
  main.setAttribute("aria-busy", "true");
  const view = id ? detail : Object.hasOwn(VIEWS, name) && VIEWS[name];
  try {
    if (!view) throw new Error("There is no such view.");
    const made = await view.show(main, { name, id, query });
    if (mine !== shown) {
      made.leave?.();
      return;
    }
    leave = made.leave ?? null;
    keys(made.keys ?? []);
    document.title = `${made.title} · guard`;
    if (mine > 1 && !main.contains(document.activeElement)) main.focus({ preventScroll: true });
  } catch (error) {
    if (mine === shown) fill(main, empty("This cannot be shown.", error.message));
  }
  if (mine === shown) main.setAttribute("aria-busy", "false");
}

function mark(name) {
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function showMode(now) {
  mode.value = now;
  mode.disabled = false;
  mode.dataset.now = now;
  const notice = document.getElementById("notice");
  notice.hidden = now === "supervise";
  fill(notice, now === "supervise" ? null : `Mode is ${now}. ${WHAT[now]}`);
}

async function switchMode() {
  const wanted = mode.value;
  const before = mode.dataset.now;
  mode.value = before;
  if (!(await confirmed(`Switch to ${wanted}?`, WHAT[wanted], `Switch to ${wanted}`))) return;
  try {
    showMode((await send("POST", "mode", { mode: wanted })).mode);
    say(`Mode is ${wanted}.`);
  } catch (error) {
    say(error.message);
  }
}

const THEMES = ["auto", "light", "dark"];

function showTheme(chosen) {
  fill(document.getElementById("theme"), el("span", {}, "Theme: "), chosen);
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? "auto";
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  localStorage.setItem("guard.theme", next);
  showTheme(next);
}

async function greet() {
  try {
    const state = await get("state");
    showMode(state.mode);
    document.getElementById("version").textContent = `v${state.version}`;
  } catch (error) {
    say(error.message);
  }
}

keyPrompt((wrong) =>
  ask("Admin key", (done) => {
    const about = { type: "password", autocomplete: "current-password", autofocus: true, required: true };
    const input = el("input", { ...about, pattern: "[ -~]+", title: "A key is plain ASCII." }); // a header's letters
    const submit = (event) => {
      event.preventDefault();
      if (input.value.trim()) done(input.value.trim());
    };
    return el("form", { on: { submit } }, [
      el("p", {}, wrong ? "The server did not take that key." : "The log of this server is behind its admin key."),
      field("Key", input),
      el("p", { class: "muted" }, "It is kept until this tab is closed."),
      el("div", { class: "row end" }, button("Cancel", () => done(null)), el("button", { class: "main" }, "Open")),
    ]);
  }),
);

const open = (view) => () => (location.hash = `#/${view}`);
always([
  ["g l", "live", open("live")],
  ["g p", "playground", open("play")],
  ["g i", "interruptions", open("interruptions")],
  ["g r", "review", open("review")],
  ["g c", "charts", open("charts")],
  ["t", "theme", nextTheme],
  ["?", "this help", help],
]);
document.getElementById("help").addEventListener("click", help);
document.getElementById("theme").addEventListener("click", nextTheme);
mode.addEventListener("change", switchMode);
addEventListener("hashchange", route);
addEventListener("unhandledrejection", ({ reason }) => say(reason?.message ?? String(reason)));
showTheme(document.documentElement.dataset.theme ?? "auto");
greet();
route();
