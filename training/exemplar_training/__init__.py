"""Makes backbones and exports them as the artifacts that the server runs."""
