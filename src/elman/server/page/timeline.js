// The heat map and the trace on one axis of time, as wide as the text is long. Only what is in
// sight is painted: canvases have a largest size, texts have 20,000 characters.

import { paintHeat } from "./heatmap.js";
import { heatScale } from "./scale.js";
import { paintTrace } from "./trace.js";

const STEP = 12; // CSS pixels a timestep
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Event "pick" (detail: { unit, timestep }) when somebody points at a cell.
export class Timeline extends EventTarget {
  #element;
  #extent;
  #heat;
  #trace;
  #scale;
  #columns;
  #shown = 0; // columns on the page so far: they come one after the other
  #frame = 0;
  #following = true; // the newest column stays in sight

  unit = 0;
  timestep = null;
  characters = [];

  constructor(element, columns) {
    super();
    this.#element = element;
    this.#columns = columns;
    [this.#extent, this.#heat, this.#trace] = [".extent", "#heat", "#trace"].map((each) =>
      element.querySelector(each),
    );
    element.addEventListener("scroll", () => this.#scrolled());
    element.addEventListener("pointerdown", (event) => this.#point(event));
    document.addEventListener("themechange", () => this.recolour());
    new ResizeObserver(() => this.draw()).observe(element);
    this.recolour();
  }

  recolour() {
    this.#scale = heatScale();
    this.draw();
  }

  draw() {
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  // Bring a timestep into sight.
  reveal(timestep) {
    const { clientWidth, scrollLeft } = this.#element;
    const x = timestep * STEP;
    if (x < scrollLeft) this.#element.scrollLeft = x;
    else if (x + STEP > scrollLeft + clientWidth) this.#element.scrollLeft = x + STEP - clientWidth;
  }

  #paint() {
    this.#frame = 0;
    if (!this.#element.clientWidth) return; // another view is open
    this.#grow();
    const view = this.#view();
    const { unit, timestep, characters } = this;
    const chosen = timestep !== null && timestep < this.#shown ? timestep : null;
    paintHeat(this.#heat, this.#columns, view, { scale: this.#scale, unit, timestep: chosen });
    paintTrace(this.#trace, this.#columns, view, { unit, timestep: chosen, characters });
    if (this.#shown < this.#columns.length) this.draw();
  }

  #grow() {
    const missing = this.#columns.length - this.#shown;
    this.#shown += missing < 0 || calm.matches ? missing : Math.ceil(missing / 12);
    this.#extent.style.setProperty("--extent", `${this.#shown * STEP}px`);
    if (this.#following) this.#element.scrollLeft = this.#element.scrollWidth;
  }

  #view() {
    const { scrollLeft, clientWidth } = this.#element;
    const first = Math.floor(scrollLeft / STEP);
    const end = Math.min(this.#shown, Math.ceil((scrollLeft + clientWidth) / STEP));
    return { first, end, left: first * STEP - scrollLeft, step: STEP };
  }

  #scrolled() {
    const { scrollLeft, clientWidth, scrollWidth } = this.#element;
    this.#following = scrollLeft + clientWidth >= scrollWidth - STEP;
    this.draw();
  }

  #point(event) {
    const box = this.#heat.getBoundingClientRect();
    const t = Math.floor((event.clientX - box.left + this.#element.scrollLeft) / STEP);
    const unit = Math.floor(((event.clientY - box.top) / box.height) * this.#columns.height);
    if (t < 0 || t >= this.#shown) return;
    const chosen = unit < this.#columns.height ? unit : this.unit; // below: the trace
    this.dispatchEvent(new CustomEvent("pick", { detail: { unit: chosen, timestep: t } }));
  }
}
