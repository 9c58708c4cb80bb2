// Which labels are answered for which: a matrix where labels are few, a list with images. Part of evaluation.html.
const MATRIX_LABELS = 20;
const labelNamed = new Map(data.labels.map(label => [label.label, label]));

function confusionRow(confusion) {
  const all = labelNamed.get(confusion.label)?.exemplar_count || confusion.exemplar_count, part = confusion.exemplar_count / all;
  const line = made("span.part");
  line.style.setProperty("--value", part);
  const words = made("div.words", made("p", nameOf(confusion.label), made("small", " answered "), nameOf(confusion.answer)),
    made("p.soft", line, `${number(confusion.exemplar_count)} of ${some(all, "exemplar")}`));
  const more = confusion.exemplar_count - confusion.exemplar_ids.length;
  const proofs = confusion.exemplar_ids.map(id => picture(id, confusion.label) || idButton(id));
  return made("li.confusion", words, made("div.proofs", ...proofs, more > 0 && proofs.length ? made("span.soft", `and ${number(more)} more`) : null));
}

function matrix() {
  const names = data.labels.map(label => label.label), place = new Map(names.map((name, at) => [name, at]));
  const found = new Map(data.confusions.map(confusion => [`${place.get(confusion.label)} ${place.get(confusion.answer)}`, confusion]));
  const corner = made("td.corner", made("small", "label \u2193 answered \u2192"));
  const heads = names.map(name => {
    const cell = made("th", made("span", nameOf(name)));
    cell.scope = "col";
    return cell;
  });
  const rows = data.labels.map((label, y) => {
    const head = made("th", nameOf(label.label));
    head.scope = "row";
    return made("tr", head, ...names.map((_, x) => x === y ? rightCell(label) : wrongCell(label, names[x], found.get(`${y} ${x}`))));
  });
  const table = made("table.matrix", made("tr", corner, ...heads), ...rows);
  return made("div.scroll", table);
}
function heated(cell, count, all, words) {
  cell.style.setProperty("--heat", Math.sqrt(count / all));
  cell.classList.toggle("hot", count / all > .3);
  cell.title = words;
  return cell;
}
function rightCell(label) {
  const count = label.recall === null ? 0 : Math.round(label.recall.value * label.recall.exemplar_count);
  return heated(made(count ? "td.right" : "td", count ? number(count) : ""), count, label.exemplar_count, `${label.label}: ${number(count)} of ${number(label.exemplar_count)} answered right`);
}
function wrongCell(label, answer, confusion) {
  if (!confusion) return made("td");
  const button = made("button", number(confusion.exemplar_count));
  button.onclick = () => { picked.replaceChildren(confusionRow(confusion)); };
  return heated(made("td.wrong", button), confusion.exemplar_count, label.exemplar_count, `${label.label} answered ${answer}: ${number(confusion.exemplar_count)} of ${number(label.exemplar_count)}. Click to see them.`);
}
// Those that were answered with another label, but whose confusion was too rare to be among the findings.
const wrong = data.accuracy ? Math.round((1 - data.accuracy.value) * data.accuracy.exemplar_count) : 0;
const untold = wrong - data.confusions.reduce((sum, confusion) => sum + confusion.exemplar_count, 0);
const picked = made("ul.confusions.picked");
const isSmall = data.labels.length > 1 && data.labels.length <= MATRIX_LABELS;
element("confusions").append(
  ...isSmall && data.accuracy ? [made("p.why", "Rows: what exemplars are labelled. Columns: what the others answer. Click a number to see them."), matrix(), picked] : [],
  ...data.confusions.length
    ? [made("h3", "The most frequent"), ...unfold(made("ul.confusions"), data.confusions, confusionRow, 8)]
    : [data.accuracy ? allGood("Every exemplar is answered with its own label.") : made("p.nothing", "No exemplar could be answered yet.")],
  untold > 0 ? made("p.why", `${some(untold, "exemplar")} more in rarer confusions, which are not on this page: ask for more findings.`) : "");
