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
const told = () => at("detail").textContent;
data.runs.forEach((run, which) => {
  const end = run.first + run.polls.length - 1;
  const lanes = document.querySelectorAll("svg")[which].getAttribute("aria-label");
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
type("search", data.runs[0].lanes[1].name);
const hits = data.runs[0].polls.filter(poll => words(data.runs[0], poll).toLowerCase().includes(at("search").value.toLowerCase()));
demand("the search counts what the page holds", hits.length > 0 && /in view, [1-9][0-9]* steps on the page/.test(at("hits").textContent));
at("search").focus();
const first = searched.steps[0], second = searched.steps[1];
press("Enter"); demand("Enter shows the first hit", told().includes(`step ${first} at`));
press("Enter"); demand("Enter shows the second", told().includes(`step ${second} at`));
press("Enter", true); demand("Shift and Enter go back", told().includes(`step ${first} at`));
press("Enter", true); demand("and from the first to the last", told().includes(`step ${searched.steps[searched.steps.length - 1]} at`));
type("search", "no such word"); demand("nothing is found", at("hits").textContent.startsWith("0 in view"));
type("count", 1e9); demand("as many steps are drawn as a browser bears", document.querySelectorAll("rect.poll").length <= 500 * data.runs.length);
type("count", "");
demand("nothing was fetched", performance.getEntriesByType("resource").length === 0);
demand("no name became a part of the page", document.querySelectorAll("script").length === 2 && document.querySelectorAll("img, iframe, a, b").length === 0);
const list = document.createElement("pre");
list.id = "driven";
list.textContent = `driven: ${wrong.length} wrong: ${wrong.join("; ")}`;
document.body.append(list);
}
