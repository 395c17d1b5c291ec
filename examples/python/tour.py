# %% [markdown]
# A tour of rae in Python: pictures of all classes, the way from noise to a picture, and pictures
# between two others. Run it as a program (`python tour.py`), or cell by cell.

# %%
import argparse

import numpy as np

import rae

parser = argparse.ArgumentParser(description="Draws contact sheets with the built-in model.")
parser.add_argument("--model", help="a bundle of rae train; default: the built-in model")
parser.add_argument("--steps", type=int, default=0, help="steps of the sampler; 0: the model's")
arguments, _ = parser.parse_known_args()  # ignores arguments of a notebook's kernel

if arguments.model:
    generator = rae.Generator.load(arguments.model)
    autoencoder = rae.Autoencoder.load(arguments.model)
else:
    generator, autoencoder = rae.Generator.builtin(), rae.Autoencoder.builtin()
print(rae.system_info())
print(f"{generator.name}: {generator.num_classes} classes, pictures {generator.image_shape}, "
      f"latents {generator.latent_shape}")

# %% [markdown]
# A row of eight pictures for each class. Every picture is a function of its class, the seed and its
# number, so the sheet is always the same.

# %%
columns = 8
labels = np.repeat(np.arange(generator.num_classes), columns)
sheet = generator.sample(labels, seed=0, steps=arguments.steps)
rae.save_png("classes.png", rae.grid(sheet, columns))

# %% [markdown]
# The denoised estimate after each step: the first ones are means of many pictures, and details come
# last.

# %%
estimates = []


def keep_estimate(info):
    if info.determines_data:
        estimates.append(info.denoised())


generator.sample([0, 1, 2, 3], seed=1, steps=arguments.steps or 12, on_step=keep_estimate)
steps = generator.decode(np.concatenate(estimates))  # step by step, four pictures each
rae.save_png("steps.png", rae.grid(steps, columns=4))

# %% [markdown]
# Between two pictures: a line between their latents.

# %%
first, last = autoencoder.encode([sheet[0], sheet[-1]])
weights = np.linspace(0, 1, columns, dtype=np.float32)[:, None, None, None]
between = autoencoder.decode((1 - weights) * first + weights * last)
rae.save_png("between.png", rae.grid(between, columns))

# %% [markdown]
# The decoder is trained with noise on its latents, so small errors of the diffusion network do not
# show: pictures whose latents have more and more noise.

# %%
noise = np.random.default_rng(0).standard_normal((columns, *generator.latent_shape))
noised = (first + np.linspace(0, 1, columns)[:, None, None, None] * noise).astype(np.float32)
rae.save_png("again.png", rae.grid(autoencoder.decode(noised), columns))
