"""The fake server's part about what becomes of support sets."""

from __future__ import annotations

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
