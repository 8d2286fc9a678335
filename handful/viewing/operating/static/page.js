// The page of a person who demonstrates: sends the device's state, and shows the arm, the stage and what is kept.
import { Gamepads, Keyboard, SpaceMouse } from "./devices.js";
import { View3D } from "./view3d.js";

const $ = (id) => document.getElementById(id);
const view = new View3D($("space"));
const INPUT_PERIOD_MS = 33;
const state = { steers: false, free: true, status: null, scene: null, connected: false };
// For tests and benchmarks: what is shown, and delays from a change of input to the first motion [ms].
window.handful = { state, delays: [], poses: null };

let me = sessionStorage.getItem("handful-id");
if (!me) { me = crypto.randomUUID?.() ?? String(Math.random()).slice(2); sessionStorage.setItem("handful-id", me); }

let socket = null, number = 0, changed = null, lastSent = "";

function connect() {
  const url = new URL("socket" + location.search, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => { state.connected = true; send({ type: "claim", id: me }); };
  socket.onclose = () => {
    state.connected = false; state.steers = false;
    say("The connection is lost. What was recorded is kept; trying again…"); document.body.classList.add("lost");
    setTimeout(connect, 500);
  };
  socket.onmessage = (event) => (typeof event.data === "string" ? onText(JSON.parse(event.data)) : onBytes(event.data));
}

function send(message) { if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); }
function press(name) { send({ type: "press", name }); }

const keyboard = new Keyboard(() => sendInput(true), press);
const gamepads = new Gamepads(press), mouse = new SpaceMouse(press);

function sendInput(isChange) {
  if (!state.steers || document.hidden) return;
  const all = [keyboard.axes(), gamepads.axes(), mouse.axes()];
  const axes = all[0].map((_, i) => Math.max(-1, Math.min(1, all.reduce((sum, each) => sum + each[i], 0))));
  const text = JSON.stringify(axes);
  if (isChange && text === lastSent) return;
  number += 1;
  if (text !== lastSent && axes.some((value) => value !== 0)) changed = { at: performance.now(), number };
  lastSent = text;
  send({ type: "input", linear: axes.slice(0, 3), angular: axes.slice(3, 6), fingers: axes[6], engaged: true, number });
}
setInterval(() => sendInput(false), INPUT_PERIOD_MS);

function onText(message) {
  if (message.type === "scene") showScene(message);
  else if (message.type === "status") showStatus(message);
  else if (message.type === "role") {
    state.steers = message.steers; state.free = message.free;
    if (message.free && state.wasWatching === undefined) send({ type: "claim", id: me });
    if (!message.steers && !message.free) state.wasWatching = true;
    showRole();
  } else if (message.error) say(message.error);
}

function onBytes(buffer) {
  const kind = new Uint8Array(buffer, 0, 1)[0];
  if (kind === 2) {
    const old = $("camera").src;
    $("camera").src = URL.createObjectURL(new Blob([new Uint8Array(buffer, 1)], { type: "image/jpeg" }));
    if (old) URL.revokeObjectURL(old);
    return;
  }
  const poses = new Float32Array(buffer.slice(1));
  const before = window.handful.poses;
  if (changed && state.status && state.status.input >= changed.number && before && moved(before, poses)) {
    window.handful.delays.push(performance.now() - changed.at);
    changed = null;
  }
  window.handful.poses = poses;
  requestAnimationFrame(() => view.setPoses(poses));
}

function moved(before, after) { return before.length === after.length && after.some((v, i) => Math.abs(v - before[i]) > 2e-5); }

function showScene(message) {
  state.scene = message;
  document.title = `handful: ${message.task}`;
  $("task").textContent = message.task;
  view.setShapes(message.shapes);
  $("stages").replaceChildren(...message.stages.map((name) => element("li", name)));
  const rows = message.legend.map(([keys, does]) => { const row = element("tr"); row.append(element("td", keys), element("td", does)); return row; });
  $("legend").replaceChildren(...rows);
  $("mouse").hidden = !(message.steered_here && mouse.available);
}

function showStatus(status) {
  const before = state.status;
  state.status = status;
  say(state.steers || !state.scene?.steered_here ? status.message || hint(status) : roleWords());
  $("count").textContent = `kept ${status.kept} of ${status.wanted}, discarded ${status.discarded}`;
  [...$("stages").children].forEach((item, i) => {
    item.className = (i <= status.stage && i > 0 ? "reached " : "") + (i === status.stage ? "now" : "");
  });
  $("left").style.width = `${100 * status.seconds_left / (status.seconds + status.seconds_left)}%`;
  $("time").textContent = `${status.seconds.toFixed(1)} s, ${status.seconds_left.toFixed(1)} s left; ${status.phase}; speed ${status.speed}`;
  $("actor").textContent = `The ${status.actor} acts; the tool is ${(100 * status.tool[2]).toFixed(1)} cm high.`;
  $("automatic").checked = status.keep_automatically;
  const pad = gamepads.id ? `gamepad: ${gamepads.id}. ` : "";
  $("device").textContent = pad + (mouse.device ? `SpaceMouse: ${mouse.device.productName}.` : "");
  $("clock").textContent = `20 Hz, jitter ${status.jitter_ms} ms, ${status.missed} steps missed`;
  document.body.classList.toggle("lost", status.phase === "lost");
  if (before && status.successes > before.successes) celebrate();
}

function hint(status) {
  if (status.phase === "ready") return status.actor === "policy" ? "The policy acts." : "Move to begin.";
  return status.phase === "running" ? "" : status.phase;
}
function roleWords() { return state.free ? "Nobody steers: press Steer." : "Another browser steers; you watch."; }

function showRole() {
  for (const button of document.querySelectorAll("[data-press], #automatic")) button.disabled = !state.steers;
  let steer = $("steer");
  if (!state.steers && state.free && !steer) {
    steer = element("button", "Steer"); steer.id = "steer"; steer.onclick = () => send({ type: "claim", id: me });
    document.querySelector("header").append(steer);
  } else if (steer && (state.steers || !state.free)) steer.remove();
}

function celebrate() {
  document.body.classList.remove("solved"); void document.body.offsetWidth; document.body.classList.add("solved");
  if (!$("sound").checked) return;
  try {
    const context = new AudioContext(), gain = context.createGain(), tone = context.createOscillator();
    tone.connect(gain).connect(context.destination);
    tone.frequency.setValueAtTime(660, context.currentTime); tone.frequency.setValueAtTime(880, context.currentTime + 0.12);
    gain.gain.setValueAtTime(0.15, context.currentTime); gain.gain.exponentialRampToValueAtTime(0.001, context.currentTime + 0.4);
    tone.start(); tone.stop(context.currentTime + 0.4); tone.onended = () => context.close();
  } catch { /* no sound device */ }
}

function say(words) { if ($("message").textContent !== words) $("message").textContent = words; }
function element(tag, text = "") { const made = document.createElement(tag); made.textContent = text; return made; }

for (const button of document.querySelectorAll("[data-press]")) {
  button.addEventListener("click", () => { press(button.dataset.press); button.blur(); });
}
$("automatic").addEventListener("change", (event) => {
  send({ type: "setting", keep_automatically: event.target.checked }); event.target.blur();
});
$("sound").addEventListener("change", (event) => event.target.blur());
$("mouse").addEventListener("click", () => mouse.connect().catch((error) => say(String(error))));
window.handful.openSpaceMouse = (device) => mouse.open(device);
connect();
