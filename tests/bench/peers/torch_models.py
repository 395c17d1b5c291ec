#!/usr/bin/env python3
"""The networks of `rae bench` in plain PyTorch code, with the same sizes and random weights.

    torch_models.py [--models dit-dh-xl,decoder-xl] [--dtype f32,bf16] [--threads 2] [--rounds 5]
                    [--batch 1] [--compile] [--json FILE]

As in `rae bench`, the forward pass of a diffusion transformer does not include the part of the
conditioning that depends only on time and label. That part is measured separately ("conditioning"),
since the official code computes it in every step. In bf16, all weights and activations are bf16.

tuned_torch.py makes PyTorch as fast as its environment allows. --compile (PyTorch 2.0 and newer)
also compiles each network.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time

import tuned_torch  # must be imported first, since it restarts the program
import torch
import torch.nn.functional as F
from torch import nn


# --- Layers ---
class Norm(nn.Module):
    """RMSNorm with a weight."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        y = x.float()
        return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6)).type_as(x) * self.weight


def rotate(x, cos, sin):  # x (B, heads, N, hd)
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x, rope=None):  # (B, N, D)
        b, n, d = x.shape
        q, k, v = (
            self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        )  # (B, heads, N, hd) each
        if rope is not None:
            q, k = rotate(q, *rope), rotate(k, *rope)
        return self.proj(tuned_torch.attention(q, k, v).transpose(1, 2).reshape(b, n, d))


def modulate(x, shift, scale):
    return x * (1 + scale) + shift


class DitBlock(nn.Module):
    """RMSNorm, attention with rotary positions, and SwiGLU, with shifts, scales and gates."""

    def __init__(self, dim, heads):
        super().__init__()
        hidden = int(2 / 3 * int(4 * dim))
        self.norm1, self.norm2, self.attn = Norm(dim), Norm(dim), Attention(dim, heads)
        self.w12, self.w3, self.adaln = (
            nn.Linear(dim, 2 * hidden),
            nn.Linear(hidden, dim),
            nn.Linear(dim, 6 * dim),
        )

    def forward(self, x, modulation, rope):
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, -1)
        x = x + gate1 * self.attn(modulate(self.norm1(x), shift1, scale1), rope)
        a, b = self.w12(modulate(self.norm2(x), shift2, scale2)).chunk(2, -1)
        return x + gate2 * self.w3(F.silu(a) * b)


class VitBlock(nn.Module):
    """LayerNorm, attention, and an MLP with GELU; with LayerScale if requested."""

    def __init__(self, dim, hidden, heads, layer_scale):
        super().__init__()
        self.norm1, self.norm2, self.attn = (
            nn.LayerNorm(dim),
            nn.LayerNorm(dim),
            Attention(dim, heads),
        )
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
        self.scale = (
            nn.ParameterList([nn.Parameter(torch.ones(dim)) for _ in range(2)])
            if layer_scale
            else None
        )

    def forward(self, x):
        a = self.attn(self.norm1(x))
        x = x + (a * self.scale[0] if self.scale else a)
        m = self.fc2(F.gelu(self.fc1(self.norm2(x))))
        return x + (m * self.scale[1] if self.scale else m)


# --- Networks: `inputs(batch)` returns the arguments of `forward` ---
class DitDh(nn.Module):
    def __init__(
        self,
        width,
        depth,
        heads,
        channels=768,
        side=16,
        head_width=2048,
        head_depth=2,
        head_heads=16,
        classes=1000,
    ):
        super().__init__()
        self.channels, self.side, n = channels, side, side * side
        self.pos = nn.Parameter(torch.zeros(1, n, width))
        self.frequencies = nn.Parameter(torch.zeros(256))
        self.t_in, self.t_out = nn.Linear(512, width), nn.Linear(width, width)
        self.labels = nn.Embedding(classes + 1, width)
        self.x_embedder, self.s_embedder = nn.Linear(channels, head_width), nn.Linear(
            channels, width
        )
        self.s_projector = nn.Linear(width, head_width)
        self.backbone = nn.ModuleList([DitBlock(width, heads) for _ in range(depth)])
        self.head = nn.ModuleList([DitBlock(head_width, head_heads) for _ in range(head_depth)])
        self.norm, self.out = Norm(head_width), nn.Linear(head_width, channels)
        self.final_adaln = nn.Linear(head_width, 2 * head_width)
        for name, dim in (("rope1", width // heads), ("rope2", head_width // head_heads)):
            angles = torch.randn(n, dim)
            self.register_buffer(name + "_cos", angles.cos())
            self.register_buffer(name + "_sin", angles.sin())

    def conditioning(self, t, y):
        angles = 2 * math.pi * t[:, None] * self.frequencies
        time = self.t_out(F.silu(self.t_in(torch.cat((angles.cos(), angles.sin()), -1))))  # (B, h)
        c = F.silu(F.silu(time + self.labels(y)))
        return time[:, None], [block.adaln(c)[:, None] for block in self.backbone]

    def forward(self, x, condition):  # (B, C, h, w)
        time, modulation = condition
        tokens = x.flatten(2).transpose(1, 2)  # (B, N, C)
        s = self.s_embedder(tokens) + self.pos
        for block, m in zip(self.backbone, modulation):
            s = block(s, m, (self.rope1_cos, self.rope1_sin))
        s = self.s_projector(F.silu(s + time))  # (B, N, d)
        c, z = F.silu(s), self.x_embedder(tokens)
        for block in self.head:
            z = block(z, block.adaln(c), (self.rope2_cos, self.rope2_sin))
        shift, scale = self.final_adaln(c).chunk(2, -1)
        out = self.out(modulate(self.norm(z), shift, scale))
        return out.transpose(1, 2).reshape(x.shape[0], self.channels, self.side, self.side)

    def inputs(self, batch):
        dtype = self.pos.dtype
        self.time = torch.full((batch,), 0.5, dtype=dtype), torch.zeros(batch, dtype=torch.long)
        return torch.randn(batch, self.channels, self.side, self.side).to(dtype), self.conditioning(
            *self.time
        )


class Decoder(nn.Module):
    def __init__(self, width, depth, heads, hidden, channels=768, side=16, patch=16):
        super().__init__()
        self.channels, self.side, self.patch = channels, side, patch
        self.embed, self.pred = nn.Linear(channels, width), nn.Linear(width, patch * patch * 3)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(
            torch.zeros(1, side * side + 1, width)
        )
        self.layers = nn.ModuleList([VitBlock(width, hidden, heads, False) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):  # (B, N, C)
        b, p = tokens.shape[0], self.patch
        x = torch.cat((self.cls.expand(b, -1, -1), self.embed(tokens)), 1) + self.pos
        for layer in self.layers:
            x = layer(x)
        x = self.pred(self.norm(x))[:, 1:].view(b, self.side, self.side, p, p, 3)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(b, 3, self.side * p, self.side * p)

    def inputs(self, batch):
        return (torch.randn(batch, self.side * self.side, self.channels).to(self.pos.dtype),)


class Dinov2(nn.Module):
    def __init__(self, width=768, depth=12, heads=12, hidden=3072, patch=14, table=37, registers=4):
        super().__init__()
        self.patch, self.embed = patch, nn.Conv2d(3, width, patch, patch)
        self.cls, self.registers = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(
            torch.zeros(1, registers, width)
        )
        self.pos = nn.Parameter(torch.zeros(1, 1 + table * table, width))
        self.layers = nn.ModuleList([VitBlock(width, hidden, heads, True) for _ in range(depth)])
        self.table = table

    def forward(self, image):  # (B, 3, H, W)
        x = self.embed(image)
        b, d, h, w = x.shape
        grid = self.pos[:, 1:].reshape(1, self.table, self.table, d).permute(0, 3, 1, 2).float()
        grid = (
            F.interpolate(grid, size=(h, w), mode="bicubic", antialias=True)
            .to(x.dtype)
            .flatten(2)
            .transpose(1, 2)
        )
        x = x.flatten(2).transpose(1, 2) + grid
        x = torch.cat(
            ((self.cls + self.pos[:, :1]).expand(b, -1, -1), self.registers.expand(b, -1, -1), x), 1
        )
        for layer in self.layers:
            x = layer(x)
        return F.layer_norm(x, (d,))[:, 1 + self.registers.shape[1] :]

    def inputs(self, batch):
        return (torch.randn(batch, 3, 16 * self.patch, 16 * self.patch).to(self.pos.dtype),)


NETWORKS = {
    "dit-dh-xl": lambda: DitDh(1152, 28, 16),
    "dit-dh-s": lambda: DitDh(384, 12, 6),
    "decoder-xl": lambda: Decoder(1152, 28, 16, 4096),
    "dinov2-b": lambda: Dinov2(),
}
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


# --- Measuring ---
def make(name, dtype):
    """The network with small random weights.

    PyTorch's own initialisation is skipped, since it would take longer than the measurement.
    """
    saved = nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_
    nn.init.kaiming_uniform_ = nn.init.uniform_ = nn.init.normal_ = lambda tensor, *_, **__: tensor
    try:
        model = NETWORKS[name]()
    finally:
        nn.init.kaiming_uniform_, nn.init.uniform_, nn.init.normal_ = saved
    block = torch.rand(65521) * 2 - 1
    with torch.no_grad():
        for p in model.parameters():
            scale = math.sqrt(3 / p.shape[-1]) if p.dim() > 1 else 0.5
            p.copy_(
                (block.repeat(p.numel() // block.numel() + 1)[: p.numel()] * scale).view(p.shape)
            )
    return model.to(DTYPES[dtype]).eval()


def seconds_of(run):
    """The time of one call or, if that is below 50 ms, the mean of the calls of 50 ms."""
    start = time.perf_counter()
    run()
    elapsed = time.perf_counter() - start
    if elapsed >= 0.05:
        return elapsed
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.05:
        run()
        count += 1
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default=",".join(NETWORKS))
    parser.add_argument("--dtype", default="f32,bf16")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = []
    with torch.inference_mode():
        for name in arguments.models.split(","):
            for dtype in arguments.dtype.split(","):
                model = make(name, dtype)
                inputs = model.inputs(arguments.batch)
                if arguments.compile:
                    model.forward = torch.compile(model.forward)
                if not torch.isfinite(model(*inputs)).all():
                    sys.exit(f"{name} in {dtype} gives NaN or infinity")
                lines.append((name, dtype, model, inputs, [], []))
        for _ in range(arguments.rounds):
            for _, _, model, inputs, samples, conditioning in lines:
                samples.append(seconds_of(lambda: model(*inputs)))
                if isinstance(model, DitDh):
                    conditioning.append(seconds_of(lambda: model.conditioning(*model.time)))
    networks = []
    for name, dtype, model, _, samples, conditioning in lines:
        line = {
            "name": name,
            "dtype": dtype,
            "parameters": sum(p.numel() for p in model.parameters()),
            "seconds": statistics.median(samples),
            "seconds_of_rounds": samples,
        }
        if conditioning:
            line["conditioning_seconds"] = statistics.median(conditioning)
        networks.append(line)
        print(f"{name:12s} {dtype:5s} {1e3 * line['seconds']:9.2f} ms", end="")
        print(
            f"   conditioning {1e3 * line['conditioning_seconds']:.1f} ms" if conditioning else "",
            flush=True,
        )
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump(
                {
                    "torch": torch.__version__,
                    "threads": torch.get_num_threads(),
                    "batch": arguments.batch,
                    "capability": os.environ.get("ATEN_CPU_CAPABILITY", "default"),
                    "networks": networks,
                },
                out,
                indent=1,
            )


if __name__ == "__main__":
    main()
