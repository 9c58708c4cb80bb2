// Draws the map on its canvas: marks, pictures, names. Part of map.html.
const PICTURES = 160;
const images = new Map(), members = data.labels.map(() => []);
for (const i of order) if (i < E && members[data.label[i]].length < 200) members[data.label[i]].push(i);
// A name stands above the densest heap of its label's exemplars, never in the void between two heaps.
// 200 of them, in random order, tell where most are.
const reach = Math.max(x1 - x0, y1 - y0) * .04;
const quantile = (values, share) => values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const anchors = members.map(own => {
  const heap = own.reduce((best, i) => {
    const near = own.filter(j => Math.hypot(X[i] - X[j], Y[i] - Y[j]) <= reach);
    return near.length > best.length ? near : best;
  }, []);
  return { x: quantile(heap.map(i => X[i]), .5), y: quantile(heap.map(i => Y[i]), .03) };
});

function draw() {
  isPending = false;
  const ratio = devicePixelRatio || 1, r = radius();
  const visible = order.filter(i => screenX(i) > -MARGIN / 2 && screenX(i) < width + MARGIN / 2 && screenY(i) > -MARGIN / 2 && screenY(i) < height + MARGIN / 2);
  const shown = visible.filter(isShown);
  const margin = Math.round(MARGIN * ratio), image = emptyImage(margin);
  if (shown.length < visible.length) drawExemplars(image, visible.filter(i => !isShown(i)), r, ratio, .08);
  drawExemplars(image, shown, r, ratio, N > 4000 ? .72 : .88);
  context.putImageData(image, -margin, -margin);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  for (const kind of [SUSPECT, QUERY, UNKNOWN])
    for (const i of shown) if (kinds[i] === kind) drawSign(context, kind, data.label[i], screenX(i), screenY(i), r);
  pictureSize = !hasPictures || shown.length > PICTURES ? 0 : Math.round((shown.length <= 40 ? 52 : 36) * shrink);
  if (pictureSize) [...shown].sort((a, b) => kinds[a] - kinds[b]).forEach(drawPicture);
  if (hasNames) drawNames();
  showCard();
}
// Larger than the screen: the largest mark fits in beside a point at the edge.
const MARGIN = 32;
let sheet = new ImageData(1, 1);
function emptyImage(margin) {
  const [w, h] = [canvas.width + 2 * margin, canvas.height + 2 * margin];
  if (sheet.width !== w || sheet.height !== h) sheet = new ImageData(w, h);
  const ground = Uint8Array.of(...parts(style("--ground")), 255);
  new Uint32Array(sheet.data.buffer).fill(new Uint32Array(ground.buffer)[0]);
  return sheet;
}
function drawExemplars(image, these, r, ratio, alpha) {
  const shapes = masks(r, ratio), ground = parts(style("--ground")), inks = data.labels.map((_, label) => parts(color(label)));
  const margin = Math.round(MARGIN * ratio);
  for (const i of these) {
    if (i >= E) continue;
    const label = data.label[i], x = Math.round(screenX(i) * ratio) + margin, y = Math.round(screenY(i) * ratio) + margin;
    drawMark(image, shapes[data.shapes[label]], x, y, ground, inks[label], alpha);
  }
}
function drawPicture(i) {
  if (!hasThumbnail(i)) return;
  if (!images.has(i)) {
    images.set(i, new Image());
    images.get(i).onload = redraw;
    images.get(i).src = thumbnail(i);
  }
  const image = images.get(i);
  if (!image.complete || !image.naturalWidth) return;
  const ratio = pictureSize / Math.max(image.naturalWidth, image.naturalHeight);
  const w = image.naturalWidth * ratio, h = image.naturalHeight * ratio, x = screenX(i) - w / 2, y = screenY(i) - h / 2;
  const frame = new Path2D();
  frame.roundRect(x, y, w, h, 6);
  context.save();
  context.clip(frame);
  context.drawImage(image, x, y, w, h);
  context.restore();
  if (kinds[i] !== PLAIN) stroke(context, frame, style(kinds[i] === SUSPECT ? "--alert" : "--ink"), 6);
  stroke(context, frame, kinds[i] === UNKNOWN ? style("--ground") : color(data.label[i]), 2.5);
  if (kinds[i] !== PLAIN) drawBadge(context, kinds[i], data.label[i], x + w, y);
}
function drawNames() {
  const lift = radius() + (pictureSize ? pictureSize / 2 + 4 : 9), boxes = [];
  for (const label of [...data.labels.keys()].sort((a, b) => counts[b] - counts[a])) {
    if (!members[label].length || !data.labels[label] || chosen.size && !chosen.has(label)) continue;
    const letters = [...data.labels[label]], text = letters.length > 28 ? letters.slice(0, 27).join("") + "\u2026" : data.labels[label];
    context.font = "600 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const half = context.measureText(text).width / 2 + 4, above = anchors[label].x * scale + left, y = anchors[label].y * scale + top_ - lift;
    // Not cut by the edge, as long as its exemplars are inside.
    const x = above < 0 || above > width ? above : Math.max(half, Math.min(width - half, above));
    if (boxes.some(box => Math.abs(box.x - x) < box.half + half && Math.abs(box.y - y) < 19)) continue;
    boxes.push({ x, y, half });
    context.lineWidth = 4;
    context.strokeStyle = style("--ground");
    context.strokeText(text, x, y);
    context.fillStyle = style("--ink");
    context.fillText(text, x, y);
  }
}
