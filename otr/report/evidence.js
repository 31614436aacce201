// Evidence: a strip of verdicts for each cell of a table, and every completion behind it.
//
// What a model wrote becomes text nodes, formulas become MathML elements of a fixed list: nothing is ever parsed as HTML.

const evidence = JSON.parse(document.getElementById("evidence-data").textContent);
const viewer = document.getElementById("evidence");
const isPage = viewer.tagName !== "DIALOG";
const MATHML = "http://www.w3.org/1998/Math/MathML";
const MATH_TAGS = new Set(("mrow mi mn mo mtext mspace mfrac msqrt mroot msub msup msubsup munder mover munderover mtable"
  + " mtr mtd mstyle mpadded mphantom menclose math").split(" "));
const MARKS = {
  1: "right", 0: "wrong", t: "truncated", n: "no answer", u: "undecided", "-": "not there",
  A: "right, plain math-verify: wrong", B: "wrong, plain math-verify: right", C: "no answer, plain math-verify: right",
  D: "truncated, plain math-verify: right", E: "undecided, plain math-verify: right",
};
const SHOWN = {
  "": () => true, right: (m) => "1A".includes(m), wrong: (m) => "0B".includes(m), truncated: (m) => "tD".includes(m),
  none: (m) => "nC".includes(m), differ: (m) => "ABCDE".includes(m), undecided: (m) => "uE".includes(m),
};
const AT_ONCE = 400;
const chunks = new Map();
const controls = viewer.querySelector("form");
const state = { model: "", benchmarks: [], run: "", against: "", show: "", words: [], at: null, limit: AT_ONCE };

function element(tag, text, style) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (style) made.className = style;
  return made;
}

function label(name) {
  return Object.hasOwn(evidence.labels, name) ? evidence.labels[name] : name;
}

function stripOf(benchmark) {
  const key = `${state.model}/${benchmark}`;
  return Object.hasOwn(evidence.index, key) ? evidence.index[key] : { problems: [], runs: {}, chunks: [] };
}

/* The trainings of a row that have completions of a benchmark. */
function trainings(row, benchmark) {
  const runs = stripOf(benchmark).runs;
  return (evidence.rows[row] ?? []).filter((run) => Object.hasOwn(runs, run));
}

function marksOf(row, benchmark, place) {
  const runs = stripOf(benchmark).runs;
  return trainings(row, benchmark).flatMap((run) => runs[run].map((text, sample) => ({ run, sample, mark: text[place] })))
    .filter((one) => one.mark !== "-");
}

function isRight(marks) {
  return marks.length > 0 && 2 * marks.filter((one) => SHOWN.right(one.mark)).length >= marks.length;
}

async function unpacked(chunk) {
  if (!chunks.has(chunk.at)) {
    const packed = document.getElementById(chunk.at).textContent;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    chunks.set(chunk.at, JSON.parse(await new Response(stream).text()));
  }
  return chunks.get(chunk.at);
}

function chunkAt(benchmark, place) {
  return stripOf(benchmark).chunks.find((chunk) => chunk.from <= place && place < chunk.to);
}

function address(at) {
  return "#" + ["see", state.model, state.run, state.against, at.benchmark, at.place, at.run, at.sample]
    .map(encodeURIComponent).join("/");
}

function sourceText(parts, chunk) {
  return parts.map((part) => (typeof part === "number" ? chunk.math[part][0] : part)).join("");
}

async function textOf(benchmark, place) {
  const chunk = chunkAt(benchmark, place);
  if (!document.getElementById(chunk.at)) return "";
  const data = await unpacked(chunk);
  const problem = data.problems[place - chunk.from];
  const rows = [state.run, state.against].flatMap((row) => trainings(row, benchmark)).flatMap((run) => problem.runs[run] ?? []);
  return [problem.gold, ...rows.flatMap((row) => [data.prompts[row.p], sourceText(row.t, data), row.answer ?? ""])]
    .join("\n").toLowerCase();
}

async function isWanted(benchmark, place) {
  const own = marksOf(state.run, benchmark, place);
  if (!own.length) return false;
  if (state.show === "gained" || state.show === "lost") {
    const [mine, theirs] = [isRight(own), isRight(marksOf(state.against, benchmark, place))];
    if (state.show === "gained" ? !mine || theirs : mine || !theirs) return false;
  } else if (!own.some((one) => SHOWN[state.show](one.mark))) {
    return false;
  }
  if (!state.words.length) return true;
  const text = await textOf(benchmark, place);
  return state.words.every((word) => text.includes(word));
}

function square(one, row, benchmark, place) {
  const made = element("button", undefined, `square m${one.mark}`);
  made.type = "button";
  if (state.show in SHOWN && !SHOWN[state.show](one.mark) && row === state.run) made.classList.add("dim");
  const problem = stripOf(benchmark).problems[place];
  made.ariaLabel = `problem ${problem}, ${label(row)}, ${one.run} sample ${one.sample}: ${MARKS[one.mark]}`;
  made.title = made.ariaLabel;
  Object.assign(made.dataset, { benchmark, place, run: one.run, sample: one.sample, row });
  return made;
}

function cluster(benchmark, place) {
  const made = element("span", undefined, "problem");
  for (const row of [state.against, state.run]) {
    if (!row) continue;
    const line = element("span", undefined, "line");
    line.append(...marksOf(row, benchmark, place).map((one) => square(one, row, benchmark, place)));
    made.append(line);
  }
  return made;
}

let found = [];
let drawing = 0;

async function draw() {
  const mine = ++drawing;
  const wanted = [];
  for (const benchmark of state.benchmarks) {
    for (let place = 0; place < stripOf(benchmark).problems.length; place += 1) {
      if (await isWanted(benchmark, place)) wanted.push({ benchmark, place });
    }
  }
  // A later change of the filters has overtaken this one.
  if (mine !== drawing) return;
  found = wanted;
  const strips = viewer.querySelector(".strips");
  strips.replaceChildren();
  let strip = null;
  for (const { benchmark, place } of found.slice(0, state.limit)) {
    if (strip?.dataset.benchmark !== benchmark) {
      strips.append(element("h4", label(benchmark)));
      strip = element("div", undefined, "strip");
      strip.dataset.benchmark = benchmark;
      strips.append(strip);
    }
    strip.append(cluster(benchmark, place));
  }
  const all = state.benchmarks.reduce((sum, name) => sum + stripOf(name).problems.length, 0);
  viewer.querySelector(".count").textContent = `${found.length} of ${all} problems`;
  viewer.querySelector(".more").hidden = found.length <= state.limit;
  viewer.querySelector(".rows").textContent = state.against
    ? `Above ${label(state.against)}, below ${label(state.run)}; a square is a completion.` : "A square is a completion.";
  const at = state.at;
  if (at && found.some((one) => one.benchmark === at.benchmark && one.place === at.place)) await open(at);
  else await step(0);
}

/* The problem so many places further on among those found; 0 is the first. */
async function step(by) {
  const here = found.findIndex((one) => state.at && one.benchmark === state.at.benchmark && one.place === state.at.place);
  const next = found[by ? here + by : 0];
  if (by && !next) return;
  if (!next) {
    viewer.querySelector(".case").hidden = true;
    return;
  }
  const marks = marksOf(state.run, next.benchmark, next.place);
  const one = marks.find((each) => state.show in SHOWN && SHOWN[state.show](each.mark)) ?? marks[0];
  await open({ ...next, run: one.run, sample: one.sample });
}

async function open(at) {
  const chunk = chunkAt(at.benchmark, at.place);
  if (!document.getElementById(chunk.at)) {
    if (isPage || state.at) location.href = `${document.body.dataset.evidence}${chunk.file}${address(at)}`;
    else viewer.querySelector(".case").hidden = true;
    state.at = at;
    return;
  }
  state.at = at;
  const data = await unpacked(chunk);
  if (state.at !== at) return;
  const problem = data.problems[at.place - chunk.from];
  const isOwn = trainings(state.run, at.benchmark).includes(at.run);
  const [row, other] = isOwn ? [state.run, state.against] : [state.against, state.run];
  const shown = { [row]: { run: at.run, sample: at.sample } };
  if (other) shown[other] = counterpart(other, row, at);
  const room = viewer.querySelector(".case");
  room.hidden = false;
  room.querySelector("h3").textContent = `${label(at.benchmark)}, problem ${stripOf(at.benchmark).problems[at.place]}`;
  room.querySelector(".gold").replaceChildren("Right answer: ", element("b", problem.gold || "its tests"));
  const sides = [state.against, state.run].filter(Boolean).map((name) => side(name, shown[name], problem, data, at));
  room.querySelector(".sides").replaceChildren(...sides);
  const prompts = new Set(sides.map((made) => made.dataset.prompt).filter(Boolean));
  room.querySelector(".prompts").replaceChildren(...[...prompts].map((number) => promptOf(data.prompts[number], prompts.size)));
  viewer.querySelectorAll(".square[aria-current]").forEach((one) => one.removeAttribute("aria-current"));
  for (const one of viewer.querySelectorAll(".square")) {
    const { benchmark, place, run, sample } = one.dataset;
    if (benchmark === at.benchmark && Number(place) === at.place && run === at.run && Number(sample) === at.sample) {
      one.setAttribute("aria-current", "true");
    }
  }
  history.replaceState(null, "", address(at));
}

/* The other row's completion of the same training seed and sample, as far as it has one. */
function counterpart(other, row, at) {
  const runs = trainings(other, at.benchmark);
  const run = runs[trainings(row, at.benchmark).indexOf(at.run)] ?? runs[0];
  const samples = run ? stripOf(at.benchmark).runs[run].length : 0;
  return run ? { run, sample: Math.min(at.sample, samples - 1) } : null;
}

function promptOf(text, count) {
  const made = element("details", undefined, "prompt");
  const shown = element("pre", text);
  shown.tabIndex = 0;
  // A few-shot prompt is long and puts its question last.
  made.open = text.length < 1500;
  made.append(element("summary", count > 1 ? "Prompt (unlike for the two)" : "Prompt"), shown);
  return made;
}

function side(row, which, problem, data, at) {
  const made = element("article", undefined, `side ${evidence.styles[row] ?? ""}`);
  const completion = which && problem.runs[which.run]?.[which.sample];
  const head = element("header");
  const title = element("h4");
  title.append(element("i"), label(row));
  head.append(title);
  made.append(head);
  const marks = element("span", undefined, "line");
  marks.append(...marksOf(row, at.benchmark, at.place).map((one) => square(one, row, at.benchmark, at.place)));
  head.append(marks);
  if (!completion) {
    made.append(element("p", "No completion of this problem.", "note"));
    return made;
  }
  made.dataset.prompt = completion.p;
  const number = trainings(row, at.benchmark).indexOf(which.run);
  const many = trainings(row, at.benchmark).length > 1;
  head.append(element("span", completion.ok ? "right" : "wrong", `badge ${completion.ok ? "good" : "bad"}`));
  made.append(element("p", `${many ? `training ${number + 1}, ` : ""}sample ${which.sample + 1}`, "note"), facts(completion));
  const text = element("pre");
  text.tabIndex = 0;
  text.append(...(controls.elements.source.checked ? [sourceText(completion.t, data)] : completion.t.map((part) => pieces(part, data))));
  if (!completion.t.length) text.append("(empty)");
  made.append(text);
  return made;
}

function facts(completion) {
  const made = element("dl", undefined, "facts");
  const plain = completion.plain === undefined || completion.plain === completion.ok ? undefined
    : `${completion.plain ? "right" : "wrong"}${completion.rule ? `; decided by: ${completion.rule}` : ""}`;
  const entries = {
    "answer read": completion.answer ?? "none", "found by": completion.how, reason: completion.reason,
    "ended by": completion.finish, tokens: completion.tokens, "plain math-verify": plain,
  };
  for (const [name, value] of Object.entries(entries)) {
    if (value === undefined) continue;
    const entry = element("div");
    entry.append(element("dt", name), element("dd", String(value)));
    made.append(entry);
  }
  return made;
}

function pieces(part, data) {
  if (typeof part !== "number") return document.createTextNode(part);
  const [source, tree] = data.math[part];
  const made = document.createElementNS(MATHML, "math");
  if (source.startsWith("$$") || source.startsWith("\\[")) made.setAttribute("display", "block");
  made.append(mathematics(tree));
  const shown = element("span", undefined, "formula");
  shown.title = source;
  shown.append(made);
  return shown;
}

function mathematics(tree) {
  if (typeof tree === "string") return document.createTextNode(tree);
  const [tag, ...rest] = tree;
  const made = document.createElementNS(MATHML, MATH_TAGS.has(tag) ? tag : "mtext");
  for (const part of rest) {
    if (typeof part === "string" || Array.isArray(part)) made.append(mathematics(part));
    else for (const [name, value] of Object.entries(part)) made.setAttribute(name, value);
  }
  return made;
}

// Controls

function fill(select, names, chosen, first) {
  select.replaceChildren();
  for (const [value, text] of [...(first ? [first] : []), ...names.map((name) => [name, label(name)])]) {
    const option = element("option", text);
    option.value = value;
    select.append(option);
  }
  select.value = chosen;
}

function scoredRows() {
  return evidence.order.rows.filter((row) => state.benchmarks.some((name) => trainings(row, name).length));
}

function refresh() {
  const fields = controls.elements;
  fill(fields.model, evidence.order.models, state.model);
  const names = evidence.order.benchmarks.filter((name) => Object.hasOwn(evidence.index, `${state.model}/${name}`));
  const several = state.benchmarks.length > 1 ? ["", `${state.benchmarks.length} benchmarks`] : undefined;
  fill(fields.benchmark, names, several ? "" : state.benchmarks[0], several);
  fill(fields.run, scoredRows(), state.run);
  fill(fields.against, scoredRows().filter((row) => row !== state.run), state.against, ["", "nothing"]);
  fields.show.value = state.show;
  for (const option of fields.show.options) {
    option.disabled = ["gained", "lost"].includes(option.value) && !state.against;
  }
  const where = state.benchmarks.length > 3 ? `${state.benchmarks.length} benchmarks` : state.benchmarks.map(label).join(", ");
  viewer.querySelector("h2").textContent = `${label(state.run)} on ${where}`;
  viewer.querySelector(".kicker").textContent = label(state.model);
}

function see(model, benchmarks, run, { against, show = "", at = null } = {}) {
  Object.assign(state, { model, run, show, at, words: [], limit: AT_ONCE });
  state.benchmarks = benchmarks.filter((name) => Object.hasOwn(evidence.index, `${model}/${name}`));
  const fallback = evidence.against[run] ?? "";
  state.against = against ?? (scoredRows().includes(fallback) ? fallback : "");
  controls.elements.text.value = "";
  refresh();
  if (!isPage && !viewer.open) viewer.showModal();
  draw();
}

controls.addEventListener("submit", (event) => event.preventDefault());
controls.addEventListener("input", (event) => {
  const fields = controls.elements;
  state.limit = AT_ONCE;
  state.model = fields.model.value;
  if (fields.benchmark.value) state.benchmarks = [fields.benchmark.value];
  state.benchmarks = state.benchmarks.filter((name) => Object.hasOwn(evidence.index, `${state.model}/${name}`));
  state.run = fields.run.value;
  state.against = fields.against.value === state.run ? "" : fields.against.value;
  state.show = fields.show.value;
  state.words = wordsOf(fields.text);
  if (event.target.tagName === "SELECT") refresh();
  draw();
});
viewer.addEventListener("click", (event) => {
  const one = event.target.closest(".square");
  if (one) {
    const { benchmark, place, run, sample } = one.dataset;
    open({ benchmark, place: Number(place), run, sample: Number(sample) })
      .then(() => { if (innerWidth < 900) viewer.querySelector(".case").scrollIntoView(); });
  }
});
viewer.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by && !["INPUT", "SELECT", "PRE"].includes(event.target.tagName)) {
    event.preventDefault();
    step(by);
  }
});
viewer.querySelector(".previous").addEventListener("click", () => step(-1));
viewer.querySelector(".next").addEventListener("click", () => step(1));
viewer.querySelector(".more").addEventListener("click", () => { state.limit += AT_ONCE; draw(); });
viewer.querySelector(".close")?.addEventListener("click", () => viewer.close());
viewer.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
document.addEventListener("click", (event) => {
  const cell = event.target.closest("[data-see]");
  if (!cell) return;
  const [model, run, benchmarks, against, show] = cell.dataset.see.split("|");
  see(model, benchmarks.split(","), run, { against: against || undefined, show });
});

/* Escapes of an address that was cut or typed may be broken. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function followAddress() {
  const [kind, model, run, against, benchmark, place, training, sample] = location.hash.slice(1).split("/").map(decoded);
  if (kind !== "see" || !Object.hasOwn(evidence.index, `${model}/${benchmark}`) || !Object.hasOwn(evidence.rows, run)) {
    return false;
  }
  const known = Number(place) < evidence.index[`${model}/${benchmark}`].problems.length;
  const at = { benchmark, place: Number(place), run: training, sample: Number(sample) };
  see(model, [benchmark], run, { against, at: training && known ? at : null });
  return true;
}

if (!followAddress() && isPage) {
  const [model, benchmark] = Object.keys(evidence.index)[0].split("/");
  see(model, [benchmark], evidence.order.rows.find((row) => evidence.rows[row].some((run) => run in evidence.index[`${model}/${benchmark}`].runs)));
}
