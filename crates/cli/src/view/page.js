// What the page says above the runs, and what it answers to pointer and keyboard.
const at = id => document.getElementById(id);
data.runs.forEach(prepare);
at("failure").className = data.failure && data.failure.length > 140 ? "long" : "";
at("failure").textContent = data.failure || `run of seed ${data.seed}`;
if (data.command) { at("command").hidden = false; at("command").querySelector("code").textContent = data.command; }
if (data.shrunk) { at("shrunk").hidden = false; at("shrunk").textContent = `shrunk to ${data.shrunk}`; }
if (data.shares.length) {
  const [steps, failed, classes] = data.shares[0], decides = data.shares.find(share => share[1] === share[2]), strong = document.createElement("strong");
  const beginning = steps === 0 ? "" : ` that begin with steps 0 to ${steps - 1}`;
  strong.textContent = failed === classes ? `all ${classes}` : `${failed} of ${classes}`;
  at("share").append(strong, ` classes of orders${beginning} fail`);
  if (decides && decides !== data.shares[0]) {
    const run = data.runs[0], step = decides[0] - 1, who = run.polls[step - run.first], name = who ? ` (${run.lanes[who.l].name})` : "";
    at("share").append(`; once step ${step}${name} is taken as here, all do: it decides`);
  }
  if (steps > 0) at("share").append("; of shorter beginnings there are too many to count");
  at("share").hidden = false;
}
const words = (run, poll) => `${run.lanes[poll.l].name} ${run.lanes[poll.l].site} ${deeds(poll).join(", ")} ${poll.k || ""}`;
const wantedWord = () => at("search").value.toLowerCase();
const bandsShown = () => document.querySelector("input[name=columns]:checked").value === "bands";
const shownCount = () => Math.min(500, Math.max(5, Math.floor(+at("count").value) || 60));
// Boxes that are drawn at once.
const MOST = 3000;
// So many columns as are wanted, or as many as a browser draws in no time: a band may have a step of every task.
function columnsFrom(from) {
  const [first, end] = limits(), count = Math.min(shownCount(), Math.max(5, end - first));
  if (!bandsShown()) return count;
  for (let column = from, boxes = 0; column < from + count; column += 1) {
    for (const run of data.runs) boxes += run.wide[column] || 0;
    if (boxes > MOST) return Math.max(1, column - from);
  }
  return count;
}
// The first column and the one after the last, of all runs together.
function limits() {
  if (bandsShown()) return [0, Math.max(1, ...data.runs.map(run => run.bands))];
  return [Math.min(...data.runs.map(run => run.first)), Math.max(...data.runs.map(run => run.last + 1))];
}
function setLimits() {
  const [first, end] = limits();
  at("from").min = first;
  at("from").max = Math.max(first, end - 1);
}
// Begins so that the step is in view, and what led to it.
function begin(step) {
  const [first, end] = limits();
  const column = columnOf(data.runs[0], Math.min(Math.max(step, data.runs[0].first), data.runs[0].last), bandsShown());
  const count = columnsFrom(Math.max(0, column));
  at("from").value = end - first <= columnsFrom(first) ? first : Math.max(first, column - Math.floor(count / 4));
}
// The steps that any run has a hit at.
function hitsOf(wanted) {
  const steps = new Set();
  for (const run of data.runs) run.polls.forEach((poll, offset) => { if (words(run, poll).toLowerCase().includes(wanted)) steps.add(run.first + offset); });
  return [...steps].sort((a, b) => a - b);
}
let searched = { word: "", steps: [] };
function draw() {
  const wanted = wantedWord();
  if (searched.word !== wanted) searched = { word: wanted, steps: wanted === "" ? [] : hitsOf(wanted), at: -1 };
  const view = { from: +at("from").value, count: columnsFrom(+at("from").value), bands: bandsShown(), width: Math.max(640, at("runs").clientWidth - 2),
    wakes: at("wakes").checked, meets: at("meets").checked, quiet: at("quiet").checked,
    isHit: (run, poll) => wanted !== "" && words(run, poll).toLowerCase().includes(wanted) };
  at("runs").replaceChildren();
  let hits = 0;
  data.runs.forEach((run, which) => {
    const head = document.createElement("h2"), box = document.createElement("div"), more = document.createElement("small");
    const part = run.polls.length < run.all ? `; this page holds ${run.first} to ${run.last}, --from and --steps choose others` : "";
    const fewer = view.bands && view.count < shownCount() && run.bands > view.count ? `; ${view.count} columns, as many as can be drawn at once` : "";
    more.textContent = ` ${run.all} steps, ${run.tasks} ${run.tasks === 1 ? "task" : "tasks"}${part}${fewer}`;
    head.append(run.title, more);
    box.className = "run";
    const drawn = drawRun(run, which, view);
    box.append(drawn.axis, drawn.svg);
    if (drawn.steps === 0) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = run.polls.length === 0 ? "No step was taken." : "This run has no step here: it is shorter, or begins later.";
      box.replaceChildren(empty);
    }
    hits += drawn.hits;
    at("runs").append(head, box);
  });
  at("hits").textContent = wanted === "" ? "" : searched.steps.length === 0 ? "nothing found" : `${hits} in view, ${searched.steps.length} ${searched.steps.length === 1 ? "step" : "steps"} on the page`;
}
const boxOf = (step, which) => document.querySelector(`rect[data-step="${step}"][data-run="${which}"]`);
// Moves the window so that the step is in it, and gives it the focus.
function show(step, which) {
  if (!boxOf(step, which)) { begin(step); draw(); }
  const rect = boxOf(step, which) || document.querySelector(`rect[data-step="${step}"]`);
  if (rect) rect.focus();
}
function point(rect) {
  at("detail").textContent = rect.getAttribute("aria-label");
  const { step, run } = rect.dataset;
  for (const near of document.querySelectorAll(".near")) near.classList.remove("near");
  for (const line of rect.ownerSVGElement.querySelectorAll(`[data-a="${step}"], [data-z="${step}"]`)) line.classList.add("near");
  return run;
}
for (const kind of ["mouseover", "focus"]) at("runs").addEventListener(kind, event => {
  const rect = event.target.closest && event.target.closest("rect[data-step]");
  if (rect) point(rect);
}, true);
at("runs").addEventListener("keydown", event => {
  const rect = event.target.closest && event.target.closest("rect[data-step]");
  if (!rect || event.ctrlKey || event.altKey || event.metaKey) return;
  const step = +rect.dataset.step, run = data.runs[+rect.dataset.run], own = run.steps[run.polls[step - run.first].l], place = own.indexOf(step);
  if (event.key === "b") {
    const other = bandsShown() ? "steps" : "bands";
    document.querySelector(`input[name=columns][value=${other}]`).checked = true;
    turn(step);
    show(step, +rect.dataset.run);
    return;
  }
  if (event.key === "+" || event.key === "-") {
    at("count").value = Math.min(500, Math.max(5, Math.round(shownCount() * (event.key === "+" ? .5 : 2))));
    begin(step);
    draw();
    show(step, +rect.dataset.run);
    return;
  }
  const next = { ArrowLeft: step - 1, ArrowRight: step + 1, ArrowUp: own[place - 1], ArrowDown: own[place + 1], Home: run.first, End: run.last }[event.key];
  if (next === undefined || next < run.first || next > run.last) return;
  event.preventDefault();
  show(next, +rect.dataset.run);
});
at("search").addEventListener("keydown", event => {
  if (event.key !== "Enter" || searched.steps.length === 0) return;
  event.preventDefault();
  const all = searched.steps.length;
  searched.at = event.shiftKey ? (searched.at <= 0 ? all : searched.at) - 1 : (searched.at + 1) % all;
  const step = searched.steps[searched.at], which = data.runs.findIndex(run => step >= run.first && step <= run.last && words(run, run.polls[step - run.first]).toLowerCase().includes(searched.word));
  show(step, Math.max(0, which));
  at("search").focus();
});
// The other sort of columns, about the same step.
function turn(step) {
  setLimits();
  begin(step);
  draw();
}
for (const radio of document.querySelectorAll("input[name=columns]")) radio.addEventListener("change", () => {
  const seen = document.querySelector("rect[data-step]");
  turn(seen ? +seen.dataset.step : data.runs[0].first);
});
for (const id of ["from", "count", "search", "wakes", "meets", "quiet"]) at(id).addEventListener("input", draw);
addEventListener("resize", draw);
if (!data.runs.every(run => run.bands > 0)) at("columns").hidden = true;
at("quiet").checked = data.runs.every(run => run.lanes.length <= 40);
setLimits();
at("count").value = Math.min(60, Math.max(5, limits()[1] - limits()[0]));
begin(data.marks && data.marks[0] !== null ? data.marks[0] : data.runs[0].first);
draw();
