/** The log over time: how often guard interrupts, how often it is wrong, what it costs, what reviewers make of it. */

import { get } from "./api.js";
import { choice, el, field, fill, say } from "./dom.js";
import { beam, series, whisker } from "./plot.js";
import { NUMBER, SHARE, TIME } from "./scale.js";
import { count, many, percent, seconds } from "./words.js";

const SPANS = ["1", "7", "30", "90"];
const HOUR = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const RULED = "Rejected, of those that reviewers ruled on.";
const ENDED = "Of those that went on: the model came back to the claim.";
const COUNTS =
  "responses interruptions late confirmed rejected tokens_wasted added_s_sum unscanned".split(" ");
const BOTH = new Intl.DateTimeFormat(undefined, {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
});

export async function show(main, { query }) {
  const body = el("div");
  const span = choice("days", SPANS, query.get("days") ?? "7", (days) => (days === "1" ? "1 day" : `${days} days`));
  const load = async () => {
    history.replaceState(null, "", `#/charts?days=${span.value}`);
    try {
      fill(body, ...(await drawn(span.value)));
    } catch (error) {
      say(error.message);
    }
  };
  span.addEventListener("change", load);
  const head = [el("h1", {}, "Charts"), el("span", { class: "gap" }), field("Over", span)];
  fill(main, el("div", { class: "row head" }, head), body);
  await load();
  return { title: "Charts" };
}

async function drawn(days) {
  const [trends, quality, agreement] = await Promise.all([get("trends", { days }), get("quality"), get("agreement")]);
  const drawings = figures(trends.buckets, dates(trends.bucket_s));
  const reviews = [precision(quality.checks), agreed(agreement), found(quality.recall)];
  const panel = el("section", { class: "panel" }, reviews);
  return [tiles(trends.buckets), panel, el("div", { class: "figures" }, drawings)];
}

function dates(bucket) {
  return (at, full = false) => {
    const shown = full && bucket < 86400 ? BOTH : bucket < 6 * 3600 ? HOUR : DAY;
    return shown.format(new Date(at * 1000));
  };
}

const sum = (buckets, name) => buckets.reduce((total, bucket) => total + (bucket[name] ?? 0), 0);
const share = (part, whole) => (whole > 0 ? part / whole : null);

function tiles(buckets) {
  const all = Object.fromEntries(COUNTS.map((name) => [name, sum(buckets, name)]));
  const [corrected, relapsed] = ["corrected", "relapsed"].map((name) => sum(buckets.map((one) => one.outcomes), name));
  const told = [
    ["responses", count(all.responses)],
    ["interruptions", count(all.interruptions)],
    ["per 100 responses", rate(share(all.interruptions, all.responses))],
    ["judged wrong", percent(share(all.rejected, all.confirmed + all.rejected))],
    ["relapsed", percent(share(relapsed, corrected + relapsed))],
    ["too late", percent(share(all.late, all.interruptions))],
    ["added to a response", seconds(share(all.added_s_sum, all.responses))],
    ["tokens wasted", count(all.tokens_wasted)],
    ["segments not checked", count(all.unscanned)],
  ];
  return el("dl", { class: "tiles" }, told.map(([name, value]) =>
    el("div", {}, el("dt", {}, name), el("dd", { class: "num" }, value)),
  ));
}

function rate(value) {
  return value === null ? "–" : (value * 100).toFixed(1);
}

function figures(buckets, date) {
  const over = (value) => buckets.map((bucket) => ({ at: bucket.start, value: value(bucket) }));
  const line = (title, value, units, note = null) => series({ title, note, points: over(value), units, date });
  const bars = (title, value) => series({ title, points: over(value), units: NUMBER, date, bars: true });
  return [
    line("Interruptions per 100 responses", (one) => share(100 * one.interruptions, one.responses), NUMBER),
    line("False interruptions", (one) => share(one.rejected, one.confirmed + one.rejected), SHARE, RULED),
    line("Relapse", ({ outcomes }) => share(outcomes.relapsed, outcomes.corrected + outcomes.relapsed), SHARE, ENDED),
    line("Latency added to a response", (one) => share(one.added_s_sum, one.responses), TIME),
    line("From the claim's end to the cut", (one) => share(one.delay_s_sum, one.interruptions), TIME),
    bars("Tokens wasted", (one) => one.tokens_wasted),
    bars("Responses", (one) => one.responses),
    byCheck(buckets),
  ];
}

function byCheck(buckets) {
  const totals = new Map();
  for (const bucket of buckets) {
    for (const [check, made] of Object.entries(bucket.by_check)) totals.set(check, (totals.get(check) ?? 0) + made);
  }
  const most = Math.max(...totals.values());
  const number = (made) => el("td", { class: "num" }, count(made));
  const rows = [...totals].sort((one, other) => other[1] - one[1]).map(([check, made]) =>
    el("tr", {}, el("th", { scope: "row" }, check), el("td", { class: "wide" }, beam(made / most)), number(made)),
  );
  const table = el("table", { class: "beams" }, el("tbody", {}, rows));
  return el("figure", {}, [
    el("figcaption", {}, el("h2", {}, "Interruptions by check")),
    rows.length ? table : el("p", { class: "muted" }, "None in this time."),
  ]);
}

function precision(checks) {
  const title = el("h2", {}, "Precision of each check, from reviews");
  const judged = checks.filter((check) => check.confirmed + check.rejected > 0);
  if (!judged.length) return [title, el("p", { class: "muted" }, "No check has been judged yet.")];
  const rows = judged.map((check) => el("tr", {}, [
    el("th", { scope: "row" }, check.check),
    el("td", { class: "num" }, percent(check.precision, 0)),
    el("td", { class: "num" }, `${percent(check.low, 0)} to ${percent(check.high, 0)}`),
    el("td", {}, whisker(check.precision, check.low, check.high)),
    el("td", { class: "num" }, `${count(check.confirmed)} of ${count(check.confirmed + check.rejected)}`),
  ]));
  const heads = ["check", "precision", "95 % interval", "0 to 100 %", "right, of judged"];
  const head = el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name))));
  return [title, el("div", { class: "scroll" }, el("table", {}, head, el("tbody", {}, rows)))];
}

function agreed({ pairs, agreed: same, kappa }) {
  const beyond = kappa === null ? "" : `, Cohen’s κ ${kappa.toFixed(2)}`;
  const judged = `${many(pairs, "pair")} of judgements`;
  return el("p", { class: "muted" }, pairs
    ? `Two reviewers of one claim agree in ${count(same)} of ${judged}${beyond}.`
    : "No claim has been judged by two reviewers yet.");
}

function found(recall) {
  const unknown = "How many mistakes guard misses is not known yet: judge segments that were let pass.";
  if (!recall) return el("p", { class: "muted" }, unknown);
  const [share, low, high] = [recall.value, recall.low, recall.high].map((value) => percent(value, 0));
  const basis = `${many(recall.judged, "judged segment")} of those let pass`;
  const told = `Of the mistakes made, guard is estimated to find ${share} (${low} to ${high}), from ${basis}.`;
  return el("p", { class: "muted" }, told);
}
