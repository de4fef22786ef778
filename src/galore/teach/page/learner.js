// Who answers, in which order, and what is kept of it.

// A learner: who, which condition, which order, and what was answered. `position` counts the steps.
function newLearner(code) {
  const random = new Uint32Array(4);
  crypto.getRandomValues(random);
  const drawn = [1 + (random[0] % experiment.conditions), random[1] % experiment.orders.length];
  const [condition, order] = isCode(code) ? experiment.places[code] : drawn;
  const learner = (random[2].toString(36) + random[3].toString(36)).padStart(12, "0").slice(0, 12);
  return { learner, place: isCode(code) ? code : "", condition, order, position: 0, answers: [], asked: -1 };
}

// Whether what a browser kept can be gone on with.
function isSound({ order, position, answers }) {
  const trials = experiment.orders[order];
  return Array.isArray(trials) && Array.isArray(answers) && answers.length <= trials.length && position in stepsOf({ order });
}

// The steps of a learner: an introduction before each phase, a question for each trial, the end.
function stepsOf({ order }) {
  const trials = experiment.orders[order];
  const isTraining = (id) => "sealed" in experiment.trials[id];
  const firstTraining = trials.findIndex(isTraining);
  const steps = [];
  let previous = "";
  trials.forEach((id, index) => {
    const phase = experiment.kind === "agree" ? "agree" : isTraining(id) ? "training" : index < firstTraining ? "before" : "after";
    if (phase !== previous) steps.push({ kind: "intro", phase });
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
    key,
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

function resultOf(learner) {
  const result = {
    format: "galore-result", version: experiment.version, experiment: experiment.experiment, learner: learner.learner,
    place: learner.place, condition: learner.condition, order: learner.order, simulation: "", answers: learner.answers,
  };
  return { ...result, checksum: checksum(result) };
}
