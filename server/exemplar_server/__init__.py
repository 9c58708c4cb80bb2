"""The Exemplar server: embeds images, keeps support sets, classifies by nearest neighbors."""
