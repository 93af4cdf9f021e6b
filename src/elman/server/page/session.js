// The text on both sides of the wire. What is typed while nobody listens is sent when somebody does.

import { Columns } from "./columns.js";
import { count, difference, parts, wellFormed } from "./codepoints.js";

const PART = 4000; // code points an edit, so that a message stays well under 64 KiB
const KEY = "elman.session";

// Events: "started", "text" (the server's text was taken over), "suggestions" (detail: the message),
// "surprise", "hidden", "error" (detail: the server's line).
export class Session extends EventTarget {
  #connection;
  #sent = ""; // the text the server has
  #number = 0;
  #edits = []; // sent, not yet answered: { number, keep }
  #typed = false; // since the page was loaded
  #hidden = false; // whether columns are wanted
  #answers = {
    started: (message) => this.#started(message),
    suggestions: (message) => this.#suggested(message),
    surprise: (message) => this.#surprised(message),
    hidden: (message) => this.#shown(message),
    error: (message) => this.#failed(message),
  };

  text = "";
  surprise = []; // nats, one a code point of the text, as far as known
  columns = new Columns();
  model = null;
  ready = false;

  constructor(connection) {
    super();
    this.#connection = connection;
    connection.addEventListener("state", ({ detail }) => this.#follow(detail.state));
    connection.addEventListener("message", ({ detail }) => this.#answers[detail.type]?.(detail));
  }

  // Whether the newest suggestions would be about the text as it stands.
  get number() {
    return this.#number;
  }

  // Whether a text of before may still come.
  get restoring() {
    return !this.#typed && !this.ready && recall() !== null;
  }

  write(text) {
    this.#typed = true;
    this.text = wellFormed(text);
    this.#connection.wake();
    this.#send();
  }

  showHidden(on) {
    if (this.#hidden === on) return;
    this.#hidden = on;
    if (this.ready) this.#askForHidden();
  }

  // Another model reads the same text from its beginning.
  choose(model) {
    this.model = model;
    this.#typed = true;
    this.restart();
  }

  // Leave the server's session behind; the text stays here.
  restart() {
    forget();
    this.#connection.open();
  }

  // From the window that has taken the session, with the text it has by now.
  takeBack() {
    this.#typed = false;
    this.#connection.open();
  }

  #follow(state) {
    this.ready = false;
    if (state !== "open") return;
    const start = { type: "start" };
    const session = recall();
    if (session) start.session = session;
    else if (this.model) start.model = this.model;
    this.#connection.send(start);
  }

  #started({ session, model, text, number, hidden_size, surprise }) {
    remember(session);
    this.#connection.settle();
    if (model !== this.model || hidden_size !== this.columns.height) this.columns.clear(hidden_size);
    this.ready = true;
    this.model = model;
    this.#number = number;
    this.#edits = [];
    this.#sent = text;
    this.surprise = surprise.slice();
    if (!this.#typed) this.text = text;
    this.dispatchEvent(new Event("started"));
    if (!this.#typed) this.dispatchEvent(new Event("text"));
    if (this.#hidden) this.#askForHidden();
    if (this.text === text) this.#edit(count(text), ""); // for suggestions
    this.#send();
  }

  #send() {
    if (!this.ready || this.text === this.#sent) return;
    const { keep, insert } = difference(this.#sent, this.text);
    this.#edit(keep, insert);
    this.#sent = this.text;
  }

  #edit(keep, insert) {
    this.surprise.length = Math.min(this.surprise.length, keep);
    if (this.columns.truncate(keep)) this.dispatchEvent(new Event("hidden"));
    let from = keep;
    for (const part of insert ? parts(insert, PART) : [""]) {
      this.#number += 1;
      this.#edits.push({ number: this.#number, keep: from });
      this.#connection.send({ type: "edit", number: this.#number, keep: from, insert: part });
      from += count(part);
    }
  }

  #askForHidden() {
    this.#connection.send({ type: "hidden", on: this.#hidden });
  }

  // How many code points of the text of edit `number` are still those of the text now.
  #standing(number) {
    this.#edits = this.#edits.filter((edit) => edit.number > number);
    return Math.min(Infinity, ...this.#edits.map((edit) => edit.keep));
  }

  #suggested(message) {
    this.dispatchEvent(new CustomEvent("suggestions", { detail: message }));
  }

  #surprised({ number, from, nats }) {
    const standing = nats.slice(0, Math.max(0, this.#standing(number) - from));
    if (from > this.surprise.length || !standing.length) return;
    this.surprise.splice(from, standing.length, ...standing);
    this.dispatchEvent(new Event("surprise"));
  }

  #shown({ number, from, columns }) {
    const standing = columns.slice(0, Math.max(0, this.#standing(number) - from));
    if (standing.length && this.columns.put(from, standing)) this.dispatchEvent(new Event("hidden"));
  }

  #failed({ error }) {
    if (!this.ready && recall()) forget(); // the session of before is gone
    this.dispatchEvent(new CustomEvent("error", { detail: error }));
  }
}

function recall() {
  return sessionStorage.getItem(KEY);
}

function remember(session) {
  sessionStorage.setItem(KEY, session);
}

function forget() {
  sessionStorage.removeItem(KEY);
}
