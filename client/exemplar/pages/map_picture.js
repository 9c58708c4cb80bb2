// Saves what is seen as a PNG file, without the buttons. Part of map.html.
function savePicture() {
  draw();
  const ratio = devicePixelRatio || 1, sheet = document.createElement("canvas"), pen = sheet.getContext("2d");
  [sheet.width, sheet.height] = [canvas.width, canvas.height];
  pen.drawImage(canvas, 0, 0);
  pen.scale(ratio, ratio);
  copyCard(pen, document.querySelector("header"));
  for (const words of document.querySelectorAll("h1, #summary, .measures span")) copyWords(pen, words);
  if (element("panel").open) copyLegend(pen);
  sheet.toBlob(blob => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${data.support_set || "map"}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}
function copyCard(pen, card) {
  const box = card.getBoundingClientRect(), path = new Path2D();
  path.roundRect(box.left, box.top, box.width, box.height, 12);
  pen.fillStyle = style("--panel");
  pen.fill(path);
  stroke(pen, path, style("--line"), 1);
}
function copyLegend(pen) {
  const list = element("lists").getBoundingClientRect();
  copyCard(pen, document.querySelector("aside"));
  copyWords(pen, element("labels"));
  for (const made of [...kindRows, ...rows]) {
    const box = made.getBoundingClientRect();
    if (!box.height || box.top < list.top - 2 || box.bottom > list.bottom + 2) continue;
    pen.globalAlpha = getComputedStyle(made.firstChild).opacity;
    copyMark(pen, made.querySelector("svg"));
    for (const words of made.querySelectorAll("bdi, .count")) copyWords(pen, words);
    pen.globalAlpha = 1;
  }
}
function copyMark(pen, drawing) {
  const box = drawing.getBoundingClientRect(), path = drawing.querySelector("path"), look = getComputedStyle(path);
  pen.save();
  pen.translate(box.left + box.width / 2, box.top + box.height / 2);
  pen.scale(box.width / 18, box.height / 18);
  const shape = new Path2D(path.getAttribute("d"));
  if (look.fill !== "none") { pen.fillStyle = look.fill; pen.fill(shape); }
  if (look.stroke !== "none") stroke(pen, shape, look.stroke, parseFloat(look.strokeWidth));
  if (drawing.querySelector("text")) write(pen, "?", 0, .5, 11);
  pen.restore();
}
// One line, cut where its box ends.
function copyWords(pen, from) {
  const box = from.getBoundingClientRect(), look = getComputedStyle(from);
  if (!box.width) return;
  pen.save();
  pen.beginPath();
  pen.rect(box.left, box.top, box.width, box.height);
  pen.clip();
  pen.font = `${look.fontWeight} ${look.fontSize} ${look.fontFamily}`;
  pen.fillStyle = look.color;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillText(from.textContent, box.left + parseFloat(look.paddingLeft), box.top + box.height / 2);
  pen.restore();
}
element("save").onclick = savePicture;
// A notebook's frame may run this script, but save no file.
element("save").hidden = location.protocol === "about:";
