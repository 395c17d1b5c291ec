"""The package: its names, its stubs, and the programs of its documentation."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

import rae


def test_version():
    header = (ROOT / "include/rae/version.hpp").read_text()
    assert re.search(r'kVersion = "([^"]+)"', header).group(1) == rae.__version__
    assert rae.__version__ in rae.system_info()


def test_all_names_exist_and_are_documented():
    for name in rae.__all__:
        value = getattr(rae, name)
        assert isinstance(value, str) or value.__doc__, name


def test_stubs_cover_the_module():
    stub = pathlib.Path(rae.__file__).with_name("_rae.pyi")
    if not stub.exists():
        pytest.skip("built without stubs")
    names = {node.name for node in ast.parse(stub.read_text()).body
             if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    from rae import _rae
    public = {name for name in dir(_rae) if not name.startswith("_")} - {"BUILTIN_MODEL"}
    assert public <= names


def test_builtin_models():
    assert rae.BUILTIN_MODEL in rae.builtin_models()
    images = rae.Generator.builtin().sample(labels=[7], seed=1, steps=2)
    assert images.shape[0] == 1
    with pytest.raises(rae.FileError, match=rae.BUILTIN_MODEL):
        rae.Generator.builtin("no such model")


PROGRAMS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/12_python.md").read_text(),
                      re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(max(1, len(PROGRAMS))))
def test_programs_of_the_chapter(number, tmp_path):
    if "import torch" in PROGRAMS[number]:
        pytest.importorskip("torch")
    subprocess.run([sys.executable, "-c", PROGRAMS[number]], cwd=tmp_path, check=True)


def test_tour(tmp_path):
    subprocess.run([sys.executable, ROOT / "examples/python/tour.py", "--steps", "3"],
                   cwd=tmp_path, check=True)
    for name in ("classes.png", "steps.png", "between.png", "again.png"):
        assert rae.open_image(tmp_path / name).shape[0] == 1
