// Sets the theme before the page is painted: "light", "dark", or what the system says where nothing was chosen.
(() => {
  let chosen = null;
  try {
    chosen = localStorage.getItem("guard.theme");
  } catch {
    // Storage may be forbidden; the system's choice stands.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
