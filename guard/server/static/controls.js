/**
 * Invisible characters of a text, made visible. One that turns the direction of writing, or that only hides what it
 * stands between, is shown as a mark with its number. The mark holds the character itself, so that the text of the
 * page is the text that was written, character for character; its box keeps what the character does inside it.
 */

// Those that scripts and emoji are joined with (U+200C, U+200D) stay as they are; so do signs that can be seen.
const PLAIN = "\\t\\n\\r\\u200c\\u200d";
const FORMAT = "\\p{Cc}|(?=\\p{Default_Ignorable_Code_Point})\\p{Cf}|[\\u2028\\u2029\\ufff9-\\ufffb]";
const HIDDEN = new RegExp(`(?![${PLAIN}])(${FORMAT})`, "u");

/** Nodes that show a text. */
export function shown(text) {
  if (!HIDDEN.test(text)) return [document.createTextNode(text)];
  const pieces = text.split(HIDDEN).map((piece, place) => (place % 2 ? control(piece) : piece));
  return pieces.filter(Boolean).map((piece) => (piece.nodeType ? piece : document.createTextNode(piece)));
}

/** More of a text at the end of a node that shows its beginning. */
export function grow(node, text) {
  const [first, ...rest] = shown(text);
  const last = node.lastChild;
  if (first.nodeType === Node.TEXT_NODE && last?.nodeType === Node.TEXT_NODE) last.appendData(first.data);
  else node.append(first);
  node.append(...rest);
}

function control(character) {
  const mark = document.createElement("span");
  mark.className = "control";
  mark.dataset.code = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  mark.title = "An invisible character of the text, without its effect";
  mark.append(character);
  return mark;
}
