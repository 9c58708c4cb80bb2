// The heading, the accuracy, and what was found in numbers. Part of evaluation.html.
function showHeading() {
  document.title = `${data.support_set} \u00b7 Exemplar evaluation`;
  element("title").textContent = data.support_set;
  element("summary").textContent = [some(data.exemplar_count, "exemplar"), some(data.labels.length, "label"), `revision ${data.revision}`, `head ${data.head}`].join(" \u00b7 ");
  element("summary").title = `Embedding space ${data.fingerprint}`;
  element("imageless").hidden = hasImages || !(data.suspects.length || data.duplicates.length || data.confusions.length);
}
function showAccuracy() {
  const share = data.accuracy;
  if (share === null) {
    element("headline").append(made("p.big", "?"), made("p", "No label has two exemplars, so none can be answered by the others. Add a second exemplar to each label."));
    return;
  }
  const track = bar(share).firstChild;
  track.title = told(share);
  element("headline").append(
    made("p.big", percent(share.value)),
    made("p", "of the exemplars are answered right by the others. ", made("span.soft", `Between ${Math.round(share.low * 100)} and ${percent(share.high)} with 95 % confidence, measured on ${some(share.exemplar_count, "exemplar")}.`)),
    track, made("p.scale", made("span", "0"), made("span", "50 %"), made("span", "100 %")));
}
const needy = data.labels.filter(label => label.exemplars_needed > 0 || label.advice);
const contradictions = data.duplicates.filter(pair => pair.label !== pair.other_label);
function tile(section, count, words, kind) {
  const link = made(`a.${count ? kind : "fine"}`, made("b", number(count)), made("span", words));
  link.href = `#${section}`;
  // Without a change of address: a page in a notebook's frame has none of its own.
  link.onclick = event => { event.preventDefault(); element(section).scrollIntoView({ behavior: "smooth" }); };
  return link;
}
function showTiles() {
  const pairs = data.duplicates.length === 1 ? "near-duplicate pair" : "near-duplicate pairs";
  element("tiles").append(
    tile("suspects", data.suspects.length, "look like another label", "alert"),
    tile("duplicates", data.duplicates.length, contradictions.length ? `${pairs}, ${number(contradictions.length)} with two labels` : pairs, contradictions.length ? "alert" : "warn"),
    tile("labels", needy.length, `of ${some(data.labels.length, "label")} need more exemplars`, "warn"),
    tile("confusions", data.confusions.length, data.confusions.length === 1 ? "confusion of two labels" : "confusions of two labels", "warn"));
}
showHeading();
showAccuracy();
showTiles();
