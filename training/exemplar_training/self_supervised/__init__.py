"""Learning from images without labels, a file for each paper."""
