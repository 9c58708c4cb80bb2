"""The blocking client's methods that take support sets into files and out of them."""

from __future__ import annotations

import os

from exemplar import transfer_plans
from exemplar.answers import SupportSet
from exemplar.memory import Memory
from exemplar.sync_driver import SyncDriver
from exemplar.v1 import transfer_pb2


class TransferMethods:
    """A part of Client, which sets the attributes."""

    _driver: SyncDriver
    _memory: Memory

    def export_support_set(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        min_revision: int | None = None,
        progress: bool = False,
        timeout_seconds: float = 3600.0,
    ) -> SupportSet:
        """Writes the support set with its embeddings and images to a file, of one revision.

        Returns what is in the file, without its labels. A file of that name is replaced when the
        new one is whole. It is a plain tar archive: manifest.json, images/<n>, exemplars.jsonl,
        embeddings.npy, and a checksum.
        """
        request = transfer_pb2.ExportSupportSetRequest(
            support_set=name, min_revision=self._memory.wanted_revision(name, min_revision)
        )
        return self._driver.run(
            transfer_plans.export_support_set(
                self._memory, request, path, progress, timeout_seconds
            )
        )

    def import_support_set(
        self,
        path: str | os.PathLike[str],
        name: str,
        *,
        reembed: bool = False,
        backbone: str = "",
        request_id: str | None = None,
        progress: bool = False,
        timeout_seconds: float = 3600.0,
    ) -> SupportSet:
        """A new support set from a file that export_support_set wrote, whole or not at all.

        Args:
            path: the file.
            name: of the new support set.
            reembed: embed the images anew, for files of a backbone that the server does not run.
            backbone: which one embeds them; default (empty) the server's default one.
            request_id: the one of an earlier try of the same call; default (None) a new one.
            progress: whether to draw a progress bar on a terminal.
            timeout_seconds: for sending, checking, embedding and storing together.
        """
        options = transfer_pb2.ImportOptions(
            name=name, reembed=reembed, backbone=backbone, request_id=request_id or ""
        )
        return self._driver.run(
            transfer_plans.import_support_set(
                self._memory, path, options, progress, timeout_seconds
            )
        )
