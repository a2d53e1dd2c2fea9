"use strict";
/* The page: its state, its controls, and the address by which a view can be shared. */

const find = (id) => document.getElementById(id);
// Milliseconds between two days that are played, between two looks at a growing series, and before a
// change is written to the address.
const PLAY_PAUSE = 150;
const LOOK_PAUSE = 700;
const ADDRESS_PAUSE = 250;

const state = { file: 0, layer: 0, step: 0, beside: null, swipe: 0.5, cell: null, box: null, region: null,
  quantity: "extent" };
let files = [];
let canvas = null;
let summary = { done: 0, observed: [], damaged: {} };
let summaryTimer = null;
let playedRun = null;
let isDrawingBox = false;
let boxCorner = null;
let cellAnswer = null;
let areaAnswer = null;
let areaRequest = 0;
let cellRequest = 0;

const getFile = () => files[state.file];
const getLayer = () => getFile().meta.layers[state.layer];

/* Messages. */
function tell(error) {
  const text = error ? error.message ?? String(error) : "";
  find("message").textContent = text;
  find("message").hidden = !text;
}

function guard(work) {
  return async (...parameters) => {
    try {
      await work(...parameters);
    } catch (error) {
      tell(error);
    }
  };
}

function setOptions(select, entries) {
  select.replaceChildren(...entries.map(([value, label]) => {
    const option = document.createElement("option");
    option.value = value;
    option.textContent = label;
    return option;
  }));
}

/* The address. Browsers allow it to be changed a few times a second only. */
let addressTimer = null;

function writeAddressSoon() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(writeAddress, ADDRESS_PAUSE);
}

function writeAddress() {
  const { meta } = getFile();
  const { view } = canvas;
  const parts = new URLSearchParams({
    file: state.file,
    layer: getLayer().name,
    step: meta.days.length ? meta.days[state.step] : state.step,
    centre: `${view.x.toFixed(3)},${view.y.toFixed(3)}`,
    zoom: view.scale.toPrecision(7),
  });
  if (state.beside) {
    parts.set("beside", `${state.beside.file}.${files[state.beside.file].meta.layers[state.beside.layer].name}`);
    parts.set("swipe", Math.round(100 * state.swipe));
  }
  if (state.cell) parts.set("cell", state.cell.join(","));
  if (state.box) parts.set("box", state.box.join(","));
  else if (state.region !== null) parts.set("region", meta.regions[state.region]);
  if (state.quantity !== "extent") parts.set("quantity", state.quantity);
  history.replaceState(null, "", `#${parts.toString().replaceAll("%2C", ",")}`);
}

// Whole numbers within limits, or null.
function parseNumbers(text, limits) {
  const numbers = (text || "no number").split(",").map(Number);
  const isGood = numbers.length === limits.length
    && numbers.every((number, i) => Number.isInteger(number) && number >= 0 && number < limits[i]);
  return isGood ? numbers : null;
}

function findLayer(fileNumber, name) {
  return files[fileNumber].meta.layers.findIndex((layer) => layer.name === name);
}

function readAddress() {
  clearTimeout(addressTimer);
  const parts = new URLSearchParams(location.hash.slice(1));
  state.file = parseNumbers(parts.get("file"), [files.length])?.[0] ?? 0;
  const { meta } = getFile();
  state.layer = Math.max(0, findLayer(state.file, parts.get("layer")));
  const step = parts.get("step");
  const day = meta.days.indexOf(step);
  state.step = day >= 0 ? day : parseNumbers(step, [meta.steps.length])?.[0] ?? meta.steps.length - 1;
  state.cell = parseNumbers(parts.get("cell"), [meta.rows, meta.columns]);
  const [rows, columns] = meta.coarseShape ?? [0, 0];
  const box = parseNumbers(parts.get("box"), [rows, rows, columns, columns]);
  state.box = box && box[0] <= box[1] && box[2] <= box[3] ? box : null;
  const region = meta.regions.indexOf(parts.get("region"));
  state.region = state.box ? null : Math.max(0, region);
  if (!meta.regions.length) state.region = null;
  state.quantity = parts.get("quantity") === "area" ? "area" : "extent";
  const [file, name] = [parseInt(parts.get("beside"), 10), (parts.get("beside") ?? "").replace(/^\d+\./, "")];
  const layer = file >= 0 && file < files.length ? findLayer(file, name) : -1;
  state.beside = layer >= 0 && isComparable(files[file]) ? { file, layer } : null;
  const swipe = Number(parts.get("swipe") ?? 50);
  state.swipe = swipe >= 0 && swipe <= 100 ? swipe / 100 : 0.5;
  const [x, y] = (parts.get("centre") ?? "").split(",").map(Number);
  const zoom = Number(parts.get("zoom"));
  return [x, y, zoom].every(Number.isFinite) && zoom > 0 ? { x, y, scale: zoom } : null;
}

// Whether the cells of a file are those of the one that is shown.
function isComparable(other) {
  const [a, b] = [getFile().meta, other.meta];
  return a.place === b.place && a.rows === b.rows && a.columns === b.columns;
}

/* The map. */
let isMapStale = false;
let mapWork = null;

// Show the map of the state. Days that pass faster than they load are left out.
function showMap() {
  isMapStale = true;
  mapWork ??= (async () => {
    while (isMapStale) {
      isMapStale = false;
      await loadMap();
    }
    mapWork = null;
  })();
  return mapWork;
}

const loadMap = guard(async () => {
  const file = getFile();
  const shown = { file, layer: state.layer, step: state.step };
  let beside = null;
  if (state.beside) {
    const other = files[state.beside.file];
    const day = file.meta.days[state.step];
    const step = other === file ? state.step : other.meta.days.indexOf(day);
    if (step >= 0) beside = { file: other, layer: state.beside.layer, step };
    else if (file.meta.days.length) tell(new Error(`${other.meta.file} has no ${day}`));
  }
  canvas.swipe = state.swipe;
  find("step").value = state.step;
  find("step").setAttribute("aria-valuetext", file.meta.steps[state.step]);
  find("step-name").textContent = file.meta.steps[state.step];
  find("note").textContent = file.meta.notes[state.step] || summary.damaged[state.step] || "";
  markDay();
  writeAddressSoon();
  await canvas.show(shown, beside);
  if (!state.beside || beside) tell(null);
  drawLegend();
  writeReadout(canvas.marks.cursor ?? lastPointed);
});

// Paint what is loaded at once, and load the rest.
function refreshMap() {
  canvas.paint();
  return showMap();
}

let lastPointed = null;

function formatDegrees(value, [positive, negative]) {
  return `${Math.abs(value).toFixed(3)}°${value < 0 ? negative : positive}`;
}

function writeReadout(cell) {
  const readout = find("readout");
  const { shown, beside } = canvas;
  if (!cell || !shown) {
    readout.textContent = "";
    return;
  }
  const { file, layer, step } = shown;
  const { level } = canvas;
  const [row, column] = file.findShownCell(level, ...cell);
  const stored = file.getStored(layer, step, level, ...cell);
  const [latitude, longitude] = file.locate(row, column);
  const parts = [`${formatDegrees(latitude, "NS")} ${formatDegrees(longitude, "EW")}`,
    `row ${row}, column ${column}`];
  if (file.flagLayer >= 0 && layer !== file.flagLayer) {
    const flag = file.getStored(file.flagLayer, step, level, ...cell);
    if (flag !== null) parts.unshift(file.styles[file.flagLayer].describe(flag));
  }
  const value = stored === null ? null : file.styles[layer].describe(stored);
  if (value !== null && value !== parts[0]) parts.unshift(value);
  if (beside) {
    const other = beside.file.getStored(beside.layer, beside.step, level, ...cell);
    if (other !== null) parts.push(`beside: ${beside.file.styles[beside.layer].describe(other)}`);
  }
  readout.textContent = parts.join(" · ");
}

function drawLegend() {
  const target = find("legend");
  const figures = [[getFile(), state.layer]];
  if (state.beside) figures.push([files[state.beside.file], state.beside.layer]);
  target.replaceChildren(...figures.map(([file, layer], i) => {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const { label, units, classes, edges, digits, colours } = file.meta.layers[layer];
    const side = figures.length > 1 ? ["left: ", "right: "][i] : "";
    caption.textContent = `${side}${label}${units ? ` (${units})` : ""}`;
    figure.append(caption);
    const style = file.styles[layer];
    if (!classes.length) {
      const bar = document.createElement("canvas");
      [bar.width, bar.height] = [256, 1];
      const context = bar.getContext("2d");
      for (let x = 0; x < 256; x++) {
        const position = edges.length > 2
          ? Math.floor((x / 256) * (edges.length - 1)) / Math.max(1, edges.length - 2) : x / 255;
        context.fillStyle = `rgb(${blend(colours.map(parseColour), position).join(" ")})`;
        context.fillRect(x, 0, 1, 1);
      }
      bar.setAttribute("role", "img");
      bar.setAttribute("aria-label", `Colours from ${edges[0]} to ${edges[edges.length - 1]} ${units}`);
      const ticks = document.createElement("div");
      ticks.className = "ticks";
      const numbers = edges.length > 2 ? edges : [0, 0.5, 1].map((f) => edges[0] + f * (edges[1] - edges[0]));
      ticks.append(...numbers.map((number) => {
        const tick = document.createElement("span");
        tick.textContent = Number(number.toFixed(Math.min(digits, 4)));
        return tick;
      }));
      figure.append(bar, ticks);
    }
    const swatches = document.createElement("div");
    swatches.className = "swatches";
    const codes = canvas.listCodes(file, layer);
    const entries = classes.length ? classes.filter(({ code }) => codes.has(code)) : style.special;
    swatches.append(...entries.map(makeSwatch));
    figure.append(swatches);
    return figure;
  }));
}

function makeSwatch({ label, colour, hatched }) {
  const entry = document.createElement("span");
  const mark = document.createElement("i");
  mark.style.backgroundColor = colour;
  if (hatched) mark.className = "hatched";
  entry.append(mark, label);
  return entry;
}

function setStep(step) {
  const { steps } = getFile().meta;
  state.step = Math.max(0, Math.min(steps.length - 1, step));
  followYear();
  return showMap();
}

// Play the days, or stop; a run ends when another one has begun.
function play(isOn = playedRun === null) {
  const run = isOn ? {} : null;
  playedRun = run;
  const button = find("play");
  button.setAttribute("aria-pressed", String(isOn));
  button.textContent = isOn ? "Pause" : "Play";
  const showNext = async () => {
    if (run === null || run !== playedRun) return;
    const start = performance.now();
    await setStep((state.step + 1) % getFile().meta.steps.length);
    setTimeout(showNext, Math.max(0, PLAY_PAUSE - (performance.now() - start)));
  };
  showNext();
}

/* Days of a year, coloured by the share that was observed. */
const SHARES = [[0.995, "#2f7fb8", "over 99.5 %"], [0.95, "#7fb7dc", "95 to 99.5 %"],
  [0.8, "#cfe3f0", "80 to 95 %"], [0.3, "#f3c98b", "30 to 80 %"], [0, "#c9622c", "below 30 %"]];
const NOT_COUNTED = "#e9ecef";

function colourDay(step) {
  if (summary.damaged[step]) return "#1c2430";
  const share = summary.observed[step];
  if (share === undefined || share === null) return NOT_COUNTED;
  return SHARES.find(([least]) => share >= least)[1];
}

function drawCalendar() {
  const { meta } = getFile();
  const target = find("calendar");
  const year = find("year").value;
  const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const byDay = new Map(meta.days.map((day, step) => [day, step]));
  const cells = [];
  months.forEach((month, m) => {
    const days = Array.from({ length: 31 }, (_, d) =>
      `${year}-${String(m + 1).padStart(2, "0")}-${String(d + 1).padStart(2, "0")}`);
    if (!days.some((day) => byDay.has(day))) return;
    const name = document.createElement("span");
    name.textContent = month;
    cells.push(name);
    days.forEach((day, d) => {
      if (!byDay.has(day)) {
        cells.push(document.createElement("span"));
        return;
      }
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.step = byDay.get(day);
      button.textContent = d + 1;
      button.tabIndex = -1;
      cells.push(button);
    });
  });
  target.replaceChildren(...cells);
  colourCalendar();
  markDay();
}

function colourCalendar() {
  for (const button of find("calendar").querySelectorAll("button")) {
    const step = Number(button.dataset.step);
    const colour = colourDay(step);
    button.style.backgroundColor = colour;
    button.classList.toggle("dark", ["#1c2430", "#2f7fb8", "#c9622c"].includes(colour));
    const share = summary.observed[step];
    const text = share === undefined || share === null ? "" : `${(100 * share).toFixed(1)} % observed`;
    const { steps, notes } = getFile().meta;
    button.title = [steps[step], text, notes[step] || summary.damaged[step]].filter(Boolean).join(", ");
    button.setAttribute("aria-label", button.title);
  }
}

// Turn the calendar to the year of the day that is shown.
function followYear() {
  const year = getFile().meta.days[state.step]?.slice(0, 4);
  if (year && find("year").value !== year) {
    find("year").value = year;
    drawCalendar();
  }
}

function markDay() {
  for (const button of find("calendar").querySelectorAll("button")) {
    const isShown = Number(button.dataset.step) === state.step;
    if (isShown) button.setAttribute("aria-current", "date");
    else button.removeAttribute("aria-current");
    button.tabIndex = isShown ? 0 : -1;
  }
}

// Look again while the series are being made.
const watchSummary = guard(async () => {
  const file = getFile();
  const answer = await answers.loadJson(`summary/${file.number}`, { keep: false });
  if (file !== getFile()) return;
  const grown = answer.done !== summary.done;
  summary = answer;
  const total = file.meta.steps.length;
  find("progress").textContent = answer.trouble
    || (answer.done < total ? `series of ${answer.done} of ${total} days are ready` : "");
  if (grown) {
    colourCalendar();
    await Promise.all([showCell(), showArea()]);
  }
  if (answer.done < total && !answer.trouble && !answers.isExported) {
    clearTimeout(summaryTimer);
    summaryTimer = setTimeout(watchSummary, LOOK_PAUSE);
  }
});

/* Series. */
const getStore = () => (getFile().meta.isIce ? 0 : state.layer);
const hasSeries = () => getFile().meta.series.includes(getLayer().name) || getFile().meta.isIce;

const showCell = guard(async () => {
  const file = getFile();
  const { meta } = file;
  const hasOne = state.cell && hasSeries();
  for (const id of ["cell-chart", "cell-buttons"]) find(id).hidden = !hasOne;
  if (!hasOne) {
    find("cell-text").textContent = hasSeries() ? "Click on the map for the series of a cell."
      : "This map has no series.";
    return;
  }
  const request = (cellRequest += 1);
  const key = `cell/${file.number}/${getStore()}/${state.cell.join("/")}`;
  const answer = answers.isExported
    ? await coarseSeries.loadCell(file, getStore(), ...state.cell)
    : await answers.loadJson(key, { keep: false });
  if (request !== cellRequest) return;
  cellAnswer = answer;
  const [latitude, longitude] = file.locate(...state.cell);
  const where = `${formatDegrees(latitude, "NS")} ${formatDegrees(longitude, "EW")}`;
  const extent = answer.isCoarse && meta.coarse > 1
    ? `mean of ${meta.coarse} x ${meta.coarse} cells about row ${state.cell[0]}, column ${state.cell[1]}`
    : `row ${state.cell[0]}, column ${state.cell[1]}`;
  const count = answer.values.filter((value) => value !== null).length;
  find("cell-text").textContent = `${where}, ${extent}: ${count} of ${meta.steps.length} days have a value.`;
  const layer = meta.layers[getStore()];
  find("cell-chart").setAttribute("aria-label", `${layer.label} by day at ${where}; Save CSV has the numbers`);
  drawCell(find("cell-chart"), file, layer, answer);
});

const showArea = guard(async () => {
  const file = getFile();
  const { meta } = file;
  const hasOne = hasSeries() && (state.box || state.region !== null);
  for (const id of ["area-chart", "area-buttons"]) find(id).hidden = !hasOne;
  find("area-text").textContent = hasOne ? "" : "Draw a box on the map for the series of an area.";
  if (!hasOne) return;
  const request = (areaRequest += 1);
  let answer;
  if (!state.box) answer = await answers.loadJson(`region/${file.number}/${state.region}`, { keep: false });
  else if (answers.isExported) answer = await coarseSeries.loadBox(file, getStore(), state.box);
  else answer = await answers.loadJson(`box/${file.number}/${getStore()}/${state.box.join("/")}`, { keep: false });
  if (request !== areaRequest) return;
  areaAnswer = answer;
  const layer = getLayer();
  const label = meta.isIce ? `${state.quantity}, million km²` : `mean ${layer.units || layer.label}`;
  const values = meta.isIce ? answer[state.quantity].map((v) => (v === null ? null : v / 1e6)) : answer.mean;
  const name = state.box ? nameBox(file) : meta.regions[state.region].replaceAll("_", " ");
  find("area-text").textContent = name;
  find("area-chart").setAttribute("aria-label", `${label} of ${name} by day; Save CSV has the numbers`);
  drawYears(find("area-chart"), file, values, label);
});

function nameBox(file) {
  const [row0, row1, column0, column1] = state.box;
  const side = Math.round(file.meta.coarse * file.meta.kilometres);
  return `Box of ${(row1 - row0 + 1) * side} x ${(column1 - column0 + 1) * side} km, in steps of ${side} km`;
}

// Corners of the box in cells: first row, end row, first column, end column.
function markBox() {
  const { coarse, rows, columns } = getFile().meta;
  canvas.marks.box = state.box && [state.box[0] * coarse, Math.min(rows, (state.box[1] + 1) * coarse),
    state.box[2] * coarse, Math.min(columns, (state.box[3] + 1) * coarse)];
}

function setBox([rowA, columnA], [rowB, columnB]) {
  const { coarse } = getFile().meta;
  const range = (a, b) => [Math.min(a, b), Math.max(a, b)].map((cell) => Math.floor(cell / coarse));
  state.box = [...range(rowA, rowB), ...range(columnA, columnB)];
  state.region = null;
  find("region").value = "box";
  markBox();
  canvas.paint();
  writeAddressSoon();
  return showArea();
}

function setCell(cell) {
  state.cell = cell;
  canvas.marks.cell = cell;
  canvas.paint();
  writeAddressSoon();
  return showCell();
}

/* Pointer and keys on the map. */
function clampCell([x, y]) {
  const { rows, columns } = getFile().meta;
  const [row, column] = [Math.floor(y), Math.floor(x)];
  return row >= 0 && row < rows && column >= 0 && column < columns ? [row, column] : null;
}

function clampToMap([x, y]) {
  const { rows, columns } = getFile().meta;
  return [Math.max(0, Math.min(rows - 1, Math.floor(y))), Math.max(0, Math.min(columns - 1, Math.floor(x)))];
}

function toggleBox(isOn = !isDrawingBox) {
  isDrawingBox = isOn && getFile().meta.coarse !== null && hasSeries();
  find("box").setAttribute("aria-pressed", String(isDrawingBox));
}

function listenToPointer() {
  const target = canvas.canvas;
  const pointers = new Map();
  let start = null;
  let refreshTimer = null;
  const refreshSoon = () => {
    clearTimeout(refreshTimer);
    refreshTimer = setTimeout(refreshMap, 60);
  };
  const at = (event) => {
    const frame = target.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  target.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, at(event));
    target.setPointerCapture(event.pointerId);
    start = { point: at(event), view: { ...canvas.view }, isMoved: false,
      corner: isDrawingBox ? clampToMap(canvas.toCells(...at(event))) : null };
  });
  target.addEventListener("pointermove", (event) => {
    const point = at(event);
    if (!pointers.has(event.pointerId)) {
      lastPointed = clampCell(canvas.toCells(...point));
      writeReadout(lastPointed);
      return;
    }
    const before = pointers.get(event.pointerId);
    pointers.set(event.pointerId, point);
    if (Math.hypot(point[0] - start.point[0], point[1] - start.point[1]) > 4) start.isMoved = true;
    if (pointers.size === 2) {
      const [a, b] = [...pointers.values()];
      const other = a === point ? b : a;
      const distance = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      canvas.zoom(distance(point) / Math.max(1, distance(before)), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    } else if (start.corner) {
      const end = clampToMap(canvas.toCells(...point));
      const rows = [start.corner[0], end[0]].sort((a, b) => a - b);
      const columns = [start.corner[1], end[1]].sort((a, b) => a - b);
      canvas.marks.box = [rows[0], rows[1] + 1, columns[0], columns[1] + 1];
    } else if (start.isMoved) {
      const up = canvas.isTurned ? 1 : -1;
      canvas.setView({ scale: canvas.view.scale,
        x: start.view.x - (point[0] - start.point[0]) / canvas.view.scale,
        y: start.view.y + (up * (point[1] - start.point[1])) / canvas.view.scale });
    }
    canvas.paint();
    refreshSoon();
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId) || event.type === "pointercancel") return;
    const cell = clampCell(canvas.toCells(...at(event)));
    if (start.corner) {
      setBox(start.corner, clampToMap(canvas.toCells(...at(event))));
      toggleBox(false);
    } else if (!start.isMoved && cell) setCell(getFile().findShownCell(canvas.level, ...cell));
  };
  target.addEventListener("pointerup", end);
  target.addEventListener("pointercancel", end);
  target.addEventListener("pointerleave", () => {
    lastPointed = null;
    writeReadout(canvas.marks.cursor);
  });
  target.addEventListener("wheel", (event) => {
    event.preventDefault();
    canvas.zoom(Math.exp(-event.deltaY / 400), ...at(event));
    canvas.paint();
    refreshSoon();
  }, { passive: false });
}

function zoomBy(factor) {
  if (factor) canvas.zoom(factor);
  else canvas.showAll();
  refreshMap();
}

function moveCursor(rows, columns) {
  const { meta } = getFile();
  const side = 2 ** canvas.level;
  const [row, column] = canvas.marks.cursor ?? clampToMap([canvas.view.x, canvas.view.y]);
  const up = meta.firstRow === "bottom" ? 1 : -1;
  const move = (cell, steps, count) => Math.max(0, Math.min(count - 1, cell + steps * side));
  canvas.marks.cursor = [move(row, up * rows, meta.rows), move(column, columns, meta.columns)];
  const [px, py] = canvas.toPoint(canvas.marks.cursor[1], canvas.marks.cursor[0]);
  const [width, height] = canvas.size;
  if (px < 0 || py < 0 || px > width || py > height) {
    [canvas.view.x, canvas.view.y] = [canvas.marks.cursor[1], canvas.marks.cursor[0]];
    refreshMap();
  }
  canvas.paint();
  writeReadout(canvas.marks.cursor);
}

function useMapKey(event) {
  const steps = event.shiftKey ? 10 : 1;
  const moves = { ArrowUp: [steps, 0], ArrowDown: [-steps, 0], ArrowLeft: [0, -steps], ArrowRight: [0, steps] };
  if (moves[event.key]) moveCursor(...moves[event.key]);
  else if (event.key === "Enter" && canvas.marks.cursor) setCell([...canvas.marks.cursor]);
  else if (event.key.toLowerCase() === "b" && getFile().meta.coarse !== null) {
    const corner = canvas.marks.cursor ?? clampToMap([canvas.view.x, canvas.view.y]);
    if (boxCorner) setBox(boxCorner, corner);
    boxCorner = boxCorner ? null : corner;
    find("box").setAttribute("aria-pressed", String(boxCorner !== null));
  } else if (event.key === "Escape") {
    boxCorner = null;
    toggleBox(false);
  } else return false;
  return true;
}

function listenToKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const isMap = event.target === canvas.canvas;
    let isUsed = isMap && useMapKey(event);
    const isControl = ["INPUT", "SELECT", "TEXTAREA", "SUMMARY"].includes(event.target.tagName);
    const inCalendar = find("calendar").contains(event.target);
    const jumps = { ArrowLeft: -1, ArrowRight: 1 };
    if (inCalendar) Object.assign(jumps, { ArrowUp: -30, ArrowDown: 30 });
    if (!isUsed && !isControl) {
      isUsed = true;
      if (jumps[event.key]) {
        setStep(state.step + jumps[event.key]).then(() => {
          if (inCalendar) find("calendar").querySelector("[aria-current]")?.focus();
        });
      } else if (event.key === " " && event.target.tagName !== "BUTTON") play();
      else if (["+", "="].includes(event.key)) zoomBy(1.5);
      else if (event.key === "-") zoomBy(1 / 1.5);
      else if (event.key === "0") zoomBy(null);
      else isUsed = false;
    }
    if (isUsed) event.preventDefault();
  });
}

/* Controls. */
async function useFile(view = null) {
  play(false);
  const file = getFile();
  const { meta } = file;
  if (!file.coast) await file.prepare();
  find("title").textContent = meta.title || meta.file;
  document.title = `${meta.file}: maps and series`;
  find("subtitle").textContent = [meta.title ? meta.file : "", meta.grid,
    meta.steps.length > 1 ? `${meta.steps[0]} to ${meta.steps[meta.steps.length - 1]}` : meta.steps[0]].filter(Boolean).join(" · ");
  find("source").textContent = [meta.source, meta.references].filter(Boolean).join(" · ");
  find("simulated").hidden = !meta.isSimulated;
  find("file").value = String(state.file);
  setOptions(find("layer"), meta.layers.map((layer, i) => [i, layer.label]));
  find("layer").value = String(state.layer);
  const besides = files.flatMap((other, f) => (isComparable(other)
    ? other.meta.layers.map((layer, i) => [`${f}.${i}`, files.length > 1 ? `${other.meta.file}: ${layer.label}` : layer.label])
    : []));
  setOptions(find("compare"), [["", "nothing"], ...besides]);
  find("compare").value = state.beside ? `${state.beside.file}.${state.beside.layer}` : "";
  find("swipe").hidden = !state.beside;
  find("swipe").value = 100 * state.swipe;
  find("step").max = meta.steps.length - 1;
  find("time").hidden = meta.steps.length < 2;
  const years = [...new Set(meta.days.map((day) => day.slice(0, 4)))];
  setOptions(find("year"), years.map((year) => [year, year]));
  find("calendar-section").hidden = meta.days.length < 2;
  find("calendar-heading").textContent = meta.isIce ? "Observed share of the ocean" : "Days";
  find("calendar-legend").hidden = !meta.isIce;
  setOptions(find("region"), [["box", "the box on the map"],
    ...meta.regions.map((name, i) => [i, name.replaceAll("_", " ")])]);
  find("region").value = state.region === null ? "box" : String(state.region);
  find("cell-section").hidden = meta.coarse === null;
  find("area-section").hidden = meta.coarse === null;
  find("box").hidden = meta.coarse === null;
  find("quantity-label").hidden = !meta.isIce;
  find("quantity").value = state.quantity;
  summary = { done: -1, observed: [], damaged: {} };
  canvas.shown = { file, layer: state.layer, step: state.step };
  canvas.beside = null;
  canvas.marks = { cursor: null, cell: state.cell, box: null };
  if (meta.coarse !== null) markBox();
  if (view) canvas.setView(view);
  else canvas.showAll();
  if (years.length) {
    find("year").value = (meta.days[state.step] ?? meta.days[0]).slice(0, 4);
    drawCalendar();
  }
  await Promise.all([showMap(), showCell(), showArea()]);
  watchSummary();
}

function listenToControls() {
  const on = (id, kind, work) => find(id).addEventListener(kind, guard(work));
  on("file", "change", async () => {
    Object.assign(state, { file: Number(find("file").value), layer: 0, beside: null, cell: null, box: null });
    const { meta } = getFile();
    const day = meta.days.indexOf(find("step-name").textContent);
    state.step = day >= 0 ? day : meta.steps.length - 1;
    state.region = meta.regions.length ? 0 : null;
    await useFile();
  });
  on("layer", "change", async () => {
    state.layer = Number(find("layer").value);
    await Promise.all([showMap(), showCell(), showArea()]);
  });
  on("compare", "change", async () => {
    const [file, layer] = find("compare").value.split(".").map(Number);
    state.beside = find("compare").value ? { file, layer } : null;
    if (state.beside && !files[file].coast) await files[file].prepare();
    find("swipe").hidden = !state.beside;
    await showMap();
  });
  on("swipe", "input", () => {
    state.swipe = find("swipe").value / 100;
    canvas.swipe = state.swipe;
    canvas.paint();
    writeAddressSoon();
  });
  on("step", "input", () => setStep(Number(find("step").value)));
  on("previous", "click", () => setStep(state.step - 1));
  on("next", "click", () => setStep(state.step + 1));
  on("play", "click", () => play());
  on("zoom-in", "click", () => zoomBy(1.5));
  on("zoom-out", "click", () => zoomBy(1 / 1.5));
  on("zoom-all", "click", () => zoomBy(null));
  on("box", "click", () => toggleBox());
  on("year", "change", drawCalendar);
  on("calendar", "click", (event) => {
    const step = event.target.dataset?.step;
    return step === undefined ? null : setStep(Number(step));
  });
  on("region", "change", () => {
    const { value } = find("region");
    state.region = value === "box" ? null : Number(value);
    if (state.region !== null) state.box = null;
    else toggleBox(true);
    markBox();
    canvas.paint();
    writeAddressSoon();
    return showArea();
  });
  on("quantity", "change", () => {
    state.quantity = find("quantity").value;
    writeAddressSoon();
    return showArea();
  });
  on("link", "click", async () => {
    writeAddress();
    // Browsers give the clipboard to pages of this machine and to encrypted ones alone.
    if (!navigator.clipboard) throw new Error("this browser copies no link here: copy the address itself");
    await navigator.clipboard.writeText(location.href);
    find("link").textContent = "Copied";
    setTimeout(() => { find("link").textContent = "Copy link"; }, 1500);
  });
  const nameFor = (kind, ending) =>
    `${getFile().meta.file.replace(/\.[^.]*$/, "")}_${kind}.${ending}`.replace(/[^\w.-]+/g, "_");
  on("map-picture", "click", () => new Promise((resolve) => {
    canvas.canvas.toBlob((blob) => {
      saveFile(nameFor(`${getLayer().name}_${getFile().meta.steps[state.step]}`, "png"), blob, "image/png");
      resolve();
    });
  }));
  const cellName = (ending) => nameFor(`cell_${state.cell.join("_")}`, ending);
  on("cell-csv", "click", () =>
    saveTable(cellName("csv"), makeCellTable(getFile(), getFile().meta.layers[getStore()], cellAnswer)));
  on("cell-png", "click", () => savePicture(find("cell-chart"), cellName("png")));
  const areaName = (ending) =>
    nameFor(state.box ? `box_${state.box.join("_")}` : getFile().meta.regions[state.region], ending);
  on("area-csv", "click", () => saveTable(areaName("csv"), makeAreaTable(getFile(), areaAnswer)));
  on("area-png", "click", () => savePicture(find("area-chart"), areaName("png")));
  on("skip", "click", (event) => {
    event.preventDefault();  // the address holds the view, and no place on the page
    canvas.canvas.focus();
  });
  new ResizeObserver(() => { if (canvas.shown) refreshMap(); }).observe(find("frame"));
  window.addEventListener("hashchange", guard(async () => useFile(readAddress())));
}

guard(async () => {
  const page = await answers.loadJson("meta");
  files = page.files.map((meta, number) => new MapFile(number, meta));
  for (const file of files) {
    const flags = file.meta.layers.find((layer) => layer.name === "fill_flag");
    const label = (code) => flags?.classes.find((entry) => entry.code === code)?.label ?? `code ${code}`;
    file.nameFlag = label;
    file.observedCode = flags?.classes.find((entry) => entry.label === "observed")?.code ?? 0;
  }
  setOptions(find("file"), files.map((file) => [file.number, file.meta.file]));
  find("file-label").hidden = files.length < 2;
  find("calendar-legend").replaceChildren(...[...SHARES.map(([, colour, label]) => ({ colour, label })),
    { colour: NOT_COUNTED, label: "not counted yet" }].map(makeSwatch));
  canvas = new MapCanvas(find("map"), page.colours);
  const view = readAddress();
  for (const number of new Set([state.file, state.beside?.file ?? state.file])) await files[number].prepare();
  listenToControls();
  listenToPointer();
  listenToKeys();
  await useFile(view);
  document.documentElement.dataset.ready = "true";
})();
