// Pictures, and what is lit in them.

// A square picture; what is not lit is darkened, and named parts carry numbers.
function picture(id, label, region) {
  const frame = make("span", "", "picture"), image = make("img");
  image.alt = label;
  image.decoding = "sync";
  image.draggable = false;
  image.src = experiment.pictures[id];
  frame.append(image);
  if (region) frame.append(overlay(region));
  return frame;
}

function overlay({ outline, marks }) {
  const svg = (tag, attributes, ...children) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  };
  const drawing = svg("svg", { viewBox: "0 0 1000 1000", "aria-hidden": "true" });
  if (outline) drawing.append(svg("path", { class: "dark", d: `M0 0H1000V1000H0Z${outline}` }), svg("path", { class: "edge", d: outline }));
  for (const { x, y, number } of marks.filter((mark) => mark.number)) {
    const place = `translate(${1000 * x} ${1000 * y})`;
    drawing.append(svg("g", { class: "mark", transform: place }, svg("circle", { r: 26 }), svg("text", {}, String(number))));
  }
  return drawing;
}

function examples(trial) {
  element(".examples").hidden = !trial.examples;
  if (!trial.examples) return;
  element(".examples").replaceChildren(...trial.examples.map((ids, kind) => {
    const column = make("div"), row = make("div");
    row.append(...ids.map((id) => picture(id, `Example of ${experiment.labels[kind]}`)));
    column.append(make("p", experiment.labels[kind]), row);
    return column;
  }));
}
