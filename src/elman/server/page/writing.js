// The text box: keys, caret, input methods, and the words that are taken.

import { Tint } from "./tint.js";

const CLOSING = /^[.,;:!?…)\]}»”]$/u;

// Event "change" after every change of the text or caret.
export class Writing extends EventTarget {
  #box;
  #session;
  #keystrokes;
  #suggestions;
  #tint;
  #ownSpace = false; // the last character is a space that a suggestion brought
  #released = false; // Escape gave the Tab key back to the browser

  constructor({ box, tint, session, keystrokes, suggestions }) {
    super();
    this.#box = box;
    this.#session = session;
    this.#keystrokes = keystrokes;
    this.#suggestions = suggestions;
    this.#tint = new Tint(tint);
    this.#listenToTheBox();
    suggestions.addEventListener("take", ({ detail }) => this.#take(detail));
    suggestions.addEventListener("leave", () => box.focus());
    for (const type of ["surprise", "started"]) session.addEventListener(type, () => this.#refresh());
    session.addEventListener("text", () => this.#restore());
    session.addEventListener("suggestions", ({ detail }) => {
      suggestions.offer(detail);
      this.#refresh();
    });
  }

  // Where the caret is, in code points of the text.
  get caret() {
    return Array.from(this.#box.value.slice(0, this.#box.selectionEnd)).length;
  }

  clear() {
    this.#replace(0, this.#box.value.length, "");
    this.#keystrokes.clear();
    this.#refresh();
  }

  // Whether the connection's state leaves room for typing.
  lock(locked) {
    this.#box.readOnly = locked;
    this.#refresh();
  }

  #listenToTheBox() {
    const box = this.#box;
    box.addEventListener("beforeinput", (event) => this.#takeSpaceBack(event));
    box.addEventListener("input", (event) => this.#changed(event.inputType));
    box.addEventListener("compositionend", (event) => {
      this.#keystrokes.composed(event.data);
      this.#refresh();
    });
    box.addEventListener("keydown", (event) => this.#pressed(event));
    document.addEventListener("selectionchange", () => {
      if (document.activeElement === box) this.#refresh();
    });
  }

  #changed(kind) {
    this.#released = false;
    this.#ownSpace = false;
    this.#session.write(this.#box.value);
    this.#keystrokes.changed(kind, this.#session.text);
    this.#refresh();
  }

  #pressed(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    const digit = event.altKey ? ["Digit1", "Digit2", "Digit3"].indexOf(event.code) : -1;
    if (digit >= 0) this.#suggestions.take(digit);
    else if (event.key === "Escape") this.#released = true;
    else if (event.key !== "Tab" || event.shiftKey || event.altKey || this.#released) return;
    else if (!this.#suggestions.take(0) && !this.#suggestions.awaited) return;
    event.preventDefault();
  }

  #take(words) {
    const { length } = this.#box.value;
    this.#replace(length, length, words);
    this.#ownSpace = words.endsWith(" ");
  }

  // "word ," becomes "word,": the space that a suggestion brought makes way.
  #takeSpaceBack(event) {
    const { value, selectionStart } = this.#box;
    const closes = event.inputType === "insertText" && CLOSING.test(event.data ?? "");
    if (!this.#ownSpace || !closes || selectionStart !== value.length) return;
    event.preventDefault();
    this.#ownSpace = false;
    this.#replace(value.length - 1, value.length, event.data);
  }

  // As if typed, so that the browser can undo it: there is no other way yet.
  #replace(start, end, text) {
    this.#box.focus();
    this.#box.setSelectionRange(start, end);
    if (start === end && !text) return;
    const command = text ? "insertText" : "delete";
    if (document.execCommand(command, false, text)) return;
    this.#box.setRangeText(text, start, end, "end");
    this.#changed("insertText");
  }

  #restore() {
    this.#box.value = this.#session.text;
    this.#box.setSelectionRange(this.#box.value.length, this.#box.value.length);
    this.#keystrokes.restore(this.#session.text);
    this.#refresh();
  }

  #refresh() {
    const { value, selectionStart, selectionEnd } = this.#box;
    this.#tint.paint(value, this.#session.surprise);
    const atEnd = selectionStart === selectionEnd && selectionEnd === value.length;
    const { number, ready } = this.#session;
    this.#suggestions.show(value, number, { atEnd, ready });
    this.dispatchEvent(new Event("change"));
  }
}
