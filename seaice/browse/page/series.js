"use strict";
/* Series as charts and tables. */

const CHART_SETTINGS = { displayModeBar: false, responsive: true };
const YEAR_COLOURS = ["#0b5c93", "#b3541e", "#2f7d4f", "#7b3f98", "#8a6d00", "#0f7c80", "#a3245b", "#4a5564"];

// Charts read some marks of HTML in their texts, and what a file says may hold such marks.
const escapeText = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function makeLayout(ySettings, xSettings = {}) {
  return {
    margin: { l: 56, r: 12, t: 8, b: 38 },
    font: { family: "system-ui, sans-serif", size: 12, color: "#1c2430" },
    hovermode: "x unified",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    paper_bgcolor: "#ffffff",
    plot_bgcolor: "#ffffff",
    xaxis: { gridcolor: "#e4e8ed", ...xSettings },
    yaxis: { gridcolor: "#e4e8ed", zeroline: false, ...ySettings },
  };
}

/* Series of a cell: observed and filled values apart, the expected error as a band. */
function drawCell(target, file, layer, answer) {
  const { meta } = file;
  const days = (meta.days.length ? meta.days : meta.steps).slice(0, answer.done);
  const isObserved = listObserved(file, answer);
  const pick = (kind) => answer.values.map((value, i) => (isObserved[i] === kind ? value : null));
  const traces = [];
  if (answer.errors?.some((error) => error !== null)) {
    const ends = (sign) => answer.values.map((value, i) =>
      (value === null ? null : Math.max(0, Math.min(100, value + sign * (answer.errors[i] ?? 0)))));
    const band = { x: days, mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
    traces.push({ ...band, y: ends(-1), showlegend: false });
    traces.push({ ...band, y: ends(1), fill: "tonexty", fillcolor: "rgba(232, 146, 31, 0.3)",
      name: "expected error" });
  }
  traces.push({ x: days, y: answer.values, mode: "lines", line: { color: "#8a97a6", width: 1 },
    hoverinfo: "skip", showlegend: false });
  const points = (y, name, colour, symbol) => ({ x: days, y, name, mode: "markers",
    marker: { color: colour, size: days.length > 500 ? 3 : 6, symbol } });
  if (meta.isIce) {
    traces.push(points(pick(true), "observed", "#0b5c93", "circle"));
    traces.push(points(pick(false), "filled", "#b3541e", "diamond"));
  } else traces.push(points(answer.values, escapeText(layer.label), "#0b5c93", "circle"));
  const title = { text: escapeText(layer.units || layer.label), standoff: 6 };
  const y = meta.isIce ? { title, range: [-3, 103] } : { title };
  const x = meta.days.length ? { type: "date" } : {};
  Plotly.react(target, traces, makeLayout(y, x), CHART_SETTINGS);
}

// Whether every value was observed: true, false, or null without a value.
function listObserved(file, answer) {
  return answer.values.map((value, i) => {
    if (value === null) return null;
    if (answer.observed) return answer.observed[i] >= 0.5;
    return answer.flags ? file.observedCode === answer.flags[i] : true;
  });
}

function makeCellTable(file, layer, answer) {
  const { meta } = file;
  const rows = [["date", `${layer.name} (${layer.units || "1"})`]];
  if (meta.isIce) rows[0].push("origin", "expected error (percentage points)");
  const isObserved = listObserved(file, answer);
  answer.values.forEach((value, i) => {
    const row = [meta.days[i] ?? meta.steps[i], value ?? ""];
    if (meta.isIce) {
      const origin = answer.flags ? file.nameFlag(answer.flags[i])
        : { true: "observed", false: "filled", null: "no value" }[isObserved[i]];
      row.push(origin, answer.errors?.[i] ?? "");
    }
    rows.push(row);
  });
  return rows;
}

/* Series of a box or region with the years over each other, km2 or the mean of a layer. */
function drawYears(target, file, values, label) {
  const { meta } = file;
  const years = new Map();
  values.forEach((value, i) => {
    const day = meta.days[i] ?? meta.steps[i];
    const year = day.slice(0, 4);
    if (!years.has(year)) years.set(year, { x: [], y: [] });
    // All years are drawn over a leap year, on whose axis 29 February is free in the others.
    years.get(year).x.push(meta.days.length ? `2000${day.slice(4)}` : day);
    years.get(year).y.push(value);
  });
  const names = [...years.keys()];
  const traces = names.map((year, i) => {
    const isLast = i === names.length - 1;
    const age = names.length - 1 - i;
    return { ...years.get(year), name: year, mode: values.length < 60 ? "lines+markers" : "lines",
      marker: { size: 5 },
      line: { color: isLast ? "#b3261e" : YEAR_COLOURS[age % YEAR_COLOURS.length], width: isLast ? 2.5 : 1.3,
        dash: age > YEAR_COLOURS.length ? "dot" : "solid" } };
  });
  const x = meta.days.length ? { type: "date", tickformat: names.length > 1 ? "%b" : "%b %d", hoverformat: "%b %d" } : {};
  const layout = makeLayout({ title: { text: escapeText(label), standoff: 6 } }, x);
  Plotly.react(target, traces, { ...layout, showlegend: true }, CHART_SETTINGS);
}

function makeAreaTable(file, answer) {
  const { meta } = file;
  const names = ["extent", "area", "observed", "missing", "mean"].filter((name) => answer[name]);
  const units = { extent: "km2", area: "km2", missing: "km2", observed: "share of the area", mean: "" };
  const rows = [["date", ...names.map((name) => (units[name] ? `${name} (${units[name]})` : name))]];
  for (let i = 0; i < answer.done; i++) {
    rows.push([meta.days[i] ?? meta.steps[i], ...names.map((name) => answer[name][i] ?? "")]);
  }
  return rows;
}

/* Files for the user. */
function saveFile(name, content, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function saveTable(name, rows) {
  const quote = (value) => {
    const text = String(value);
    // A spreadsheet would take a text that begins like a formula for one.
    const safe = typeof value === "string" && /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text))
      ? `'${text}` : text;
    return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  saveFile(name, rows.map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n", "text/csv");
}

function savePicture(chart, name) {
  return Plotly.downloadImage(chart, { format: "png", width: 1000, height: 480, scale: 2,
    filename: name.replace(/\.png$/, "") });
}
