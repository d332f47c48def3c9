"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;

  const ink = () => getComputedStyle(root).getPropertyValue("--ink").trim();
  const draw = () => {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const figure = data.figures[root.lang][place.dataset.figure];
      if (!figure) continue;
      const layout = structuredClone(figure.layout);
      layout.font.color = ink();
      Plotly.react(place, structuredClone(figure.data), layout, { responsive: true, displayModeBar: false });
    }
  };
  const speak = () => {
    const texts = data.texts[root.lang];
    for (const place of document.querySelectorAll("[data-t]")) place.textContent = texts[place.dataset.t];
    for (const place of document.querySelectorAll("[data-t-hint]")) place.placeholder = texts[place.dataset.tHint];
  };
  const filter = () => {
    const kind = document.querySelector("[data-kind][aria-pressed=true]")?.dataset.kind ?? "all";
    const words = (document.getElementById("search")?.value ?? "").toLowerCase();
    let shown = 0;
    for (const row of document.querySelectorAll("[data-change]")) {
      const fits = (kind === "all" || row.dataset.change === kind) && row.textContent.toLowerCase().includes(words);
      row.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    const count = document.getElementById("shown");
    if (count) count.textContent = shown;
  };

  document.getElementById("language").addEventListener("click", () => {
    root.lang = root.lang === "en" ? "zh" : "en";
    speak();
    draw();
  });
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    draw();
  });
  for (const button of document.querySelectorAll("[data-kind]")) {
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[data-kind]")) other.setAttribute("aria-pressed", other === button);
      filter();
    });
  }
  document.getElementById("search")?.addEventListener("input", filter);

  const wish = new URLSearchParams(location.hash.slice(1));
  root.dataset.theme = wish.get("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  if (data.texts[wish.get("lang")]) root.lang = wish.get("lang");
  speak();
  draw();
  filter();
})();
