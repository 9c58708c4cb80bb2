// Pairs of exemplars that are nearly the same image, side by side. Part of evaluation.html.
function pairCard(pair) {
  const half = (id, label) => made("figure", picture(id, label), made("figcaption", nameOf(label), idButton(id)));
  const isContradiction = pair.label !== pair.other_label;
  const card = made(`li.card.pair${isContradiction ? ".alert" : ""}`,
    made("p.note", isContradiction ? made("b", "Two labels: one is wrong") : "One label", made("span.soft", `similarity ${pair.similarity.toFixed(3)}`)),
    half(pair.exemplar_id, pair.label), half(pair.other_exemplar_id, pair.other_label));
  return card;
}
// Those of two labels first: they harm.
const pairs = [...contradictions, ...data.duplicates.filter(pair => pair.label === pair.other_label)];
element("duplicates").append(...pairs.length
  ? unfold(made("ul.cards"), pairs, pairCard, 6)
  : [allGood("No two exemplars are nearly the same image.")]);
