// Answers mouse, fingers, keys and buttons, and starts the page. Part of map.html.
let over = -1;
const pressed = new Map();
function hover(x, y) {
  over = nearest(x, y);
  showCard();
}
function showCard() {
  canvas.classList.toggle("over", over >= 0);
  element("card").hidden = element("ring").hidden = over < 0;
  if (over < 0) return;
  const side = pictureSize && hasThumbnail(over) ? pictureSize + 12 : 2 * (kinds[over] >= QUERY ? signSize(radius()) : radius()) + 12;
  Object.assign(element("ring").style, { width: side + "px", height: side + "px", left: screenX(over) - side / 2 + "px", top: screenY(over) - side / 2 + "px" });
  if (element("card").dataset.point !== String(over)) fillCard(over);
  placeCard(screenX(over), screenY(over), side / 2 + 6);
}
function fillCard(i) {
  const label = nameOf(data.label[i]), [score, probability] = data.queries[i - E] || [];
  element("card").dataset.point = i;
  element("label").textContent = kinds[i] === UNKNOWN ? "none of these" : label;
  element("note").replaceChildren(...{
    [PLAIN]: () => [],
    [SUSPECT]: () => ["labelled ", named(label), ", looks like ", named(data.suspects[i])],
    [QUERY]: () => ["query", ...(data.label[i] < 0 ? [] : [probability === null ? `, score ${score.toFixed(2)}` : `, probability ${probability.toFixed(2)}`])],
    [UNKNOWN]: () => ["query, closest is ", named(label)],
  }[kinds[i]]());
  element("note").classList.toggle("alert", kinds[i] === SUSPECT);
  element("id").textContent = data.id[i];
  element("picture").hidden = !hasThumbnail(i);
  if (hasThumbnail(i)) element("picture").src = thumbnail(i);
}
function placeCard(x, y, gap) {
  const card = element("card"), right = x + gap + card.offsetWidth > width ? x - gap - card.offsetWidth : x + gap;
  card.style.left = Math.max(8, Math.min(width - card.offsetWidth - 8, right)) + "px";
  card.style.top = Math.max(8, Math.min(height - card.offsetHeight - 8, y - card.offsetHeight / 2)) + "px";
}

canvas.onpointerdown = event => {
  pressed.set(event.pointerId, event);
  canvas.setPointerCapture(event.pointerId);
  canvas.classList.add("moving");
  hover(event.clientX, event.clientY);
};
canvas.onpointerup = canvas.onpointercancel = event => {
  pressed.delete(event.pointerId);
  canvas.classList.toggle("moving", pressed.size > 0);
};
canvas.onpointerleave = event => { if (event.pointerType === "mouse") hover(-1e9, -1e9); };
canvas.onpointermove = event => {
  if (!pressed.has(event.pointerId)) { hover(event.clientX, event.clientY); return; }
  const before = grip(pressed.values());
  pressed.set(event.pointerId, event);
  const after = grip(pressed.values());
  pan(after.x - before.x, after.y - before.y);
  if (pressed.size === 2 && before.span) zoom(after.span / before.span, after.x, after.y);
};
// The middle of one or two fingers, and how far apart they are.
function grip([first, second = first]) {
  return { x: (first.clientX + second.clientX) / 2, y: (first.clientY + second.clientY) / 2,
    span: Math.hypot(first.clientX - second.clientX, first.clientY - second.clientY) };
}
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  // Lines and pages, as some mice count, in pixels.
  const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
  zoom(Math.exp(-Math.max(-200, Math.min(200, pixels)) * .0022), event.clientX, event.clientY);
  hover(event.clientX, event.clientY);
}, { passive: false });
canvas.ondblclick = event => zoom(2, event.clientX, event.clientY);

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.onkeydown = event => {
  if (!(event.key in ARROWS)) return;
  event.preventDefault();
  const [dx, dy] = ARROWS[event.key];
  if (event.shiftKey) { pan(-60 * dx, -60 * dy); return; }
  const found = next(over, dx, dy);
  if (found < 0) return;
  over = found;
  // What lies outside comes to the middle.
  const free = room(), isInside = screenX(over) > 0 && screenX(over) < free.right && screenY(over) > free.top && screenY(over) < free.bottom;
  if (!isInside) pan(free.right / 2 - screenX(over), (free.top + free.bottom) / 2 - screenY(over));
  showCard();
};
canvas.onblur = () => { over = -1; showCard(); };
addEventListener("keydown", event => {
  if (event.target.id === "search" || event.ctrlKey || event.metaKey) return;
  if (event.key === "+" || event.key === "=") zoom(1.4);
  if (event.key === "-") zoom(1 / 1.4);
  if (event.key === "0") fit();
  if (event.key === "Escape") showAll();
});
function press(button) {
  const isPressed = button.getAttribute("aria-pressed") === "false";
  button.setAttribute("aria-pressed", isPressed);
  redraw();
  return isPressed;
}
element("in").onclick = () => zoom(1.4);
element("out").onclick = () => zoom(1 / 1.4);
element("fit").onclick = fit;
element("names").onclick = event => { hasNames = press(event.currentTarget); };
element("pictures").onclick = event => { hasPictures = press(event.currentTarget); };
element("all").onclick = showAll;
element("search").oninput = update;
element("search").hidden = data.labels.length <= 12;
element("pictures").hidden = !data.rest.some(Boolean);
element("panel").open = innerWidth > 640;
element("panel").ontoggle = () => { if (isFitted) fit(); };
addEventListener("resize", resize);
isDark.addEventListener("change", update);
showFacts();
update();
resize();
