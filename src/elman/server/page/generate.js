// "Generate": a prompt goes out, text streams in, and stops when it is told to.

import { count } from "./codepoints.js";
import { events } from "./events.js";
import { refusal } from "./refusal.js";

export class Generate {
  #at;
  #session;
  #stopping = null; // an AbortController while text comes in
  #pending = ""; // arrived, not yet on the page
  #frame = 0;
  #written = 0; // characters

  constructor({ element, session }) {
    this.#at = (id) => element.querySelector(`#${id}`);
    this.#session = session;
    this.#at("request").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write();
    });
    this.#at("stop").addEventListener("click", () => this.#stopping?.abort());
    this.#at("copy").addEventListener("click", () => this.#copy());
    this.#at("temperature").addEventListener("input", ({ target }) => {
      this.#at("temperature-value").textContent = target.value;
    });
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#stopping?.abort();
    });
  }

  async #write() {
    this.#begin();
    const began = performance.now();
    try {
      const end = await this.#read();
      const seconds = (performance.now() - began) / 1000;
      const rate = Math.round(this.#written / seconds).toLocaleString("en");
      this.#say(end ?? `${this.#amount()} in ${seconds.toFixed(1)} s, ${rate} a second.`);
    } catch (error) {
      if (error.name === "AbortError") this.#say(`Stopped after ${this.#amount()}.`);
      else this.#say(`The connection broke after ${this.#amount()}.`);
    } finally {
      this.#end();
    }
  }

  // Returns what went wrong in the server's words, or null.
  async #read() {
    const response = await fetch("/v1/generate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(this.#request()),
      signal: this.#stopping.signal,
    });
    if (!response.ok) return refusal(response);
    for await (const { type, data } of events(response.body)) {
      const message = JSON.parse(data);
      if (type === "text") this.#add(message.text);
      if (type === "error") return message.error;
      if (type === "done") return null;
    }
    return `The server went away after ${this.#amount()}.`;
  }

  #request() {
    const request = {
      prompt: this.#at("prompt").value,
      temperature: this.#at("temperature").valueAsNumber,
      length: this.#at("length").valueAsNumber,
      seed: crypto.getRandomValues(new Uint32Array(1))[0],
    };
    return this.#session.model ? { model: this.#session.model, ...request } : request;
  }

  #begin() {
    this.#stopping?.abort();
    this.#stopping = new AbortController();
    this.#written = 0;
    const prompt = document.createElement("span");
    prompt.className = "given";
    prompt.textContent = this.#at("prompt").value;
    const text = document.createElement("span");
    this.#at("written-text").replaceChildren(prompt, text);
    this.#busy(true);
    this.#say("Writing …");
  }

  #end() {
    this.#stopping = null;
    this.#flush();
    this.#busy(false);
  }

  #busy(busy) {
    this.#at("written-text").setAttribute("aria-busy", busy);
    const refocus = [this.#at("start"), this.#at("stop")].includes(document.activeElement);
    this.#at("start").hidden = busy;
    this.#at("stop").hidden = !busy;
    this.#at("copy").disabled = busy || !this.#written;
    if (refocus) this.#at(busy ? "stop" : "start").focus();
  }

  // Once a frame, however fast it comes.
  #add(text) {
    this.#pending += text;
    this.#written += count(text);
    this.#frame ||= requestAnimationFrame(() => this.#flush());
  }

  #flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const article = this.#at("written-text");
    const { scrollTop, clientHeight, scrollHeight } = article;
    article.lastChild.append(this.#pending);
    this.#pending = "";
    if (scrollTop + clientHeight >= scrollHeight - 40) article.scrollTop = article.scrollHeight;
  }

  async #copy() {
    const article = this.#at("written-text");
    try {
      await navigator.clipboard.writeText(article.textContent);
      this.#say("Copied.");
    } catch {
      getSelection().selectAllChildren(article); // the browser forbids it: one key is left
      this.#say("Selected: copy it with Ctrl+C.");
    }
  }

  #amount() {
    return `${this.#written.toLocaleString("en")} character${this.#written === 1 ? "" : "s"}`;
  }

  #say(text) {
    this.#at("progress").textContent = text;
  }
}
