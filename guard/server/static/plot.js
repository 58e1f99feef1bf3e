/** Drawings in SVG: a score's bar, a line over time, intervals. Numbers in, elements out; no text of a model. */

import { el, fill, svg } from "./dom.js";
import { labels, ticks, written } from "./scale.js";

const WIDTH = innerWidth < 640 ? 330 : 560;
const HEIGHT = 180;
const LEFT = 54;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 12;

/** A score of 0 to 1 as a small bar. */
export function meter(score) {
  if (score === null || score === undefined) return null;
  const bar = svg("rect", { class: "fill", width: Math.max(Math.min(score, 1), 0) * 40, height: 6, rx: 3 });
  const back = svg("rect", { class: "back", width: 40, height: 6, rx: 3 });
  return svg("svg", { class: "meter", viewBox: "0 0 40 6", width: 40, height: 6, "aria-hidden": "true" }, back, bar);
}

/**
 * A figure of one number over time. `points` are `{at, value}` (null: nothing to say), evenly spaced; `units` are
 * those of the value, `date` says a time in words; `bars` are for counts. Arrow keys and the pointer move along it; a
 * table says the same.
 */
export function series({ title, note, points, units, date, bars = false }) {
  const write = (value) => written(value, units);
  const values = points.map((point) => point.value).filter((value) => value !== null);
  const marks = ticks(Math.max(...values, 0), { whole: bars });
  const top = marks.at(-1);
  const x = (place) => LEFT + ((place + 0.5) / points.length) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const drawn = bars ? columns(points, x, y) : lines(points, x, y);
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const label = `${title}: ${latest(values, write)}. Arrow keys move along it.`;
  const about = { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, tabindex: 0 };
  const plot = svg("svg", about, [
    axis(marks, y, units),
    dates(points, x, date),
    drawn,
    cursor,
  ]);
  const readout = el("output", { class: "readout num", "aria-live": "polite" });
  follow(plot, points, (place) => {
    const point = points[place];
    cursor.setAttribute("visibility", point ? "visible" : "hidden");
    if (point) for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(place));
    const told = point && (point.value === null ? "–" : write(point.value));
    fill(readout, point ? `${date(point.at, true)}: ${told}` : latest(values, write));
  });
  fill(readout, latest(values, write));
  const caption = el("figcaption", {}, el("h2", {}, title), readout, note ? el("p", { class: "muted" }, note) : null);
  return el("figure", {}, caption, plot, table(title, points, write, date));
}

function latest(values, write) {
  return values.length ? `latest ${write(values.at(-1))}` : "no values yet";
}

function axis(marks, y, units) {
  const told = labels(marks, units);
  return marks.map((mark, place) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(mark), y2: y(mark) }),
    svg("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, told[place]),
  ]);
}

function dates(points, x, date) {
  const every = Math.max(Math.ceil(points.length / (WIDTH / 90)), 1);
  return points.map((point, place) =>
    place % every ? null : svg("text", { x: x(place), y: HEIGHT - 6, "text-anchor": "middle" }, date(point.at)),
  );
}

function columns(points, x, y) {
  const width = Math.max((x(1) - x(0)) * 0.7, 1);
  return points.map(({ value }, place) => {
    if (!value) return null;
    return svg("rect", { class: "bar", x: x(place) - width / 2, y: y(value), width, height: y(0) - y(value), rx: 1 });
  });
}

function lines(points, x, y) {
  const runs = [];
  points.forEach((point, place) => {
    if (point.value === null) return;
    if (place && points[place - 1].value !== null) runs.at(-1).push([x(place), y(point.value)]);
    else runs.push([[x(place), y(point.value)]]);
  });
  const dotted = (run) => run.length === 1 || points.length < 40;
  return runs.map((run) => [
    svg("polyline", { class: "line", points: run.map((spot) => spot.join(",")).join(" ") }),
    dotted(run) ? run.map(([cx, cy]) => svg("circle", { class: "dot", cx, cy, r: 2.5 })) : null,
  ]);
}

function follow(plot, points, show) {
  let at = points.length;
  const move = (place) => show((at = Math.max(0, Math.min(place, points.length - 1))));
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * WIDTH;
    move(Math.floor(((across - LEFT) / (WIDTH - LEFT - RIGHT)) * points.length));
  });
  plot.addEventListener("pointerleave", () => show(-1));
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    move(at + by);
  });
}

/** What a figure shows, as a table that is folded away. */
function table(title, points, write, date) {
  const rows = points.filter((point) => point.value !== null).map((point) =>
    el("tr", {}, el("th", { scope: "row" }, date(point.at, true)), el("td", {}, write(point.value))),
  );
  const table = el("table", {}, el("caption", { class: "sr" }, title), el("tbody", {}, rows));
  return el("details", { class: "table" }, el("summary", {}, "Table"), table);
}

/** A share of the longest as a bar. */
export function beam(share) {
  const bar = svg("rect", { class: "bar", width: 100 * share, height: 10 });
  const about = { class: "beam", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" };
  return svg("svg", about, bar);
}

/** A value of 0 to 1 with the interval around it. */
export function whisker(value, low, high) {
  const x = (share) => 4 + share * 192;
  const grid = (mark) => svg("line", { class: "grid", x1: x(mark), x2: x(mark), y1: 2, y2: 18 });
  const parts = [0, 0.25, 0.5, 0.75, 1].map(grid);
  parts.push(svg("line", { class: "span", x1: x(low), x2: x(high), y1: 10, y2: 10 }));
  parts.push(svg("circle", { class: "dot", cx: x(value), cy: 10, r: 4 }));
  return svg("svg", { class: "whisker", viewBox: "0 0 200 20", width: 200, height: 20, "aria-hidden": "true" }, parts);
}
