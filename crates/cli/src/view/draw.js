// Draws a run: lanes for its tasks, columns for its steps or for what could be at once.
const NS = "http://www.w3.org/2000/svg";
const el = (name, attributes, text) => {
  const made = document.createElementNS(NS, name);
  for (const key in attributes) if (attributes[key] !== undefined) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  return made;
};
const PHASES = ["running", "requested", "draining", "finalizing"];
const PHASE_NAMES = ["running", "cancel requested", "draining", "finalizing"];
const BOX = 30, GAP = 16, TRACK = 12, GROUP = 20, LETTER = 6.65;
// So many letters, none of them in half, and a mark where some are missing.
const cut = (text, letters) => {
  const all = [...text.slice(0, 2 * letters + 2)];
  return all.length <= letters ? text : letters < 2 ? "" : all.slice(0, letters - 1).join("") + "…";
};
const cutFront = (text, letters) => text.length <= letters ? text : letters < 2 ? "" : "…" + [...text].slice(1 - letters).join("");
const withoutIds = text => text.replace(/ x[0-9a-f]{6,}/g, "");
// What it is, and enough of which one to tell it from others of its kind.
const shortId = text => text.replace(/ (x[0-9a-f]{4})[0-9a-f]{2,}/, " $1");
const idOf = text => (/ (x[0-9a-f]{4})/.exec(text) || [])[1] || "";
// A colour of its own for each thing that can be held.
const hue = text => { const id = / x([0-9a-f]{6})/.exec(text); return id ? (parseInt(id[1], 16) * 137) % 360 : 165; };
const timeText = ns => {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) if (ns >= size) return `${+(ns / size).toFixed(3)}${unit}`;
  return `${ns}ns`;
};
const deeds = poll => poll.d || [];
const phaseOf = (run, poll) => run.lanes[poll.l].time ? "time" : PHASES[poll.p || 0];

// What does not change with the window: each lane's steps, and how many bars it has below each other.
function prepare(run) {
  run.steps = run.lanes.map(() => []);
  run.polls.forEach((poll, offset) => run.steps[poll.l].push(run.first + offset));
  run.tracks = run.lanes.map(() => 0);
  const busy = run.lanes.map(() => []);
  for (const hold of [...run.holds].sort((a, b) => a.a - b.a)) {
    const ends = busy[hold.l];
    let track = ends.findIndex(end => end < hold.a);
    if (track < 0) track = ends.length;
    ends[track] = hold.z === null ? Infinity : hold.z;
    hold.track = track;
    run.tracks[hold.l] = Math.max(run.tracks[hold.l], track + 1);
  }
  run.last = run.first + run.polls.length - 1;
  // How many steps each band has.
  run.wide = [];
  for (const poll of run.polls) if (poll.b !== undefined) run.wide[poll.b] = (run.wide[poll.b] || 0) + 1;
  run.bands = run.wide.length;
  run.over = run.signs.reduce((over, sign) => sign.end ? Math.min(over, sign.b) : over, Infinity);
}
// The column of a step; steps that the page does not hold are far to the left or right.
function columnOf(run, step, bands) {
  if (step < run.first) return -1e9;
  if (step > run.last) return 1e9;
  return bands ? run.polls[step - run.first].b : step;
}
// The last share that is known of what begins with so many steps.
function shareOf(steps) {
  let known;
  for (const share of data.shares) if (share[0] <= steps) known = share;
  return known;
}
// In a box comes first what is rarer than a touch.
const isTouch = deed => /^(read|write) /.test(deed);
const inShort = poll => withoutIds([...deeds(poll).filter(deed => !isTouch(deed)), ...deeds(poll).filter(isTouch)].join(", "));
function laneName(run, lane) { return run.lanes[lane].name; }
function tell(run, which, step) {
  const poll = run.polls[step - run.first], lane = run.lanes[poll.l];
  const lines = [`step ${step} at ${timeText(poll.t)}: ${lane.name}${lane.time ? "" : ", " + PHASE_NAMES[poll.p || 0]}`];
  if (run.marks.includes(step)) lines[0] += " (one of the two steps whose order matters)";
  if (step >= run.over) lines[0] += " (the run has been given up)";
  lines.push(deeds(poll).join(", ") || "runs");
  for (const [from, what] of poll.m || []) lines.push(`meets ${what} as step ${from} left it` + (from >= run.first ? ` (${laneName(run, run.polls[from - run.first].l)})` : ""));
  if (poll.k) lines.push(`then waits in ${poll.k}`);
  for (const wait of run.waits) if (wait.l === poll.l && wait.a === step) lines.push(`what it waits for is held: ${wait.n}, by ${wait.h}`);
  if (poll.w) lines.push(`wakes ${poll.w.map(lane => laneName(run, lane)).join(", ")}`);
  for (const hold of run.holds) if (hold.l === poll.l && hold.a <= step && (hold.z === null || hold.z > step)) lines.push(`holds ${hold.n} since step ${hold.a}${hold.s ? ", taken at " + hold.s : ""}`);
  const share = which === 0 && step < run.over && shareOf(step + 1);
  if (share) lines.push(`of the classes of orders that begin as the run does up to here, ${share[1]} of ${share[2]} fail`);
  return lines.join("\n");
}

function drawRun(run, which, view) {
  const { from, count, bands, width } = view;
  const left = Math.round(Math.min(270, Math.max(150, width * .22))), col = (width - left - 6) / count;
  const edge = column => Math.min(width, Math.max(left, left + col * (column - from)));
  const at = step => edge(columnOf(run, step, bands));
  const after = step => edge(columnOf(run, step, bands) + 1);
  const inView = step => { const column = columnOf(run, step, bands); return column >= from && column < from + count; };
  const shown = [];
  if (bands) run.polls.forEach((poll, offset) => { if (poll.b >= from && poll.b < from + count) shown.push(run.first + offset); });
  else for (let step = Math.max(from, run.first); step < Math.min(from + count, run.last + 1); step += 1) shown.push(step);
  const overlaps = (a, z) => columnOf(run, a, bands) < from + count && (z === null || columnOf(run, z, bands) >= from);
  const holds = run.holds.filter(hold => overlaps(hold.a, hold.z)), waits = run.waits.filter(wait => overlaps(wait.a, wait.z));

  // Where each lane is.
  const busy = new Set(shown.map(step => run.polls[step - run.first].l));
  for (const one of [...holds, ...waits]) busy.add(one.l);
  const top = [], groups = [];
  let y = 0, region = null, hidden = 0;
  run.lanes.forEach((lane, index) => {
    if (!view.quiet && !busy.has(index)) { hidden += 1; return; }
    const path = lane.time ? "" : lane.region.join(" / ");
    if (path !== region && path !== "") { groups.push([y, lane.region]); y += GROUP; }
    region = path;
    top[index] = y;
    y += BOX + GAP + TRACK * run.tracks[index];
  });
  const height = y + (hidden ? GROUP : 0);
  const middle = lane => top[lane] + GAP / 2 + BOX / 2;
  const svg = el("svg", { width, height, role: "group", "aria-label": `${run.title}, ${bands ? "by what could be at once" : "step by step"}` });
  const under = el("g", { class: "lines" }), lines = el("g", { class: "lines" }), ends = el("g", { class: "lines" }), boxes = el("g", {}), inside = el("g", { class: "inside" });

  for (const [group, path] of groups) {
    under.append(el("rect", { x: 0, y: group, width, height: GROUP, class: "group" }));
    const name = el("text", { x: 8, y: group + 14, class: "region" }, cutFront(path.join(" / "), Math.floor(width / 7)));
    under.append(name);
  }
  if (bands) for (let column = 0; column < count; column += 2) under.append(el("rect", { x: left + col * column, y: 0, width: col, height: y, class: "band" }));
  run.lanes.forEach((lane, index) => {
    if (top[index] === undefined) return;
    const place = lane.site.split("/").pop(), title = lane.id ? place : lane.name;
    const name = el("text", { x: 12, y: middle(index) - 2, class: "lane" }, cut(title, Math.floor((left - 18) / 7.4)));
    name.append(el("title", {}, `${lane.name}${lane.site && !lane.id ? `, spawned at ${lane.site}` : ""}`));
    const end = lane.time ? "" : lane.end || "does not end", bad = { Panicked: " bad", Err: " bad", Cancelled: " cancelled" }[lane.end] || "";
    const second = el("text", { x: 12, y: middle(index) + 12, class: `end${bad}` }, end);
    const room = Math.floor((left - 24 - 6.4 * end.length) / 6.2);
    if (room > 6) second.append(el("tspan", { class: "soft", dx: 6 }, lane.id || cutFront(lane.site, room)));
    inside.append(name, second);
    name.style.pointerEvents = "auto";
    const [a, z] = [after(lane.a), lane.z === null ? width : at(lane.z)];
    if (z > a && !lane.time) under.append(el("line", { x1: a, x2: z, y1: middle(index), y2: middle(index), class: "life" }));
  });
  for (const sever of run.cuts) {
    const isEnd = run.over === sever.b, x = sever.b === 0 ? left : after(sever.b - 1), reached = sever.l.filter(lane => top[lane] !== undefined);
    for (const lane of reached) {
      const end = run.lanes[lane].z === null ? width : after(run.lanes[lane].z);
      if (end > x) under.append(el("rect", { x, y: top[lane] + 3, width: end - x, height: BOX + GAP - 6, class: "shade" }));
    }
    if (isEnd || !reached.length || !(sever.b === 0 || inView(sever.b - 1))) continue;
    const [high, low] = [Math.min(...reached.map(lane => top[lane])), Math.max(...reached.map(lane => top[lane]))];
    lines.append(el("line", { x1: x, x2: x, y1: high, y2: low + BOX + GAP, class: "cut" }));
  }
  for (const sign of run.signs) if (sign.b === 0 || inView(sign.b - 1)) {
    const x = sign.b === 0 ? left : after(sign.b - 1);
    lines.append(el("line", { x1: x, x2: x, y1: 0, y2: y, class: "sign" }));
  }
  for (const wait of waits) {
    const [a, z] = [after(wait.a), wait.z === null ? width : at(wait.z)];
    if (z - a < 3 || top[wait.l] === undefined) continue;
    under.append(el("line", { x1: a, x2: z, y1: middle(wait.l), y2: middle(wait.l), class: "waiting", style: `--hue: ${hue(wait.n)}` }));
    inside.append(el("text", { x: a + 4, y: middle(wait.l) - 5, class: "waiting", style: `--hue: ${hue(wait.n)}` }, cut(`waits for ${shortId(wait.n)}, held by ${wait.h}`, Math.floor((z - a - 6) / 6.1))));
  }
  for (const hold of holds) {
    if (top[hold.l] === undefined) continue;
    const x = at(hold.a) + Math.min(3, col / 4), end = hold.z === null ? width : after(hold.z) - Math.min(3, col / 4), bar = middle(hold.l) + BOX / 2 + 2 + TRACK * hold.track;
    const rect = el("rect", { x, y: bar, width: Math.max(2, end - x), height: TRACK - 2, rx: 3, class: "held", style: `--hue: ${hue(hold.n)}` });
    rect.append(el("title", {}, `${laneName(run, hold.l)} holds ${hold.n} from step ${hold.a} ${hold.z === null ? "on" : "to " + hold.z}${hold.s ? ", taken at " + hold.s : ""}`));
    boxes.append(rect);
    inside.append(el("text", { x: x + 4, y: bar + 8.5, class: "held" }, cut(shortId(hold.n), Math.floor((end - x - 8) / 6.1))));
  }
  // From the one box's edge to the other's; what is in between hides a line, and its ends are on top.
  const link = (kind, from, lane, step, aside) => {
    const source = run.polls[from - run.first].l;
    if (top[lane] === undefined || top[source] === undefined) return;
    const below = lane > source ? 1 : -1, [x, y] = [at(step) + Math.min(aside, col / 2), middle(lane) - below * BOX / 2];
    const line = { x1: after(from) - Math.min(aside, col / 2), y1: middle(source) + below * BOX / 2, x2: x, y2: y };
    lines.append(el("line", { ...line, class: kind, "data-a": from, "data-z": step }));
    ends.append(el("circle", { cx: x, cy: y, r: kind === "meet" ? 2.5 : 2, class: kind, "data-a": from, "data-z": step }));
  };
  for (const step of shown) {
    const poll = run.polls[step - run.first];
    if (view.wakes) for (const lane of poll.w || []) {
      const next = run.steps[lane][upper(run.steps[lane], step)];
      if (next !== undefined && inView(next)) link("wake", step, lane, next, 14);
    }
    // What was there when a task was spawned came with it.
    const met = new Set((poll.m || []).map(([start]) => start).filter(start => start > run.lanes[poll.l].a && inView(start)));
    if (view.meets) for (const start of met) link("meet", start, poll.l, step, 6);
  }
  let hits = 0;
  shown.forEach((step, place) => {
    const poll = run.polls[step - run.first], x = at(step), marked = run.marks.includes(step);
    if (top[poll.l] === undefined) return;
    const hit = view.isHit(run, poll);
    hits += hit ? 1 : 0;
    const classes = ["poll", phaseOf(run, poll), marked && "marked", hit && "hit", step >= run.over && "over"].filter(Boolean).join(" ");
    const gap = Math.min(1.5, col / 8);
    boxes.append(el("rect", { x: x + gap, y: middle(poll.l) - BOX / 2, width: Math.max(1, col - 2 * gap), height: BOX, class: classes, tabindex: place === 0 ? 0 : -1, role: "img",
      "aria-label": tell(run, which, step), "data-step": step, "data-run": which }));
    const room = Math.floor((col - 8) / LETTER), did = inShort(poll), then = poll.k ? poll.k.split(" at ")[0] : "";
    if (room < 3) return;
    const wait = waits.find(wait => wait.l === poll.l && wait.a === step), kind = wait ? "waiting" : "soft";
    const write = (text, line, kind) => inside.append(el("text", { x: x + 5, y: middle(poll.l) + line, class: kind, style: wait && kind ? `--hue: ${hue(wait.n)}` : undefined }, cut(text, room)));
    if (did && then) { write(did, -3, undefined); write(wait ? `${then} ${idOf(wait.n)}` : then, 10, kind); } else write(did || then, 4, did ? undefined : kind);
  });
  if (hidden) inside.append(el("text", { x: 12, y: y + 14, class: "region" }, `${hidden} tasks without a step here are not shown`));
  svg.append(under, lines, boxes, ends, inside);
  return { svg, axis: drawAxis(run, which, view, { left, col, after, inView, shown }), hits, steps: shown.length };
}

// The numbers above the lanes: steps or levels, virtual time, what was cancelled or struck, and the shares.
function drawAxis(run, which, view, { left, col, after, inView, shown }) {
  const { from, count, bands, width } = view;
  const shares = which === 0 && !bands && data.shares.length > 0, events = [];
  for (const sever of run.cuts) if (sever.b !== run.over && (sever.b === 0 || inView(sever.b - 1))) events.push([sever.b, `${sever.i ? "the lab cancels" : "cancels"} ${sever.n}`, "cut"]);
  for (const sign of run.signs) if (sign.b === 0 || inView(sign.b - 1)) events.push([sign.b, sign.n, "sign"]);
  const rows = { numbers: 13, times: bands ? 0 : 28 };
  let height = bands ? 18 : 33;
  if (events.length) { rows.events = height + 11; height += 16; }
  if (shares) { rows.shares = height; height += 24; }
  const svg = el("svg", { width, height, class: "axis", "aria-hidden": "true" });
  const label = (y, text) => svg.append(el("text", { x: 12, y, class: "region" }, text));
  label(rows.numbers, bands ? "level" : "step");
  const every = Math.max(1, Math.ceil(34 / col));
  const columns = bands ? Math.min(count, run.bands - from) : count;
  for (let column = 0; column < columns; column += 1) {
    const number = from + column;
    if (number % every === 0 && (bands || (number >= run.first && number <= run.last))) svg.append(el("text", { x: left + col * column + 4, y: rows.numbers, class: "soft" }, number));
  }
  if (!bands) {
    label(rows.times, "virtual time");
    let free = 0, told;
    for (const step of shown) {
      const time = run.polls[step - run.first].t, x = left + col * (step - from) + 4;
      if (time === told || x < free) continue;
      const text = timeText(time);
      svg.append(el("text", { x, y: rows.times, class: told === undefined ? "soft" : undefined }, text));
      told = time;
      free = x + LETTER * (text.length + 1);
    }
  }
  let free = 0;
  for (const [before, text, kind] of events.sort((a, b) => a[0] - b[0])) {
    const x = before === 0 ? left : after(before - 1), start = Math.max(Math.min(x + 3, width - LETTER * text.length), left);
    svg.append(el("line", { x1: x, x2: x, y1: rows.events - 9, y2: height, class: kind }));
    if (start < free) continue;
    svg.append(el("text", { x: start, y: rows.events, class: kind }, cut(text, Math.floor((width - start) / LETTER))));
    free = start + LETTER * (text.length + 1);
  }
  if (shares) {
    label(rows.shares + 14, "classes that fail");
    let told = "", free = 0;
    for (const step of shown) {
      const share = shareOf(step + 1), x = left + col * (step - from);
      if (!share || step >= run.over) continue;
      const [, failed, classes] = share, high = 18 * failed / classes, text = `${failed}/${classes}`;
      const base = el("rect", { x, y: rows.shares + 2, width: Math.max(1, col - .5), height: 18, class: "sharebase" });
      base.append(el("title", {}, `of the classes that begin with steps 0 to ${step}, ${failed} of ${classes} fail`));
      svg.append(base, el("rect", { x, y: rows.shares + 20 - high, width: Math.max(1, col - .5), height: high, class: "share", opacity: .35, "pointer-events": "none" }));
      if (text !== told && x >= free) {
        const written = failed === classes && !data.shares.some(other => other[1] === other[2] && other[0] < share[0]) && col > 90 ? `${text} decides` : text;
        svg.append(el("text", { x: x + 3, y: rows.shares + 15, class: "share", "pointer-events": "none" }, written));
        free = x + LETTER * (written.length + 1);
        told = text;
      }
    }
  }
  return svg;
}
// How many of the ordered numbers are not beyond this one.
function upper(numbers, number) {
  let [low, high] = [0, numbers.length];
  while (low < high) { const half = (low + high) >> 1; if (numbers[half] <= number) low = half + 1; else high = half; }
  return low;
}
