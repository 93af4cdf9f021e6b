// A WebSocket that comes back: later and later while the server is away, at once when asked.

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const FULL_WAIT = 5_000;

// What to do when the server has closed. Every other code means: try again.
const CLOSINGS = {
  1000: "resting", // ended: until somebody types
  1008: "refused", // would be refused again
  1009: "refused",
  4000: "resting", // idle
  4001: "resting", // lived its time
  4002: "taken", // by another window
};

// state: "connecting", "open", "waiting" (for the next attempt), "resting" (until somebody types),
// "refused" and "taken" (until somebody asks).
export class Connection extends EventTarget {
  #url;
  #socket = null;
  #timer = 0;
  #wait = FIRST_WAIT;

  state = "connecting";
  retryAt = 0; // ms since 1970, while waiting
  everOpen = false;

  constructor(url) {
    super();
    this.#url = url;
    addEventListener("online", () => this.state === "waiting" && this.open());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state === "waiting") this.open();
    });
  }

  open() {
    this.drop();
    this.#become("connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.addEventListener("open", () => this.#opened(socket));
    socket.addEventListener("message", (event) => this.#heard(socket, event));
    socket.addEventListener("close", (event) => this.#closed(socket, event));
  }

  // Give the socket up, without a word to the listeners.
  drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  wake() {
    if (this.state === "resting") this.open();
  }

  send(message) {
    if (this.state === "open") this.#socket.send(JSON.stringify(message));
  }

  // The server took us in: the next absence is a new one.
  settle() {
    this.#wait = FIRST_WAIT;
  }

  #opened(socket) {
    if (socket !== this.#socket) return;
    this.everOpen = true;
    this.#become("open");
  }

  #heard(socket, event) {
    if (socket !== this.#socket) return;
    this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(event.data) }));
  }

  #closed(socket, { code }) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    const next = CLOSINGS[code] ?? "waiting";
    if (next === "waiting") this.#schedule(code === 1013 ? FULL_WAIT : 0);
    this.#become(next, code);
  }

  #schedule(least) {
    const wait = Math.max(least, this.#wait * (0.8 + 0.4 * Math.random()));
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT);
    this.retryAt = Date.now() + wait;
    this.#timer = setTimeout(() => this.open(), wait);
  }

  #become(state, code = 0) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, code } }));
  }
}
