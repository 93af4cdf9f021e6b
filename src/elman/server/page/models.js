// Which models the server has, and what the chosen one is.

import { refusal } from "./refusal.js";

// Event "refused" (detail: the line) if the server would not say.
export class Models extends EventTarget {
  #choice;
  #select;
  #facts;
  #known = new Map();

  constructor({ choice, select, facts, session }) {
    super();
    this.#choice = choice;
    this.#select = select;
    this.#facts = facts;
    select.addEventListener("change", () => session.choose(select.value));
    session.addEventListener("started", async () => {
      if (!this.#known.has(session.model)) await this.ask();
      this.#show(session.model);
    });
  }

  // Ask the server, unless it is away.
  async ask() {
    try {
      const response = await fetch("/v1/models");
      if (response.ok) this.#list((await response.json()).models);
      else this.dispatchEvent(new CustomEvent("refused", { detail: await refusal(response) }));
    } catch {
      // The connection says that it is away.
    }
  }

  #list(models) {
    const texts = models.filter((model) => model.task === "text");
    this.#known = new Map(texts.map((model) => [model.name, model]));
    this.#select.replaceChildren(...texts.map(({ name }) => new Option(name)));
    this.#choice.hidden = texts.length < 2;
  }

  #show(name) {
    const model = this.#known.get(name);
    if (!model) return;
    this.#select.value = name;
    const title = this.#choice.hidden ? [name] : [];
    const size = `${model.layers} × ${model.hidden} ${model.cell.toUpperCase()}`;
    const count = `${model.parameters.toLocaleString("en")} parameters`;
    this.#facts.textContent = [...title, size, `level ${model.level}`, count].join(" · ");
  }
}
