"""gRPC, settings and everything that happens to every call."""
