"""Which blocks of a backbone to pool, and how: found on labelled images, before any training."""
