/** The switch between the system's colours, light and dark. The choice outlives the tab; `theme_first.js` applies it. */

const KEY = "pulselake.theme";
const ORDER = ["auto", "light", "dark"];
const TEXT = { auto: "Auto", light: "Light", dark: "Dark" };

/** @param {HTMLElement} button */
export function startTheme(button) {
  let theme = document.documentElement.dataset.theme ?? "auto";

  function apply() {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = TEXT[theme];
    button.setAttribute("aria-label", `Colours: ${TEXT[theme].toLowerCase()}. Change`);
  }

  button.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    apply();
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // Without storage it holds until the page is left.
    }
  });
  apply();
}
