"""What the service does, in numpy and the standard library."""
