"""rae.Autoencoder, and pictures as Python has them."""

import numpy as np
import pytest

import rae


@pytest.fixture
def pictures():
    return np.random.default_rng(1).integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)


def test_latents_and_back(autoencoder, pictures):
    latents = autoencoder.encode(pictures)
    assert latents.shape == (3, 8, 2, 2)
    assert np.array_equal(autoencoder.decode(latents), autoencoder.reconstruct(pictures))
    assert autoencoder.decode(latents).shape == pictures.shape


def test_all_forms_of_a_picture_are_equal(autoencoder, pictures, tmp_path):
    expected = autoencoder.encode(pictures)
    path = tmp_path / "p.png"
    rae.save_png(path, pictures[0])
    for form in (pictures[0], pictures[0, :, :, 0], pictures[0] / 255.0,
                 (pictures[0] / 255.0).astype(np.float32), path, str(path), [pictures[0]],
                 pictures[0].repeat(3, 2), pictures[0, ::-1][::-1]):
        assert np.array_equal(autoencoder.encode(form), expected[:1])
    mixed = autoencoder.encode([path, pictures[1], pictures[2:]])
    assert np.array_equal(mixed, expected)


def test_pictures_of_pillow(autoencoder, pictures):
    image = pytest.importorskip("PIL.Image")
    assert np.array_equal(autoencoder.encode(image.fromarray(pictures[0, :, :, 0])),
                          autoencoder.encode(pictures[0]))


def test_pictures_of_other_sizes_are_prepared(autoencoder):
    large = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    prepared = autoencoder.prepare(large)
    assert prepared.shape == (1, 8, 8, 1)
    assert np.array_equal(autoencoder.encode(large), autoencoder.encode(prepared))


def test_floats_are_not_rounded(autoencoder, pictures):
    pixels = (pictures / np.float32(255)).transpose(0, 3, 1, 2)
    assert np.allclose(autoencoder.encode_pixels(pixels), autoencoder.encode(pictures), atol=1e-5)
    shifted = autoencoder.encode_pixels(np.clip(pixels + np.float32(1e-3), 0, 1))
    assert not np.array_equal(shifted, autoencoder.encode(pictures))


def test_bits_are_those_of_the_command(autoencoder, model, command, pictures, tmp_path):
    path = tmp_path / "p.png"
    rae.save_png(path, pictures[0])
    command("reconstruct", "-m", model, path, tmp_path / "o.png")
    command("encode", "-m", model, path, tmp_path / "z.safetensors")
    reconstructed = autoencoder.reconstruct(path)
    assert np.array_equal(rae.open_image(tmp_path / "o.png"), reconstructed)
    latent = (tmp_path / "z.safetensors").read_bytes()
    assert autoencoder.encode(path).tobytes() in latent


def test_wrong_pictures(autoencoder):
    for wrong, error in ((np.zeros((8, 8, 2), np.uint8), rae.ShapeError),
                         (np.zeros(8, np.uint8), rae.ShapeError),
                         (np.zeros((8, 8), np.int64), rae.ArgumentError),
                         (np.full((8, 8), 2.0), rae.ArgumentError),
                         (np.full((8, 8), np.nan), rae.NumericError),
                         ([], rae.ArgumentError), ("missing.png", rae.FileError)):
        with pytest.raises(error):
            autoencoder.encode(wrong)


def test_grids(pictures, tmp_path):
    grid = rae.grid(pictures, columns=2, gap=1)
    assert grid.shape == (1, 17, 17, 1)
    assert np.array_equal(grid[0, :8, 9:], pictures[1])
    with pytest.raises(ValueError, match="one picture"):
        rae.save_png(tmp_path / "p.png", pictures)
