// Puts the page together.

import { Connection } from "./connection.js";
import { Generate } from "./generate.js";
import { Inside } from "./inside.js";
import { Keystrokes } from "./keystrokes.js";
import { Link } from "./link.js";
import { Models } from "./models.js";
import { Predict } from "./predict.js";
import { Session } from "./session.js";
import { Suggestions } from "./suggestions.js";
import { followAddress } from "./views.js";
import { Writing } from "./writing.js";

const at = (id) => document.getElementById(id);
const address = new URL("/v1/session", location.href);
address.protocol = address.protocol.replace("http", "ws");
address.search = address.hash = "";

const connection = new Connection(address);
const session = new Session(connection);
const keystrokes = new Keystrokes();
const models = new Models({
  choice: at("model-choice"),
  select: at("model"),
  facts: at("model-facts"),
  session,
});
const suggestions = new Suggestions(at("suggestions"), at("spoken"));
const writing = new Writing({ box: at("text"), tint: at("tint"), session, keystrokes, suggestions });
const inside = new Inside({ element: at("inside-view"), session });
new Predict({ element: at("predict-view"), session, keystrokes, writing });
new Generate({ element: at("generate-view"), session });
new Link({ status: at("link"), trouble: at("trouble"), connection, session, models });

// Until the text of before is back, typing would lose it.
connection.addEventListener("state", ({ detail: { state } }) => {
  const coming = session.restoring && (state === "connecting" || state === "open");
  writing.lock(coming || state === "taken");
});
session.addEventListener("started", () => writing.lock(false));

followAddress((view) => {
  session.showHidden(view === "inside");
  inside.show();
});
connection.open();
