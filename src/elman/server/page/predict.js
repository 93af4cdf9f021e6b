// The figures below the text: keys saved, bits a character, and how surprising each character was.

import { bits, byWord, chance, level, nameOf } from "./surprise.js";
import { fillTable } from "./table.js";

const MOST_WORDS = 200;
const WORDS = ["expected", "no great surprise", "a surprise", "a great surprise", "very surprising"];

export class Predict {
  #at;
  #session;
  #keystrokes;
  #writing;

  constructor({ element, session, keystrokes, writing }) {
    this.#at = (id) => element.querySelector(`#${id}`);
    this.#session = session;
    this.#keystrokes = keystrokes;
    this.#writing = writing;
    writing.addEventListener("change", () => this.#show());
    this.#at("words").addEventListener("toggle", () => this.#showWords());
    this.#at("clear").addEventListener("click", () => writing.clear());
  }

  #show() {
    const { pressed, written, savings } = this.#keystrokes;
    const { surprise } = this.#session;
    const nats = surprise.reduce((sum, value) => sum + value, 0);
    this.#at("savings").textContent = savings === null ? "–" : `${Math.round(100 * savings)} %`;
    this.#at("pressed").textContent = pressed.toLocaleString("en");
    this.#at("written").textContent = written.toLocaleString("en");
    this.#at("bits").textContent = surprise.length ? bits(nats / surprise.length).toFixed(2) : "–";
    this.#at("character").textContent = this.#reading();
    this.#showWords();
  }

  // What is known about the character before the caret.
  #reading() {
    const { text, surprise } = this.#session;
    const index = this.#writing.caret - 1;
    const nats = surprise[index];
    if (nats === undefined) return "\u00a0";
    const name = nameOf(Array.from(text)[index]);
    return `${name}: ${chance(nats)}, ${bits(nats).toFixed(1)} bits, ${WORDS[level(nats)]}`;
  }

  #showWords() {
    const details = this.#at("words");
    if (!details.open) return;
    const rows = byWord(this.#session.text, this.#session.surprise).slice(-MOST_WORDS);
    fillTable(
      details,
      rows.map((row) => [row.word, row.bits.toFixed(1), `${nameOf(row.character)} ${chance(row.nats)}`]),
    );
  }
}
