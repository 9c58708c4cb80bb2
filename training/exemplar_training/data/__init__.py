"""Labelled images: what holds them, where they lie, how they get there."""
