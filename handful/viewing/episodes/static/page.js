// Steps through recorded episodes: a picture of each state, and curves of stages and actions with the present step marked.
const $ = (id) => document.getElementById(id);
const COLORS = ["#4d9fff", "#ff8f7a", "#7ddc8a", "#ffd479", "#c792ea", "#5ad1cd", "#f472b6", "#a3a3a3", "#e6e9ec"];
let album = null, name = null, episode = null, step = 0, timer = null;
window.album = () => ({ name, step, steps: episode ? episode.stages.length - 1 : 0 });

async function load(path) {
  const answer = await fetch(path + location.search);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

async function choose(chosen) {
  name = chosen; episode = await load(`${chosen}.json`); step = 0;
  for (const button of $("episodes").children) button.classList.toggle("chosen", button.dataset.name === name);
  $("slider").max = episode.stages.length - 1;
  show();
}

function show() {
  const last = episode.stages.length - 1;
  step = Math.max(0, Math.min(last, step));
  $("slider").value = step;
  $("picture").src = `${name}/${step}.jpg${location.search}`;
  const actor = episode.acted_by && step < last ? `; the ${album.actors[episode.acted_by[step]]} acts` : "";
  $("where").textContent = `step ${step} of ${last}, ${(step * album.timestep).toFixed(2)} s; stage: ${album.stages[episode.stages[step]]}${actor}`;
  drawStages(last); drawActions(last);
}

function begin(id) {
  const canvas = $(id), pen = canvas.getContext("2d");
  pen.clearRect(0, 0, canvas.width, canvas.height);
  return [canvas, pen];
}
function mark(canvas, pen, last) {
  pen.strokeStyle = "#fff"; pen.beginPath();
  const x = canvas.width * step / last; pen.moveTo(x, 0); pen.lineTo(x, canvas.height); pen.stroke();
}

function drawStages(last) {
  const [canvas, pen] = begin("stages"), top = Math.max(1, album.stages.length - 1), width = canvas.width / last;
  episode.stages.forEach((stage, t) => {
    const height = 14 + 62 * stage / top;
    pen.fillStyle = `hsl(${210 - 80 * stage / top} 55% ${30 + 18 * stage / top}%)`;
    pen.fillRect(t * width, 86 - height, width + 1, height);
  });
  (episode.acted_by ?? []).forEach((actor, t) => { pen.fillStyle = COLORS[actor]; pen.fillRect(t * width, 94, width + 1, 10); });
  mark(canvas, pen, last);
}

function drawActions(last) {
  const [canvas, pen] = begin("actions");
  if (!episode.actions) {
    pen.fillStyle = "#9aa4ae"; pen.font = "15px sans-serif"; pen.fillText("no actions were recorded: states alone", 20, 40);
  } else {
    album.joints.forEach((_, joint) => {
      pen.strokeStyle = COLORS[joint % COLORS.length]; pen.beginPath();
      episode.actions.forEach((action, t) => pen.lineTo(canvas.width * t / last, canvas.height * (0.5 - 0.48 * action[joint])));
      pen.stroke();
    });
  }
  mark(canvas, pen, last);
}

function play() {
  if (timer) { clearInterval(timer); timer = null; $("play").textContent = "▶ play"; return; }
  $("play").textContent = "❚❚ pause";
  timer = setInterval(() => { if (step >= episode.stages.length - 1) play(); else { step += 1; show(); } }, 1000 * album.timestep);
}

$("before").onclick = () => { step -= 1; show(); };
$("after").onclick = () => { step += 1; show(); };
$("play").onclick = play;
$("slider").oninput = (event) => { step = Number(event.target.value); show(); };
addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || !episode) return;
  if (event.key === "ArrowRight") { step += 1; show(); } else if (event.key === "ArrowLeft") { step -= 1; show(); }
});

try {
  album = await load("episodes.json");
  $("title").textContent = `${album.file}: ${album.episodes.length} episodes of ${album.task}`;
  document.title = `handful: ${album.file}`;
  for (const each of album.episodes) {
    const button = document.createElement("button");
    button.dataset.name = each.name; button.onclick = () => choose(each.name);
    button.textContent = `${each.name}, ${(each.steps * album.timestep).toFixed(1)} s`;
    $("episodes").append(button);
  }
  const actors = album.actors.map((actor, i) => [actor, COLORS[i]]);
  for (const [words, color] of [...album.joints.map((joint, i) => [joint, COLORS[i % COLORS.length]]), ...actors]) {
    const item = document.createElement("span"); item.textContent = `— ${words}`; item.style.color = color; $("legend").append(item);
  }
  await choose(album.episodes[0].name);
} catch (error) { $("words").textContent = `That did not work: ${error.message}`; }
