/** Training rows of what the filters select, as a file. */

import { address, get, key, request } from "./api.js";
import { ask, button, choice, el, field, say } from "./dom.js";

const WHAT =
  "One row a line, of what the filters select now: interruptions that were corrected and that reviewers confirmed. " +
  "Never one that they reject or dispute.";

/** The button; `selected` gives the parameters that select. */
export function exporting(selected) {
  return button("Export…", () => open(selected()));
}

async function open(selected) {
  const { formats } = await get("state");
  await ask("Export", (done) => {
    const format = choice("format", formats, "prompt_completion");
    const all = el("input", { type: "checkbox", name: "unreviewed" });
    const link = el("a", { class: "button main", download: "", on: { click } }, "Download");
    const point = () => {
      link.setAttribute("download", `${format.value}.jsonl`);
      link.setAttribute("href", address("export", { ...selected, format: format.value, unreviewed: all.checked }));
    };
    async function click(event) {
      event.preventDefault();
      await download(link.getAttribute("href"), link.download);
      done(null);
    }
    point();
    return el("form", { method: "dialog", on: { change: point } }, [
      el("p", {}, WHAT),
      field("Format", format),
      el("label", { class: "radio" }, all, "Also those that nobody has reviewed"),
      el("div", { class: "row end" }, button("Cancel", () => done(null)), link),
    ]);
  });
}

/** A link carries no header: with a key the rows are fetched whole, else the browser writes them as they come. */
async function download(url, name) {
  try {
    const answer = await request(url);
    const at = key() ? URL.createObjectURL(await answer.blob()) : url;
    if (!key()) await answer.body.cancel();
    el("a", { href: at, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(at), 60000);
  } catch (error) {
    say(error.message);
  }
}
