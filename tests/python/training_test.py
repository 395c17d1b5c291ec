"""rae.train and rae.evaluate."""

import copy
import json
import os
import pathlib
import signal

import pytest
from conftest import RECIPE

import rae


def test_progress_and_result(data, tmp_path):
    seen, events = [], []
    path = rae.train(RECIPE, data, tmp_path / "out", on_progress=lambda p: seen.append(p),
                     on_event=events.append)
    assert path == str(tmp_path / "out" / "model.safetensors") and pathlib.Path(path).exists()
    assert {p.stage for p in seen} == {"encoder", "decoder", "dit"}
    assert seen[-1].step == seen[-1].steps == 6 and seen[-1].loss > 0
    assert any("stage dit" in event for event in events)


def test_a_stopped_training_goes_on_bit_for_bit(data, model, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(rae.Cancelled):
        rae.train(RECIPE, data, out, on_progress=lambda p: p.stage != "dit" or p.step < 3)

    def interrupt(progress):
        if progress.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        rae.train(RECIPE, data, out, on_progress=interrupt)
    path = rae.train(RECIPE, data, out)
    assert pathlib.Path(path).read_bytes() == pathlib.Path(model).read_bytes()


def test_bits_are_those_of_the_command(data, model, command, tmp_path):
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    command("train", "--recipe", recipe, "--data", data, "--out", tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").read_bytes() == pathlib.Path(model).read_bytes()


def test_recipes_are_checked(data, tmp_path):
    recipe = copy.deepcopy(RECIPE)
    recipe["model"]["dit"]["width"] = 3
    with pytest.raises(rae.ConfigError, match="width"):
        rae.train(recipe, data, tmp_path / "out")
    with pytest.raises(rae.ConfigError):
        rae.train(RECIPE, data, tmp_path / "out", overrides=["model.dit.num_classes=7"])
    with pytest.raises(rae.ArgumentError, match="unknown option 'stage'"):
        rae.train(RECIPE, data, tmp_path / "out", stage="dit")
    with pytest.raises(OSError):
        rae.train(tmp_path / "missing.yaml", data, tmp_path / "out")
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_evaluation(data, model, tmp_path):
    parts = set()
    report = rae.evaluate(model, data, out=tmp_path / "out", samples=6, guided_samples=3,
                          on_progress=lambda p: parts.add(p.part))
    assert report["unguided"]["count"] == 6
    assert 0 <= report["unguided"]["class_consistency"] <= 1
    assert report["reconstruction"]["psnr"] > 0
    assert "samples" in parts
    assert (tmp_path / "out" / "samples.png").exists()
    assert report == json.loads((tmp_path / "out" / "evaluation.json").read_text())
    with pytest.raises(rae.Cancelled):
        rae.evaluate(model, data, samples=6, on_progress=lambda p: False)
