"""rae.Generator: results equal those of the command, calls can be watched and stopped."""

import concurrent.futures
import os
import signal
import threading

import numpy as np
import pytest

import rae


def test_pictures_have_the_shape_of_the_model(generator):
    images = generator.sample(labels=[0, 1, 2], seed=1)
    assert images.shape == (3, *generator.image_shape) == (3, 8, 8, 1)
    assert images.dtype == np.uint8
    assert generator.latent_shape == (8, 2, 2)
    assert generator.class_names == ["large", "medium", "small"]
    assert generator.num_classes == 3
    assert generator.config["name"] == generator.name == "tiny"


def test_a_picture_is_a_function_of_label_and_seed(generator):
    both = generator.sample([0, 2], seed=5)
    assert np.array_equal(both[1:], generator.sample(["small"], seed=5, first_index=1))
    assert np.array_equal(both, generator.sample(np.array([0, 2]), seed=5))
    assert np.array_equal(both[:1], generator.sample("Large", seed=5))
    assert not np.array_equal(both, generator.sample([0, 2], seed=6))


def test_bits_are_those_of_the_command(generator, model, command, tmp_path):
    out = tmp_path / "o.npz"
    command("generate", "-m", model, "-n", 4, "--class", 1, "--seed", 9, "--steps", 3,
            "--cfg", 1.5, "-o", out)
    expected = np.load(out)["arr_0"]
    images = generator.sample([1] * 4, seed=9, steps=3, guidance=1.5)
    assert np.array_equal(images, expected)


def test_decoded_latents_are_the_pictures(generator):
    latents = generator.sample_latents([0, 1], seed=2)
    assert latents.shape == (2, 8, 2, 2) and latents.dtype == np.float32
    assert np.array_equal(generator.decode(latents), generator.sample([0, 1], seed=2))
    pixels = generator.decode_pixels(latents)
    assert pixels.shape == (2, 1, 8, 8)
    rounded = np.floor(np.clip(pixels, 0, 1) * 255 + 0.5).transpose(0, 2, 3, 1)
    assert np.array_equal(rounded, generator.decode(latents))


def test_euler_by_hand(generator):
    """One Euler step of velocity() is sample_latents(steps=1): x - v, from t = 1 to 0."""
    noise = generator.noise(3, 2)
    step = noise - generator.velocity(noise, 1.0, [0, 2])
    assert np.allclose(step, generator.sample_latents([0, 2], seed=3, steps=1), atol=1e-6)
    assert np.array_equal(generator.sample_latents([0, 2], noise=noise),
                          generator.sample_latents([0, 2], seed=3))


def test_arrays_are_shared_and_not_copied(generator):
    noise = generator.noise(0, 1)
    assert noise.flags.c_contiguous and noise.flags.writeable
    shared = np.from_dlpack(noise)
    assert np.shares_memory(noise, shared)
    del generator
    noise[:] = 1  # the elements outlive the model
    assert shared.sum() == shared.size


def test_other_arrays_are_accepted(generator):
    noise = generator.noise(0, 2)
    expected = generator.velocity(noise, 0.5, [0, 1])
    assert np.array_equal(generator.velocity(noise.astype(np.float64), 0.5, [0, 1]), expected)
    transposed = np.ascontiguousarray(noise.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0)
    assert np.array_equal(generator.velocity(transposed, 0.5, [0, 1]), expected)


def test_torch_tensors_go_both_ways(generator):
    torch = pytest.importorskip("torch")
    noise = torch.from_dlpack(generator.noise(0, 2))
    expected = generator.velocity(noise.numpy(), 0.5, [0, 1])
    assert np.array_equal(generator.velocity(noise, 0.5, [0, 1]), expected)


def test_the_callback_sees_each_step(generator):
    steps = []

    def on_step(info):
        steps.append((info.step, info.steps, info.t, info.x, info.denoised()))

    latents = generator.sample_latents([0, 1], seed=4, steps=3, on_step=on_step)
    assert [s[:2] for s in steps] == [(1, 3), (2, 3), (3, 3)]
    assert steps[-1][2] == 0
    assert np.array_equal(steps[-1][3], latents)
    assert steps[0][4].shape == latents.shape


def test_the_callback_stops(generator):
    with pytest.raises(rae.Cancelled):
        generator.sample([0], steps=10, on_step=lambda info: info.step < 2)

    def fail(info):
        raise KeyError("from the callback")

    with pytest.raises(KeyError, match="from the callback"):
        generator.sample([0], on_step=fail)


def test_a_signal_stops_within_a_step(generator):
    with pytest.raises(KeyboardInterrupt):
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        generator.sample([0] * 100000, steps=10000)


def test_other_threads_run_meanwhile(generator):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda seed: generator.sample([0, 1], seed=seed), range(8)))
    for seed, images in enumerate(results):
        assert np.array_equal(images, generator.sample([0, 1], seed=seed))


def test_threads_do_not_change_the_bits(generator):
    before = rae.num_threads()
    results = []
    for threads in (1, 3):
        rae.set_num_threads(threads)
        results.append(generator.sample_latents([0, 1, 2], seed=1))
    rae.set_num_threads(before)
    assert np.array_equal(*results)


def test_options_of_the_samplers(generator):
    for options in ({"solver": "heun"}, {"grid": "full"}, {"kind": "sde"},
                    {"kind": "sde", "sde": rae.SdeOptions(solver="heun", norm=0.5)},
                    {"guidance": rae.Cfg(2, 0.1, 0.9)}, {"rng": "torch-cpu"},
                    {"solver": "dopri5", "atol": 1e-3, "rtol": 1e-3}, {"batch_size": 1}):
        assert generator.sample_latents([0, 1], seed=1, **options).shape == (2, 8, 2, 2)
    report = rae.SamplingReport()
    generator.sample_latents([0, 1], steps=3, report=report)
    assert report.model.evaluations == 6


def test_pictures_to_begin_with(generator, autoencoder):
    pictures = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    init = autoencoder.encode(pictures)
    assert np.array_equal(generator.sample_latents([0, 1], init=init, strength=0), init)
    plain = generator.sample_latents([0, 1], seed=2)
    assert np.array_equal(generator.sample_latents([0, 1], seed=2, init=init), plain)
    mask = np.zeros((1, 1, 2, 2), np.float32)
    mask[0, 0, 0, 1] = 1
    painted = generator.sample_latents([0, 1], seed=2, init=init, mask=mask)
    changed = (painted != init).any(axis=1)
    assert changed[:, 0, 1].all() and changed.sum() == 2


def test_the_callback_may_replace_the_state(generator):
    end = np.full((1, 8, 2, 2), 0.25, np.float32)

    def on_step(info):
        if info.step == info.steps:
            info.replace(end)

    assert np.array_equal(generator.sample_latents([0], on_step=on_step), end)


def test_presets(generator):
    exact = generator.sample_latents([0], seed=1)
    assert np.array_equal(generator.sample_latents([0], seed=1, preset="exact"), exact)
    assert not np.array_equal(generator.sample_latents([0], seed=1, preset="fast"), exact)
    with pytest.raises(rae.ArgumentError, match="balanced"):
        generator.sample_latents([0], preset="slow")


def test_narrow_types(model):
    assert rae.Generator.load(model, dtype="bf16").dtype == "bf16"
    assert rae.Generator.load(model, dtype="auto").dtype in ("f32", "int8")
    with pytest.raises(rae.ArgumentError):
        rae.Generator.load(model, dtype="int3")


def test_settings_of_a_png(generator, tmp_path):
    options = {"seed": 3, "steps": 2}
    text = generator.png_text(["medium"], 0, **options)
    rae.save_png(tmp_path / "p.png", generator.sample(["medium"], **options), text)
    assert rae.read_png_text(tmp_path / "p.png") == text
    assert text["class"] == "medium" and text["seed"] == "3"


def test_errors_are_those_of_python_too(generator, tmp_path):
    with pytest.raises(rae.ArgumentError, match="there is no class 3") as error:
        generator.sample([3])
    assert isinstance(error.value, ValueError) and isinstance(error.value, rae.Error)
    with pytest.raises(ValueError, match="unknown option 'step'.*steps"):
        generator.sample([0], step=3)
    with pytest.raises(ValueError, match="steps"):
        generator.sample([0], steps="many")
    with pytest.raises(rae.ShapeError):
        generator.decode(np.zeros((1, 8, 3, 2), np.float32))
    with pytest.raises(rae.NumericError):
        generator.decode(np.full((1, 8, 2, 2), np.nan, np.float32))
    with pytest.raises(OSError):
        rae.Generator.load(tmp_path / "missing.safetensors")
    (tmp_path / "text.safetensors").write_text("not a model")
    with pytest.raises(rae.FormatError):
        rae.Generator.load(tmp_path / "text.safetensors")
    with pytest.raises(TypeError):
        generator.sample()
