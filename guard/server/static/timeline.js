/** One subject from prompt to answer, step by step: what was asked, said, struck out, found, put in, said then. */

import { chip, el, terms } from "./dom.js";
import { stretch } from "./flow.js";
import { meter } from "./plot.js";
import { channel, count, many, score, size, slice, spoken } from "./words.js";

const LONG = 1600;

/** The steps of an interruption or of a segment that was let pass. */
export function timeline(subject, kind) {
  const made = kind === "segment" ? segment(subject) : interruption(subject);
  return el("ol", { class: "timeline" }, made.filter(Boolean).map(([name, title, ...body]) =>
    el("li", { class: `step is-${name}` }, el("h2", {}, title), body),
  ));
}

function interruption(one) {
  const other = one.channel === "content" ? "reasoning" : "content";
  const taken = one.correct === "interrupt" ? "claim" : "retracted";
  return [
    prompt(one),
    evidence(one),
    one.kept?.[other] && other === "reasoning" ? ["kept", "Reasoning before", before(one.kept[other])] : null,
    one.kept?.[one.channel] ? ["kept", `Said in the ${channel(one.channel)}`, before(one.kept[one.channel])] : null,
    ["claim", claimTitle(one), said(stretch(one.claim.trim(), taken))],
    findings(one),
    ...discarded(one),
    one.put_in ? ["guard", "Put in by guard", said(stretch(one.put_in.trim(), "guard"))] : null,
    one.followed ? ["kept", "What followed", said(one.followed.trim())] : null,
    one.answer ? ["answer", "The answer", said(one.answer.trim())] : null,
    one.counterfactual ? ["discarded", "Left alone, the model would have said", said(one.counterfactual)] : null,
  ];
}

function segment(one) {
  return [
    prompt(one),
    evidence(one),
    one.before ? ["kept", `Said in the ${channel(one.channel)}`, before(one.before)] : null,
    ["claim", one.kind === "flagged" ? "Flagged, and let pass" : "Let pass", said(passed(one))],
    findings(one),
    one.after ? ["kept", "What followed", said(one.after)] : null,
  ];
}

function passed(one) {
  const text = one.claim.trim();
  return one.kind === "flagged" ? stretch(text, "passed") : el("mark", {}, text);
}

function claimTitle(one) {
  const how = { interrupt: "interrupted", retract: "taken back before it was sent", restart: "written again" };
  return `The claim, ${how[one.correct]}${one.late ? ", late" : ""}`;
}

function discarded(one) {
  const rest = Object.entries(one.discarded ?? {}).filter(([, text]) => text?.trim());
  const title = (name) => `Discarded from the ${channel(name)}`;
  return rest.map(([name, text]) => ["discarded", title(name), said(stretch(text.trim(), "discarded"))]);
}

function said(...content) {
  return el("p", { class: "said" }, content);
}

/** Text that leads up to something: all but its end is folded away where it is long. */
function before(text) {
  const length = size(text);
  if (length <= LONG) return said(text.trim());
  const cut = length - LONG / 2;
  const [first, last] = [slice(text, 0, cut), slice(text, cut, length).trimEnd()];
  return [folded(`${count(cut)} characters before`, said(first)), said("…", last)];
}

function prompt(one) {
  const messages = Array.isArray(one.messages) ? one.messages : [];
  const last = messages.findLastIndex((message) => message?.role === "user");
  const rest = messages.filter((_, place) => place !== last);
  const question = last >= 0 ? spoken(messages[last]) : one.question;
  const others = rest.length ? folded(`${many(rest.length, "message")} besides`, rest.map(message)) : null;
  const tools = one.tools?.length ? folded(many(one.tools.length, "tool"), json(one.tools)) : null;
  return ["prompt", "Asked", said(question), others, tools];
}

function json(value) {
  return el("pre", {}, JSON.stringify(value, null, 2));
}

function message(one) {
  return el("div", { class: "message" }, chip(one?.role ?? "?", "role"), el("p", { class: "said" }, spoken(one)));
}

function folded(title, ...body) {
  return el("details", {}, el("summary", {}, title), body);
}

/** Passages with the words that a finding rests on marked; those without are folded away. */
function evidence(one) {
  const passages = one.evidence?.passages ?? [];
  const marked = (_, place) => (one.quotes ?? []).filter((quote) => quote.passage === place);
  const all = passages.map((passage, place) => ({ passage, marks: marked(passage, place) }));
  const shown = all.filter(({ passage, marks }) => passage.source !== "user" || marks.length);
  if (!shown.length) return null;
  const quoted = shown.filter(({ marks }) => marks.length);
  const rest = shown.filter(({ marks }) => !marks.length);
  const besides = `${many(rest.length, "passage")}${quoted.length ? " besides" : ""}`;
  return ["evidence", "Evidence", quoted.map(passage), rest.length ? folded(besides, rest.map(passage)) : null];
}

function passage({ passage, marks }) {
  const parts = [];
  let at = 0;
  for (const { start, end } of [...marks].sort((a, b) => a.start - b.start)) {
    if (start < at) continue;
    parts.push(slice(passage.text, at, start), el("mark", {}, slice(passage.text, start, end)));
    at = end;
  }
  return el("blockquote", {}, chip(passage.source, "role"), el("p", { class: "said" }, parts, slice(passage.text, at)));
}

/** What each check said; those that found nothing stand in one line. */
function findings(one) {
  const all = one.verdicts ?? [];
  const found = all.filter((verdict) => verdict.findings?.length);
  const rest = all.filter((verdict) => !verdict.findings?.length);
  return ["findings", "What the checks found",
    found.map((verdict) => el("section", { class: "finding" }, head(verdict), verdict.findings.map(finding))),
    rest.length ? el("p", { class: "chips" }, rest.map((verdict) => chip(silent(verdict), verdict.status))) : null,
    all.length ? null : el("p", { class: "muted" }, "No check looked at this.")];
}

function head(verdict) {
  const led = verdict.disposition === "none" ? verdict.status : verdict.disposition;
  return el("h3", {}, verdict.check, el("span", { class: "muted" }, ` v${verdict.version} `), chip(led, "role"));
}

function silent(verdict) {
  return `${verdict.check}: ${verdict.status.replace("_", " ")}${verdict.why ? ` (${verdict.why})` : ""}`;
}

function finding(one) {
  const rows = terms([["No, …", one.reason], ["Correction", one.correction], ["Rests on", one.evidence]]);
  const sure = el("span", { class: "num score" }, meter(one.score), " ", score(one.score));
  return el("div", { class: "row top" }, sure, rows);
}
