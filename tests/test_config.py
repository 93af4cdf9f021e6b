"""Configurations: from options, to TOML and back."""

import tomllib
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.config import difference, option, plain, read_toml, take, write_toml
from elman.errors import StorageError, UsageError


@dataclass(frozen=True)
class Ship:
    sails: int = option(3, "How many.")
    speed: float = option(7.5, "Knots.")
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Crew:
    captain: str = option("Ahab", "Who commands.")
    drunk: bool = option(False, "Whether.")


KINDS = {"ship": Ship, "crew": Crew}


def test_options_find_their_section_and_defaults_fill_in():
    found = take(KINDS, {"captain": "Bligh", "speed": 4, "ports": ["Oslo"]})
    assert found == {"ship": Ship(3, 4.0, ("Oslo",)), "crew": Crew("Bligh", False)}
    assert type(found["ship"].speed) is float


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sail": 2}, "there is no option 'sail'; did you mean 'sails'?"),
        ({"sails": 2.5}, "sails must be a int, found 2.5"),
        ({"sails": True}, "sails must be a int, found True"),
        ({"drunk": 1}, "drunk must be a bool, found 1"),
        ({"captain": None}, "captain must be a str, found None"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError) as caught:
        take(KINDS, options)
    assert str(caught.value) == f"[configuration] {message}"


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))),
)
def test_toml_gives_back_every_value(text, whole, number, truth, texts):
    sections = {"a": {"text": text, "whole": whole}, "b": {"n": number, "t": truth, "l": texts}}
    assert tomllib.loads(write_toml(sections)) == sections


def test_a_file_written_is_a_file_read(tmp_path):
    configs = {"ship": Ship(2, 1e-3, ("a", "b")), "crew": Crew("Šárka", True)}
    path = tmp_path / "config.toml"
    path.write_text(write_toml(plain(configs)))
    assert take(KINDS, read_toml(path)) == configs


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bad.toml").write_text("a = = 1")
    with pytest.raises(UsageError, match=r"bad\.toml: .*line 1"):
        read_toml(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    with pytest.raises(UsageError, match=r"latin\.toml"):
        read_toml(tmp_path / "latin.toml")
    with pytest.raises(StorageError, match=r"none\.toml"):
        read_toml(tmp_path / "none.toml")


def test_differences():
    old, new = {"": {"a": 1, "b": 2, "c": 3}}, {"x": {"a": 1, "b": 5}, "y": {"d": 4}}
    assert difference(old, new, frozenset({"c"})) == ["b: 2 -> 5", "d: None -> 4"]
