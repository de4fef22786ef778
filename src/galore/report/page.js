"use strict";
// Answers further questions about the photo from the maps stored in this page, by the formulas of galore.explain and
// galore.regions. docs/explanation_schema.md names the maps. Nothing is fetched, and nothing is sent anywhere.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const [rows, columns] = data.grid;
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const colours = bytes(data.colours); // red, green and blue of the values from the lowest to the highest
const LINE = data.line;

/* Maps: float32 in, float32 out, so that every value is the one that Python computes. */

const floats = (text) => new Float32Array(bytes(text).buffer);
const product = (first, ...others) => others.reduce((done, map) => done.map((value, cell) => value * map[cell]), first);
const complement = (map) => map.map((value) => Math.max(...map) - value);

const formulas = {
  attributive: (map, [y]) => map(`class_${y}`),
  discriminant: (map, [y, c]) => product(map(`class_${y}`), complement(map(`class_${c}`)), map("confidence")),
  margin: (map, [, c]) => map(`margin_${c}`),
  deliberative: (map, [a, b]) => product(map(`class_${a}`), map(`class_${b}`), map("difficulty")),
};

function explanation(question, method) {
  const prefix = (question.photo === 0 ? "" : "counter_") + (method === data.methods[0] ? "" : `${method}_`);
  return formulas[question.kind]((name) => floats(data.maps[prefix + name]), question.classes);
}

/** Bilinear, with half-pixel centres and clamped edges. */
function upsampled(map, side) {
  const steps = (cells) =>
    Array.from({ length: side }, (_, pixel) => {
      const place = Math.min(Math.max(((pixel + 0.5) * cells) / side - 0.5, 0), cells - 1);
      const before = Math.floor(place);
      return { before, after: Math.min(before + 1, cells - 1), share: place - before };
    });
  const across = steps(columns);
  const values = new Float32Array(side * side);
  steps(rows).forEach((down, y) => {
    for (let x = 0; x < side; x++) {
      const right = across[x];
      const column = (cell) => (1 - down.share) * map[down.before * columns + cell] + down.share * map[down.after * columns + cell];
      values[y * side + x] = (1 - right.share) * column(right.before) + right.share * column(right.after);
    }
  });
  return values;
}

/** The pixels above the (1 - fraction) quantile, an order statistic. */
function largestFraction(values, sorted, fraction) {
  const quantile = Math.fround(1 - Math.fround(fraction));
  const threshold = sorted[Math.floor(Math.fround(quantile * (sorted.length - 1)))];
  const mask = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) mask[i] = values[i] > threshold;
  return mask;
}

/* Pictures. */

/** The pixels at most so many steps, across or down, from those of a mask. */
function dilated(mask, side, steps) {
  for (; steps > 0; steps--) {
    const smaller = mask;
    mask = smaller.slice();
    for (let i = 0; i < smaller.length; i++) {
      if (!smaller[i]) continue;
      const x = i % side;
      if (x > 0) mask[i - 1] = 1;
      if (x < side - 1) mask[i + 1] = 1;
      mask[i - side] = mask[i + side] = 1; // what lies outside of an array is not kept
    }
  }
  return mask;
}

/** The photo, dark and grey outside the region, with a bright line around the region. */
function drawLit(canvas, photo, mask) {
  const picture = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  const thickness = Math.max(1, Math.floor(Math.min(photo.width, photo.height) / 150));
  const wider = dilated(mask, photo.width, thickness);
  const widest = dilated(wider, photo.width, thickness);
  const pixels = picture.data;
  for (let i = 0; i < mask.length; i++) {
    if (mask[i]) continue;
    const place = 4 * i;
    const grey = 0.2126 * pixels[place] + 0.7152 * pixels[place + 1] + 0.0722 * pixels[place + 2];
    for (let channel = 0; channel < 3; channel++) {
      const rest = 0.42 * (0.75 * grey + 0.25 * pixels[place + channel]);
      pixels[place + channel] = wider[i] ? LINE[channel] : widest[i] ? 0.25 * rest : rest;
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** The photo under the cells of the map, coloured from its lowest to its highest value. */
function drawMap(canvas, photo, map, [low, high], opacity, chosen) {
  const context = canvas.getContext("2d");
  const width = canvas.width / columns, height = canvas.height / rows;
  context.putImageData(photo, 0, 0);
  map.forEach((value, cell) => {
    const step = high > low ? Math.min(Math.floor((256 * (value - low)) / (high - low)), 255) : 0;
    const [red, green, blue] = colours.subarray(3 * step, 3 * step + 3);
    context.fillStyle = `rgb(${red} ${green} ${blue} / ${opacity})`;
    const left = Math.round((cell % columns) * width), top = Math.round(Math.floor(cell / columns) * height);
    context.fillRect(left, top, Math.round(((cell % columns) + 1) * width) - left,
      Math.round((Math.floor(cell / columns) + 1) * height) - top);
  });
  if (chosen === null) return;
  for (const [colour, line] of [["#000", 7], ["#fff", 3]]) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.strokeRect((chosen % columns) * width + 3.5, Math.floor(chosen / columns) * height + 3.5, width - 7, height - 7);
  }
}

/* Words. */

/** As Python writes {:.3g}. */
function amount(value) {
  const [digits, exponent] = value.toExponential(2).split("e").map(Number);
  if (value === 0 || (exponent >= -4 && exponent < 3)) return String(Number(value.toPrecision(3)));
  return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** The names of the parts whose points satisfy a condition, x and y from 0 to 1. */
const partsWhere = (photo, holds) => data.photos[photo].parts.filter(([, x, y]) => holds(x, y)).map(([name]) => name);

const cellAt = (x, y) =>
  Math.min(Math.max(Math.floor(y * rows), 0), rows - 1) * columns + Math.min(Math.max(Math.floor(x * columns), 0), columns - 1);

/* The page. */

const controls = { question: element("question"), method: element("method"), size: element("size"), opacity: element("opacity") };
const lit = element("lit"), heat = element("heat");
let photos, question, map, range, values, sorted;
let chosen = null;

function ask() {
  question = data.questions[controls.question.selectedIndex];
  map = explanation(question, controls.method ? controls.method.value : data.methods[0]);
  range = [Math.min(...map), Math.max(...map)];
  values = upsampled(map, data.side);
  sorted = values.slice().sort();
  element("lowest").textContent = amount(range[0]);
  element("highest").textContent = amount(range[1]);
  showRegion();
  showMap();
}

function showRegion() {
  const share = `${controls.size.value}\u202f%`;
  const mask = largestFraction(values, sorted, controls.size.value / 100);
  const inside = partsWhere(question.photo, (x, y) => mask[Math.floor(y * data.side) * data.side + Math.floor(x * data.side)]);
  const named = inside.length ? `: ${inside.join(", ")}` : "";
  const said = range[0] === range[1]
    ? "The map is the same everywhere, so no region is lit."
    : `Lit: the ${share} of the picture with the highest values${named}.`;
  drawLit(lit, photos[question.photo], mask);
  controls.size.setAttribute("aria-valuetext", share);
  element("size-said").textContent = share;
  element("lit-said").textContent = said;
  lit.setAttribute("aria-label", `${data.photos[question.photo].name}, ${question.meaning}. ${said}`);
}

function showMap() {
  const share = `${controls.opacity.value}\u202f%`;
  drawMap(heat, photos[question.photo], map, range, controls.opacity.value / 100, chosen);
  controls.opacity.setAttribute("aria-valuetext", share);
  element("opacity-said").textContent = share;
  element("cell").textContent = chosen === null ? data.hint : describe(chosen);
}

function describe(cell) {
  const place = `Row ${Math.floor(cell / columns) + 1}, column ${(cell % columns) + 1}`;
  const rank = map.filter((value) => value > map[cell]).length + 1;
  const inside = partsWhere(question.photo, (x, y) => cellAt(x, y) === cell);
  return `${place}: ${amount(map[cell])}, number ${rank} of ${map.length}${inside.length ? ` (${inside.join(", ")})` : ""}`;
}

function choose(cell) {
  if (cell === chosen) return;
  chosen = cell;
  showMap();
}

function point(event) {
  const box = heat.getBoundingClientRect();
  choose(cellAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
}

function move(event) {
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, 0] };
  if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const [down, right] = steps[event.key];
  const row = Math.floor(chosen / columns) + down, column = (chosen % columns) + right;
  if (event.key === "Home") choose(map.indexOf(range[1]));
  else choose(Math.min(Math.max(row, 0), rows - 1) * columns + Math.min(Math.max(column, 0), columns - 1));
}

async function pixelsOf({ picture }) {
  const image = new Image();
  image.src = picture;
  await image.decode();
  const context = new OffscreenCanvas(data.side, data.side).getContext("2d");
  context.drawImage(image, 0, 0, data.side, data.side);
  return context.getImageData(0, 0, data.side, data.side);
}

async function start() {
  photos = await Promise.all(data.photos.map(pixelsOf));
  controls.question.addEventListener("change", ask);
  controls.method?.addEventListener("change", ask);
  controls.size.addEventListener("input", showRegion);
  controls.opacity.addEventListener("input", showMap);
  heat.addEventListener("pointermove", point);
  heat.addEventListener("pointerdown", point);
  heat.addEventListener("pointerleave", () => document.activeElement === heat || choose(null));
  heat.addEventListener("focus", () => chosen ?? choose(map.indexOf(range[1])));
  heat.addEventListener("blur", () => choose(null));
  heat.addEventListener("keydown", move);
  ask();
  element("ask").hidden = false;
  performance.mark("ready");
}

start();
