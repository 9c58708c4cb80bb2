"""Greedy layer-wise pretraining: each layer learns alone, from what the layers below it say."""
