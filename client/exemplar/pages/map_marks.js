// What a point looks like: its color, its shape, and the drawing of its kind. Part of map.html.
const isDark = matchMedia("(prefers-color-scheme: dark)"), styles = [new Map(), new Map()];
function style(name) {
  const known = styles[+isDark.matches];
  if (!known.has(name)) known.set(name, getComputedStyle(document.documentElement).getPropertyValue(name));
  return known.get(name);
}
// Exemplars come first, then queries.
const N = data.x.length, E = N - data.queries.length;
const PLAIN = 0, SUSPECT = 1, QUERY = 2, UNKNOWN = 3;
const kindOf = i => i < E ? (i in data.suspects ? SUSPECT : PLAIN) : data.queries[i - E][2] ? UNKNOWN : QUERY;
const kinds = Uint8Array.from({ length: N }, (_, i) => kindOf(i));
const nameOf = label => label < 0 ? "not classified" : data.labels[label] || "no label";
const color = label => label < 0 ? style("--soft") : (isDark.matches ? data.dark : data.light)[label];

// Corners of each shape, all about as large as a circle of radius 1.
const turned = (x, y, angle) => [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)];
const around = (count, angle, corners) =>
  Array.from({ length: count }, (_, k) => corners.map(([x, y]) => turned(x, y, angle + k * 2 * Math.PI / count))).flat();
const CROSS = [[1.3, -.45], [1.3, .45], [.45, .45]];
const CORNERS = {
  s: around(4, Math.PI / 4, [[1.25, 0]]), D: around(4, 0, [[1.3, 0]]), P: around(4, 0, CROSS), X: around(4, Math.PI / 4, CROSS),
  "^": around(3, -Math.PI / 2, [[1.4, 0]]), v: around(3, Math.PI / 2, [[1.4, 0]]),
  "*": around(5, -Math.PI / 2, [[1.5, 0], turned(.66, 0, Math.PI / 5)]),
};
// An SVG path: the legend shows it, the canvas draws it.
function outline(shape, x, y, r) {
  if (shape === "o") return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  return `M${CORNERS[shape].map(([dx, dy]) => `${x + dx * r} ${y + dy * r}`).join("L")}Z`;
}

// The pixels of each shape: place, coverage of a ring around it, coverage of the shape. Exemplars are
// written into an image pixel by pixel: with 20,000 of them 8 times as fast as one drawImage each
// (tests/bench/map_page.py).
let made = { key: "" };
function masks(r, ratio) {
  const key = `${r} ${ratio}`;
  if (made.key !== key) made = { key, masks: Object.fromEntries([...new Set(data.shapes)].map(shape => [shape, mask(shape, r, ratio)])) };
  return made.masks;
}
function mask(shape, r, ratio) {
  const half = Math.ceil((r * 1.45 + 2) * ratio), pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  pen.canvas.width = pen.canvas.height = 2 * half;
  const path = new Path2D(outline(shape, half, half, r * ratio)), pixels = [];
  // The ring keeps neighbors apart; on many small points it would only eat them.
  if (r > 2.6) stroke(pen, path, "#f00", 1.6 * ratio);
  pen.globalCompositeOperation = "lighter";
  pen.fillStyle = "#0f0";
  pen.fill(path);
  const { data: rgba } = pen.getImageData(0, 0, 2 * half, 2 * half);
  for (let at = 0; at < rgba.length; at += 4)
    if (rgba[at + 3]) pixels.push(at / 4 % (2 * half) - half, Math.floor(at / 8 / half) - half, rgba[at] * rgba[at + 3] / 255, rgba[at + 1] * rgba[at + 3] / 255);
  return Int16Array.from(pixels);
}
const parts = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
// Mixes a mark into an image at a pixel; all of it must lie inside.
function drawMark({ data: image, width }, pixels, x, y, ground, ink, alpha) {
  for (let k = 0; k < pixels.length; k += 4) {
    const at = 4 * ((y + pixels[k + 1]) * width + x + pixels[k]), ring = alpha * pixels[k + 2] / 255, share = alpha * pixels[k + 3] / 255;
    for (let part = 0; part < 3; part++) {
      const under = image[at + part] + (ground[part] - image[at + part]) * ring;
      image[at + part] = under + (ink[part] - under) * share;
    }
  }
}
function stroke(pen, path, ink, width) {
  pen.strokeStyle = ink;
  pen.lineWidth = width;
  pen.stroke(path);
}
// The sign of a kind: a ring around a suspect, a star for a query, "?" for one of none of the labels.
// Many signs are smaller.
const isCrowded = kinds.reduce((sum, kind) => sum + (kind !== PLAIN), 0) > 60;
const signSize = r => Math.max((isCrowded ? 5.5 : 7) * shrink, r * 1.5);
function drawSign(pen, kind, label, x, y, r) {
  const path = new Path2D(outline(kind === QUERY ? "*" : "o", x, y, kind === SUSPECT ? r + (isCrowded ? 2.2 : 3.5) : signSize(r)));
  stroke(pen, path, style("--ground"), isCrowded ? 3 : 5);
  if (kind === SUSPECT) { stroke(pen, path, style("--alert"), isCrowded ? 1.5 : 2.2); return; }
  pen.fillStyle = kind === QUERY ? color(label) : style("--ground");
  pen.fill(path);
  stroke(pen, path, style("--ink"), 1.6);
  if (kind === UNKNOWN) write(pen, "?", x, y + .5, signSize(r) * 1.5);
}
// The sign at the corner of a picture.
function drawBadge(pen, kind, label, x, y) {
  if (kind !== SUSPECT) { drawSign(pen, kind, label, x, y, 4); return; }
  const path = new Path2D(outline("o", x, y, 7));
  pen.fillStyle = style("--alert");
  stroke(pen, path, style("--ground"), 3);
  pen.fill(path);
  write(pen, "!", x, y + .5, 11, style("--ground"));
}
function write(pen, text, x, y, size, ink = style("--ink")) {
  pen.font = `700 ${size}px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillStyle = ink;
  pen.fillText(text, x, y);
}
