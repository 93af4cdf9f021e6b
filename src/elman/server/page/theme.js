// Before the first paint, hence no module: the theme chosen last, or else the system's.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const KEY = "elman.theme";

  function stored(action) {
    try {
      return action(localStorage);
    } catch {
      return null; // no storage: the choice lasts as long as the page
    }
  }

  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }

  const chosen = stored((storage) => storage.getItem(KEY));
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => {
      button.setAttribute("aria-pressed", isDark());
      document.dispatchEvent(new Event("themechange"));
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      stored((storage) => storage.setItem(KEY, root.dataset.theme));
      show();
    });
    system.addEventListener("change", show);
    show();
  });
})();
