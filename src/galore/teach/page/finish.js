// The end: the learner's own result, and handing it in.

async function finish() {
  const learner = state;
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
  const found = learner.scores || (await scores(learner));
  if (state !== learner) return;
  state.scores = found;
  memory.save(state);
  place.replaceChildren(...scoreboard(found));
}

// The learner's own result, worked out when everything is answered.
async function scores(learner) {
  const truth = await unseal(experiment.truth, experiment.experiment, experiment.rounds.result);
  const count = (phase) => {
    const steps = stepsOf(learner).filter((step) => step.kind === "question" && step.phase === phase);
    return [steps.filter((step) => learner.answers[step.index].answer === truth.answers[step.id]).length, steps.length];
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
    // Plain text needs no question to the other server beforehand; whoever does not answer in time can be asked again.
    const reply = await fetch(experiment.postTo, {
      method: "POST", body: element("#finish pre").textContent, headers: { "Content-Type": "text/plain" }, signal: AbortSignal.timeout(30000),
    });
    if (!reply.ok) throw new Error(String(reply.status));
    state.sent = true;
    memory.save(state);
    element("#sent").textContent = texts.sent;
  } catch {
    button.disabled = false;
    element("#sent").textContent = texts.notSent;
  }
}

