"""The configuration backends against netjsonconfig itself: the same bytes, none of its defects."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jsonschema
import netjsonconfig
import pytest
from guywire import backends
from guywire.archive import compress, pack
from guywire.backends import OpenWisp, OpenWrt
from guywire.backends.converters import Block
from guywire.backends.engine import Engine
from guywire.backends.layers import filled_in
from guywire.backends.memo import Memo
from guywire.backends.netjson import NetjsonBackend, uses_dsa
from guywire.backends.refusals import STUMBLES
from guywire.backends.uci import LegacyUciRenderer, UciRenderer
from guywire.backends.validation import SchemaCheck
from guywire.interfaces import ArchiveFile, ConfigurationInvalid
from netjson_generator import Case, Generator
from netjsonconfig.backends.openwisp.renderer import OpenWrtRenderer as OpenWispRenderer
from netjsonconfig.backends.openwrt.renderer import OpenWrtRenderer
from netjsonconfig.exceptions import ValidationError
from netjsonconfig.utils import evaluate_vars

PAIRS = [(OpenWrt(), netjsonconfig.OpenWrt), (OpenWisp(), netjsonconfig.OpenWisp)]
HOST = {"general": {"hostname": "router"}}

each_backend = pytest.mark.parametrize(("backend", "stock"), PAIRS, ids=["OpenWrt", "OpenWisp"])


def archive(backend: NetjsonBackend, case: Case) -> bytes:
    return compress(pack(backend.render(case.config, case.templates, case.context, case.device_os)))


def stock_engine(stock: Any, case: Case) -> Any:
    """netjsonconfig's own object, given its own copies of everything."""
    config, templates = json.loads(json.dumps([case.config, case.templates]))
    return stock(config, templates=templates, context=case.context, dsa=uses_dsa(case.device_os))


def stock_archive(stock: Any, case: Case) -> bytes:
    with contextlib.redirect_stdout(io.StringIO()):
        content: bytes = stock_engine(stock, case).generate().getvalue()
    return content


def refusal(backend: NetjsonBackend, config: Any, templates: Any = (), context: Any = None) -> ConfigurationInvalid:
    """Why the backend does not render this."""
    with pytest.raises(ConfigurationInvalid) as caught:
        backend.render(config, templates, {} if context is None else context)
    return caught.value


def text_of(files: list[ArchiveFile], path: str) -> str:
    return next(file.content.decode() for file in files if file.path == path)


# The same bytes


@each_backend
def test_archives_are_those_of_netjsonconfig_byte_for_byte(backend: NetjsonBackend, stock: Any) -> None:
    for seed in range(200):
        case = Generator(seed).case()
        assert archive(backend, case) == stock_archive(stock, case), seed


@each_backend
def test_devices_that_share_templates_do_not_share_results(backend: NetjsonBackend, stock: Any) -> None:
    """One thing at a time changes between these renderings, so a memory that forgets an input would show."""
    base = next(case for case in map(_case, range(1000, 2000)) if {"interfaces", "radios", "routes"} <= _sections(case))
    variants = [base]
    for seed in range(25):
        variant, chance = copy.deepcopy(base), random.Random(seed)
        name = chance.choice(sorted(_sections(base) - {"type"}))
        donor = next(case for case in map(_case, range(3000 + 20 * seed, 9000)) if name in _sections(case))
        for layer in (variant.config, *variant.templates):
            layer.pop(name, None)
        variant.templates[:0] = [{name: layer[name]} for layer in (*donor.templates, donor.config) if name in layer]
        variant.device_os = chance.choice((base.device_os, "OpenWrt 19.07"))
        variants.append(variant)
    expected = [stock_archive(stock, variant) for variant in variants]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            assert list(pool.map(lambda variant: archive(backend, variant), variants)) == expected


def _case(seed: int) -> Case:
    case = Generator(seed).case()
    case.config.setdefault("general", {})["hostname"] = "router"
    return case


def _sections(case: Case) -> set[str]:
    return {name for layer in (case.config, *case.templates) for name in layer}


def test_uci_text_is_that_of_the_jinja_templates() -> None:
    values = [
        None,
        "",
        "a",
        "two\n\n\n    lines",
        "'",
        0,
        1,
        True,
        False,
        1.5,
        [],
        ["", None, True, "x"],
        {"k": 1},
        ["  "],
    ]
    chance = random.Random(3)
    for ours, stock in ((UciRenderer, OpenWrtRenderer), (LegacyUciRenderer, OpenWispRenderer)):
        for _ in range(60):
            data = {
                name: [
                    Block(
                        {".type": "t", ".name": name, "é": "è"} | {f"key{n}": chance.choice(values) for n in range(9)}
                    )
                    for _ in range(chance.randrange(4))
                ]
                for name in chance.sample(["network", "system", "x    y"], chance.randrange(4))
            }
            engine = type("Backend", (), {"config": {}, "intermediate_data": data})()
            assert ours(engine).render() == stock(engine).render()


# Defects of the library that end here


@each_backend
@pytest.mark.parametrize("value", [r"pa\1ss", r"pa\nss", r"pa\dss", r"pa\\ss", "\\", r"\g<0>", r"a\x"])
def test_backslashes_in_variables_arrive_unchanged(backend: NetjsonBackend, stock: Any, value: str) -> None:
    config = HOST | {"custom": [{"config_name": "a", "alone": "{{v}}", "twice": "{{ v }}-{{w}}-{{v}}"}]}
    text = "".join(file.content.decode() for file in backend.render(config, [], {"v": value, "w": value}))
    assert f"'{value}'" in text
    assert f"'{value}-{value}-{value}'" in text


@each_backend
@pytest.mark.parametrize(
    "text", ["{{a}}", "{{a}}{{b}}", "{{ b }} {{a}}", "{{c}}", "{{a}} {{c}}", "{{}}", "{{a-b}}", "{{{a}}}"]
)
def test_variables_in_the_values_of_variables_behave_as_in_netjsonconfig(
    backend: NetjsonBackend, stock: Any, text: str
) -> None:
    context = {"a": "<{{b}}>", "b": "[{{ a }}]", "unused": "{{a}}"}
    case = Case(HOST | {"custom": [{"config_name": "x", "value": text}]}, [], context)
    assert archive(backend, case) == stock_archive(stock, case)


def test_variables_are_replaced_as_in_netjsonconfig() -> None:
    pieces = ["{{", "}}", "{", "}", " ", "\n", "a", "b", "ab", "{{a}}", "{{ b }}", "{{ab }}", "{{c}}", "é", "_"]
    chance = random.Random(5)
    for _ in range(3000):
        text, *values = ("".join(chance.choices(pieces, k=chance.randrange(9))) for _ in range(4))
        context = dict(zip(("a", "b", "ab"), values, strict=True))
        assert filled_in([text], context) == evaluate_vars([text], context), (text, context)


def test_a_megabyte_of_spaces_takes_no_longer_than_other_text() -> None:
    text = "{{" + " " * 1_000_000 + "x {{a}}"
    assert filled_in(text, {"a": 1}) == text.replace("{{a}}", "1")


@each_backend
@pytest.mark.parametrize("value", [None, True, False, 0, 7, 1.5, "", [], [1, "two"], {}, {"a": [None]}, 10**30])
def test_values_of_variables_may_be_anything(backend: NetjsonBackend, stock: Any, value: Any) -> None:
    case = Case(HOST | {"custom": [{"config_name": "x", "value": "-{{v}}-{{w}}"}]}, [], {"v": value, "w": "w"})
    assert archive(backend, case) == stock_archive(stock, case)


@each_backend
def test_text_that_is_not_ascii_arrives_complete(backend: NetjsonBackend, stock: Any) -> None:
    contents = "caffè è 中文 😀\n" * 50
    config = HOST | {
        "custom": [{"config_name": "x", "config_value": "x", "last": "Caffè àèì {{v}}"}],
        "files": [{"path": "/etc/motd", "mode": "0644", "contents": contents}],
    }
    files = backend.render(config, [], {"v": "ü"})
    with tarfile.open(fileobj=io.BytesIO(compress(pack(files)))) as tar:
        unpacked = {member.name: tar.extractfile(member).read().decode() for member in tar}
    assert unpacked["etc/motd"] == contents
    custom = next(text for name, text in unpacked.items() if "custom" in name)
    assert custom.rstrip().endswith("'Caffè àèì ü'")


RADIO = {"name": "radio0", "phy": "phy0", "protocol": "802.11n", "channel": 6, "channel_width": 20}


@each_backend
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": 0}, '"channel" cannot be set to "auto" when "hwmode" or "band" property is not configured.'),
        ({"channel": "auto"}, "is not valid under any of the given schemas"),
        ({"protocol": None}, "is not valid under any of the given schemas"),
        ({"protocol": ...}, "is not valid under any of the given schemas"),
        ({"channel": ...}, "is not valid under any of the given schemas"),
        ({"channel_width": ...}, "is not valid under any of the given schemas"),
    ],
)
def test_a_radio_without_what_decides_its_band_is_refused(
    backend: NetjsonBackend, stock: Any, change: dict[str, Any], message: str
) -> None:
    radio = {key: value for key, value in (RADIO | change).items() if value is not ...}
    assert message in refusal(backend, HOST | {"radios": [radio]}).message
    with pytest.raises(ConfigurationInvalid):
        backend.validate({}, [HOST | {"radios": [radio]}], {})


@each_backend
@pytest.mark.parametrize(
    ("section", "item", "message"),
    [
        ("interfaces", {"name": "wg0", "type": "wireguard", "private_key": "k"}, "'addresses' is a required property"),
        ("routes", {"device": "a", "destination": "{{net}}", "next": "", "cost": 0}, "does not appear to be an IPv4"),
        ("firewall", {"config_name": "rule", "config_value": 7}, "a value of an unexpected type"),
    ],
)
def test_what_fits_the_schema_but_has_no_uci_form_is_refused_with_its_place(
    backend: NetjsonBackend, stock: Any, section: str, item: dict[str, Any], message: str
) -> None:
    fine = {
        "interfaces": {"name": "eth0", "type": "ethernet"},
        "routes": {"device": "a", "destination": "10.0.0.0/8", "next": "", "cost": 0},
        "firewall": {"config_name": "rule"},
    }
    config = HOST | {section: [fine[section], item]}
    error = refusal(backend, config)
    assert message in error.message
    assert error.path == (section, 1)
    backend.validate(config, [], {})


@each_backend
def test_layers_that_cannot_be_merged_are_refused(backend: NetjsonBackend, stock: Any) -> None:
    error = refusal(backend, {"general": []}, [HOST])
    assert (error.message, error.path) == ("Incompatible type for 'general': expected dict, got list.", ())
    assert "cannot be merged" in refusal(backend, {"x": [{"name": {}}]}, [{"x": [{"name": {}}]}]).message
    assert "instance of dict" in refusal(backend, HOST, [5]).message


def nested(depth: int, make: Any) -> Any:
    tree: Any = "x"
    for _ in range(depth):
        tree = make(tree)
    return tree


@each_backend
@pytest.mark.parametrize("make", [lambda tree: {"a": tree}, lambda tree: [tree], lambda tree: [{"name": tree}]])
@pytest.mark.parametrize("depth", [100, 240, 5_000])
def test_deep_nesting_is_no_problem_or_refused(backend: NetjsonBackend, stock: Any, depth: int, make: Any) -> None:
    tree = nested(depth, make)
    for section in ("custom", "general", "interfaces"):
        with contextlib.suppress(ConfigurationInvalid):
            backend.render({section: tree}, [{section: tree}, HOST], {"v": 1})


@each_backend
@pytest.mark.parametrize(
    "value", ["\ud800", "a\udfffb", 2**64, object(), b"bytes", {1: 2}, nested(5_000, lambda x: [x])]
)
def test_what_is_not_json_is_refused(backend: NetjsonBackend, stock: Any, value: Any) -> None:
    for config, templates in (({"x": value}, []), ({}, [{"x": value}]), ({"x": value}, [{"x": value}])):
        assert "is not JSON" in refusal(backend, HOST | config, templates).message
        with pytest.raises(ConfigurationInvalid):
            backend.validate(config, templates, {})


@each_backend
def test_half_a_character_from_a_variable_is_refused(backend: NetjsonBackend, stock: Any) -> None:
    config = HOST | {"custom": [{"config_name": "x", "value": "{{v}}"}]}
    message = refusal(backend, config, context={"v": "\ud800"}).message
    assert message.encode()
    assert backend.render(config, [], {"unused": "\ud800"})


@each_backend
@pytest.mark.parametrize("nothing", [None, 5, "text", [], [1]])
def test_arguments_of_other_types_are_refused(backend: NetjsonBackend, stock: Any, nothing: Any) -> None:
    refusal(backend, nothing)
    refusal(backend, HOST, [nothing])
    with contextlib.suppress(ConfigurationInvalid):
        backend.render({"general": {"hostname": "{{x}}"}}, [], nothing)


@each_backend
def test_nothing_is_printed(backend: NetjsonBackend, stock: Any, capfd: pytest.CaptureFixture[str]) -> None:
    case = Case(HOST | {"custom": [{"no_config_name": 1}, "text", None, {"config_name": "x", "v": 1}, []]})
    assert archive(backend, case) == stock_archive(stock, case)
    assert capfd.readouterr() == ("", "")


# Refusals


@each_backend
def test_refusals_have_the_path_and_message_of_netjsonconfig(backend: NetjsonBackend, stock: Any) -> None:
    refusals = 0
    for seed in range(150):
        case = _spoilt(seed)
        if not _is_plain_json(case):
            continue
        expected = _stock_refusal(stock, case)
        if expected is None:
            backend.validate(case.config, case.templates, case.context, case.device_os)
            continue
        found = refusal(backend, case.config, case.templates, case.context)
        if expected != "stumbled":
            assert (found.message, found.path) == expected, seed
            refusals += 1
    assert refusals > 50


def _stock_refusal(stock: Any, case: Case) -> tuple[str, tuple[Any, ...]] | str | None:
    """Message and path of netjsonconfig's refusal, "stumbled" if it has another exception instead."""
    try:
        stock_engine(stock, case).validate()
    except ValidationError as error:
        return error.details.message, tuple(error.details.path)
    except jsonschema.ValidationError as error:
        return error.message, tuple(error.path)
    except STUMBLES:
        return "stumbled"
    return None


def _spoilt(seed: int) -> Case:
    generator = Generator(seed)
    case = generator.spoilt(generator.case())
    case.context.update(Generator(seed).case().context)
    return case


def _is_plain_json(case: Case) -> bool:
    text = json.dumps([case.config, case.templates])
    return "\\ud800" not in text and "NaN" not in text


@each_backend
@hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
@hypothesis.given(seed=st.integers(0, 10**6))
def test_spoilt_configurations_render_or_are_refused(backend: NetjsonBackend, stock: Any, seed: int) -> None:
    generator = Generator(seed)
    case = generator.spoilt(generator.spoilt(generator.case()))
    with _only_refusals():
        backend.validate(case.config, case.templates, case.context, case.device_os)
    with _only_refusals():
        archive(backend, case)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{{v}}", "static"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "type", "config_name", "addresses", "proto", "id"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
LAYER = st.dictionaries(
    st.sampled_from([*sorted(PAIRS[1][1].schema["properties"]), "custom", "network"]), JSON, max_size=3
)


@each_backend
@hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
@hypothesis.given(config=LAYER, templates=st.lists(LAYER, max_size=2), value=JSON)
def test_any_json_renders_or_is_refused(
    backend: NetjsonBackend, stock: Any, config: Any, templates: Any, value: Any
) -> None:
    with _only_refusals():
        pack(backend.render(config, templates, {"v": value}))


@contextlib.contextmanager
def _only_refusals() -> Iterator[None]:
    """Whatever happens inside ends well or in a ConfigurationInvalid that a person can be shown."""
    refusals = []
    try:
        yield
    except ConfigurationInvalid as error:
        refusals.append(error)
    assert all(error.message.strip() and str(error).encode() for error in refusals)


# Validation


@each_backend
def test_the_compiled_schema_agrees_with_the_schema(backend: NetjsonBackend, stock: Any) -> None:
    """It must never accept what the library refuses, and accept all that is ordinary (or nothing would be fast)."""
    check = SchemaCheck(stock.schema)
    slow = jsonschema.Draft4Validator(stock.schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    for seed in range(80):
        valid = stock_engine(stock, _case(seed))
        valid.validate()
        assert check.accepts(valid.config), seed
        spoilt = _spoilt(seed)
        if _is_plain_json(spoilt):
            with contextlib.suppress(ValidationError, TypeError):
                config = stock_engine(stock, spoilt).config
                assert not check.accepts(config) or slow.is_valid(config), seed


STRINGS = [
    "10.0.0.1",
    "10.0.0.1/8",
    "10.0.0.0/8",
    "010.0.0.1",
    "::",
    "::1",
    "fe80::1%eth0",
    "1::2::3",
    "a",
    "ab",
    "a.b",
    "a..b",
    "-a",
]
ODD = [
    "a\n",
    "a\x1cb",
    "a\x85b",
    "a\ufeffb",
    "a\u2028b",
    "٣",
    "é",
    "",
    " ",
    "x" * 64,
    "1:2",
    "1:٣",
    "0t",
    "eth0.1",
    "lan-1",
]


@pytest.mark.parametrize("text", STRINGS + ODD)
def test_formats_and_patterns_agree_on(text: str) -> None:
    stock = netjsonconfig.OpenWrt
    check = SchemaCheck(stock.schema)
    slow = jsonschema.Draft4Validator(stock.schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    vlan = {"name": text, "type": "8021q", "vid": 1, "network": text, "ingress_qos_mapping": [text], "mac": text}
    address = {"proto": "static", "family": "ipv4", "address": text, "mask": 24}
    for config in (
        {"general": {"hostname": text}},
        {"dns_search": [text]},
        {"ip_rules": [{"src": text}]},
        {"interfaces": [{"name": "eth0", "type": "ethernet", "addresses": [address]}]},
        {"interfaces": [{"name": "eth0", "type": "ethernet", "addresses": [address | {"family": "ipv6"}]}]},
        *(
            {"interfaces": [{"name": "eth0"} | {k: v for k, v in vlan.items() if k in ("type", "vid", key)}]}
            for key in vlan
        ),
        {"routes": [{"device": "a", "destination": "a", "next": "a", "cost": 1, "mtu": text}]},
        {"files": [{"path": "/a", "mode": text, "contents": ""}]},
    ):
        assert not check.accepts(config) or slow.is_valid(config), config


@each_backend
def test_validation_finds_no_more_than_the_reference_in_a_template_alone(backend: NetjsonBackend, stock: Any) -> None:
    template = HOST | {"routes": [{"device": "eth0", "destination": "{{subnet}}", "next": "", "cost": 0}]}
    backend.validate(template, [], {})
    refusal(backend, template)
    assert backend.render({}, [template], {"subnet": "10.0.0.0/8"})


def test_the_schema_checks_each_section_for_itself() -> None:
    """If that changes with a new release, nothing breaks, but the public schemas deserve a look."""
    for backend, stock in PAIRS:
        assert set(stock.schema) == {"$schema", "type", "additionalProperties", "definitions", "properties"}
        assert backend.schema == stock.schema


# Devices


@pytest.mark.parametrize(
    ("device_os", "expected"),
    [
        ("", True),
        ("OpenWrt 21.02.0", True),
        ("OpenWrt 23.05.3 r23809", True),
        ("OpenWrt 19.07.10", False),
        ("openwrt18.06", False),
        ("OPENWRT  9", False),
        ("OpenWrt SNAPSHOT r1", True),
        ("LEDE 17.01", True),
        ("My OpenWrt 20 build", False),
    ],
)
def test_the_syntax_follows_the_release_of_openwrt(device_os: str, expected: bool) -> None:
    assert uses_dsa(device_os) is expected
    bridge = {"interfaces": [{"name": "lan", "type": "bridge", "bridge_members": ["eth0"]}]}
    for backend, _ in PAIRS:
        text = "".join(file.content.decode() for file in backend.render(HOST | bridge, [], {}, device_os))
        assert ("br-lan" in text) is expected


# What is shared


@each_backend
def test_no_mutation_of_a_caller_leaks_in(backend: NetjsonBackend, stock: Any) -> None:
    case = Generator(11).case()
    before = copy.deepcopy(case)
    expected = archive(backend, case)
    assert case == before
    case.config.clear()
    for template in case.templates:
        template.clear()
    adapted: Any = type(backend)()
    adapted.schema["properties"].clear()
    assert archive(backend, before) == archive(adapted, before) == expected


@each_backend
def test_files_added_while_rendering_stay_with_their_device(backend: NetjsonBackend, stock: Any) -> None:
    template = HOST | {
        "files": [{"path": "/a", "mode": "0644", "contents": ""}],
        "openvpn": [
            {"name": "vpn", "mode": "server", "proto": "udp", "dev": "tap0", "ca": "/x/ca", "tls_auth": "{{v}}"}
        ],
    }
    for value in ("one", "two", "one"):
        case = Case({}, [template], {"v": value})
        assert archive(backend, case) == stock_archive(stock, case)


def test_a_memo_forgets_what_was_unused_for_longest() -> None:
    made: list[str] = []

    def result(key: str) -> str:
        return memo.get(key.encode(), lambda: made.append(key) or key)

    memo: Memo[str] = Memo(budget=24)
    for key in ("a1", "b1", "a1", "c1", *(f"{number:02}" for number in range(10)), "a1"):
        assert result(key) == key
    assert made.count("a1") == 1
    assert result("b1") == "b1"
    assert made.count("b1") == 2
    for _ in range(2):
        assert result("longer than all") == "longer than all"
    assert made.count("longer than all") == 2
    assert memo._size == sum(map(len, memo._results)) <= 24


def test_engines_share_no_memory() -> None:
    first, second = (backend.engine for backend, _ in PAIRS)
    assert first.conversions is not second.conversions
    assert first.merged_templates is not second.merged_templates
    assert issubclass(first, Engine)


def test_both_backends_are_registered_under_the_ids_of_the_reference() -> None:
    registered = backends.register_config_backends()
    assert [(backend.id, backend.label) for backend in registered] == [
        ("netjsonconfig.OpenWrt", "OpenWRT"),
        ("netjsonconfig.OpenWisp", "OpenWISP Firmware 1.x"),
    ]
