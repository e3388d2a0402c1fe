// Charts of the trends' page: the numbers are the manager's, the colours those of the style sheet.
"use strict";
(() => {
  const all = document.getElementById("charts"), HEIGHT = 240;
  if (!all || typeof uPlot === "undefined") return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const places = [...all.querySelectorAll("[data-chart]")];
  let drawn = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const utc = (ts) => uPlot.tzDate(new Date(ts * 1e3), "Etc/UTC");

  function took(s) {
    if (s === null || s === undefined) return "–";
    if (s < 10) return Math.round(s * 10) / 10 + " s";
    const whole = Math.round(s), units = [[3600, "h", 60, "min"], [60, "min", 1, "s"]];
    for (const [size, unit, smaller, name] of units) {
      if (whole < size) continue;
      const rest = Math.floor(whole % size / smaller);
      return Math.floor(whole / size) + " " + unit + (rest ? " " + rest + " " + name : "");
    }
    return whole + " s";
  }

  function options(place, series, more) {
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
    return {
      width: place.clientWidth, height: HEIGHT, tzDate: utc, legend: { live: true }, cursor: { drag: { x: false, y: false } },
      scales: { x: { range: more.edges }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, values: more.days },
        { ...axis, size: 62, values: (u, some) => some.map(more.unit), incrs: more.incrs },
      ],
      series: [{ label: "Day", value: (u, ts) => ts === null ? "–" : new Date(ts * 1e3).toISOString().slice(0, 10) }, ...series],
    };
  }

  // Each kind on top of those before; what is drawn first is the sum of all.
  function stacked(kinds) {
    const sums = [], below = kinds[0].counts.map(() => 0);
    for (const one of kinds) sums.push(one.counts.map((count, at) => below[at] += count));
    return kinds.map((one, at) => ({ ...one, sums: sums[at] })).reverse();
  }

  function draw(place, it, xs) {
    const day = 86400, edges = () => [xs[0] - day / 2, xs[xs.length - 1] + day / 2];
    const days = (u, some) => some.map((ts) => new Date(ts * 1e3).toLocaleDateString(undefined, { timeZone: "UTC", day: "numeric", month: "short" }));
    const whole = { unit: (n) => String(n), incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000], edges, days };
    if (place.dataset.chart === "durations") {
      const line = (label, name) => ({ label, stroke: colour(name), width: 2, spanGaps: true, points: { show: true, size: 5 }, value: (u, s) => took(s) });
      const some = [line("half took up to", "updating"), line("95 % took up to", "behind"), line("longest", "others")];
      const more = { unit: took, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400], edges, days };
      return new uPlot(options(place, some, more), [xs, it.durations.median, it.durations.p95, it.durations.longest], place);
    }
    const bars = place.dataset.chart === "outcomes";
    const kinds = bars ? [
      { name: "updated", looks: "current", counts: it.outcomes.healthy }, { name: "put back", looks: "held", counts: it.outcomes.put_back },
      { name: "inconclusive", looks: "behind", counts: it.outcomes.inconclusive }, { name: "failed", looks: "failed", counts: it.outcomes.failed },
    ] : it.spreads.find((one) => String(one.id) === place.dataset.id).versions;
    const some = stacked(kinds);
    if (!bars) whole.edges = () => [xs[0], xs[xs.length - 1]]; // what ran at the end of a day reaches back to the day before
    const paths = bars ? uPlot.paths.bars({ size: [0.75, 40] }) : uPlot.paths.stepped({ align: -1 });
    const series = some.map((one) => ({
      label: one.name, stroke: colour(one.looks), fill: colour(one.looks), width: bars ? 0 : 1, paths, points: { show: false },
      value: (u, sum, series, at) => at === null ? "–" : one.counts[at],
    }));
    return new uPlot(options(place, series, whole), [xs, ...some.map((one) => one.sums)], place);
  }

  function draw_all(it) {
    for (const one of drawn) one.destroy();
    const xs = it.days.map((day) => Date.parse(day + "T00:00:00Z") / 1e3);
    drawn = places.map((place) => draw(place, it, xs));
  }

  async function begin() {
    const answer = await fetch(all.dataset.source, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return;
    const it = await answer.json();
    draw_all(it);
    dark.addEventListener("change", () => draw_all(it));
    const sizes = new ResizeObserver(() => { for (const one of drawn) one.setSize({ width: one.root.parentElement.clientWidth, height: HEIGHT }); });
    for (const place of places) sizes.observe(place);
  }

  if (places.length) begin();
})();
