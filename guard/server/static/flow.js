/**
 * The text of one channel as it grows: what the model said, what was struck out of it, what guard put in. Offsets
 * are characters of the channel as it was received; marks without text of their own (a retraction) take up none.
 */

import { grow } from "./controls.js";
import { el } from "./dom.js";
import { size, slice } from "./words.js";

const TAGS = { guard: "ins", claim: "del", retracted: "del", discarded: "s", passed: "u", mark: "em" };
const WORDS = {
  claim: "the claim that was interrupted",
  discarded: "said after the claim, does not count",
  guard: "put in by guard",
  retracted: "taken back before it was sent",
  passed: "flagged, and left standing",
};

export class Flow {
  constructor(root) {
    this.root = root;
    this.parts = [];
  }

  /** All text as it was received. */
  get text() {
    return this.parts.filter((part) => part.counts).map((part) => part.text).join("");
  }

  /** What still counts of it: without what was discarded. */
  get kept() {
    return this.parts.filter((part) => part.counts && part.kind !== "discarded").map((part) => part.text).join("");
  }

  /** Text at the end. White space that guard's words begin with is not shown as its words. */
  add(text, kind = "model") {
    const blank = kind === "guard" ? text.match(/^\s*/)[0] : "";
    if (blank) this.append(blank, "space");
    if (text.length > blank.length) this.append(text.slice(blank.length), kind);
  }

  append(text, kind) {
    const last = this.parts.at(-1);
    if (last?.kind === kind && last.counts) {
      last.text += text;
      last.size += size(text);
      grow(last.node, text);
    } else {
      const part = made(text, kind);
      this.parts.push(part);
      this.root.append(part.node);
    }
  }

  /** Something at the end that is no text of the channel. */
  note(text, kind = "mark") {
    const part = { ...made(text, kind), counts: false, size: 0 };
    this.parts.push(part);
    this.root.append(part.node);
  }

  /** A claim that was taken back before it was sent stands at the end without being text of the channel. */
  retract(claim) {
    this.note(claim.trim() || "taken back", "retracted");
  }

  /** Make what the model said between two offsets another kind; what guard said keeps its own. */
  mark(start, end, kind) {
    let at = 0;
    this.parts = this.parts.flatMap((part) => {
      const low = Math.max(start - at, 0);
      const high = Math.min(end - at, part.size);
      at += part.size;
      return part.kind === "model" && low < high ? split(part, low, high, kind) : [part];
    });
  }

  /** Strike a claim that is known by its words alone: the last place where they stand. False where they do not. */
  strike(claim) {
    const found = this.text.lastIndexOf(claim);
    if (found < 0 || !claim) return false;
    const start = size(this.text.slice(0, found));
    this.mark(start, start + size(claim), "claim");
    return true;
  }

  /** What the model said behind the last claim does not count. */
  discard() {
    const last = this.parts.findLastIndex((part) => part.kind === "claim");
    const from = this.parts.slice(0, last + 1).reduce((sum, part) => sum + part.size, 0);
    const put = this.parts.findIndex((part, place) => place > last && part.kind === "guard");
    const to = this.parts.slice(0, put < 0 ? undefined : put).reduce((sum, part) => sum + part.size, 0);
    if (last >= 0) this.mark(from, to, "discarded");
  }
}

function made(text, kind) {
  return { kind, text, size: size(text), counts: true, node: stretch(text, kind) };
}

function split(part, low, high, kind) {
  const blank = size(slice(part.text, low, high).match(/^\s*/)[0]);
  const cut = [["model", 0, low + blank], [kind, low + blank, high], ["model", high, part.size]];
  const parts = cut.filter(([, from, to]) => from < to).map(([of, from, to]) => made(slice(part.text, from, to), of));
  part.node.replaceWith(...parts.map((piece) => piece.node));
  return parts;
}

/** One stretch of text, marked as what it is. */
export function stretch(text, kind) {
  return el(TAGS[kind] ?? "span", { class: `t-${kind}`, title: WORDS[kind] ?? null }, text);
}
