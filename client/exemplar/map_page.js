// The page of a map: draws the points, and answers mouse, keys and legend. Put into map_page.html.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);
const canvas = element("canvas"), context = canvas.getContext("2d");
const N = data.x.length, isDark = matchMedia("(prefers-color-scheme: dark)");
const counts = data.labels.map(() => 0);
data.label.forEach(label => counts[label]++);

// Neighbors in each list differ in hue and in lightness; the dark list lifts the dark colors.
const LIGHT = ["#2f6fde", "#e8590c", "#2b9a3e", "#c2255c", "#8a4fd8", "#0c96a5", "#d99a00", "#7c4a2d", "#e8609c", "#74a816",
  "#1c3f94", "#a61e1e", "#34b8cc", "#a58bf5", "#0b6b4b", "#f08c5a", "#7d7f1e", "#5c6b7a", "#5f2d91", "#f06565"];
const DARK = ["#5f9bff", "#ff8742", "#4fc765", "#ff5f96", "#b184ff", "#2cc4d3", "#f5c13d", "#c08c66", "#ff9ac8", "#a8dc4a",
  "#8fb0ff", "#e05252", "#7fe3f2", "#d2c2ff", "#3fae86", "#ffb48f", "#c2c45a", "#a3b1c0", "#c77dff", "#ff9c9c"];
// After a round of colors the shape changes and the hue turns a little.
const SHAPES = ["circle", "diamond", "triangle", "square"];
function color(label) {
  const base = (isDark.matches ? DARK : LIGHT)[label % 20], turn = Math.floor(label / 20) * 11;
  return turn ? `hsl(${hsl(base, turn)})` : base;
}
function hsl(hex, turn) {
  const [r, g, b] = [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255);
  const high = Math.max(r, g, b), low = Math.min(r, g, b), span = high - low || 1e-9, light = (high + low) / 2;
  const hue = high === r ? (g - b) / span + 6 : high === g ? (b - r) / span + 2 : (r - g) / span + 4;
  return `${(hue * 60 + turn) % 360} ${100 * span / (1 - Math.abs(2 * light - 1) || 1)}% ${100 * light}%`;
}
function shapePath(label, x, y, r) {
  const shape = SHAPES[Math.floor(label / 20) % 4], path = new Path2D();
  if (shape === "circle") { path.arc(x, y, r, 0, 7); return path; }
  const [first, corners, size] = { diamond: [0, 4, 1.25], triangle: [-Math.PI / 2, 3, 1.3], square: [Math.PI / 4, 4, 1.2] }[shape];
  for (let i = 0; i < corners; i++) {
    const angle = first + i * 2 * Math.PI / corners;
    path.lineTo(x + Math.cos(angle) * r * size, y + Math.sin(angle) * r * size);
  }
  path.closePath();
  return path;
}

// Drawn in an order without meaning, always the same, so that no label covers the others.
const order = Array.from({ length: N }, (_, i) => i);
let random = 1;
for (let i = N - 1; i > 0; i--) {
  random = (Math.imul(random, 1103515245) + 12345) >>> 0;
  const j = Math.floor(random / 4294967296 * (i + 1));
  [order[i], order[j]] = [order[j], order[i]];
}
// A name stands above the densest heap of its label's exemplars, never in the void between two heaps.
const quantile = (values, share) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const limits = values => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
const [x0, x1] = N ? limits(data.x) : [0, 1], [y0, y1] = N ? limits(data.y) : [0, 1];
const reach = Math.max(x1 - x0, y1 - y0) * .04;
const anchors = data.labels.map((_, label) => {
  // 200 of them, in random order, tell where most are.
  const own = order.filter(i => data.label[i] === label).slice(0, 200);
  const around = i => own.filter(j => Math.hypot(data.x[i] - data.x[j], data.y[i] - data.y[j]) < reach);
  const heap = own.map(around).reduce((best, next) => next.length > best.length ? next : best);
  return { x: quantile(heap.map(i => data.x[i]), .5), y: quantile(heap.map(i => data.y[i]), .97) };
});

const chosen = new Set(), images = new Map();
let width = 0, height = 0, scale = 1, left = 0, top_ = 0, fitted = 1, over = -1, isPending = false;
let hasNames = true, hasPictures = true, isFitted = true, pictureSize = 0;
const isShown = i => !chosen.size || chosen.has(data.label[i]);
const screenX = i => data.x[i] * scale + left, screenY = i => -data.y[i] * scale + top_;
const radius = () => Math.min(9, Math.max(1.7, 15 / Math.pow(N + 8, .2)) * Math.pow(scale / fitted, .35));

function redraw() {
  if (!isPending) { isPending = true; requestAnimationFrame(draw); }
}
function sprite(label, r, ratio) {
  const half = Math.ceil((r * 1.4 + 2) * ratio), made = document.createElement("canvas");
  made.width = made.height = half * 2;
  const pen = made.getContext("2d"), path = shapePath(label, half, half, r * ratio);
  // A ring in the ground's color keeps neighbors apart; on many small points it would only eat them.
  if (r > 2.6) { pen.lineWidth = 1.6 * ratio; pen.strokeStyle = style("--ground"); pen.stroke(path); }
  pen.fillStyle = color(label);
  pen.fill(path);
  return made;
}
const style = name => getComputedStyle(document.documentElement).getPropertyValue(name);
function draw() {
  isPending = false;
  const ratio = devicePixelRatio || 1, r = radius();
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const visible = order.filter(i => screenX(i) > -40 && screenX(i) < width + 40 && screenY(i) > -40 && screenY(i) < height + 40);
  const sprites = data.labels.map((_, label) => sprite(label, r, ratio));
  const solid = N > 4000 ? .72 : .88;
  for (const isOn of [false, true]) {
    context.globalAlpha = isOn ? solid : .08;
    for (const i of visible) {
      if (isShown(i) !== isOn) continue;
      const made = sprites[data.label[i]], size = made.width / ratio;
      context.drawImage(made, screenX(i) - size / 2, screenY(i) - size / 2, size, size);
    }
  }
  context.globalAlpha = 1;
  const shown = visible.filter(isShown);
  pictureSize = !hasPictures || shown.length > 160 || element("pictures").hidden ? 0 : shown.length <= 40 ? 52 : 36;
  if (pictureSize) shown.forEach(drawPicture);
  if (hasNames) drawNames();
  if (over >= 0) {
    context.lineWidth = 2.5;
    context.strokeStyle = style("--ink");
    context.stroke(shapePath(data.label[over], screenX(over), screenY(over), r + 2.5));
  }
}
function drawPicture(i) {
  if (!data.thumbnail[i]) return;
  if (!images.has(i)) {
    images.set(i, new Image());
    images.get(i).onload = redraw;
    images.get(i).src = "data:image/jpeg;base64," + data.thumbnail[i];
  }
  const image = images.get(i);
  if (!image.complete || !image.naturalWidth) return;
  const zoom = pictureSize / Math.max(image.naturalWidth, image.naturalHeight);
  const w = image.naturalWidth * zoom, h = image.naturalHeight * zoom, x = screenX(i) - w / 2, y = screenY(i) - h / 2;
  context.save();
  context.beginPath();
  context.roundRect(x, y, w, h, 6);
  context.save(); context.clip(); context.drawImage(image, x, y, w, h); context.restore();
  context.lineWidth = 2.5;
  context.strokeStyle = color(data.label[i]);
  context.stroke();
  context.restore();
}
function drawNames() {
  context.font = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const lift = radius() + (pictureSize ? pictureSize / 2 + 4 : 9);
  const boxes = [], byCount = [...data.labels.keys()].sort((a, b) => counts[b] - counts[a]);
  for (const label of byCount) {
    if (chosen.size && !chosen.has(label)) continue;
    const text = data.labels[label].length > 28 ? data.labels[label].slice(0, 27) + "\u2026" : data.labels[label];
    const half = context.measureText(text).width / 2 + 4;
    const x = anchors[label].x * scale + left, y = -anchors[label].y * scale + top_ - lift;
    if (boxes.some(box => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 19)) continue;
    boxes.push({ x, y, half });
    context.lineWidth = 4;
    context.strokeStyle = style("--ground");
    context.strokeText(text, x, y);
    context.fillStyle = style("--ink");
    context.fillText(text, x, y);
  }
}

function fit() {
  // Between the cards, wherever they lie, with space for a picture and the name above it.
  const box = name => document.querySelector(name).getBoundingClientRect(), legend = box("aside"), isWide = width > 640;
  const room = { left: isWide ? 56 : 32, right: isWide ? width - legend.left + 48 : 32, top: box("header").bottom + 56,
    bottom: height - (isWide ? box("nav") : legend).top + 40 };
  const w = Math.max(80, width - room.left - room.right), h = Math.max(80, height - room.top - room.bottom);
  isFitted = true;
  scale = fitted = Math.min(w / (x1 - x0 || 1), h / (y1 - y0 || 1));
  left = room.left + w / 2 - scale * (x0 + x1) / 2;
  top_ = room.top + h / 2 + scale * (y0 + y1) / 2;
  redraw();
}
function zoom(factor, x = (width - 264) / 2, y = height / 2) {
  const next = Math.min(fitted * 400, Math.max(fitted * .4, scale * factor));
  left = x - (x - left) * next / scale;
  top_ = y - (y - top_) * next / scale;
  scale = next;
  isFitted = false;
  redraw();
}
function resize() {
  [width, height] = [innerWidth, innerHeight];
  canvas.width = width * (devicePixelRatio || 1);
  canvas.height = height * (devicePixelRatio || 1);
  if (isFitted) fit(); else redraw();
}
function nearest(x, y) {
  let best = -1, least = (radius() + 7) ** 2;
  for (let i = 0; i < N; i++) {
    const distance = (screenX(i) - x) ** 2 + (screenY(i) - y) ** 2;
    if (distance < least && isShown(i)) { best = i; least = distance; }
  }
  return best;
}
function hover(x, y) {
  const found = nearest(x, y), card = element("card");
  if (found !== over) { over = found; redraw(); }
  canvas.classList.toggle("over", over >= 0);
  card.style.display = over >= 0 ? "flex" : "none";
  if (over < 0) return;
  element("label").textContent = data.labels[data.label[over]];
  element("id").textContent = data.id[over];
  element("picture").style.display = data.thumbnail[over] ? "block" : "none";
  if (data.thumbnail[over]) element("picture").src = "data:image/jpeg;base64," + data.thumbnail[over];
  const right = x + 18 + card.offsetWidth > width ? x - 18 - card.offsetWidth : x + 18;
  card.style.left = Math.max(8, right) + "px";
  card.style.top = Math.max(8, Math.min(height - card.offsetHeight - 8, y + 14)) + "px";
}
let held = null;
canvas.onpointerdown = event => { held = event; canvas.setPointerCapture(event.pointerId); canvas.classList.add("moving"); };
canvas.onpointerup = canvas.onpointercancel = () => { held = null; canvas.classList.remove("moving"); };
canvas.onpointerleave = () => hover(-1e9, -1e9);
canvas.onpointermove = event => {
  if (!held) { hover(event.clientX, event.clientY); return; }
  left += event.clientX - held.clientX;
  top_ += event.clientY - held.clientY;
  held = event;
  isFitted = false;
  redraw();
};
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  // Lines and pages, as some mice count, in pixels.
  const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
  zoom(Math.exp(-Math.max(-200, Math.min(200, pixels)) * .0022), event.clientX, event.clientY);
  hover(event.clientX, event.clientY);
}, { passive: false });
canvas.ondblclick = event => zoom(2, event.clientX, event.clientY);
addEventListener("resize", resize);
addEventListener("keydown", event => {
  if (event.target.id === "search") return;
  if (event.key === "+" || event.key === "=") zoom(1.4);
  if (event.key === "-") zoom(1 / 1.4);
  if (event.key === "0") fit();
  if (event.key === "Escape") { chosen.clear(); update(); }
});
element("in").onclick = () => zoom(1.4);
element("out").onclick = () => zoom(1 / 1.4);
element("fit").onclick = fit;
element("names").onclick = event => { hasNames = press(event.currentTarget); redraw(); };
element("pictures").onclick = event => { hasPictures = press(event.currentTarget); redraw(); };
element("all").onclick = () => { chosen.clear(); update(); };
element("search").oninput = update;
element("search").hidden = data.labels.length <= 12;
element("pictures").hidden = !data.thumbnail.some(Boolean);
function press(button) {
  const isPressed = button.getAttribute("aria-pressed") === "false";
  button.setAttribute("aria-pressed", isPressed);
  return isPressed;
}

const rows = data.labels.map((name, label) => {
  const row = document.createElement("li"), button = document.createElement("button");
  button.innerHTML = '<svg viewBox="-7 -7 14 14"><path></path></svg><span class="name"></span><span class="count"></span>';
  button.querySelector("path").setAttribute("d", {
    circle: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", diamond: "M0-6L6 0L0 6L-6 0Z", triangle: "M0-6L6 5H-6Z", square: "M-5-5H5V5H-5Z",
  }[SHAPES[Math.floor(label / 20) % 4]]);
  button.querySelector(".name").textContent = button.title = name;
  button.querySelector(".count").textContent = counts[label].toLocaleString("en");
  button.onclick = () => { chosen.delete(label) || chosen.add(label); update(); };
  row.append(button);
  element("legend").append(row);
  return row;
});
function update() {
  const wanted = element("search").value.trim().toLowerCase();
  rows.forEach((row, label) => {
    row.hidden = !data.labels[label].toLowerCase().includes(wanted);
    row.classList.toggle("off", chosen.size > 0 && !chosen.has(label));
    row.firstChild.setAttribute("aria-pressed", chosen.has(label));
    row.querySelector("path").setAttribute("fill", color(label));
  });
  element("all").style.visibility = chosen.size ? "visible" : "hidden";
  redraw();
}
const some = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
document.title = `${data.support_set} \u00b7 Exemplar map`;
element("title").textContent = data.support_set;
element("labels").textContent = some(data.labels.length, "label");
element("summary").textContent = [
  some(N, "exemplar"), `revision ${data.revision}`,
  data.perplexity ? `perplexity ${+data.perplexity.toFixed(1)}` : "too few for t-SNE: laid on a line",
  ...(data.perplexity ? [`KL ${data.kl_divergence.toFixed(3)}`] : []),
].join(" \u00b7 ");
element("summary").title = `embedding space ${data.fingerprint}`;
isDark.addEventListener("change", update);
update();
resize();
