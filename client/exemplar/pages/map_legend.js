// What the page says beside the map, and the filter: legend, search, heading. Part of map.html.
const counts = data.labels.map(() => 0), chosen = new Set(), chosenKinds = new Set();
for (let i = 0; i < E; i++) counts[data.label[i]]++;
// Of labels any that is chosen, of kinds any that is chosen, both where both are.
const isShown = i => (!chosen.size || chosen.has(data.label[i])) && (!chosenKinds.size || chosenKinds.has(kinds[i]));

function row(list, shape, name, count, choose) {
  const made = document.createElement("li"), button = document.createElement("button");
  button.innerHTML = `<svg viewBox="-9 -9 18 18" aria-hidden="true"><path d="${outline(shape, 0, 0, 6)}"></path></svg><bdi class="name"></bdi><span class="count"></span>`;
  button.querySelector(".name").textContent = button.title = name;
  button.querySelector(".count").textContent = count.toLocaleString("en");
  button.onclick = () => { choose(); update(); };
  made.append(button);
  element(list).append(made);
  return made;
}
const flip = (set, value) => () => { set.delete(value) || set.add(value); };
const KINDS = [[SUSPECT, "o", "likely mislabelled"], [QUERY, "*", "queries"], [UNKNOWN, "o", "none of these"]];
const kindRows = KINDS.map(([kind, shape, name]) => {
  const count = kinds.reduce((sum, other) => sum + (other === kind), 0);
  const made = row("kinds", shape, name, count, flip(chosenKinds, kind));
  made.hidden = !count;
  made.dataset.kind = kind;
  if (kind === UNKNOWN) made.querySelector("svg").insertAdjacentHTML("beforeend", '<text y="4" text-anchor="middle">?</text>');
  return made;
});
const rows = data.labels.map((name, label) => row("legend", data.shapes[label], nameOf(label), counts[label], flip(chosen, label)));

function update() {
  const wanted = element("search").value.trim().toLowerCase();
  const press = (made, set, value) => {
    made.classList.toggle("off", set.size > 0 && !set.has(value));
    made.firstChild.setAttribute("aria-pressed", set.has(value));
  };
  kindRows.forEach((made, at) => press(made, chosenKinds, KINDS[at][0]));
  rows.forEach((made, label) => {
    press(made, chosen, label);
    made.hidden = !nameOf(label).toLowerCase().includes(wanted);
    made.querySelector("path").style.fill = color(label);
  });
  element("all").style.visibility = chosen.size || chosenKinds.size ? "visible" : "hidden";
  redraw();
}
function showAll() {
  chosen.clear();
  chosenKinds.clear();
  update();
}
function showFacts() {
  const revision = data.revision ? [`revision ${data.revision}`] : [];
  const method = data.perplexity ? `perplexity ${+data.perplexity.toFixed(1)}` : "too few or too equal for t-SNE: laid on a line";
  document.title = `${data.support_set || "Images"} \u00b7 Exemplar map`;
  element("title").textContent = data.support_set || "Images";
  element("labels").textContent = some(data.labels.length, "label");
  element("summary").textContent = [some(E, data.revision ? "exemplar" : "image"), ...revision, ...(E ? [method] : [])].join(" \u00b7 ");
  element("summary").title = `KL divergence ${data.kl_divergence.toFixed(3)}; embedding space ${data.fingerprint}`;
  element("nothing").hidden = N > 0;
  showMeasure("trust", data.trustworthiness, share => `Trustworthiness ${share.toFixed(2)} of 1`,
    "How far points that lie side by side on this map are really alike, that is among the embeddings. 1: all of them are (Venna and Kaski 2001).");
  const best = data.embedding_label_agreement;
  showMeasure("agreement", data.label_agreement, share => `Among their own label: ${percent(share)}` + (best === null ? "" : ` (embeddings: ${percent(best)})`),
    "Share of the points whose 10 nearest on this map mostly have the point's label. Embeddings: the same before they were flattened to a map.");
}
function showMeasure(id, share, words, explanation) {
  element(id).hidden = share === null;
  if (share === null) return;
  element(id).textContent = words(share);
  element(id).title = explanation;
}
