// The table of labels: searched, sorted, the worst first. Part of evaluation.html.
const FIRST_LABELS = 12;
const share = part => label => label[part] === null ? -1 : label[part].value;
// By column: its heading, what it is sorted by, and whether the largest comes first.
const COLUMNS = [
  ["Label", label => label.label, false], ["Exemplars", label => label.exemplar_count, false],
  ["Recall", share("recall"), false], ["Precision", share("precision"), false], ["More exemplars", label => label.exemplars_needed, true],
];
const order = (a, b) => typeof a === "string" ? a.localeCompare(b) : a - b;
const worst = (a, b) => b.exemplars_needed - a.exemplars_needed || order(share("recall")(a), share("recall")(b)) || order(a.label, b.label);
const mostExemplars = data.labels.reduce((most, label) => Math.max(most, label.exemplar_count), 1);

function labelRow(label) {
  const count = made("span.count", number(label.exemplar_count)), needed = label.exemplars_needed;
  count.style.setProperty("--value", label.exemplar_count / mostExemplars);
  const advice = label.advice || needed ? made("span", needed ? made("b.chip", `+ ${number(needed)}`) : null, label.advice) : null;
  const cells = [nameOf(label.label), count, bar(label.recall), bar(label.precision), made("span.advice", advice)];
  const row = made("tr", ...cells.map((cell, at) => {
    const box = made(at ? "td" : "th", cell);
    box.dataset.name = COLUMNS[at][0];
    return box;
  }));
  row.firstChild.scope = "row";
  row.lastChild.title = label.advice;
  return row;
}
const rowOf = new Map(data.labels.map(label => [label, labelRow(label)]));
const body = made("tbody"), search = made("input.search");
let sorted = [...data.labels].sort(worst), isWhole = data.labels.length <= FIRST_LABELS + 3;
const wholeButton = made("button.more", `Show all ${number(data.labels.length)} labels`);
function showLabels() {
  const wanted = search.value.trim().toLowerCase(), found = sorted.filter(label => label.label.toLowerCase().includes(wanted));
  body.replaceChildren(...(isWhole || wanted ? found : found.slice(0, FIRST_LABELS)).map(label => rowOf.get(label)));
  wholeButton.hidden = isWhole || wanted !== "";
}
function heading([name, key, isDescending]) {
  const button = made("button", name), cell = made("th", button);
  cell.scope = "col";
  button.onclick = () => {
    const isTurned = cell.getAttribute("aria-sort") === (isDescending ? "descending" : "ascending"), sign = isTurned !== isDescending ? -1 : 1;
    for (const other of cell.parentNode.children) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    sorted = [...data.labels].sort((a, b) => sign * order(key(a), key(b)) || worst(a, b));
    showLabels();
  };
  return cell;
}
Object.assign(search, { type: "search", placeholder: "Find a label", oninput: showLabels, hidden: data.labels.length <= FIRST_LABELS });
search.setAttribute("aria-label", "Find a label");
wholeButton.onclick = () => { isWhole = true; showLabels(); };
element("labels").append(search, made("table", made("thead", made("tr", ...COLUMNS.map(heading))), body), wholeButton);
showLabels();
