const experiment = JSON.parse(document.getElementById("experiment").textContent);
const texts = TEXTS[experiment.kind](experiment);
const element = (selector) => document.querySelector(selector);
const linked = (new URLSearchParams(location.search).get("code") || "").trim().toLowerCase();
const memory = storage(`galore-${experiment.experiment}-${linked}`);
let state = memory.load();
let clock = null;
let busy = false;

// A learner: who, which condition, which order, and what was answered. `position` counts the steps.
function newLearner(code) {
  const random = new Uint32Array(4);
  crypto.getRandomValues(random);
  const place = experiment.places[code];
  const [condition, order] = place || [1 + (random[0] % experiment.conditions), random[1] % experiment.orders.length];
  const learner = (random[2].toString(36) + random[3].toString(36)).padStart(12, "0").slice(0, 12);
  return { learner, place: place ? code : "", condition, order, position: 0, answers: [], asked: -1 };
}

// The steps of a learner: an introduction before each phase, a question for each trial, the end.
function stepsOf(learner) {
  const trials = experiment.orders[learner.order];
  const isTraining = (id) => "sealed" in experiment.trials[id];
  const firstTraining = trials.findIndex(isTraining);
  const steps = [];
  let previous = "";
  trials.forEach((id, index) => {
    const phase = experiment.kind === "agree" ? "agree" : isTraining(id) ? "training" : index < firstTraining ? "before" : "after";
    if (phase !== previous) steps.push({ kind: "intro", phase, count: trials.filter((_, at) => at >= index).length });
    steps.push({ kind: "question", phase, id, index });
    previous = phase;
  });
  for (const step of steps) {
    const same = steps.filter((other) => other.kind === "question" && other.phase === step.phase);
    step.of = same.length;
    step.number = same.indexOf(step) + 1;
  }
  return [...steps, { kind: "finish" }];
}

function storage(key) {
  let works = true;
  try {
    localStorage.setItem(`${key}?`, "1");
    localStorage.removeItem(`${key}?`);
  } catch { works = false; }
  return {
    works,
    load() {
      try { return works ? JSON.parse(localStorage.getItem(key)) : null; } catch { return null; }
    },
    save(value) {
      if (works) try { localStorage.setItem(key, JSON.stringify(value)); } catch { element("#storage").hidden = false; }
    },
    forget() { if (works) localStorage.removeItem(key); },
  };
}

function show(id) {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== id;
  window.scrollTo(0, 0);
  element(`#${id} h1`).focus({ preventScroll: true });
}

function render() {
  if (!state) return welcome();
  const steps = stepsOf(state), step = steps[state.position];
  element("header").hidden = step.kind === "finish";
  element("progress").value = state.position / (steps.length - 1);
  element(".phase").textContent = texts.phase[step.phase] || "";
  element(".count").textContent = step.kind === "question" ? `${step.number} of ${step.of}` : "";
  if (step.kind === "finish") return finish();
  if (step.kind === "intro") return intro(step);
  return state.answers.length > step.index ? feedback(step) : question(step);
}

function move() {
  state.position += 1;
  memory.save(state);
  render();
}

function fill(place, paragraphs) {
  place.replaceChildren(...paragraphs.map((content) => {
    if (!Array.isArray(content)) return make("p", content);
    const list = make("ol");
    list.append(...content.map((entry) => make("li", entry)));
    return list;
  }));
}

function make(tag, text = "", name = "") {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  if (name) made.className = name;
  return made;
}

function welcome() {
  element("header").hidden = true;
  element("#welcome h1").textContent = texts.title;
  fill(element("#welcome .text"), texts.welcome);
  element("#contact").hidden = !experiment.contact;
  element("#contact").textContent = experiment.contact;
  element("#place").hidden = linked in experiment.places;
  element("#code").value = linked;
  if (linked && !(linked in experiment.places)) element("#code-problem").textContent = texts.unknownCode;
  show("welcome");
}

function start() {
  const code = element("#code").value.trim().toLowerCase();
  if (code && !(code in experiment.places)) {
    element("#code-problem").textContent = texts.unknownCode;
    return element("#code").focus();
  }
  state = newLearner(code);
  memory.save(state);
  render();
}

function intro(step) {
  element("#intro h1").textContent = texts.intro[step.phase].title;
  fill(element("#intro .text"), texts.intro[step.phase].text(step));
  show("intro");
}

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
  marks.forEach(({ x, y }, index) => {
    const label = svg("text", {}, String(index + 1)), place = `translate(${1000 * x} ${1000 * y})`;
    drawing.append(svg("g", { class: "mark", transform: place }, svg("circle", { r: 34 }), label));
  });
  return drawing;
}

function question(step) {
  const trial = experiment.trials[step.id];
  element("#asked").textContent = texts.question;
  element("#picture-problem").textContent = "";
  const shown = picture(trial.picture, `${texts.picture} ${step.number} of ${step.of}`);
  const image = shown.querySelector("img");
  const ready = () => { clock = stopwatch(); enable(true); };
  enable(false);
  clock = null;
  image.addEventListener("load", ready);
  image.addEventListener("error", () => { element("#picture-problem").textContent = texts.pictureProblem; });
  element(".stage").replaceChildren(shown);
  examples(trial);
  const interrupted = state.asked === step.index;
  state.asked = step.index;
  state.interrupted = interrupted ? 1 : 0;
  memory.save(state);
  show("question");
  if (image.complete && image.naturalWidth) { image.removeEventListener("load", ready); ready(); }
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

function enable(on) {
  for (const button of document.querySelectorAll(".answers button")) button.disabled = !on;
}

// Milliseconds during which the page could be seen.
function stopwatch() {
  let total = 0, since = document.hidden ? null : performance.now();
  const toggle = () => {
    if (document.hidden && since !== null) { total += performance.now() - since; since = null; }
    else if (!document.hidden && since === null) since = performance.now();
  };
  document.addEventListener("visibilitychange", toggle);
  return () => {
    document.removeEventListener("visibilitychange", toggle);
    return Math.round(total + (since === null ? 0 : performance.now() - since));
  };
}

function answer(given) {
  const step = stepsOf(state)[state.position];
  if (!clock || step.kind !== "question" || state.answers.length > step.index) return;
  state.answers.push({ trial: step.id, answer: given, milliseconds: clock(), interrupted: state.interrupted });
  clock = null;
  memory.save(state);
  if (step.phase === "training") feedback(step);
  else move();
}

async function feedback(step) {
  const trial = experiment.trials[step.id], given = state.answers[step.index].answer;
  busy = true;
  const salt = `${experiment.experiment} ${step.id} ${state.condition}`;
  const opened = await unseal(trial.sealed[state.condition], salt, experiment.rounds.feedback);
  busy = false;
  const label = (kind) => experiment.labels["AB".indexOf(kind)];
  const other = opened.truth === "A" ? "B" : "A", isRight = given === opened.truth;
  const section = element("#feedback");
  section.className = isRight ? "is-right" : "is-wrong";
  element("#feedback h1").textContent = isRight ? texts.right(label(opened.truth)) : texts.wrong(label(opened.truth), given);
  element(".explanation").textContent = isRight ? "" : texts.explanation(label(opened.truth), label(other), opened.lit[0].marks);
  element(".pair").classList.toggle("one", isRight);
  const asked = [trial.picture, texts.yours(label(opened.truth)), opened.truth, opened.lit[0]];
  const shown = isRight ? [[trial.picture, "", opened.truth, null]] : [asked, [opened.counter, texts.other(label(other)), other, opened.lit[1]]];
  element(".pair").replaceChildren(...shown.map(([id, caption, kind, region]) => {
    const figure = make("figure");
    if (caption) figure.append(make("figcaption", caption));
    figure.append(picture(id, `${texts.picture} of ${label(kind)}`, region));
    return figure;
  }));
  show("feedback");
}

function resultOf(learner) {
  const result = {
    format: "galore-result", version: experiment.version, experiment: experiment.experiment, learner: learner.learner,
    place: learner.place, condition: learner.condition, order: learner.order, simulation: "", answers: learner.answers,
  };
  return { ...result, checksum: checksum(result) };
}

async function finish() {
  element("#finish h1").textContent = texts.finish.title;
  const text = JSON.stringify(resultOf(state), null, 1) + "\n";
  element("#finish pre").textContent = text;
  element("#learner").textContent = state.learner;
  element("#hand-in").textContent = experiment.postTo ? texts.handIn.send : texts.handIn.download;
  element("#send").hidden = !experiment.postTo;
  element("#send").disabled = state.sent === true;
  element("#sent").textContent = state.sent ? texts.sent : "";
  element("#download").className = experiment.postTo ? "plain" : "main";
  const place = element("#finish .result");
  fill(place, [experiment.truth ? texts.finish.working : texts.finish.text]);
  show("finish");
  if (!experiment.truth) return;
  state.scores = state.scores || (await scores());
  memory.save(state);
  place.replaceChildren(...scoreboard(state.scores));
}

// The learner's own result, worked out when everything is answered.
async function scores() {
  const truth = await unseal(experiment.truth, experiment.experiment, experiment.rounds.result);
  const count = (phase) => {
    const steps = stepsOf(state).filter((step) => step.kind === "question" && step.phase === phase);
    return [steps.filter((step) => state.answers[step.index].answer === truth.answers[step.id]).length, steps.length];
  };
  return { before: count("before"), after: count("after"), names: truth.names };
}

function scoreboard({ before, after, names }) {
  const rows = make("div", "", "scores");
  for (const [label, [right, of]] of [[texts.phase.before, before], [texts.phase.after, after]]) {
    const row = make("div", "", "score"), meter = make("span", "", "meter"), filled = make("i");
    filled.style.width = `${(100 * right) / of}%`;
    meter.append(filled);
    row.append(make("span", label), meter, make("b", `${right} of ${of}`));
    rows.append(row);
  }
  return [rows, make("p", texts.finish.names(names))];
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([element("#finish pre").textContent], { type: "application/json" }));
  link.download = `galore-${experiment.experiment}-${state.learner}.json`;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

async function send() {
  const button = element("#send");
  button.disabled = true;
  element("#sent").textContent = texts.sending;
  try {
    const reply = await fetch(experiment.postTo, { method: "POST", body: element("#finish pre").textContent, headers: { "Content-Type": "text/plain" } });
    if (!reply.ok) throw new Error(String(reply.status));
    state.sent = true;
    memory.save(state);
    element("#sent").textContent = texts.sent;
  } catch {
    button.disabled = false;
    element("#sent").textContent = texts.notSent;
  }
}

function again() {
  if (!confirm(texts.again)) return;
  memory.forget();
  state = null;
  render();
}

function key(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const pressed = event.key.toLowerCase();
  if (!element("#question").hidden && "abd".includes(pressed)) answer(pressed === "d" ? "?" : pressed.toUpperCase());
  else if (pressed === "enter" && event.target.tagName !== "BUTTON") {
    const button = [element("#begin"), element("#next")].find((one) => one.offsetParent);
    if (button) { event.preventDefault(); button.click(); }
  }
}

function onEnterInCode(event) {
  if (event.key === "Enter") start();
}

function preload() {
  for (const source of Object.values(experiment.pictures)) new Image().src = source;
}

function begin() {
  element("#storage").hidden = memory.works;
  experiment.labels.forEach((label, index) => { document.querySelectorAll(".answers button")[index].textContent = label; });
  element('.answers [data-answer="?"]').textContent = texts.unsure;
  element("#start").addEventListener("click", start);
  element("#code").addEventListener("keydown", onEnterInCode);
  for (const id of ["#begin", "#next"]) element(id).addEventListener("click", () => { if (!busy) move(); });
  for (const button of document.querySelectorAll(".answers button")) button.addEventListener("click", () => answer(button.dataset.answer));
  element("#download").addEventListener("click", download);
  element("#send").addEventListener("click", send);
  element("#again").addEventListener("click", again);
  document.addEventListener("keydown", key);
  if (state && (state.answers.length > experiment.orders[state.order]?.length || !stepsOf(state)[state.position])) state = null;
  render();
  setTimeout(preload, 50);
}

begin();
