"""The numbers that bound a request, announced by GetServerInfo, and those that bound a tenant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Every field is a maximum, 1 and more."""

    message_bytes: int = 16 * 2**20
    image_bytes: int = 10 * 2**20
    image_pixels: int = 25_000_000
    images_per_request: int = 64
    neighbors: int = 100
    label_characters: int = 128
    metadata_bytes: int = 4096
    map_points: int = 20_000
    snapshots: int = 10  # of a support set


@dataclass(frozen=True)
class Quotas:
    """What one tenant may store in all; 0 is no bound. Bytes are of embeddings and images."""

    exemplars: int = 0
    bytes: int = 0
