// Tables that sort and filter, words that appear with the pointer or the focus, the theme.
(function () {
  "use strict";

  function each(selector, within, act) { Array.prototype.forEach.call(within.querySelectorAll(selector), act); }

  // Sorting: ascending, descending, as it was; what is missing stays behind all others.
  function keyOf(row, column) {
    const key = row.cells[column].getAttribute("data-key");
    if (key === "") return null;
    return key.trim() === "" || isNaN(Number(key)) ? key : Number(key);
  }
  function compare(one, other) {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other), "en", { numeric: true });
  }
  function sortable(table) {
    const body = table.tBodies[0];
    const original = Array.from(body.rows);
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      head.setAttribute("aria-sort", "none");
      head.querySelector("button").addEventListener("click", function () {
        const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")];
        heads.forEach(function (other) { other.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", next);
        const rows = original.slice();
        if (next !== "none") {
          const sign = next === "ascending" ? 1 : -1;
          rows.sort(function (a, b) {
            const x = keyOf(a, column), y = keyOf(b, column);
            if (x === null || y === null) return (x === null) - (y === null);
            return sign * compare(x, y);
          });
        }
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
  }

  // Filtering: every word of the text stands somewhere in a row, and every list that says something agrees.
  function filtered(form) {
    const rows = Array.from(form.parentNode.querySelector("table").tBodies[0].rows);
    const count = form.querySelector("output");
    function texts(row) { return Array.from(row.cells, function (cell) { return (cell.querySelector("a, span:not([hidden])") || cell).textContent.trim(); }); }
    const known = new Map(rows.map(function (row) { return [row, texts(row)]; }));
    function apply() {
      const words = form.querySelector("[data-text]").value.toLowerCase().split(/\s+/).filter(Boolean);
      const lists = Array.from(form.querySelectorAll("select")).filter(function (list) { return list.value !== ""; });
      let shown = 0;
      rows.forEach(function (row) {
        const mine = known.get(row), all = mine.join(" ").toLowerCase();
        row.hidden = !(words.every(function (word) { return all.includes(word); }) &&
          lists.every(function (list) { return mine[Number(list.dataset.column)] === list.value.trim(); }));
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = (shown === rows.length ? "" : shown + " of ") + rows.length + (rows.length === 1 ? " row" : " rows");
    }
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("change", apply);
    form.addEventListener("reset", function () { setTimeout(apply); });
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    apply();
  }

  // Words for a head or a mark: at the pointer or the focus, until either leaves or Escape.
  function tips() {
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.setAttribute("role", "tooltip");
    tip.hidden = true;
    document.body.appendChild(tip);
    let owner = null, leaving = 0;
    function show(target) {
      clearTimeout(leaving);
      owner = target;
      tip.textContent = document.getElementById(target.dataset.tip).textContent;
      tip.hidden = false;
      place();
    }
    function place() {
      if (owner === null) return;
      const at = owner.getBoundingClientRect(), size = tip.getBoundingClientRect();
      const below = at.bottom + 6 + size.height < window.innerHeight;
      tip.style.top = Math.max(6, below ? at.bottom + 6 : at.top - size.height - 6) + "px";
      tip.style.left = Math.max(6, Math.min(at.left, document.documentElement.clientWidth - size.width - 6)) + "px";
    }
    function hide() { tip.hidden = true; owner = null; }
    function later() { leaving = setTimeout(hide, 120); }
    function of(event) { return event.target.closest ? event.target.closest("[data-tip]") : null; }
    document.addEventListener("mouseover", function (event) { const target = of(event); if (target) show(target); });
    document.addEventListener("mouseout", function (event) { if (of(event)) later(); });
    document.addEventListener("focusin", function (event) { const target = of(event); if (target) show(target); });
    document.addEventListener("focusout", function (event) { if (of(event)) hide(); });
    tip.addEventListener("mouseenter", function () { clearTimeout(leaving); });
    tip.addEventListener("mouseleave", later);
    document.addEventListener("keydown", function (event) { if (event.key === "Escape" && owner) hide(); });
    window.addEventListener("scroll", place, { passive: true, capture: true });
    window.addEventListener("resize", place);
  }

  // The theme of the system, or the other one until the page is left: nothing is kept.
  function themes() {
    const root = document.documentElement, system = window.matchMedia("(prefers-color-scheme: dark)");
    const button = document.getElementById("theme"), word = document.getElementById("theme-word");
    const order = ["system", "light", "dark"];
    let at = 0;
    function tell() {
      const dark = order[at] === "dark" || (at === 0 && system.matches);
      document.dispatchEvent(new CustomEvent("bench-theme", { detail: dark ? "dark" : "light" }));
    }
    button.hidden = false;
    button.addEventListener("click", function () {
      at = (at + 1) % order.length;
      word.textContent = order[at];
      if (at === 0) delete root.dataset.theme; else root.dataset.theme = order[at];
      tell();
    });
    system.addEventListener("change", tell);
    window.addEventListener("load", tell);
  }

  each("table[data-sortable]", document, sortable);
  each("form.filters", document, filtered);
  tips();
  themes();
})();
