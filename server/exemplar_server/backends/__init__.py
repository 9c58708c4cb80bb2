"""One heavy library a file, each behind a port of core."""
