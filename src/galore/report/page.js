"use strict";
// Answers further questions about the photo from the maps stored in this page, by the formulas of galore.explain and
// galore.regions. docs/explanation_schema.md names the maps. Nothing is fetched, and nothing is sent anywhere.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const [rows, columns] = data.grid;
const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const colours = bytes(data.colours); // red, green and blue of the values from the lowest to the highest

/* Maps: float32 in, float32 out, so that every value is the one that Python computes. */

const floats = (text) => new Float32Array(bytes(text).buffer);
const product = (first, ...others) => others.reduce((done, map) => done.map((value, cell) => value * map[cell]), first);
const complement = (map) => map.map((value) => Math.max(...map) - value);

const formulas = {
  attributive: (map, [y]) => map(`class_${y}`),
  discriminant: (map, [y, c]) => product(map(`class_${y}`), complement(map(`class_${c}`)), map("confidence")),
  margin: (map, [, c]) => map(`margin_${c}`),
  standardised: (map, [, c]) => map(`standardised_${c}`),
  "part-tables": (map, [, c]) => map(`part-tables_${c}`),
  counterparts: (map, [, c]) => map(`counterparts_${c}`),
  deliberative: (map, [a, b]) => product(map(`class_${a}`), map(`class_${b}`), map("difficulty")),
};

function explanation(question, method) {
  const prefix = (question.photo === 0 ? "" : "counter_") + (method === data.methods[0] ? "" : `${method}_`);
  return formulas[question.kind]((name) => floats(data.maps[prefix + name]), question.classes);
}

/** A pixel is the mean of the cells, by a Gaussian of its distance from their centres: galore.regions.smoothed. */
function smoothed(map, side) {
  const lowest = Math.min(...map);
  const down = gaussian(rows, side), across = gaussian(columns, side);
  const values = new Float32Array(side * side);
  for (let y = 0; y < side; y++) {
    const row = new Float64Array(columns);
    map.forEach((value, cell) => { row[cell % columns] += down[y][Math.floor(cell / columns)] * (value - lowest); });
    for (let x = 0; x < side; x++) {
      let sum = lowest;
      for (let column = 0; column < columns; column++) sum += across[x][column] * row[column];
      values[y * side + x] = sum;
    }
  }
  return values;
}

/** The weights of the cells for each pixel; they sum to one. */
function gaussian(cells, pixels) {
  return Array.from({ length: pixels }, (_, pixel) => {
    const weights = Float64Array.from({ length: cells }, (_, cell) =>
      Math.exp(-0.5 * ((((pixel + 0.5) * cells) / pixels - (cell + 0.5)) / data.softness) ** 2));
    const sum = weights.reduce((total, weight) => total + weight);
    return weights.map((weight) => weight / sum);
  });
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

/** The mean of a mask over so many pixels up to and after each one, where its edges go on outside; along one axis. */
function blurred(mask, side, size, along, between) {
  const mean = new Float32Array(mask.length);
  const first = -Math.floor(size / 2);
  for (let line = 0; line < side; line++) {
    const at = (place) => mask[line * between + Math.min(Math.max(place, 0), side - 1) * along];
    let sum = 0;
    for (let place = first; place < first + size; place++) sum += at(place);
    for (let place = 0; place < side; place++) {
      mean[line * between + place * along] = sum / size;
      sum += at(place + first + size) - at(place + first);
    }
  }
  return mean;
}

/** The photo, darker and paler outside the region, with a line around it; the light fades over one cell. */
function drawLit(canvas, photo, mask) {
  const picture = new ImageData(new Uint8ClampedArray(photo.data), photo.width, photo.height);
  if (mask.includes(1) && mask.includes(0)) {
    const { side, line, dark } = data;
    const down = blurred(mask, side, Math.max(1, Math.floor(side / rows)), side, 1);
    const light = blurred(down, side, Math.max(1, Math.floor(side / columns)), 1, side);
    const wider = dilated(mask, side, Math.max(1, Math.floor(side / 200)));
    const widest = dilated(wider, side, Math.max(1, Math.floor(side / 200)));
    const pixels = picture.data;
    for (let i = 0, place = 0; i < mask.length; i++, place += 4) {
      const grey = 0.2126 * pixels[place] + 0.7152 * pixels[place + 1] + 0.0722 * pixels[place + 2];
      for (let channel = 0; channel < 3; channel++) {
        const full = pixels[place + channel];
        const rest = dark * (0.8 * full + 0.2 * grey);
        const faded = rest + light[i] * (full - rest);
        pixels[place + channel] = mask[i] || !widest[i] ? faded : wider[i] ? line[channel] : 0.4 * faded;
      }
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/** The photo under the cells of the map, coloured from its lowest to its highest value; and the chosen cell framed. */
function drawMap(canvas, photo, map, [low, high], opacity, chosen) {
  const { side, under, faint, strong } = data;
  const picture = new ImageData(side, side);
  const share = opacity / strong; // of the opacity of the report's other pictures
  for (let y = 0, place = 0; y < side; y++) {
    for (let x = 0; x < side; x++, place += 4) {
      const value = map[cellAt((x + 0.5) / side, (y + 0.5) / side)];
      const height = high > low ? (value - low) / (high - low) : 0;
      const cover = Math.min(share * (faint + (strong - faint) * height), 1);
      const kept = (1 - cover) * (1 - Math.min(share, 1) * (1 - under));
      const colour = 3 * Math.round(255 * height);
      for (let channel = 0; channel < 3; channel++) {
        picture.data[place + channel] = kept * photo.data[place + channel] + cover * colours[colour + channel];
      }
      picture.data[place + 3] = 255;
    }
  }
  const context = canvas.getContext("2d");
  context.putImageData(picture, 0, 0);
  if (chosen === null) return;
  const width = side / columns, height = side / rows;
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
  values = smoothed(map, data.side);
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
  element("ask").hidden = false;
  performance.mark("ready");
  new IntersectionObserver(answerOnceSeen, { rootMargin: "100%" }).observe(element("ask"));
}

/** The first answer waits until somebody comes near it, so that the page is there at once. */
function answerOnceSeen(changes, observer) {
  if (!changes.some((change) => change.isIntersecting)) return;
  observer.disconnect();
  ask();
  performance.mark("answered");
}

start();
