"""Transfer learning, measured: what a backbone that knows one set is worth on another."""
