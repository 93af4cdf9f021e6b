// "Look inside": which unit, which timestep, and what the pictures show, in words.

import { heatScale } from "./scale.js";
import { nameOf } from "./surprise.js";
import { fillTable } from "./table.js";
import { Timeline } from "./timeline.js";

const MOST_ROWS = 200;
const STEPS = {
  ArrowUp: { unit: -1 },
  ArrowDown: { unit: 1 },
  PageUp: { unit: -10 },
  PageDown: { unit: 10 },
  Home: { unit: -Infinity },
  End: { unit: Infinity },
  ArrowLeft: { time: -1 },
  ArrowRight: { time: 1 },
};

export class Inside {
  #at;
  #session;
  #timeline;
  #chosen = false; // somebody has chosen a unit; until then it is the most varied

  constructor({ element, session }) {
    this.#at = (id) => element.querySelector(`#${id}`);
    this.#session = session;
    this.#timeline = new Timeline(this.#at("timeline"), session.columns);
    this.#timeline.addEventListener("pick", ({ detail }) => this.#pick(detail));
    for (const type of ["hidden", "started"]) session.addEventListener(type, () => this.show());
    this.#at("timeline").addEventListener("keydown", (event) => this.#pressed(event));
    this.#at("unit").addEventListener("input", (event) => {
      const unit = event.target.valueAsNumber - 1;
      if (unit >= 0 && unit < session.columns.height) this.#pick({ unit });
    });
    this.#at("varied").addEventListener("click", () => {
      this.#pick({ unit: session.columns.mostVaried() });
    });
    this.#at("values").addEventListener("toggle", () => this.show());
    document.addEventListener("themechange", () => this.#paintScale());
    this.#paintScale();
  }

  show() {
    const { columns, text } = this.#session;
    const timeline = this.#timeline;
    timeline.characters = Array.from(text);
    if (timeline.timestep >= columns.length) timeline.timestep = null;
    if (!this.#chosen) timeline.unit = columns.mostVaried();
    timeline.unit = Math.max(0, Math.min(timeline.unit, columns.height - 1));
    this.#at("inside-empty").hidden = columns.length > 0;
    this.#at("unit").max = columns.height;
    if (document.activeElement !== this.#at("unit")) this.#at("unit").value = timeline.unit + 1;
    this.#describe();
    timeline.draw();
  }

  #pick({ unit, timestep = this.#timeline.timestep }) {
    this.#chosen = true;
    this.#timeline.unit = unit;
    this.#timeline.timestep = timestep;
    this.show();
  }

  #pressed(event) {
    const step = STEPS[event.key];
    const { columns } = this.#session;
    if (!step || !columns.length || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const { unit, timestep } = this.#timeline;
    if (step.unit) return this.#pick({ unit: within(unit + step.unit, columns.height) });
    const now = within((timestep ?? columns.length - 1) + step.time, columns.length);
    this.#pick({ unit, timestep: now });
    this.#timeline.reveal(now);
  }

  #describe() {
    const { columns } = this.#session;
    const { unit } = this.#timeline;
    const element = this.#at("timeline");
    element.setAttribute("aria-valuemax", Math.max(1, columns.height));
    element.setAttribute("aria-valuenow", unit + 1);
    const reading = this.#reading();
    element.setAttribute("aria-valuetext", `${unit + 1} of ${columns.height}. ${reading}`);
    this.#at("cell").textContent = reading || "\u00a0";
    this.#at("activity").textContent = this.#activity();
    this.#fillValues();
  }

  // The unit at the chosen timestep, or else at the last.
  #reading() {
    const { columns } = this.#session;
    if (!columns.length) return "";
    const { unit, timestep, characters } = this.#timeline;
    const t = timestep ?? columns.length - 1;
    return `h = ${signed(columns.at(t, unit))} after ${nameOf(characters[t])}, timestep ${t + 1}`;
  }

  // The two pictures in a sentence.
  #activity() {
    const { columns } = this.#session;
    if (!columns.length) return "\u00a0";
    const { unit, characters } = this.#timeline;
    const along = Array.from({ length: columns.length }, (_, t) => columns.at(t, unit));
    const least = along.reduce((best, value, t) => (value < along[best] ? t : best), 0);
    const most = along.reduce((best, value, t) => (value > along[best] ? t : best), 0);
    const at = (t) => `${signed(along[t])} after ${nameOf(characters[t])} at ${t + 1}`;
    const size = `${columns.height} units through ${columns.length} timesteps`;
    return `${size}. Unit ${unit + 1} is lowest, ${at(least)}, and highest, ${at(most)}.`;
  }

  #fillValues() {
    const details = this.#at("values");
    if (!details.open) return;
    const { columns } = this.#session;
    const { unit, characters } = this.#timeline;
    const rows = [];
    for (let t = Math.max(0, columns.length - MOST_ROWS); t < columns.length; t += 1)
      rows.push([String(t + 1), nameOf(characters[t]), signed(columns.at(t, unit))]);
    fillTable(details, rows);
  }

  #paintScale() {
    const context = this.#at("scale").getContext("2d");
    const image = context.createImageData(255, 1);
    new Uint32Array(image.data.buffer).set(heatScale());
    context.putImageData(image, 0, 0);
  }
}

function within(value, size) {
  return Math.max(0, Math.min(size - 1, value));
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}
