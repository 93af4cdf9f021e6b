// The three views. The address names the open one, so that the browser's own keys work.

const NAMES = ["predict", "inside", "generate"];

// Calls `opened(name)` now and whenever another view is opened.
export function followAddress(opened) {
  const show = () => {
    const asked = location.hash.slice(1);
    const name = NAMES.includes(asked) ? asked : document.body.dataset.view;
    document.body.dataset.view = name;
    for (const each of NAMES) document.getElementById(`${each}-view`).hidden = each !== name;
    document.getElementById("writing").hidden = name === "generate";
    for (const link of document.querySelectorAll("nav a")) {
      if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      if (link.hash === `#${name}`) document.title = `${link.textContent} · elman`;
    }
    opened(name);
  };
  addEventListener("hashchange", show);
  show();
}
