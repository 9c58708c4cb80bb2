"""Protobuf enum numbers as words. A number that is newer than this SDK stays a number."""

from __future__ import annotations

from google.protobuf.descriptor import EnumDescriptor


def enum_name(enum: EnumDescriptor, number: int, prefix: str) -> str:
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(prefix) if value else str(number)
