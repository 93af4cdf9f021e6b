// Keystroke savings: (characters - keys) / characters (Trnka & McCoy 2008), while a text is typed.

import { count } from "./codepoints.js";

const KEY = "elman.keys";
const GIVEN = new Set(["insertFromPaste", "insertFromDrop", "insertReplacementText"]);

// Deletions cost a key like letters. Pasted text costs what it brings, and so saves nothing.
export class Keystrokes {
  pressed = 0;
  written = 0;

  // A change of the box: what kind (InputEvent.inputType) and the text it left.
  changed(kind, text) {
    const written = count(text);
    if (GIVEN.has(kind)) this.pressed += Math.max(0, written - this.written);
    else if (kind !== "insertCompositionText") this.pressed += 1;
    this.#keep(written);
  }

  // An input method has finished `text`: a key each.
  composed(text) {
    this.pressed += count(text);
    this.#keep(this.written);
  }

  // A text of before: with the keys it took, if they are known.
  restore(text) {
    const written = count(text);
    const pressed = Number.parseInt(sessionStorage.getItem(KEY), 10);
    this.pressed = written && pressed >= 0 ? pressed : written;
    this.#keep(written);
  }

  clear() {
    this.pressed = 0;
    this.#keep(0);
  }

  // From 0 to 1; null while nothing is written.
  get savings() {
    return this.written ? Math.max(0, 1 - this.pressed / this.written) : null;
  }

  #keep(written) {
    this.written = written;
    sessionStorage.setItem(KEY, this.pressed);
  }
}
