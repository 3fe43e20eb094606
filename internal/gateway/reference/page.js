// Filters the page by what is typed. Without script the page shows everything.
"use strict";
(() => {
  const box = document.querySelector(".filter");
  const input = document.getElementById("filter");
  const found = document.getElementById("found");
  const entries = [...document.querySelectorAll(".entry")].map((entry) => ({
    entry,
    text: entry.textContent.toLowerCase(),
    link: document.querySelector(`[data-for="${CSS.escape(entry.dataset.id)}"]`),
  }));

  function filter() {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { entry, text, link } of entries) {
      const fits = words.every((word) => text.includes(word));
      entry.hidden = !fits;
      if (link) link.hidden = !fits;
      if (fits) shown++;
    }
    found.textContent = words.length ? `${shown} of ${entries.length} shown` : "";
  }

  box.hidden = false;
  input.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== input) {
      event.preventDefault();
      input.focus();
    }
  });
})();
