// What the sections of an evaluation are made of: elements, images, ids, bars, lists that unfold. Part of evaluation.html.
function made(kind, ...inside) {
  const [tag, ...classes] = kind.split("."), node = document.createElement(tag);
  node.className = classes.join(" ");
  node.append(...inside.filter(part => part !== null));
  return node;
}
function nameOf(label) {
  const name = label === "" ? made("i", "no label") : named(label);
  name.title = label;  // where it is cut
  return name;
}

// Ids are what one needs to remove or relabel an exemplar: a click copies them.
function copy(text, words) {
  const say = () => {
    element("said").textContent = words;
    element("said").classList.add("new");
    setTimeout(() => element("said").classList.remove("new"), 1600);
  };
  // A notebook's frame may not write to the clipboard, but may copy what is selected.
  const select = () => {
    element("said").textContent = text;
    getSelection().selectAllChildren(element("said"));
    document.execCommand("copy");
    say();
  };
  if (navigator.clipboard && location.protocol !== "about:") navigator.clipboard.writeText(text).then(say, select); else select();
}
// Where there is little room the middle is left out: ends tell ids apart.
function idButton(id) {
  const button = made("button.id", made("span", id.slice(0, -8)), made("span", id.slice(-8)));
  button.title = `${id}: click to copy`;
  button.onclick = () => copy(id, `copied ${id}`);
  return button;
}
function copyAll(ids) {
  const button = made("button.quiet", ids.length === 1 ? "Copy its id" : `Copy all ${number(ids.length)} ids`);
  button.onclick = () => copy(ids.join("\n"), `copied ${some(ids.length, "id")}`);
  return button;
}

const imageOf = new Map(data.image_ids.map((id, i) => [id, i]));
const hasImages = data.rest.some(Boolean);
// null where no exemplar has one; a frame without an image where only this one has none.
function picture(id, label, words = label) {
  if (!hasImages) return null;
  const i = imageOf.get(id), frame = made("button.picture");
  frame.title = `${words}\n${id}: click to copy`;
  frame.setAttribute("aria-label", `${words}, ${id}`);
  frame.onclick = () => copy(id, `copied ${id}`);
  if (i === undefined || !hasThumbnail(i)) {
    frame.classList.add("missing");
    frame.append("no image");
  } else {
    const image = made("img");
    Object.assign(image, { src: thumbnail(i), alt: "", decoding: "async" });
    frame.append(image);
  }
  return frame;
}

// A share as a bar, its interval as a thin line over it.
const told = share => `${percent(share.value)}, 95 % interval ${Math.round(share.low * 100)} to ${percent(share.high)}, of ${some(share.exemplar_count, "exemplar")}`;
function bar(share) {
  if (share === null) return made("span.none", "\u2013");
  const track = made("span.track", made("span.value"), made("span.interval"));
  for (const part of ["value", "low", "high"]) track.style.setProperty(`--${part}`, share[part]);
  const whole = made("span.bar", track, made("b", percent(share.value)));
  whole.title = told(share);
  return whole;
}

// The first of many, and a button that shows more: not a thousand images at once, which take seconds.
const MORE = 60;
function unfold(list, items, build, first) {
  const button = made("button.more");
  const show = (from, to) => {
    list.append(...items.slice(from, to).map(build));
    const left = items.length - to;
    button.hidden = left <= 0;
    button.textContent = left > MORE ? `Show ${MORE} more of ${number(items.length)}` : `Show all ${number(items.length)}`;
    button.onclick = () => show(to, to + MORE);
  };
  show(0, first);
  return [list, button];
}
const allGood = words => made("p.nothing.good", words);
