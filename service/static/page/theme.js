// Runs before the first paint, so that a chosen theme does not flash. Nothing else is kept between visits but the language.
try {
  const theme = localStorage.getItem("vigie-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage can be closed to us; the browser's own preference stands.
}
