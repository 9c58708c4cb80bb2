"""Domain adaptation: what is added to training when labels exist in another domain only."""
