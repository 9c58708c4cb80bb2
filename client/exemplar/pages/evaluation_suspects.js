// Exemplars that are likely mislabelled, as cards. Part of evaluation.html.
function suspectCard(suspect) {
  const words = made("div.words",
    made("p", made("small", "labelled"), nameOf(suspect.label)),
    made("p.looks", made("small", "looks like"), nameOf(suspect.suggested_label)));
  const image = picture(suspect.exemplar_id, suspect.label, `labelled ${suspect.label}`);
  const suspicion = made("span.suspicion", `suspicion ${suspect.suspicion.toFixed(2)}`);
  suspicion.title = "From 0 to 1, higher is more suspicious. Not a probability.";
  suspicion.style.setProperty("--value", suspect.suspicion);
  return made("li.card", made("div.subject", image, words), speakers(suspect), made("div.foot", idButton(suspect.exemplar_id), suspicion));
}
// Who speaks for the suggested label.
function speakers(suspect) {
  if (!suspect.neighbors.length) return null;
  const likeness = neighbor => neighbor.similarity.toFixed(2);
  if (!hasImages) return made("div.soft", "because it is similar to", ...suspect.neighbors.map(neighbor => made("div.line", likeness(neighbor), idButton(neighbor.exemplar_id))));
  const figures = suspect.neighbors.map(neighbor => made("figure",
    picture(neighbor.exemplar_id, neighbor.label, `${neighbor.label}, similarity ${likeness(neighbor)}`), made("figcaption", likeness(neighbor))));
  return made("div.speakers", made("small", "because it is", made("br"), "similar to"), ...figures);
}
element("suspects").append(...data.suspects.length
  ? [copyAll(data.suspects.map(suspect => suspect.exemplar_id)), ...unfold(made("ul.cards"), data.suspects, suspectCard, 9)]
  : [allGood("No exemplar looks mislabelled.")]);
