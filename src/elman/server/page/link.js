// How the connection fares, in words, and what can be done about it.

const STATES = {
  connecting: "Connecting …",
  open: "Connecting …", // connected, when the session has started
  waiting: "Not connected",
  resting: "Resting",
  refused: "Not connected",
  taken: "In another window",
};
const AWAY = "The server is away. You can go on typing; the page tries again by itself.";
const TROUBLES = {
  waiting: { text: AWAY, remedy: "Try now" },
  refused: { text: "The server refused the session.", remedy: "Begin a new session" },
  taken: { text: "The session goes on in another window.", remedy: "Go on here" },
};
const ACTIONS = {
  refused: (session) => session.restart(),
  taken: (session) => session.takeBack(),
};
const CODES = {
  1012: { text: "The server starts again; the page comes back by itself.", remedy: "Try now" },
  1013: { text: "The server is full. The page tries again by itself.", remedy: "Try now" },
  4000: { text: "The session rests, as nobody typed. Type to go on.", remedy: "Go on" },
  4001: { text: "The session has lived its time. Type to begin a new one.", remedy: "Go on" },
};

export class Link {
  #status;
  #box;
  #text;
  #remedy;
  #act = () => {};

  constructor({ status, trouble, connection, session, models }) {
    this.#status = status;
    this.#box = trouble;
    this.#text = trouble.querySelector("p");
    this.#remedy = trouble.querySelector("button");
    this.#remedy.addEventListener("click", () => this.#act());
    let line = ""; // the server's last word before it closed
    session.addEventListener("error", ({ detail }) => this.#say((line = detail)));
    models.addEventListener("refused", ({ detail }) => this.#say(detail));
    session.addEventListener("started", () => {
      this.#say((line = ""));
      this.#show("started", "Connected");
    });
    connection.addEventListener("state", ({ detail: { state, code } }) => {
      this.#show(state, STATES[state]);
      if (state === "connecting" || state === "open") return;
      const known = CODES[code] ?? TROUBLES[state];
      this.#act = () => (ACTIONS[state] ? ACTIONS[state](session) : connection.open());
      this.#say(line || known?.text, known?.remedy);
      if (code === 1006) models.ask(); // a refused handshake says no reason: the server might
    });
  }

  #show(state, words) {
    this.#status.textContent = words;
    document.body.dataset.link = state;
  }

  // Nothing said takes the box away.
  #say(text = "", remedy = "") {
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#remedy.textContent = remedy;
    this.#remedy.hidden = !remedy;
    this.#box.hidden = !text;
  }
}
