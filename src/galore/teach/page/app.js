const experiment = JSON.parse(document.getElementById("experiment").textContent);
const texts = TEXTS[experiment.kind](experiment);
const element = (selector) => document.querySelector(selector);
const isCode = (code) => Object.hasOwn(experiment.places, code);
const linked = (new URLSearchParams(location.search).get("code") || "").trim().toLowerCase();
const memory = storage(`galore-${experiment.experiment}-${linked}`);
let state = memory.load();
let clock = null;
let busy = false;
let shownAt = 0;
// Milliseconds after which a step can be left: the second tap of a double tap must not answer the next question.
let pause = 300;

function show(id) {
  for (const section of document.querySelectorAll("section")) section.hidden = section.id !== id;
  element("footer").hidden = !state || id === "finish" || id === "elsewhere";
  window.scrollTo(0, 0);
  element(`#${id} h1`).focus({ preventScroll: true });
  shownAt = performance.now();
}

const isSettled = () => !busy && performance.now() - shownAt >= pause;

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

function goOn() {
  if (!isSettled()) return;
  const step = stepsOf(state)[state.position];
  if (step.kind === "question") state.answers[step.index].studied = clock ? clock() : 0;
  clock = null;
  move();
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
  fill(element("#consent"), experiment.consent);
  element("#contact").hidden = !experiment.contact;
  element("#contact").textContent = experiment.contact;
  element("#place").hidden = isCode(linked);
  element("#code").value = linked;
  element("#code-problem").textContent = linked && !isCode(linked) ? texts.unknownCode : "";
  show("welcome");
}

function start() {
  const code = element("#code").value.trim().toLowerCase();
  if (code && !isCode(code)) {
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

function enable(on) {
  for (const button of document.querySelectorAll(".answers button")) button.disabled = !on;
}

function answer(given) {
  const step = stepsOf(state)[state.position];
  if (!clock || !isSettled() || step.kind !== "question" || state.answers.length > step.index) return;
  state.answers.push({ trial: step.id, answer: given, milliseconds: clock(), interrupted: state.interrupted, studied: 0 });
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
  clock = stopwatch();
}

// Forgets everything about this learner; the next one on this device comes without the code in the link.
function erase(question, isNext) {
  if (!confirm(question)) return;
  memory.forget();
  state = clock = null;
  if (isNext && linked) location.replace(location.pathname);
  else render();
}

function key(event) {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  const pressed = event.key.toLowerCase(), given = { a: "A", b: "B", [texts.unsureKey]: "?" }[pressed];
  if (!element("#question").hidden && given) answer(given);
  else if (pressed === "enter" && event.target.tagName !== "BUTTON") {
    const button = [element("#begin"), element("#next")].find((one) => one.offsetParent);
    if (button) { event.preventDefault(); button.click(); }
  }
}

function onEnterInCode(event) {
  if (event.key === "Enter") start();
}

// The same learner in another tab or window: only one of them may write.
function onElsewhere(event) {
  if (event.key !== memory.key) return;
  element("header").hidden = true;
  show("elsewhere");
}

function preload() {
  for (const source of Object.values(experiment.pictures)) new Image().src = source;
}

// What the answers are called, and by which keys they are given.
function nameAnswers() {
  const names = [...experiment.labels, texts.unsure], keys = ["a", "b", texts.unsureKey];
  document.querySelectorAll(".answers button").forEach((button, index) => {
    button.textContent = names[index];
    button.setAttribute("aria-keyshortcuts", keys[index]);
  });
  const hint = names.flatMap((name, index) => {
    const letter = keys[index].toUpperCase();
    return [make("kbd", letter), name === letter ? " " : ` ${name} \u2002`];
  });
  element("#question .keys").replaceChildren("Keys: ", ...hint);
}

function begin() {
  element("#storage").hidden = memory.works;
  nameAnswers();
  element("#start").addEventListener("click", start);
  element("#code").addEventListener("keydown", onEnterInCode);
  for (const id of ["#begin", "#next"]) element(id).addEventListener("click", goOn);
  for (const button of document.querySelectorAll(".answers button")) button.addEventListener("click", () => answer(button.dataset.answer));
  element("#download").addEventListener("click", download);
  element("#send").addEventListener("click", send);
  element("#again").addEventListener("click", () => erase(texts.again, true));
  element("#stop").addEventListener("click", () => erase(texts.stop, false));
  element("#here").addEventListener("click", () => location.reload());
  document.addEventListener("keydown", key);
  window.addEventListener("storage", onElsewhere);
  if (state && !isSound(state)) state = null;
  render();
  setTimeout(preload, 50);
}

begin();
