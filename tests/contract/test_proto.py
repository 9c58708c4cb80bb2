"""The API keeps its own rules, as far as buf does not check them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from exemplar.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    classification_pb2,
    embedding_pb2,
    evaluation_pb2,
    map_pb2,
    support_set_pb2,
    transfer_pb2,
    upgrade_pb2,
)

ROOT = Path(__file__).parents[2]
BUF = Path(sys.executable).with_name("buf")
MODULES = [admin_pb2, classification_pb2, embedding_pb2, evaluation_pb2, map_pb2, support_set_pb2]
MODULES += [transfer_pb2, upgrade_pb2]
FILES = [module.DESCRIPTOR.name for module in MODULES]
# What changes something that has a revision already, and what answers from one support set.
CHANGES = ["AddExemplars", "DeleteSupportSet", "RemoveExemplars", "UpdateExemplars"]
CHANGES += ["CreateSnapshot", "RollBackSupportSet", "UpdateSupportSet"]
READS = ["Classify", "ComputeMap", "EvaluateSupportSet", "ExportSupportSet", "GetSupportSet"]
READS += ["ListExemplars", "PlaceOnMap", "WarmUp"]
MUTATIONS = ["CopySupportSet", "CreateSupportSet", "DeleteSnapshot", "DeleteTenant", *CHANGES]
# What names a state to reach, so that a retry changes nothing.
IDEMPOTENT = ["CancelUpgrade", "FinishUpgrade", "RollBackUpgrade", "StartUpgrade"]
# Numbers of fields in descriptor.proto: the steps of a path to what a comment belongs to.
FILE_MESSAGES, FILE_ENUMS, FILE_SERVICES = 4, 5, 6
MESSAGE_FIELDS, MESSAGE_ONEOFS, ENUM_VALUES, SERVICE_METHODS = 2, 8, 2, 2


@pytest.fixture(scope="module")
def sources():
    """The .proto files as they are, comments included, by name."""
    command = [BUF, "build", "proto", "--as-file-descriptor-set", "--output", "-"]
    image = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    return {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(image).file}


def methods():
    services = [s for module in MODULES for s in module.DESCRIPTOR.services_by_name.values()]
    return {method.name: method for service in services for method in service.methods}


def field(message, name):
    return message.fields_by_name.get(name)


def commentable(file):
    """Paths and names of everything that a reader of the API wants explained."""
    for number, message in enumerate(file.message_type):
        yield from inside(message.field, message, (FILE_MESSAGES, number, MESSAGE_FIELDS))
        oneofs = [o for o in message.oneof_decl if not o.name.startswith("_")]  # no optional field
        yield from inside(oneofs, message, (FILE_MESSAGES, number, MESSAGE_ONEOFS))
    for number, enum in enumerate(file.enum_type):
        yield (FILE_ENUMS, number), enum.name
        yield from inside(enum.value, enum, (FILE_ENUMS, number, ENUM_VALUES))
    for number, service in enumerate(file.service):
        yield (FILE_SERVICES, number), service.name
        yield from inside(service.method, service, (FILE_SERVICES, number, SERVICE_METHODS))


def inside(members, parent, path):
    for number, member in enumerate(members):
        yield (*path, number), f"{parent.name}.{member.name}"


def sent_by_clients(message):
    """The message and every message inside it."""
    found = {message.full_name: message}
    for member in message.fields:
        if member.message_type is not None:
            found |= sent_by_clients(member.message_type)
    return found


@pytest.mark.parametrize("name", FILES)
def test_everything_is_explained(sources, name):
    comments = {
        tuple(place.path): place.leading_comments.strip()
        for place in sources[name].source_code_info.location
    }
    unexplained = [what for path, what in commentable(sources[name]) if not comments.get(path)]
    assert unexplained == []


@pytest.mark.parametrize("module", MODULES, ids=FILES)
def test_the_generated_code_is_of_these_files(sources, module):
    generated = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    assert without_what_protoc_leaves_out(sources[module.DESCRIPTOR.name]) == generated


def without_what_protoc_leaves_out(file):
    kept = descriptor_pb2.FileDescriptorProto()
    kept.CopyFrom(file)
    kept.ClearField("source_code_info")
    messages = [*kept.message_type, *(n for m in kept.message_type for n in m.nested_type)]
    for member in (member for message in messages for member in message.field):
        member.ClearField("json_name")
    return kept


def test_every_method_is_sorted_into_what_it_does():
    rest = {
        "ComputeMapOfItems",
        "Embed",
        "GetServerInfo",
        "GetUpgrade",
        "ImportSupportSet",
        "ListBackbones",
        "ListSnapshots",
        "ListSupportSets",
        "ListUpgrades",
        "StreamClassify",
    }
    assert methods().keys() == {*MUTATIONS, *IDEMPOTENT, *READS} | rest


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_takes_a_request_id(name):
    assert field(methods()[name].input_type, "request_id").type == 9  # a string


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_may_expect_a_revision_or_none(name):
    expected = field(methods()[name].input_type, "expected_revision")
    assert expected.has_presence  # else revision 0 and no expectation look alike


@pytest.mark.parametrize("name", [*CHANGES, "Classify", "ListExemplars", "PlaceOnMap", "WarmUp"])
def test_an_answer_tells_its_revision(name):
    assert field(methods()[name].output_type, "revision") is not None


@pytest.mark.parametrize("name", ["CreateSupportSet", "GetSupportSet"])
def test_an_answer_that_is_a_support_set_has_its_revision_there(name):
    described = field(methods()[name].output_type, "support_set").message_type
    assert field(described, "revision") is not None


@pytest.mark.parametrize("name", READS)
def test_a_read_takes_the_revision_that_it_must_reach(name):
    assert field(methods()[name].input_type, "min_revision") is not None


def test_no_request_names_a_tenant():
    messages = {}
    for method in methods().values():
        messages |= sent_by_clients(method.input_type)
    fields = [field.full_name for message in messages.values() for field in message.fields]
    assert [name for name in fields if "tenant" in name] == []


def test_the_floors_of_the_dependencies_are_the_stamps_of_the_generated_code():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = dict(re.match(r"(\w+)>=([\d.]+)", d).groups() for d in project["dependencies"])
    assert floors == stamps()


def stamps():
    messages = Path(admin_pb2.__file__).read_text()
    protobuf = re.search(r"Protobuf Python Version: ([\d.]+)", messages)[1]
    return {"grpcio": admin_pb2_grpc.GRPC_GENERATED_VERSION, "protobuf": protobuf}
