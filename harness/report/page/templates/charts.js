// Draws the charts one after the other, and again when the theme changes.
(function () {
  "use strict";
  const MOST = 40;
  const configs = JSON.parse(document.getElementById("chart-configs").textContent);
  const views = Array.from(document.querySelectorAll(".view[data-spec]"));
  // Of very many, those that come near the window are drawn.
  const near = new Set(views.length > MOST ? [] : views);
  let wanted = null, isDrawing = false;

  function options(theme) {
    return {
      mode: "vega-lite", actions: false, renderer: "svg", ast: true, defaultStyle: false,
      config: configs[theme], tooltip: { theme: "custom", disableDefaultStyle: true },
    };
  }
  async function draw() {
    isDrawing = true;
    while (wanted !== null) {
      const theme = wanted;
      wanted = null;
      document.documentElement.dataset.charts = theme;
      for (const view of views) {
        if (wanted !== null) break;
        if (!near.has(view) || view.dataset.drawn === theme) continue;
        if (view.finish) view.finish();
        const spec = JSON.parse(document.getElementById(view.dataset.spec).textContent);
        try {
          const drawn = await window.vegaEmbed(view, spec, options(theme));
          view.finish = function () { drawn.finalize(); };
        } catch (problem) {
          view.textContent = "This chart could not be drawn; its data stands below.";
          console.error(problem);
        }
        view.dataset.drawn = theme;
        reachable(view);
      }
    }
    isDrawing = false;
    document.documentElement.dataset.ready = document.documentElement.dataset.charts;
  }
  // Entries of a legend that hide series: in the order of Tab, and Enter or Space is a click.
  function reachable(view) {
    if (!document.getElementById(view.dataset.spec).textContent.includes('"bind":"legend"')) return;
    view.querySelectorAll(".role-legend-label text").forEach(function (label) {
      label.setAttribute("tabindex", "0");
      label.setAttribute("role", "button");
      label.setAttribute("aria-label", "Hide or show " + label.textContent);
    });
  }
  views.forEach(function (view) {
    view.addEventListener("keydown", function (event) {
      const label = event.target.closest(".role-legend-label text");
      if (!label || (event.key !== "Enter" && event.key !== " ")) return;
      event.preventDefault();
      const at = label.getBoundingClientRect();
      label.dispatchEvent(new MouseEvent("click", { bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2 }));
    });
  });
  function ask(theme) {
    wanted = theme;
    if (!isDrawing) draw();
  }
  document.addEventListener("bench-theme", function (event) {
    if (event.detail !== document.documentElement.dataset.charts || wanted !== null) ask(event.detail);
  });
  if (near.size < views.length) {
    const seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) { if (entry.isIntersecting) near.add(entry.target); });
      const theme = wanted || document.documentElement.dataset.charts;
      if (theme) ask(theme);
    }, { rootMargin: "1200px" });
    views.forEach(function (view) { seen.observe(view); });
  }
})();
