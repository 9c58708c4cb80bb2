"""The report: one page that shows what a backbone is worth, beside the one before it."""
