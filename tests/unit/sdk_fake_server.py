"""A small honest server for the SDK's tests: exemplars in dicts, request ids remembered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import grpc

from exemplar.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    classification_pb2,
    classification_pb2_grpc,
    embedding_pb2,
    embedding_pb2_grpc,
    support_set_pb2,
    support_set_pb2_grpc,
)
from unit.sdk_fake_calibration import calibration, judged
from unit.sdk_fake_evaluations import FakeEvaluations
from unit.sdk_fake_lifecycle import FakeLifecycle
from unit.sdk_fake_maps import FakeMaps
from unit.sdk_fake_vectors import DIM, FINGERPRINT, cosine, embedding, undecodable, vector

IMAGES_PER_REQUEST = 4
IMAGE_BYTES = 1000


@dataclass
class FakeSet:
    revision: int
    keep_images: bool
    exemplars: dict[str, support_set_pb2.Exemplar] = field(default_factory=dict)
    snapshots: dict[str, tuple[int, dict[str, support_set_pb2.Exemplar]]] = field(
        default_factory=dict
    )


@dataclass
class Failure:
    """How the next call ends, before it does anything."""

    code: grpc.StatusCode
    details: str = "said the test"
    trailers: tuple[tuple[str, str], ...] = ()


class FakeServer(
    admin_pb2_grpc.ServerServiceServicer,
    embedding_pb2_grpc.EmbeddingServiceServicer,
    classification_pb2_grpc.ClassificationServiceServicer,
    FakeEvaluations,
    FakeLifecycle,
    FakeMaps,
    support_set_pb2_grpc.SupportSetServiceServicer,
):
    def __init__(self):
        self.sets: dict[str, FakeSet] = {}
        self.answered: dict[str, object] = {}
        self.requests: list[object] = []
        self.metadata: list[dict[str, str]] = []
        self.failures: deque[Failure] = deque()
        self.revision = 0
        self.store_epoch = "epoch-1"
        self.message_bytes = 64 * 1024 + 2048

    def seen(self, kind):
        return [request for request in self.requests if isinstance(request, kind)]

    def _enter(self, request, context):
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.failures:
            failure = self.failures.popleft()
            context.set_trailing_metadata(failure.trailers)
            context.abort(failure.code, failure.details)

    def _find(self, name, context):
        if name not in self.sets:
            context.set_trailing_metadata((("exemplar-reason", "NOT_FOUND"),))
            context.abort(grpc.StatusCode.NOT_FOUND, f"support_set: no {name!r}")
        return self.sets[name]

    def _bump(self):
        self.revision += 1
        return self.revision

    def GetServerInfo(self, request, context):
        self._enter(request, context)
        return admin_pb2.GetServerInfoResponse(
            version="9.9.9",
            limits=admin_pb2.Limits(
                message_bytes=self.message_bytes,
                image_bytes=IMAGE_BYTES,
                images_per_request=IMAGES_PER_REQUEST,
                neighbors=100,
            ),
            backbones=[self._backbone()],
            execution_provider="FakeProvider",
            tenant="acme",
            store_epoch=self.store_epoch,
        )

    def _backbone(self):
        return embedding_pb2.Backbone(
            name="fake", version="1", fingerprint=FINGERPRINT, dim=DIM, accuracy={"fake_5way": 0.5}
        )

    def ListBackbones(self, request, context):
        self._enter(request, context)
        return embedding_pb2.ListBackbonesResponse(backbones=[self._backbone()])

    def Embed(self, request, context):
        self._enter(request, context)
        return embedding_pb2.EmbedResponse(
            results=[
                embedding_pb2.EmbedResult(error=undecodable(f"images[{i}]"))
                if image.startswith(b"bad")
                else embedding_pb2.EmbedResult(embedding=embedding(image))
                for i, image in enumerate(request.images)
            ],
            fingerprint=FINGERPRINT,
        )

    def CreateSupportSet(self, request, context):
        self._enter(request, context)
        if request.request_id in self.answered:
            return self.answered[request.request_id]
        if request.name in self.sets:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, "name: taken")
        self.sets[request.name] = FakeSet(self._bump(), request.keep_images)
        response = support_set_pb2.CreateSupportSetResponse(
            support_set=self._describe(request.name)
        )
        self.answered[request.request_id] = response
        return response

    def _describe(self, name):
        found = self.sets[name]
        labels = [exemplar.label for exemplar in found.exemplars.values()]
        return support_set_pb2.SupportSet(
            name=name,
            revision=found.revision,
            fingerprint=FINGERPRINT,
            backbone="fake",
            dim=DIM,
            exemplar_count=len(found.exemplars),
            keep_images=found.keep_images,
            labels=[
                support_set_pb2.LabelCount(label=label, exemplar_count=labels.count(label))
                for label in sorted(set(labels))
            ],
        )

    def GetSupportSet(self, request, context):
        self._enter(request, context)
        self._find(request.name, context)
        return support_set_pb2.GetSupportSetResponse(support_set=self._describe(request.name))

    def ListSupportSets(self, request, context):
        self._enter(request, context)
        names = sorted(name for name in self.sets if name > request.page_token)
        page = names[: request.page_size or 2]
        return support_set_pb2.ListSupportSetsResponse(
            support_sets=[self._describe(name) for name in page],
            next_page_token=page[-1] if len(page) < len(names) else "",
        )

    def DeleteSupportSet(self, request, context):
        self._enter(request, context)
        found = self._find(request.name, context)
        del self.sets[request.name]
        return support_set_pb2.DeleteSupportSetResponse(
            deleted_exemplar_count=len(found.exemplars),
            revision=self._bump(),
            receipt=support_set_pb2.DeletionReceipt(
                support_sets=1, exemplars=len(found.exemplars), snapshots=len(found.snapshots)
            ),
        )

    def AddExemplars(self, request, context):
        self._enter(request, context)
        if request.request_id in self.answered:
            return self.answered[request.request_id]
        found = self._find(request.support_set, context)
        results = [self._add(found, i, new) for i, new in enumerate(request.exemplars)]
        found.revision = self._bump()
        response = support_set_pb2.AddExemplarsResponse(
            results=results, revision=found.revision, exemplar_count=len(found.exemplars)
        )
        self.answered[request.request_id] = response
        return response

    def _add(self, found, index, new):
        if new.image.startswith(b"bad"):
            return support_set_pb2.AddExemplarResult(error=undecodable(f"exemplars[{index}]"))
        exemplar_id = new.exemplar_id or f"id-{len(found.exemplars):05}"
        found.exemplars[exemplar_id] = support_set_pb2.Exemplar(
            exemplar_id=exemplar_id,
            label=new.label,
            metadata=new.metadata,
            has_image=True,
            embedding=embedding(new.image) if new.image else new.embedding,
        )
        return support_set_pb2.AddExemplarResult(exemplar_id=exemplar_id)

    def RemoveExemplars(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        results = []
        for i, exemplar_id in enumerate(request.exemplar_ids):
            if found.exemplars.pop(exemplar_id, None) is None:
                missing = embedding_pb2.ItemError(
                    reason=embedding_pb2.ERROR_REASON_NOT_FOUND, message=f"exemplar_ids[{i}]: no"
                )
                results.append(support_set_pb2.RemoveExemplarResult(error=missing))
            else:
                results.append(support_set_pb2.RemoveExemplarResult(exemplar_id=exemplar_id))
        found.revision = self._bump()
        return support_set_pb2.RemoveExemplarsResponse(
            results=results, revision=found.revision, exemplar_count=len(found.exemplars)
        )

    def ListExemplars(self, request, context):
        self._enter(request, context)
        found = self._find(request.support_set, context)
        ids = sorted(key for key in found.exemplars if key > request.page_token)
        page = ids[: request.page_size or 2]
        return support_set_pb2.ListExemplarsResponse(
            exemplars=[found.exemplars[key] for key in page],
            next_page_token=page[-1] if len(page) < len(ids) else "",
            revision=found.revision,
        )

    def Classify(self, request, context):
        self._enter(request, context)
        return self._classify(request, self._find(request.support_set, context))

    def _classify(self, request, found):
        return classification_pb2.ClassifyResponse(
            answers=[
                judged(self._answer(found, i, query), request)
                for i, query in enumerate(request.queries)
            ],
            calibration=calibration(request),
            approximate=not request.exact,
            revision=found.revision,
            fingerprint=FINGERPRINT,
            head=request.head or classification_pb2.HEAD_KNN,
        )

    def _answer(self, found, index, query):
        if query.image.startswith(b"bad"):
            return classification_pb2.Answer(error=undecodable(f"queries[{index}]"))
        wanted = vector(query.image) if query.image else query.embedding.values
        ranked = sorted(
            (-cosine(wanted, exemplar.embedding.values), exemplar.exemplar_id, exemplar.label)
            for exemplar in found.exemplars.values()
        )
        neighbors = [
            classification_pb2.Neighbor(exemplar_id=key, label=label, similarity=-distance)
            for distance, key, label in ranked
        ]
        return classification_pb2.Answer(
            verdict=classification_pb2.VERDICT_LABEL,
            label=neighbors[0].label,
            score=1.0,
            scores=[classification_pb2.LabelScore(label=neighbors[0].label, score=1.0)],
            neighbors=neighbors[:5],
            similarity=neighbors[0].similarity,
        )

    def StreamClassify(self, request_iterator, context):
        for message in request_iterator:
            self.requests.append(message)
            request = message.request
            if request.support_set in self.sets:
                response = self._classify(request, self.sets[request.support_set])
                yield classification_pb2.StreamClassifyResponse(response=response)
            else:
                missing = embedding_pb2.ItemError(
                    reason=embedding_pb2.ERROR_REASON_NOT_FOUND, message="support_set: no"
                )
                yield classification_pb2.StreamClassifyResponse(error=missing)
