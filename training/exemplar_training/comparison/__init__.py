"""Ways to make a backbone, compared on the same few-shot episodes over seeds."""
