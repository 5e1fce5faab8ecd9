/* Not a module, so that it runs before the first paint: a theme that was chosen by hand is there from the start. */
try {
  const theme = localStorage.getItem("pulselake.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Without storage the system's preference holds.
}
