"use strict";
/* Answers of the server, or of the script files of an exported folder. */

const answers = (() => {
  const isExported = document.documentElement.dataset.exported === "true";
  const waiting = new Map();
  const kept = new Map();
  const mostKept = 160;

  async function fetchAnswer(key) {
    let response;
    try {
      response = await fetch(`data/${key}`);
    } catch {
      throw new Error("the server does not answer: is browse.py still running?");
    }
    if (response.ok) return response.arrayBuffer();
    let reason = `the server answered ${response.status}`;
    try {
      reason = (await response.json()).error ?? reason;
    } catch { /* the status says it */ }
    throw new Error(reason);
  }

  // A script file of the folder calls this with a key and packed bytes.
  window.seaiceReceive = (key, text) => {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    waiting.get(key)?.resolve(new Response(unpacked).arrayBuffer());
    waiting.delete(key);
  };

  window.seaiceRefuse = (key, reason) => {
    waiting.get(key)?.reject(new Error(reason));
    waiting.delete(key);
  };

  function loadScript(key) {
    return new Promise((resolve, reject) => {
      waiting.set(key, { resolve, reject });
      const script = document.createElement("script");
      script.src = `data/${key}.js`;
      script.onload = () => script.remove();
      script.onerror = () => reject(new Error(`the folder lacks data/${key}.js: export it again`));
      document.head.append(script);
    });
  }

  // The bytes of an answer; the latest ones are kept.
  function load(key, { keep = true } = {}) {
    if (kept.has(key)) {
      const answer = kept.get(key);
      kept.delete(key);
      kept.set(key, answer);
      return answer;
    }
    const answer = isExported ? loadScript(key) : fetchAnswer(key);
    kept.set(key, answer);
    const forget = () => kept.delete(key);
    answer.then(keep ? () => {} : forget, forget);
    while (kept.size > mostKept) kept.delete(kept.keys().next().value);
    return answer;
  }

  async function loadJson(key, { keep = true } = {}) {
    const bytes = await load(key, { keep });
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  return { isExported, load, loadJson };
})();

/* Series of an exported folder, which are on coarse cells. */
const coarseSeries = (() => {
  const side = 32;
  const noValue = -32768;

  async function loadBlock(file, store, row, column) {
    const meta = file.meta;
    const rows = Math.min(side, meta.coarseShape[0] - row * side);
    const columns = Math.min(side, meta.coarseShape[1] - column * side);
    const hasValues = new Uint8Array(await answers.load(`blocks/${file.number}/${store}`));
    const place = row * Math.ceil(meta.coarseShape[1] / side) + column;
    const bytes = hasValues[place]
      ? await answers.load(`block/${file.number}/${store}/${row}/${column}`) : new ArrayBuffer(0);
    const steps = meta.steps.length;
    const size = steps * rows * columns;
    const names = meta.isIce ? ["mean", "area", "observed", "extent", "error"] : ["mean", "area"];
    const arrays = {};
    names.forEach((name, i) => {
      arrays[name] = bytes.byteLength ? new Int16Array(bytes, 2 * i * size, size) : null;
    });
    return { rows, columns, arrays };
  }

  const scale = (array, index, step) =>
    array === null || array[index] === noValue ? null : array[index] * step;

  async function loadCell(file, store, row, column) {
    const [r, c] = [Math.floor(row / file.meta.coarse), Math.floor(column / file.meta.coarse)];
    const block = await loadBlock(file, store, Math.floor(r / side), Math.floor(c / side));
    const place = (r % side) * block.columns + (c % side);
    const steps = [...file.meta.steps.keys()];
    const index = (step) => step * block.rows * block.columns + place;
    const pick = (name, unit) => steps.map((s) => scale(block.arrays[name] ?? null, index(s), unit));
    const answer = { done: steps.length, values: pick("mean", 0.01), isCoarse: true };
    if (file.meta.isIce) {
      answer.observed = pick("observed", 1e-4);
      answer.errors = pick("error", 0.01);
    }
    return answer;
  }

  async function loadBox(file, store, [row0, row1, column0, column1]) {
    const ocean = new Float32Array(await answers.load(`ocean/${file.number}/${store}`));
    const steps = file.meta.steps.length;
    const sums = { area: new Float64Array(steps), amount: new Float64Array(steps),
      extent: new Float64Array(steps), observed: new Float64Array(steps) };
    let whole = 0;
    for (let br = Math.floor(row0 / side); br <= Math.floor(row1 / side); br++) {
      for (let bc = Math.floor(column0 / side); bc <= Math.floor(column1 / side); bc++) {
        const block = await loadBlock(file, store, br, bc);
        for (let i = 0; i < block.rows * block.columns; i++) {
          const r = br * side + Math.floor(i / block.columns);
          const c = bc * side + (i % block.columns);
          if (r < row0 || r > row1 || c < column0 || c > column1) continue;
          const cell = ocean[r * file.meta.coarseShape[1] + c];
          whole += cell;
          for (let s = 0; s < steps; s++) {
            const index = s * block.rows * block.columns + i;
            const area = (scale(block.arrays.area, index, 1e-4) ?? 0) * cell;
            sums.area[s] += area;
            sums.amount[s] += area * (scale(block.arrays.mean, index, 0.01) ?? 0);
            if (!file.meta.isIce) continue;
            sums.extent[s] += cell * (scale(block.arrays.extent, index, 1e-4) ?? 0);
            sums.observed[s] += area * (scale(block.arrays.observed, index, 1e-4) ?? 0);
          }
        }
      }
    }
    const unless = (values) => Array.from(values, (value, s) => (sums.area[s] > 0 ? value : null));
    const answer = { done: steps, mean: unless(sums.amount.map((v, s) => v / sums.area[s])),
      valued: Array.from(sums.area) };
    if (!file.meta.isIce) return { ...answer, area: answer.valued };
    return { done: steps, extent: unless(sums.extent), area: unless(sums.amount.map((v) => v / 100)),
      observed: unless(sums.observed.map((v, s) => v / sums.area[s])),
      missing: Array.from(sums.area, (v) => whole - v) };
  }

  return { loadCell, loadBox };
})();
