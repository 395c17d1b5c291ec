"""Models, pictures and the program that the tests share."""

import faulthandler
import os
import pathlib
import shutil
import signal
import subprocess

import numpy as np
import pytest

import rae

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Networks that train in less than a second.
RECIPE = {
    "model": {
        "name": "tiny",
        "image_size": 8,
        "pixels": {"mean": [0.5], "std": [0.3]},
        "encoder": {
            "family": "siglip2", "patch_size": 4, "channels": 1, "hidden_size": 8,
            "num_layers": 1, "num_heads": 2, "intermediate_size": 16, "table_h": 2, "table_w": 2,
        },
        "decoder": {
            "grid_h": 2, "grid_w": 2, "in_dim": 8, "hidden_size": 8, "num_layers": 1,
            "num_heads": 2, "intermediate_size": 16, "patch_size": 4, "channels": 1,
        },
        "dit": {
            "grid_h": 2, "grid_w": 2, "in_channels": 8, "hidden_size": [8, 12], "depth": [1, 1],
            "num_heads": [2, 3], "class_dropout_prob": 0.1,
        },
        "time_shift": 2.0,
        "sampling": {"steps": 4},
    },
    "encoder": {
        "pretraining": {"augmentation": {"shift": 1, "flip": True}},
        "train": {"steps": 4, "batch_size": 6, "log_every": 1, "seed": 1},
    },
    "decoder": {
        "loss": {"noise_tau": 0.4},
        "train": {"steps": 4, "batch_size": 6, "log_every": 1, "seed": 2},
    },
    "dit": {
        "flow": {"time": "logit-normal_0_1"},
        "train": {"steps": 6, "batch_size": 6, "log_every": 1, "seed": 3, "checkpoint_every": 2},
    },
}


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, and a test that hangs ends the run with a traceback.

    A shell starts programs in the background with SIGINT ignored, and then Python leaves it so.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of eight gray pictures in each of three classes."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for i, name in enumerate(["large", "medium", "small"]):
        (folder / name).mkdir()
        for j in range(8):
            picture = random.integers(0, 80, (8, 8), dtype=np.uint8) + np.uint8(60 * i)
            rae.save_png(folder / name / f"{j}.png", picture)
    return folder


@pytest.fixture(scope="session")
def model(data, tmp_path_factory):
    """The path of a tiny model of three classes."""
    return rae.train(RECIPE, data, tmp_path_factory.mktemp("run") / "out")


@pytest.fixture
def generator(model):
    return rae.Generator.load(model)


@pytest.fixture
def autoencoder(model):
    return rae.Autoencoder.load(model)


@pytest.fixture(scope="session")
def command():
    """Runs the program `rae` with some arguments."""
    program = os.environ.get("RAE_TOOL") or shutil.which("rae")
    if program is None:
        pytest.skip("the program 'rae' is neither installed nor in RAE_TOOL")

    def run(*arguments):
        subprocess.run([program, *map(str, arguments)], check=True, capture_output=True)

    return run
