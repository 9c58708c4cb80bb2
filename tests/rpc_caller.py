"""Every method of the API, called by its name with one credential."""

import importlib
import pkgutil

import grpc
from google.protobuf import message_factory

import exemplar.v1
from exemplar.v1 import embedding_pb2 as embedding


def every_method():
    """Every method of every service in exemplar.v1, by name."""
    modules = [m.name for m in pkgutil.iter_modules(exemplar.v1.__path__, "exemplar.v1.")]
    files = [importlib.import_module(n).DESCRIPTOR for n in modules if n.endswith("_pb2")]
    services = [s for file in files for s in file.services_by_name.values()]
    return {method.name: method for service in services for method in service.methods}


METHODS = every_method()


class Caller:
    """Calls any method by its name with one credential."""

    def __init__(self, channel, metadata):
        self._channel = channel
        self._metadata = metadata

    async def __call__(self, name, request=None):
        """The answers: one, unless the method streams them."""
        method = METHODS[name]
        request = request or message_factory.GetMessageClass(method.input_type)()
        asks = "stream" if method.client_streaming else "unary"
        answers = "stream" if method.server_streaming else "unary"
        call = getattr(self._channel, f"{asks}_{answers}")(
            f"/{method.containing_service.full_name}/{name}",
            type(request).SerializeToString,
            message_factory.GetMessageClass(method.output_type).FromString,
        )
        sent = iter([request]) if method.client_streaming else request
        called = call(sent, metadata=self._metadata, timeout=30)
        return [answer async for answer in called] if method.server_streaming else [await called]

    async def code(self, name, request=None):
        try:
            await self(name, request)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    async def refusal(self, name):
        """The status of a call that must be refused before its messages are read.

        A refusal that comes while the client still sends its messages shows there, now and then, as
        INTERNAL: it is asked again.
        """
        codes = [await self.code(name) for _ in range(3 if METHODS[name].client_streaming else 1)]
        return min(codes, key=lambda code: code is grpc.StatusCode.INTERNAL)

    async def codes(self):
        """The status of every method, asked with an empty request."""
        return {name: await self.refusal(name) for name in METHODS}

    async def failure(self, name, request):
        """Reason and message of a call, or of an item of a stream, that must fail."""
        try:
            (answer,) = await self(name, request)
        except grpc.aio.AioRpcError as error:
            return dict(error.trailing_metadata())["exemplar-reason"], error.details()
        reason = embedding.ErrorReason.Name(answer.error.reason)
        return reason.removeprefix("ERROR_REASON_"), answer.error.message
