"""Settings: bounds, unknown names, and no way to the outside by accident."""

import pytest
from pydantic import ValidationError

from exemplar_server.core.limits import Limits
from exemplar_server.errors import ConfigurationError
from exemplar_server.settings import Settings, host_and_port, is_loopback, read_settings

TLS = {"EXEMPLAR_TLS_CERTIFICATE_FILE": "tls.crt", "EXEMPLAR_TLS_KEY_FILE": "tls.key"}
KEYS = {"EXEMPLAR_API_KEYS_FILE": "keys"}
OUTSIDE = {"EXEMPLAR_LISTEN": "0.0.0.0:50051"}
# Lowest and highest value allowed; None where there is no highest.
BOUNDS = {
    "QUEUE_IMAGES": (1, None),
    "QUEUE_BYTES": (1, None),
    "INDEX_BYTES": (1, None),
    "REVISION_WAIT_SECONDS": (0, 60),
    "MAP_WORKERS": (1, None),
    "CORES": (0, None),
    "DRAIN_SECONDS": (0, 600),
    "MESSAGE_BYTES": (1, None),
    "IMAGE_BYTES": (1, None),
    "IMAGE_PIXELS": (1, None),
    "IMAGES_PER_REQUEST": (1, None),
    "NEIGHBORS": (1, None),
    "LABEL_CHARACTERS": (1, 512),  # the store's column
    "METADATA_BYTES": (1, None),
    "TENANT_EXEMPLARS": (0, None),
    "TENANT_BYTES": (0, None),
    "TRANSFER_BYTES": (1, None),
    "MAP_POINTS": (1, None),
    "SNAPSHOTS": (1, None),
}
LOWEST = [(name, lowest) for name, (lowest, _) in BOUNDS.items()]
HIGHEST = [(name, highest) for name, (_, highest) in BOUNDS.items() if highest is not None]


def read(**variables):
    return read_settings({name: str(value) for name, value in variables.items()})


def test_an_empty_environment_is_enough():
    settings = read()
    assert (settings.listen, settings.insecure) == ("127.0.0.1:50051", False)
    assert settings.limits() == Limits()


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        read().listen = "127.0.0.1:1"


def test_variables_of_others_are_none_of_our_business():
    assert read(PATH="/bin", EXEMPLARY="yes") == read()


def test_an_unknown_variable_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigurationError, match=r"unknown settings EXEMPLAR_PORT: known are .*_LISTEN"
    ):
        read(EXEMPLAR_PORT="1")


@pytest.mark.parametrize(("name", "lowest"), LOWEST)
def test_a_number_has_a_lowest_value(name, lowest):
    assert getattr(read(**{f"EXEMPLAR_{name}": lowest}), name.lower()) == lowest
    with pytest.raises(ConfigurationError, match=f"EXEMPLAR_{name}: .*, got '{lowest - 1}'"):
        read(**{f"EXEMPLAR_{name}": lowest - 1})


@pytest.mark.parametrize(("name", "highest"), HIGHEST)
def test_a_number_may_have_a_highest_value(name, highest):
    assert getattr(read(**{f"EXEMPLAR_{name}": highest}), name.lower()) == highest
    with pytest.raises(ConfigurationError, match=f"EXEMPLAR_{name}: .*, got '{highest + 1}'"):
        read(**{f"EXEMPLAR_{name}": highest + 1})


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_is_a_number(name):
    with pytest.raises(ConfigurationError, match=f"EXEMPLAR_{name}: .*, got 'many'"):
        read(**{f"EXEMPLAR_{name}": "many"})


def test_every_number_has_its_bounds_tested():
    numbers = {n.upper() for n, f in Settings.model_fields.items() if f.annotation in {int, float}}
    assert BOUNDS.keys() == numbers


def test_every_limit_is_a_setting():
    values = dict.fromkeys(Limits.__dataclass_fields__, 7)
    settings = read(**{f"EXEMPLAR_{name.upper()}": value for name, value in values.items()})
    assert settings.limits() == Limits(**values)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda"])
def test_a_device_is_one_of_three(device):
    assert read(EXEMPLAR_DEVICE=device).device == device
    with pytest.raises(ConfigurationError, match=r"EXEMPLAR_DEVICE: .*, got 'gpu'"):
        read(EXEMPLAR_DEVICE="gpu")


@pytest.mark.parametrize(("word", "meaning"), [("1", True), ("true", True), ("false", False)])
def test_false_is_false(word, meaning):
    assert read(EXEMPLAR_INSECURE=word).insecure is meaning
    assert read(EXEMPLAR_REFLECTION=word).reflection is meaning


def test_every_wrong_setting_is_named_at_once():
    with pytest.raises(ConfigurationError, match=r"EXEMPLAR_DEVICE.*; EXEMPLAR_NEIGHBORS"):
        read(EXEMPLAR_DEVICE="gpu", EXEMPLAR_NEIGHBORS=0)


# Who can reach the server


@pytest.mark.parametrize(
    "address", ["127.0.0.1:50051", "127.9.9.9:1", "localhost:50051", "[::1]:50051"]
)
def test_loopback_needs_nothing_more(address):
    assert is_loopback(address)
    assert read(EXEMPLAR_LISTEN=address).listen == address


@pytest.mark.parametrize(
    "address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.1:1", "localhost.example.org:1"]
)
@pytest.mark.parametrize("given", [{}, TLS, KEYS])
def test_beyond_loopback_half_of_the_protection_is_not_enough(address, given):
    with pytest.raises(ConfigurationError, match=r"EXEMPLAR_LISTEN: .* reachable from outside"):
        read(EXEMPLAR_LISTEN=address, **given)


@pytest.mark.parametrize("given", [TLS | KEYS, {"EXEMPLAR_INSECURE": "1"}])
def test_beyond_loopback_takes_tls_and_keys_or_says_insecure(given):
    assert read(**OUTSIDE, **given).listen == OUTSIDE["EXEMPLAR_LISTEN"]


@pytest.mark.parametrize("half", TLS)
def test_half_of_a_key_pair_is_refused(half):
    with pytest.raises(ConfigurationError, match="expected both or neither"):
        read(**{half: "file"})


@pytest.mark.parametrize("address", ["50051", ":50051", "host", "host:", "host:-1", "host:65536"])
@pytest.mark.parametrize("name", ["EXEMPLAR_LISTEN", "EXEMPLAR_METRICS_LISTEN"])
def test_an_address_is_a_host_and_a_port(name, address):
    with pytest.raises(ConfigurationError, match=f"{name}: .*expected host:port, got '"):
        read(**{name: address})


@pytest.mark.parametrize(
    ("address", "parts"),
    [("host:0", ("host", 0)), ("[::1]:65535", ("[::1]", 65535)), ("1.2.3.4:80", ("1.2.3.4", 80))],
)
def test_an_address_is_split_at_its_last_colon(address, parts):
    assert host_and_port(address) == parts
