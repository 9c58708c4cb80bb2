// Where the points lie on the screen: fit, zoom, and which point is near a place. Part of map.html.
const canvas = element("canvas"), context = canvas.getContext("2d");
const X = Float64Array.from(data.x), Y = Float64Array.from(data.y, y => -y);
// Drawn in an order without meaning, always the same, so that no label covers the others.
const order = Uint32Array.from({ length: N }, (_, i) => i);
let random = 1;
for (let i = N - 1; i > 0; i--) {
  random = (Math.imul(random, 1103515245) + 12345) >>> 0;
  const j = Math.floor(random / 4294967296 * (i + 1));
  [order[i], order[j]] = [order[j], order[i]];
}
const limits = values => N ? values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]) : [0, 1];
const [x0, x1] = limits(X), [y0, y1] = limits(Y);

let width = 0, height = 0, scale = 1, left = 0, top_ = 0, fitted = 1, isFitted = true, isPending = false;
let hasNames = true, hasPictures = true, pictureSize = 0, shrink = 1;
const screenX = i => X[i] * scale + left, screenY = i => Y[i] * scale + top_;
// By quarters of a pixel: so that marks are made anew only now and then.
const radius = () => Math.round(4 * Math.min(9, Math.max(1.75, 15 / Math.pow(N + 8, .2)) * Math.pow(scale / fitted, .35) * shrink)) / 4;
function redraw() {
  if (!isPending) { isPending = true; requestAnimationFrame(draw); }
}
// The free part of the screen: between the cards, wherever they lie.
function room() {
  const box = name => document.querySelector(name).getBoundingClientRect(), legend = box("aside"), isWide = width > 640;
  return { left: 0, right: isWide ? legend.left : width, top: box("header").bottom, bottom: isWide ? box("nav").top : legend.top };
}
function fit() {
  // With space for a picture and the name above it.
  const free = room(), w = Math.max(80, free.right - free.left - (width > 640 ? 96 : 56)), h = Math.max(80, free.bottom - free.top - 92);
  isFitted = true;
  shrink = Math.min(1, Math.sqrt(Math.min(w, h) / 450));
  scale = fitted = Math.min(w / (x1 - x0 || 1), h / (y1 - y0 || 1));
  left = (free.left + free.right) / 2 - scale * (x0 + x1) / 2;
  top_ = (free.top + free.bottom) / 2 + 10 - scale * (y0 + y1) / 2;
  redraw();
}
function zoom(factor, x, y) {
  const free = room(), next = Math.min(fitted * 400, Math.max(fitted * .4, scale * factor));
  const [fixedX, fixedY] = [x ?? (free.left + free.right) / 2, y ?? (free.top + free.bottom) / 2];
  left = fixedX - (fixedX - left) * next / scale;
  top_ = fixedY - (fixedY - top_) * next / scale;
  scale = next;
  isFitted = false;
  redraw();
}
function pan(dx, dy) {
  left += dx;
  top_ += dy;
  isFitted = false;
  redraw();
}
function resize() {
  [width, height] = [innerWidth, innerHeight];
  canvas.width = width * (devicePixelRatio || 1);
  canvas.height = height * (devicePixelRatio || 1);
  if (isFitted) fit(); else redraw();
}
// The shown point nearest to a place within reach, or -1. Queries, which lie on top, reach further.
function nearest(x, y) {
  let best = -1, least = Math.max(radius() + 7, pictureSize / 2) ** 2;
  for (let i = 0; i < N; i++) {
    const distance = ((screenX(i) - x) ** 2 + (screenY(i) - y) ** 2) * (i < E ? 1 : .5);
    if (distance < least && isShown(i)) { best = i; least = distance; }
  }
  return best;
}
// The next shown point in the direction of an arrow key, not more than 45 degrees aside; -1: none.
function next(from, dx, dy) {
  const free = room(), x = from < 0 ? (free.left + free.right) / 2 : screenX(from), y = from < 0 ? (free.top + free.bottom) / 2 : screenY(from);
  let best = -1, least = Infinity;
  for (let i = 0; i < N; i++) {
    const along = (screenX(i) - x) * dx + (screenY(i) - y) * dy, aside = Math.abs((screenX(i) - x) * dy) + Math.abs((screenY(i) - y) * dx);
    if (i !== from && along > 0 && aside <= along && along + 2 * aside < least && isShown(i)) { best = i; least = along + 2 * aside; }
  }
  return best;
}
