"""Few-shot evaluation: episodes, the server's heads on them, and how sure the numbers are."""
