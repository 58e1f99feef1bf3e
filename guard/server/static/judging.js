/**
 * A reviewer's judgement: who judges, what is said, and how it is taken back. guard's decision is what is judged:
 * of a segment that guard let pass, "rejected" says that it should have interrupted.
 */

import { get, send } from "./api.js";
import { ask, button, chip, el, field, say } from "./dom.js";
import { whole } from "./words.js";

const NAME = "guard.reviewer";
const WORDS = {
  interruption: { confirmed: "Guard was right", rejected: "Guard was wrong", unsure: "Unsure" },
  segment: { confirmed: "Rightly let pass", rejected: "Missed: should have interrupted", unsure: "Unsure" },
};
export const RULINGS = [["c", "confirmed"], ["r", "rejected"], ["u", "unsure"]];

/** What a ruling says of a subject of this kind. */
export function ruled(kind, ruling) {
  return WORDS[kind][ruling];
}

/** The reviewer's name; asked for once and kept. Null where none is given. */
export async function reviewer(again = false) {
  const known = named();
  if (known && !again) return known;
  const hint = known ? "" : (await get("state").catch(() => null))?.reviewer_hint ?? "";
  const given = await ask("Who is reviewing?", (done) => {
    const about = { autofocus: true, required: true, maxlength: 80, autocomplete: "off" };
    const input = el("input", { ...about, value: known ?? hint });
    const submit = (event) => {
      event.preventDefault();
      if (input.value.trim()) done(input.value.trim());
    };
    return el("form", { on: { submit } }, [
      field("Name", input),
      el("p", { class: "muted" }, "It stands with each judgement and is kept in this browser."),
      el("div", { class: "row end" }, button("Cancel", () => done(null)), el("button", { class: "main" }, "Continue")),
    ]);
  });
  if (given) localStorage.setItem(NAME, given);
  return given ?? (again ? known : null);
}

/** Whether others' judgements must stay unseen by this reviewer, who has made none: only so are the two independent. */
export function unseen(told, name) {
  const made = told.judgements ?? [];
  return Boolean(name) && made.length > 0 && !made.some((one) => one.reviewer === name);
}

/** The subject as it was before anybody judged it. */
export function unjudged(told) {
  return { ...told, review: null, revised: null, judgements: [] };
}

/** The name that was given before, or null. */
export function named() {
  return localStorage.getItem(NAME);
}

/** Judge a subject; resolves with the answer of the API, or null where no reviewer is named or it failed. */
export async function judge(subject, kind, ruling, edit = {}) {
  const name = await reviewer();
  if (!name) return null;
  try {
    const answer = await send("POST", "judgements", { subject, ruling, reviewer: name, ...edit });
    say(`${ruled(kind, ruling)}. Press z to undo.`);
    return answer;
  } catch (error) {
    say(error.message);
    return null;
  }
}

/** Take back the reviewer's last judgement; resolves with it, or null. */
export async function undo() {
  const name = await reviewer();
  if (!name) return null;
  try {
    const answer = await send("POST", "undo", { reviewer: name });
    say("The last judgement is taken back.");
    return answer;
  } catch (error) {
    say(error.status === 404 ? "There is no judgement to take back." : error.message);
    return null;
  }
}

/** The buttons for a subject: one a ruling, and what else is given. */
export function rulings(kind, act, ...more) {
  const made = RULINGS.map(([key, ruling]) =>
    button(ruled(kind, ruling), () => act(ruling), { key, kind: `is-${ruling}` }),
  );
  return el("div", { class: "rulings", role: "group", "aria-label": "Your judgement" }, made, more);
}

/** Ask for a ruling with words of the reviewer's own; `at` is the field to begin in. Resolves with the edit or null. */
export function edited(kind, subject, at = "correction") {
  const was = subject.revised ?? {};
  return ask("Edit", (done) => {
    const make = (name, value, rows) =>
      el(rows ? "textarea" : "input", { name, rows, value: value ?? "", autofocus: name === at, autocomplete: "off" });
    const fields = {
      label: make("label", was.label),
      reason: make("reason", was.reason ?? subject.reason, 2),
      correction: make("correction", was.correction ?? subject.correction, 3),
      note: make("note", ""),
    };
    const choices = RULINGS.map(([, ruling]) => {
      const input = el("input", { type: "radio", name: "ruling", value: ruling, checked: ruling === "confirmed" });
      return el("label", { class: "radio" }, input, ruled(kind, ruling));
    });
    const submit = (event) => {
      event.preventDefault();
      done(answer(new FormData(event.target), subject));
    };
    return el("form", { class: "edit", on: { submit } }, [
      el("fieldset", {}, el("legend", {}, "Your judgement"), choices),
      field("Label: the kind of mistake, in a word or two", fields.label),
      field("Reason: one sentence that can stand after “No, ”", fields.reason),
      field("Correction: the true statement", fields.correction),
      field("Note for other reviewers", fields.note),
      el("div", { class: "row end" }, button("Cancel", () => done(null)), el("button", { class: "main" }, "Save")),
    ]);
  });
}

function answer(form, subject) {
  const told = { ruling: form.get("ruling") };
  for (const name of ["label", "note"]) if (form.get(name).trim()) told[name] = form.get(name).trim();
  for (const name of ["reason", "correction"]) {
    const text = form.get(name).trim();
    // What an earlier edit changed is said again, also when it is as it was at first: that edit counts else.
    if (text !== (subject[name] ?? "").trim() || (subject.revised?.[name] ?? null) !== null) told[name] = text;
  }
  return told;
}

/** The judgements of a subject, newest last. */
export function judgements(kind, made) {
  if (!made.length) return el("p", { class: "muted" }, "Nobody has judged this yet.");
  return el("ol", { class: "judgements" }, made.map((one) => el("li", {}, [
    el("b", {}, one.reviewer),
    " ",
    chip(ruled(kind, one.ruling), one.ruling),
    one.label ? [" ", chip(one.label, "label")] : null,
    el("span", { class: "muted num" }, whole(one.at)),
    one.reason ? el("p", {}, `Reason: ${one.reason}`) : null,
    one.correction ? el("p", {}, `Correction: ${one.correction}`) : null,
    one.note ? el("p", { class: "muted" }, one.note) : null,
  ])));
}
