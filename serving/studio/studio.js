// The studio: requests a growing image from the service, and shows its stages as they arrive.

const DWELL = 480; // ms that each stage is shown at least, so that the eye can follow
const LAST_SEED = 2 ** 32 - 1;

const [picture, stages, controls, seed, truncation, variety, model, nature, labeled, label] = [
  "picture", "stages", "controls", "seed", "truncation", "variety", "model", "nature", "labeled", "label",
].map((id) => document.getElementById(id));
const [download, statusLine, errorBox] = ["download", "status", "error"].map((id) => document.getElementById(id));

const growth = picture.parentElement;

let models = [];
let growing = new AbortController(); // cancels the request in progress, on the service too

// --- The form and the address ---

function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

function step(by) {
  const from = Math.trunc(Number(seed.value)) || 0;
  seed.value = (from + by + LAST_SEED + 1) % (LAST_SEED + 1); // wraps around at both ends
  grow();
}

function readAddress() {
  const parameters = new URLSearchParams(location.search);
  seed.value = parameters.get("seed") ?? randomSeed();
  if (parameters.has("truncation")) truncation.value = parameters.get("truncation");
  const byDefault = models.find((each) => each.default).name;
  const name = parameters.get("model") ?? byDefault;
  const found = models.some((each) => each.name === name);
  model.value = found ? name : byDefault;
  offerLabels();
  if (!found) {
    showError(`There is no model “${name}” here. Choose one from the list.`);
    return false;
  }
  const of = parameters.get("label") ?? "";
  if (!chosenModel().labels.includes(of) && of !== "") {
    showError(`Model “${name}” has no label “${of}”. Choose one from the list.`);
    return false;
  }
  label.value = of;
  return true;
}

function writeAddress() {
  const chosen = new URLSearchParams({ seed: seed.value, model: model.value, truncation: truncation.value });
  if (label.value) chosen.set("label", label.value);
  history.replaceState(null, "", `?${chosen}`);
}

function chosenModel() {
  return models.find((each) => each.name === model.value);
}

// The labels of the chosen model, after the seed's own. The label chosen before stays chosen if the model has it.
function offerLabels() {
  const { labels } = chosenModel();
  const before = label.value;
  label.replaceChildren(new Option("drawn by the seed", ""), ...labels.map((name) => new Option(name, name)));
  label.value = labels.includes(before) ? before : "";
  labeled.hidden = labels.length === 0;
}

function describe() {
  variety.value = Math.round(truncation.value * 100) + " %";
  const { architecture, width, height } = chosenModel();
  nature.textContent = `${architecture}, grows to ${width} × ${height} pixels`;
}

// --- The growth ---

async function grow() {
  growing.abort();
  growing = new AbortController();
  const { signal } = growing;
  if (seed.value === "") seed.value = randomSeed();
  const request = { seed: Number(seed.value), model: model.value, truncation: Number(truncation.value) };
  if (label.value) request.label = label.value;
  writeAddress();
  describe();
  showError("");
  picture.setAttribute("aria-busy", "true");
  statusLine.textContent = "Growing …";
  let shownAt = -Infinity;
  let first = true;
  try {
    for await (const { event, data } of events("generate_progressive", request, signal)) {
      if (event !== "image") continue;
      await pause(shownAt + DWELL - performance.now());
      if (signal.aborted) return;
      if (first) {
        stages.replaceChildren();
        makeRoom(data);
      }
      first = false;
      addStage(data);
      shownAt = performance.now();
      const of = data.label === null ? "" : `, ${data.label}`;
      statusLine.textContent = `Seed ${data.seed}${of}, ${data.width} × ${data.height} (${data.index} of ${data.of})`;
    }
  } catch (problem) {
    if (signal.aborted) return;
    statusLine.textContent = "";
    showError(problem.message);
  }
  picture.setAttribute("aria-busy", "false");
}

// Server-sent events of a POST request; EventSource only sends GET.
async function* events(address, body, signal) {
  const headers = { "Content-Type": "application/json" };
  const response = await send(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new Error("The connection broke before the picture was complete. Press Grow to try again.");
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const [, event, data] = block.match(/^event: (.*)\ndata: (.*)$/);
      if (event === "done") return;
      yield { event, data: JSON.parse(data) };
    }
  }
}

async function send(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The service cannot be reached. Is it still running?");
  }
  if (response.ok) return response;
  const { error } = await response.json().catch(() => ({}));
  throw new Error(sentence(error ?? `the service failed (status ${response.status})`));
}

function sentence(words) {
  return words[0].toUpperCase() + words.slice(1) + (words.endsWith(".") ? "" : ".");
}

function pause(duration) {
  return new Promise((resume) => setTimeout(resume, duration));
}

// --- The display ---

// Sets the proportions of the picture's place on the page.
function makeRoom({ width, height }) {
  growth.style.setProperty("--ratio", width / height);
}

function addStage(data) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(image(data));
  button.setAttribute("aria-label", `Show it at ${data.width} by ${data.height} pixels`);
  button.addEventListener("click", () => show(data, button));
  const label = document.createElement("span");
  label.textContent = data.resolution;
  const item = document.createElement("li");
  item.style.setProperty("--weight", data.index + 2);
  item.append(button, label);
  stages.append(item);
  show(data, button);
}

function show(data, button) {
  const layer = image(data);
  layer.alt = `The picture of seed ${data.seed} at ${data.width} by ${data.height} pixels`;
  layer.addEventListener("animationend", () => {
    while (picture.firstChild !== layer) picture.firstChild.remove(); // those that it covers
  });
  picture.append(layer);
  for (const each of stages.querySelectorAll("button")) each.setAttribute("aria-pressed", each === button);
  download.href = layer.src;
  download.download = `${data.model}-${data.seed}-${data.resolution}.${data.format}`;
  download.removeAttribute("aria-disabled");
}

function image(data) {
  const element = new Image();
  element.src = `data:image/${data.format};base64,${data.image}`;
  element.alt = "";
  return element;
}

function showError(words) {
  errorBox.textContent = words;
  errorBox.hidden = !words;
}

// --- The controls ---

const share = document.getElementById("share");
share.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    statusLine.textContent = "Link copied.";
  } catch {
    statusLine.textContent = "Copy the link from the address bar."; // without HTTPS there is no clipboard
  }
});
controls.addEventListener("submit", (event) => {
  event.preventDefault();
  grow();
});
controls.noValidate = true; // the service validates, and its message is shown
document.getElementById("previous").addEventListener("click", () => step(-1));
document.getElementById("next").addEventListener("click", () => step(1));
document.getElementById("random").addEventListener("click", () => {
  seed.value = randomSeed();
  grow();
});
truncation.addEventListener("input", describe);
truncation.addEventListener("change", grow);
model.addEventListener("change", () => {
  offerLabels();
  grow();
});
label.addEventListener("change", grow);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const press = { ArrowLeft: "previous", ArrowRight: "next", r: "random" }[event.key];
  if (press) document.getElementById(press).click();
});

try {
  models = (await (await send("models")).json()).models;
  model.replaceChildren(...models.map((each) => new Option(each.name)));
  const valid = readAddress();
  makeRoom(chosenModel());
  if (valid) grow();
  else describe();
} catch (problem) {
  showError(problem.message);
}
