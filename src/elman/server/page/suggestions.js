// The three words above the text box.

import { rest } from "./words.js";

const SPEAK_AFTER = 900; // ms without a key, before a screen reader is told

// Event "take" (detail: what to add to the text).
export class Suggestions extends EventTarget {
  #bar;
  #spoken;
  #offer = { number: -1, kind: "next", words: [] };
  #text = "";
  #fits = []; // per button: what taking it adds, or null
  #timer = 0;

  awaited = false; // newer ones are on their way

  constructor(bar, spoken) {
    super();
    this.#bar = bar;
    this.#spoken = spoken;
    for (const [index, button] of this.#buttons.entries()) {
      button.addEventListener("click", () => this.take(index));
      // The caret, and on a phone the keyboard, stay where they are.
      button.addEventListener("pointerdown", (event) => event.preventDefault());
    }
    bar.addEventListener("keydown", (event) => this.#steer(event));
  }

  get #buttons() {
    return [...this.#bar.children];
  }

  offer({ number, completions, next_words }) {
    const kind = completions.length ? "completion" : "next";
    this.#offer = { number, kind, words: completions.length ? completions : next_words };
  }

  // Show what fits `text`, whose newest edit is `number`; nothing unless `atEnd`.
  show(text, number, { atEnd, ready }) {
    const { kind, words } = this.#offer;
    const stale = number !== this.#offer.number;
    this.#text = text;
    this.awaited = ready && stale;
    this.#bar.setAttribute("aria-busy", this.awaited);
    const offered = atEnd && (ready || !stale) ? words : [];
    const all = offered.map((each) => ({ ...each, adds: rest(text, { word: each.text, kind, stale }) }));
    const fitting = all.filter((each) => each.adds !== null);
    this.#fits = fitting.map((each) => each.adds);
    for (const [index, button] of this.#buttons.entries()) fill(button, fitting[index], stale);
    this.#speakLater(fitting.map((each) => each.text));
  }

  // Take the suggestion in place `index`, if there is one.
  take(index) {
    const adds = this.#fits[index];
    if (adds === undefined) return false;
    this.dispatchEvent(new CustomEvent("take", { detail: adds }));
    return true;
  }

  #steer(event) {
    const digit = ["1", "2", "3"].indexOf(event.key);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (digit >= 0) this.take(digit);
    else if (step) this.#buttons[this.#buttons.indexOf(event.target) + step]?.focus();
    else if (event.key === "Escape") this.dispatchEvent(new Event("leave"));
    else return;
    event.preventDefault();
  }

  #speakLater(words) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#spoken.textContent = words.length ? `Suggestions: ${words.join(", ")}` : "";
    }, SPEAK_AFTER);
  }
}

function fill(button, suggestion, stale) {
  button.disabled = !suggestion;
  button.replaceChildren();
  if (!suggestion) return;
  const word = document.createElement("span");
  word.className = "word";
  word.textContent = suggestion.text;
  const meter = document.createElement("meter");
  meter.value = stale ? 0 : suggestion.probability;
  const share = document.createElement("span");
  share.className = "share";
  share.textContent = stale ? "" : `${percent(suggestion.probability)} %`;
  meter.setAttribute("aria-hidden", "true"); // the share says it
  button.append(word, meter, share);
}

function percent(probability) {
  const value = 100 * probability;
  return value < 1 ? value.toFixed(1) : Math.round(value);
}
