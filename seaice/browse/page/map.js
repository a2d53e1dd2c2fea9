"use strict";
/* The map: tiles of cells turned into colours, with coast, graticule, marks and a swipe. */

// Marks dots that get stripes, and the colour of the stripes.
const HATCHED_ALPHA = 254;
const HATCH_DOT = 0xff858585;
// Dots of a cell along a side, at most; and cells of all tiles of a file that are kept.
const MOST_DOTS = 40;
const MOST_CELLS = 40e6;
const CELL_ARRAYS = { int16: Int16Array, uint8: Uint8Array, float32: Float32Array };

function parseColour(text) {
  const number = parseInt(text.slice(1, 7), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

// Red, green and blue of a position 0..1 between colours.
function blend(colours, position) {
  const place = Math.max(0, Math.min(1, position)) * (colours.length - 1);
  const low = Math.min(Math.floor(place), colours.length - 2);
  return colours[low].map((part, i) => Math.round(part + (place - low) * (colours[low + 1][i] - part)));
}

/* Colours of a layer, and its values. */
class LayerStyle {
  constructor(layer, special) {
    this.layer = layer;
    this.special = special;
    this.colours = layer.colours.map(parseColour);
    this.classes = new Map(layer.classes.map((entry) => [entry.code, entry]));
    this.specialByCode = new Map(special.map((entry) => [entry.code, entry]));
  }

  // The code of a stored number that is no value, else null.
  getSpecial(stored) {
    if (this.layer.store === "float32") {
      if (Number.isNaN(stored)) return this.special[0];
      if (!Number.isFinite(stored)) return this.special[stored > 0 ? 1 : 2];
      return null;
    }
    return this.layer.store === "int16" ? this.specialByCode.get(stored) ?? null : null;
  }

  getValue(stored) {
    return this.layer.store === "int16" ? stored * this.layer.scale : stored;
  }

  getPosition(value) {
    const edges = this.layer.edges;
    if (edges.length === 2) return (value - edges[0]) / (edges[1] - edges[0]);
    let below = 0;
    while (below < edges.length - 2 && value >= edges[below + 1]) below += 1;
    return edges.length > 2 ? below / (edges.length - 2) : 0;
  }

  // Colour and whether it is hatched: [red, green, blue, hatched].
  getColour(stored) {
    const entry = this.getSpecial(stored) ?? this.classes.get(stored);
    if (entry) return [...parseColour(entry.colour), entry.hatched];
    if (this.layer.classes.length) return [200, 55, 108, false];
    return [...blend(this.colours, this.getPosition(this.getValue(stored))), false];
  }

  describe(stored) {
    const entry = this.getSpecial(stored) ?? this.classes.get(stored);
    if (entry) return entry.label;
    if (this.layer.classes.length) return `code ${stored}`;
    const units = this.layer.units ? ` ${this.layer.units}` : "";
    return `${this.getValue(stored).toFixed(this.layer.digits)}${units}`;
  }

  // Colour of a stored number as a dot of a picture; the colour of hatched cells is set apart.
  getDot(stored) {
    const [red, green, blue, isHatched] = this.getColour(stored);
    const alpha = isHatched ? HATCHED_ALPHA : 255;
    return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }

  // Dots of all numbers of 8 or 16 bits, by their bits.
  get table() {
    if (!this.dots) {
      const array = new CELL_ARRAYS[this.layer.store](1);
      const count = 2 ** (8 * array.BYTES_PER_ELEMENT);
      this.dots = new Uint32Array(count);
      for (let bits = 0; bits < count; bits++) {
        [array[0]] = [bits];
        this.dots[bits] = this.getDot(array[0]);
      }
    }
    return this.dots;
  }

  // A picture of a tile; rows from the top.
  paint(cells, rows, columns, isTurned) {
    const picture = new ImageData(columns, rows);
    const target = new Uint32Array(picture.data.buffer);
    const table = this.layer.store === "float32" ? null : this.table;
    const mask = table ? table.length - 1 : 0;
    for (let row = 0; row < rows; row++) {
      const line = (isTurned ? rows - 1 - row : row) * columns;
      for (let column = 0; column < columns; column++) {
        const stored = cells[line + column];
        let dot = table ? table[stored & mask] : this.getDot(stored);
        if (dot >>> 24 === HATCHED_ALPHA) {
          dot = (row + column) % 6 < 2 ? HATCH_DOT : (dot | 0xff000000) >>> 0;
        }
        target[row * columns + column] = dot;
      }
    }
    const canvas = document.createElement("canvas");
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas;
  }
}

/* What the page holds of a file. */
class MapFile {
  constructor(number, meta) {
    this.number = number;
    this.meta = meta;
    this.styles = meta.layers.map((layer) => new LayerStyle(layer, meta.special));
    this.flagLayer = meta.layers.findIndex((layer) => layer.name === "fill_flag");
    this.tiles = new Map();
    this.cellCount = 0;
    this.coast = null;
    this.nodes = null;
  }

  async prepare() {
    this.nodes = new Float32Array(await answers.load(`positions/${this.number}`));
    const points = new Float32Array(await answers.load(`coast/${this.number}`));
    this.coast = new Path2D();
    let isFirst = true;
    for (let i = 0; i < points.length; i += 2) {
      if (Number.isNaN(points[i])) isFirst = true;
      else if (isFirst) { this.coast.moveTo(points[i], points[i + 1]); isFirst = false; }
      else this.coast.lineTo(points[i], points[i + 1]);
    }
    this.graticule = new Path2D();
    for (const { points: line } of this.meta.graticule) {
      line.forEach(([x, y], i) => (i ? this.graticule.lineTo(x, y) : this.graticule.moveTo(x, y)));
    }
  }

  measureTile(level, row, column) {
    const { rows, columns, tile } = this.meta;
    const count = (cells, number) => Math.min(tile, Math.ceil(cells / 2 ** level) - number * tile);
    return [count(rows, row), count(columns, column)];
  }

  // The cells and the picture of a tile.
  async loadTile(layer, step, level, row, column) {
    const { meta } = this;
    const shown = meta.layers[layer].isStatic ? 0 : step;
    const key = `tile/${this.number}/${layer}/${shown}/${level}/${row}/${column}`;
    let tile = this.tiles.get(key);
    if (!tile) {
      const bytes = await answers.load(key, { keep: false });
      const cells = new CELL_ARRAYS[meta.layers[layer].store](bytes);
      const [rows, columns] = this.measureTile(level, row, column);
      const picture = this.styles[layer].paint(cells, rows, columns, meta.firstRow === "bottom");
      const codes = new Set(meta.layers[layer].classes.length ? cells : []);
      tile = { cells, rows, columns, picture, codes };
      this.cellCount += cells.length;
    }
    // The tiles that were used last stay.
    this.tiles.delete(key);
    this.tiles.set(key, tile);
    for (const [oldKey, { cells }] of this.tiles) {
      if (this.cellCount <= MOST_CELLS) break;
      this.tiles.delete(oldKey);
      this.cellCount -= cells.length;
    }
    return tile;
  }

  getTile(layer, step, level, row, column) {
    const shown = this.meta.layers[layer].isStatic ? 0 : step;
    return this.tiles.get(`tile/${this.number}/${layer}/${shown}/${level}/${row}/${column}`) ?? null;
  }

  // The cell that a level shows for a cell: [row, column].
  findShownCell(level, row, column) {
    const side = 2 ** level;
    const choose = (cell, count) => Math.min(Math.floor(cell / side) * side + (side >> 1), count - 1);
    return [choose(row, this.meta.rows), choose(column, this.meta.columns)];
  }

  // What is stored of a cell on a level, or null while it is not loaded.
  getStored(layer, step, level, row, column) {
    const { tile } = this.meta;
    const [r, c] = [row, column].map((cell) => Math.floor(cell / 2 ** level));
    const part = this.getTile(layer, step, level, Math.floor(r / tile), Math.floor(c / tile));
    return part ? part.cells[(r % tile) * part.columns + (c % tile)] : null;
  }

  // Latitude and longitude of a cell, degrees.
  locate(row, column) {
    const { nodeRows, nodeColumns } = this.meta;
    const [r, u] = findInterval(nodeRows, row);
    const [c, v] = findInterval(nodeColumns, column);
    const count = nodeColumns.length;
    const vector = [0, 1, 2].map((part) => {
      const at = (i, j) => this.nodes[3 * (Math.min(i, nodeRows.length - 1) * count
        + Math.min(j, count - 1)) + part];
      return (1 - u) * ((1 - v) * at(r, c) + v * at(r, c + 1))
        + u * ((1 - v) * at(r + 1, c) + v * at(r + 1, c + 1));
    });
    const length = Math.hypot(...vector);
    return [Math.asin(vector[2] / length), Math.atan2(vector[1], vector[0])].map((a) => (a * 180) / Math.PI);
  }
}

// The interval of ascending numbers that holds a value, and the place within it, 0..1.
function findInterval(numbers, value) {
  let low = 0;
  let high = numbers.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numbers[middle] <= value) low = middle;
    else high = middle;
  }
  const span = (numbers[low + 1] ?? numbers[low]) - numbers[low];
  return [low, span > 0 ? (value - numbers[low]) / span : 0];
}

/* The canvas: what part of the map it shows, and how it is painted. */
class MapCanvas {
  constructor(canvas, colours) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.colours = colours;
    this.view = { x: 0, y: 0, scale: 1 };
    this.shown = null; // { file, layer, step }
    this.beside = null;
    this.swipe = 0.5;
    this.marks = { cursor: null, cell: null, box: null };
    this.request = 0;
  }

  get size() {
    return [this.canvas.clientWidth, this.canvas.clientHeight];
  }

  get isTurned() {
    return this.shown.file.meta.firstRow === "bottom";
  }

  // Show all of the map that may have values.
  showAll() {
    const [row0, row1, column0, column1] = this.shown.file.meta.bounds;
    const [width, height] = this.size;
    const scale = Math.min(width / (column1 - column0), height / (row1 - row0));
    this.setView({ x: (column0 + column1) / 2, y: (row0 + row1) / 2, scale });
  }

  // Centre and dots per cell, kept within what makes sense.
  setView({ x, y, scale }) {
    const { rows, columns } = this.shown.file.meta;
    const limit = (value, least, most) => Math.max(least, Math.min(most, value));
    const least = 0.5 * Math.min(this.size[0] / columns, this.size[1] / rows);
    this.view = { x: limit(x, 0, columns), y: limit(y, 0, rows), scale: limit(scale, least, MOST_DOTS) };
  }

  // Position in cells of a point of the canvas, and back.
  toCells(px, py) {
    const [width, height] = this.size;
    const up = this.isTurned ? -1 : 1;
    return [this.view.x + (px - width / 2) / this.view.scale,
      this.view.y + (up * (py - height / 2)) / this.view.scale];
  }

  toPoint(x, y) {
    const [width, height] = this.size;
    const up = this.isTurned ? -1 : 1;
    return [(x - this.view.x) * this.view.scale + width / 2,
      up * (y - this.view.y) * this.view.scale + height / 2];
  }

  zoom(factor, px = this.size[0] / 2, py = this.size[1] / 2) {
    const [x, y] = this.toCells(px, py);
    const before = this.view;
    this.setView({ ...before, scale: before.scale * factor });
    const ratio = before.scale / this.view.scale;
    this.setView({ ...this.view, x: x + (before.x - x) * ratio, y: y + (before.y - y) * ratio });
  }

  // The level whose cells are about as large as a dot.
  get level() {
    const { levels } = this.shown.file.meta;
    const fitting = Math.floor(Math.log2(1 / (this.view.scale * window.devicePixelRatio)) + 0.35);
    return Math.max(levels[0], Math.min(levels[levels.length - 1], fitting));
  }

  listTiles() {
    const { rows, columns, tile } = this.shown.file.meta;
    const side = tile * 2 ** this.level;
    const corners = [this.toCells(0, 0), this.toCells(...this.size)];
    const range = (axis, count) => {
      const ends = corners.map((corner) => corner[axis]).sort((a, b) => a - b);
      const last = Math.ceil(count / side) - 1;
      return [Math.max(0, Math.floor(ends[0] / side)), Math.min(last, Math.floor(ends[1] / side))];
    };
    const [c0, c1] = range(0, columns);
    const [r0, r1] = range(1, rows);
    const tiles = [];
    for (let r = r0; r <= r1; r++) for (let c = c0; c <= c1; c++) tiles.push([r, c]);
    return tiles;
  }

  // Load what is to be seen and paint it; the last picture stays until then.
  async show(shown, beside) {
    const request = (this.request += 1);
    const before = [this.shown, this.beside];
    [this.shown, this.beside] = [shown, beside];
    const { level } = this;
    const tiles = this.listTiles();
    if (before[0]) [this.shown, this.beside] = before;
    const maps = [shown, beside].filter(Boolean);
    // How a value came about is told under the pointer, whichever layer is shown.
    if (shown.file.flagLayer >= 0) maps.push({ ...shown, layer: shown.file.flagLayer });
    const loads = maps.flatMap(({ file, layer, step }) =>
      tiles.map(([r, c]) => file.loadTile(layer, step, level, r, c)));
    const results = await Promise.allSettled(loads);
    if (request !== this.request) return;
    [this.shown, this.beside] = [shown, beside];
    this.paint();
    const failure = results.find((result) => result.status === "rejected");
    if (failure) throw failure.reason;
  }

  // Codes of classes that are to be seen.
  listCodes(file, layer) {
    const { step } = file === this.shown.file ? this.shown : this.beside ?? this.shown;
    const tiles = this.listTiles().map(([r, c]) => file.getTile(layer, step, this.level, r, c));
    return new Set(tiles.flatMap((tile) => (tile ? [...tile.codes] : [])));
  }

  paint() {
    const { canvas, context } = this;
    const [width, height] = this.size;
    const ratio = window.devicePixelRatio;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#eef1f4";
    context.fillRect(0, 0, width, height);
    if (!this.shown) return;
    this.paintCells(this.shown);
    if (this.beside) {
      const border = width * this.swipe;
      context.save();
      context.beginPath();
      context.rect(border, 0, width - border, height);
      context.clip();
      context.fillRect(border, 0, width - border, height);
      this.paintCells(this.beside);
      context.restore();
    }
    this.paintLines();
    if (this.beside) this.paintBorder(width * this.swipe, height);
    this.paintMarks();
  }

  paintCells({ file, layer, step }) {
    const { context, level } = this;
    const side = 2 ** level;
    const { tile } = file.meta;
    context.imageSmoothingEnabled = false;
    for (const [r, c] of this.listTiles()) {
      const part = file.getTile(layer, step, level, r, c);
      if (!part) continue;
      const [x, y] = [c * tile * side, r * tile * side];
      const [px, py] = this.toPoint(x, this.isTurned ? y + part.rows * side : y);
      context.drawImage(part.picture, px, py, part.columns * side * this.view.scale,
        part.rows * side * this.view.scale);
    }
  }

  // Let a path in cells be drawn: its transformation stays until the next restore.
  useCells() {
    const { context, view } = this;
    const [width, height] = this.size;
    const up = this.isTurned ? -1 : 1;
    context.translate(width / 2, height / 2);
    context.scale(view.scale, up * view.scale);
    context.translate(-view.x, -view.y);
  }

  paintLines() {
    const { context, view } = this;
    const { file } = this.shown;
    for (const [path, colour, size] of [[file.graticule, this.colours.graticule, 0.5],
      [file.coast, this.colours.coast, 0.8]]) {
      if (!path) continue;
      context.save();
      this.useCells();
      context.beginPath();
      context.rect(0, 0, file.meta.columns, file.meta.rows);
      context.clip();
      context.lineWidth = size / view.scale;
      context.strokeStyle = colour;
      context.globalAlpha = size < 0.6 ? 0.55 : 1;
      context.stroke(path);
      context.restore();
    }
    this.paintLabels(file);
  }

  paintLabels(file) {
    const { context } = this;
    const [width, height] = this.size;
    const isFree = (px, py) => px > 24 && px < width - 24 && py > 12 && py < height - 12;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.strokeStyle = "rgba(255, 255, 255, 0.85)";
    context.fillStyle = "#333d47";
    const taken = [];
    for (const { label, points } of file.meta.graticule) {
      const seen = points.map(([x, y]) => this.toPoint(x, y)).filter(([px, py]) => isFree(px, py));
      const free = seen.filter(([px, py]) =>
        !taken.some(([qx, qy]) => Math.abs(px - qx) < 42 && Math.abs(py - qy) < 16));
      if (!free.length) continue;
      // Nearest to the frame, where it hides least.
      const distance = ([px, py]) => Math.min(px, width - px, py, height - py);
      const at = free.reduce((best, point) => (distance(point) < distance(best) ? point : best));
      taken.push(at);
      context.strokeText(label, ...at);
      context.fillText(label, ...at);
    }
  }

  paintBorder(x, height) {
    const { context } = this;
    context.strokeStyle = "#e4572e";
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, height);
    context.stroke();
  }

  paintMarks() {
    const { context, marks } = this;
    const ring = (cell, colour, radius) => {
      const [px, py] = this.toPoint(cell[1] + 0.5, cell[0] + 0.5);
      for (const [line, width] of [["#ffffff", 4], [colour, 2]]) {
        context.strokeStyle = line;
        context.lineWidth = width;
        context.beginPath();
        context.arc(px, py, radius, 0, 2 * Math.PI);
        context.stroke();
      }
    };
    if (marks.box) {
      const [row0, row1, column0, column1] = marks.box;
      const [ax, ay] = this.toPoint(column0, row0);
      const [bx, by] = this.toPoint(column1, row1);
      context.lineWidth = 2;
      context.strokeStyle = "#e4572e";
      context.strokeRect(Math.min(ax, bx), Math.min(ay, by), Math.abs(bx - ax), Math.abs(by - ay));
    }
    if (marks.cell) ring(marks.cell, "#e4572e", 6);
    if (marks.cursor) {
      ring(marks.cursor, "#1c2430", 3);
      const [px, py] = this.toPoint(marks.cursor[1] + 0.5, marks.cursor[0] + 0.5);
      context.strokeStyle = "#1c2430";
      context.lineWidth = 1;
      context.beginPath();
      for (const [dx, dy] of [[12, 0], [-12, 0], [0, 12], [0, -12]]) {
        context.moveTo(px + dx / 2, py + dy / 2);
        context.lineTo(px + dx, py + dy);
      }
      context.stroke();
    }
  }
}
