"""Claims about what the package shows and loads."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import exemplar
from exemplar import AsyncClient, Client, calls
from exemplar.v1 import (
    admin_pb2,
    classification_pb2,
    embedding_pb2,
    evaluation_pb2,
    map_pb2,
    support_set_pb2,
    transfer_pb2,
    upgrade_pb2,
)

API = [admin_pb2, classification_pb2, embedding_pb2, evaluation_pb2, map_pb2, support_set_pb2]
API += [transfer_pb2, upgrade_pb2]


def public_methods(kind):
    return {
        name: member
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_importing_the_package_loads_nothing():
    code = "import exemplar, sys; print({'grpc', 'google.protobuf', 'asyncio'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_importing_the_api_loads_no_client():
    code = "import exemplar.v1.map_pb2, sys; print('exemplar.client' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_client_needs_neither_numpy_nor_pillow():
    code = "import exemplar.cli, exemplar.aio, sys; print({'numpy', 'PIL'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("name", exemplar.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(exemplar, name).__name__ == name


def test_type_checkers_see_the_names_that_are_there():
    source = Path(exemplar.__file__).read_text(encoding="utf-8")
    checked = source[source.index("if TYPE_CHECKING") : source.index("__all__")]
    imported = re.findall(r"\b([A-Z]\w+)(?=,|\n|$)", re.sub(r"TYPE_CHECKING", "", checked))
    assert sorted(imported) == sorted(exemplar.__all__)
    assert sorted(exemplar._MODULE_OF) == sorted(exemplar.__all__)  # noqa: SLF001


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="Clientt"):
        _ = exemplar.Clientt


@pytest.mark.parametrize("name", sorted(public_methods(Client)))
def test_both_clients_have_the_same_parameters(name):
    def parameters(kind):
        found = inspect.signature(public_methods(kind)[name]).parameters.values()
        return [(p.name, p.kind, p.default) for p in found]

    assert parameters(AsyncClient) == parameters(Client)


def test_both_clients_have_the_same_methods():
    assert set(public_methods(AsyncClient)) == set(public_methods(Client))
    assert inspect.signature(AsyncClient) == inspect.signature(Client)


def test_every_rpc_is_in_the_table_of_methods():
    known = {
        method.path: (method.request_type.DESCRIPTOR, method.response_type.DESCRIPTOR)
        for method in vars(calls).values()
        if isinstance(method, calls.Method)
    }
    described = {
        f"/{service.full_name}/{rpc.name}": (rpc.input_type, rpc.output_type)
        for module in API
        for service in module.DESCRIPTOR.services_by_name.values()
        for rpc in service.methods
    }
    assert known == described
