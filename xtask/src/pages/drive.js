"use strict";
// Uses a page as somebody does who has a keyboard and no mouse; what is not as it should be is listed at its end.
{
// A browser without a screen does not always have the focus itself, and then tells no element that it has got it.
if (!document.hasFocus()) {
  for (const { prototype } of [HTMLElement, SVGElement]) {
    const { focus } = prototype;
    prototype.focus = function () { focus.call(this); this.dispatchEvent(new FocusEvent("focus")); };
  }
}
const wrong = [];
const demand = (what, is) => { if (!is) wrong.push(what); };
const press = (key, shiftKey) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey: !!shiftKey, bubbles: true, cancelable: true }));
const type = (id, value) => { at(id).value = value; at(id).dispatchEvent(new Event("input")); };
const focused = () => document.activeElement.dataset.step;
const pictures = () => document.querySelectorAll(".run > svg[role=group]");
const drawn = selector => document.querySelectorAll(selector).length;
const told = () => at("detail").textContent;
data.runs.forEach((run, which) => {
  const end = run.first + run.polls.length - 1;
  const lanes = pictures()[which].getAttribute("aria-label");
  demand(`run ${which} says what it is`, lanes.startsWith(run.title));
  document.querySelector(`rect[data-run="${which}"]`).focus();
  demand("a step that has the focus is told", told().includes(`step ${focused()} at`));
  press("Home"); demand("Home", focused() === `${run.first}`);
  press("ArrowLeft"); demand("there is none before the first", focused() === `${run.first}`);
  press("ArrowRight"); demand("ArrowRight", focused() === `${run.first + 1}`);
  type("count", 5);
  document.querySelector(`rect[data-run="${which}"]`).focus();
  press("End"); demand("End, beyond what is shown", focused() === `${end}` && (run.polls.length <= 5 || +at("from").value > run.first));
  press("ArrowRight"); demand("there is none after the last", focused() === `${end}`);
  press("Home"); demand("Home, before what is shown", focused() === `${run.first}` && told().includes(`step ${run.first} at`));
});
type("from", data.runs[0].first);
type("count", 500);
if (!at("quiet").checked) at("quiet").click();
const shown = data.runs.every(run => run.polls.length <= 500);
const any = list => data.runs.some(run => run[list].length > 0);
demand("all steps are drawn", !shown || drawn("rect.poll") === data.runs.reduce((sum, run) => sum + run.polls.length, 0));
demand("what is held is a bar", !shown || drawn("rect.held") === data.runs.reduce((sum, run) => sum + run.holds.length, 0));
demand("who waits for it is told", !any("waits") || drawn("text.waiting") > 0);
demand("a cancellation is a cut", !any("cuts") || drawn("rect.shade") > 0);
demand("faults have their places", !any("signs") || drawn("svg[role=group] line.sign") > 0);
const passed = data.runs.flatMap(run => run.polls.flatMap(poll => (poll.m || []).filter(([from]) => from > run.lanes[poll.l].a)));
demand("what passes between tasks is a line", drawn("line.meet") > 0 === passed.length > 0);
at("meets").click();
demand("and can be left out", drawn("line.meet") === 0);
at("meets").click();
demand("time has its lane", !data.runs[0].lanes[0].time || drawn("rect.poll.time") > 0);
demand("the shares are told", at("share").hidden === (data.shares.length === 0) && drawn("rect.share") > 0 === data.shares.length > 0);
if (data.shares.length) {
  const rects = [...document.querySelectorAll("rect.share")], high = rect => +rect.getAttribute("height");
  demand("at the end all fail", rects.length > 0 && high(rects[rects.length - 1]) === 18);
  const last = document.querySelector(`rect[data-run="0"][data-step="${Math.min(data.runs[0].last, data.runs[0].over - 1)}"]`);
  demand("a step says its share", last.getAttribute("aria-label").includes("1 of 1 fail"));
}
const placed = () => data.runs.flatMap((run, which) => run.polls.map((poll, offset) => {
  const rect = document.querySelector(`rect[data-run="${which}"][data-step="${run.first + offset}"]`);
  return rect && [`${which}/${poll.b}`, rect.getAttribute("x")];
})).filter(Boolean);
document.querySelector("rect.poll").focus();
press("b");
demand("b shows what could be at once", bandsShown() && focused() === `${data.runs[0].first}`);
const columns = new Map(placed());
demand("a band is a column", placed().every(([band, x]) => columns.get(band) === x) && drawn("rect.band") > 0);
demand("bands in one run are in different columns", new Set([...columns].map(([band, x]) => band.split("/")[0] + x)).size === columns.size);
demand("there are no shares of bands", drawn("rect.share") === 0);
press("ArrowRight"); demand("the next step, wherever it stands", focused() === `${data.runs[0].first + 1}`);
press("b");
demand("b goes back to steps", !bandsShown() && focused() === `${data.runs[0].first + 1}`);
press("ArrowDown");
const mates = data.runs[0].polls.map((poll, offset) => poll.l === data.runs[0].polls[1].l && data.runs[0].first + offset).filter(step => step !== false);
const here = data.runs[0].first + 1, next = mates[mates.indexOf(here) + 1];
demand("ArrowDown goes on with the task", focused() === `${next === undefined ? here : next}`);
press("Home"); press("+"); demand("plus shows fewer columns", at("count").value === "250");
press("-"); press("-"); demand("minus more, within bounds", at("count").value === "500");
type("count", 5);
type("search", data.runs[0].lanes[data.runs[0].lanes.length - 1].name);
const hits = data.runs[0].polls.filter(poll => words(data.runs[0], poll).toLowerCase().includes(at("search").value.toLowerCase()));
demand("the search counts what the page holds", hits.length > 0 && /in view, [1-9][0-9]* steps on the page/.test(at("hits").textContent));
at("search").focus();
const first = searched.steps[0], second = searched.steps[1];
press("Enter"); demand("Enter shows the first hit", told().includes(`step ${first} at`));
press("Enter"); demand("Enter shows the second", told().includes(`step ${second} at`));
press("Enter", true); demand("Shift and Enter go back", told().includes(`step ${first} at`));
press("Enter", true); demand("and from the first to the last", told().includes(`step ${searched.steps[searched.steps.length - 1]} at`));
type("search", "no such word"); demand("nothing is found", at("hits").textContent === "nothing found");
type("count", 1e9); demand("as many steps are drawn as a browser bears", document.querySelectorAll("rect.poll").length <= 500 * data.runs.length);
type("count", "");
demand("nothing was fetched", performance.getEntriesByType("resource").length === 0);
demand("no name became a part of the page", document.querySelectorAll("script").length === 2 && document.querySelectorAll("img, iframe, a, b").length === 0);
const list = document.createElement("pre");
list.id = "driven";
list.textContent = `driven: ${wrong.length} wrong: ${wrong.join("; ")}`;
document.body.append(list);
}
