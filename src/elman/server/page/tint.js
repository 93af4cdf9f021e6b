// The tints behind the text box: the same text, set the same way, invisible but for its background.

import { graphemes } from "./codepoints.js";
import { level } from "./surprise.js";

export class Tint {
  #element;
  #painted = []; // one key a line: what stands there now

  constructor(element) {
    this.#element = element;
  }

  // Only lines that changed are set again.
  paint(text, surprise) {
    let at = 0;
    const lines = text.split("\n");
    lines.forEach((line, index) => {
      const points = Array.from(line);
      const levels = points.map((_, offset) => level(surprise[at + offset]));
      at += points.length + 1;
      const key = `${line}\n${levels.map((each) => each ?? "?").join("")}`;
      if (this.#painted[index] !== key) this.#set(index, line, levels);
      this.#painted[index] = key;
    });
    this.#painted.length = lines.length;
    while (this.#element.childElementCount > lines.length) this.#element.lastChild.remove();
  }

  #set(index, line, levels) {
    const row = document.createElement("div");
    row.append(...runs(line, levels).map(span));
    if (!line) row.append(document.createElement("br"));
    const old = this.#element.children[index];
    if (old) old.replaceWith(row);
    else this.#element.append(row);
  }
}

// Neighbours of one level together. What is drawn as one glyph is never cut: an accent or an emoji
// of several code points takes its highest level.
export function runs(line, levels) {
  const found = [];
  let at = 0;
  for (const text of graphemes(line)) {
    const known = levels.slice(at, (at += Array.from(text).length)).filter((each) => each !== null);
    const here = known.length ? Math.max(...known) : null;
    if (found.length && found.at(-1).level === here) found.at(-1).text += text;
    else found.push({ level: here, text });
  }
  return found;
}

function span(run) {
  const element = document.createElement("span");
  if (run.level) element.className = `s${run.level}`;
  element.textContent = run.text;
  return element;
}
