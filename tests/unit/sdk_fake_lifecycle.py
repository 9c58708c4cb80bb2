"""The fake server's part about what becomes of support sets."""

from __future__ import annotations

from copy import deepcopy

from exemplar.v1 import embedding_pb2, support_set_pb2


def not_found(path):
    return embedding_pb2.ItemError(
        reason=embedding_pb2.ERROR_REASON_NOT_FOUND, message=f"{path}: no"
    )


class FakeLifecycle:
    """A part of FakeServer, which has the rest."""

    def UpdateExemplars(self, request, context):
        self._enter(request, context)
        if request.request_id in self.answered:
            return self.answered[request.request_id]
        found = self._find(request.support_set, context)
        results = [self._update(found, i, update) for i, update in enumerate(request.updates)]
        found.revision = self._bump()
        response = support_set_pb2.UpdateExemplarsResponse(
            results=results, revision=found.revision, exemplar_count=len(found.exemplars)
        )
        self.answered[request.request_id] = response
        return response

    def _update(self, found, index, update):
        exemplar = found.exemplars.get(update.exemplar_id)
        if exemplar is None:
            return support_set_pb2.UpdateExemplarResult(error=not_found(f"updates[{index}]"))
        if update.HasField("label"):
            exemplar.label = update.label
        if update.HasField("metadata"):
            exemplar.ClearField("metadata")
            exemplar.metadata.update(update.metadata.entries)
        return support_set_pb2.UpdateExemplarResult(exemplar_id=update.exemplar_id)

    def UpdateSupportSet(self, request, context):
        self._enter(request, context)
        found = self._find(request.name, context)
        found.keep_images = request.keep_images
        pictured = [e for e in found.exemplars.values() if e.has_image and not request.keep_images]
        for exemplar in pictured:
            exemplar.has_image = False
        found.revision = self._bump()
        return support_set_pb2.UpdateSupportSetResponse(
            revision=found.revision,
            deleted_images=len(pictured),
            deleted_image_bytes=2 * len(pictured),
        )

    def CopySupportSet(self, request, context):
        self._enter(request, context)
        copy = deepcopy(self._find(request.support_set, context))
        copy.revision = self._bump()
        self.sets[request.new_name] = copy
        return support_set_pb2.CopySupportSetResponse(
            revision=copy.revision, exemplar_count=len(copy.exemplars)
        )

    def CreateSnapshot(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        found.snapshots[request.snapshot] = (found.revision, deepcopy(found.exemplars))
        return support_set_pb2.CreateSnapshotResponse(
            revision=found.revision, exemplar_count=len(found.exemplars)
        )

    def ListSnapshots(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        return support_set_pb2.ListSnapshotsResponse(
            snapshots=[
                support_set_pb2.Snapshot(
                    name=name, revision=revision, exemplar_count=len(exemplars)
                )
                for name, (revision, exemplars) in sorted(found.snapshots.items())
            ]
        )

    def DeleteSnapshot(self, request, context):
        self._enter(request, context)
        del self._find(request.support_set, context).snapshots[request.snapshot]
        return support_set_pb2.DeleteSnapshotResponse()

    def RollBackSupportSet(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        by_revision = dict(found.snapshots.values())
        name = request.snapshot
        rows = found.snapshots[name][1] if name else by_revision[request.revision]
        found.exemplars, found.revision = deepcopy(rows), self._bump()
        return support_set_pb2.RollBackSupportSetResponse(
            revision=found.revision, exemplar_count=len(found.exemplars)
        )

    def WarmUp(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        return support_set_pb2.WarmUpResponse(
            revision=found.revision, index_bytes=4096, warm_up_ms=1.5
        )

    def DeleteTenant(self, request, context):
        self._enter(request, context)
        if request.request_id in self.answered:
            return self.answered[request.request_id]
        response = support_set_pb2.DeleteTenantResponse(
            receipt=support_set_pb2.DeletionReceipt(support_sets=len(self.sets), image_bytes=7)
        )
        self.sets.clear()
        self.answered[request.request_id] = response
        return response
