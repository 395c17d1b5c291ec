"""Trains the network of bench_train_step in PyTorch, in f32 and in bf16 autocast.

    /usr/bin/python3 tests/bench/peers/torch_train.py --ours build/tests/bench_train_step --rounds 5

Each round makes a step in each type with PyTorch and runs bench_train_step, so that all are
affected alike when the speed of the machine changes. Prints the medians of the rounds and of their
ratios; with --json as one object.
"""

import argparse
import json
import math
import statistics
import subprocess
import time

import tuned_torch  # must be imported first, since it restarts the program
import torch
import torch.nn as nn
import torch.nn.functional as F

GRID, CHANNELS, WIDTH, HEADS, HIDDEN, CLASSES = 8, 16, 384, 6, 1024, 10
TOKENS = GRID * GRID


class RmsNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def rope_tables():
    """cos and sin (T, hd) of the rotations of neighbouring pairs of channels.

    The angles of the first half of a head depend on the row, those of the second on the column.
    """
    dim = WIDTH // HEADS
    frequencies = 10000.0 ** (-torch.arange(0, dim // 2, 2) / (dim // 2))
    position = torch.arange(GRID).float()[:, None] * frequencies.repeat_interleave(2)  # (G, hd/2)
    rows = position[:, None, :].expand(GRID, GRID, dim // 2)
    columns = position[None, :, :].expand(GRID, GRID, dim // 2)
    angles = torch.cat([rows, columns], -1).reshape(TOKENS, dim)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], -1).flatten(-2)
    return x * cos + turned * sin


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(WIDTH), RmsNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.w12, self.w3 = nn.Linear(WIDTH, 2 * HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.adaln = nn.Linear(WIDTH, 6 * WIDTH)

    def forward(self, x, c, cos, sin):
        b = x.shape[0]
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            self.adaln(F.silu(c)).unsqueeze(1).chunk(6, -1)
        )
        h = self.norm1(x) * (1 + scale1) + shift1
        q, k, v = self.qkv(h).reshape(b, TOKENS, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        x = x + gate1 * self.proj(
            tuned_torch.attention(q, k, v).transpose(1, 2).reshape(b, TOKENS, WIDTH)
        )
        gate, up = self.w12(self.norm2(x) * (1 + scale2) + shift2).chunk(2, -1)
        return x + gate2 * self.w3(F.silu(gate) * up)


class Dit(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.embed = nn.Linear(CHANNELS, WIDTH)
        self.position = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.register_buffer("frequencies", torch.randn(256))
        self.time = nn.Sequential(nn.Linear(512, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH))
        self.label = nn.Embedding(CLASSES + 1, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.norm, self.adaln, self.out = (
            RmsNorm(WIDTH),
            nn.Linear(WIDTH, 2 * WIDTH),
            nn.Linear(WIDTH, CHANNELS),
        )

    def forward(self, x, t, y, cos, sin):
        angles = 2 * math.pi * t[:, None] * self.frequencies
        c = self.time(torch.cat([angles.sin(), angles.cos()], -1)) + self.label(y)
        x = self.embed(x.flatten(2).transpose(1, 2)) + self.position
        for block in self.blocks:
            x = block(x, c, cos, sin)
        shift, scale = self.adaln(F.silu(c)).unsqueeze(1).chunk(2, -1)
        return self.out(self.norm(x) * (1 + scale) + shift).transpose(1, 2)


class Trainer:
    """Training steps of one model: loss, backward pass, clipping and AdamW.

    There is no average of the weights, which PyTorch leaves to its users.
    """

    def __init__(self, layers, batch, narrow):
        torch.manual_seed(0)
        self.model, self.narrow, self.batch = Dit(layers), narrow, batch
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.0
        )
        self.x = torch.randn(batch, CHANNELS, GRID, GRID)
        self.target = torch.randn(batch, CHANNELS, TOKENS)
        self.t, self.y = torch.rand(batch), torch.arange(batch) % CLASSES
        self.tables = rope_tables()

    def seconds(self):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.narrow):
            out = self.model(self.x, self.t, self.y, *self.tables)
        F.mse_loss(out.float(), self.target).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", help="path of bench_train_step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--types", default="f32,bf16")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    types = args.types.split(",")
    trainers = {t: Trainer(args.layers, args.batch, t == "bf16") for t in types}
    rates = {t: {"ours": [], "torch": []} for t in types}
    for t in types:
        trainers[t].seconds()  # the first step allocates the memory
    for _ in range(args.rounds):
        for t in types:
            rates[t]["torch"].append(args.batch / trainers[t].seconds())
            if args.ours:
                line = subprocess.run(
                    [
                        args.ours,
                        "--json",
                        "--type",
                        t,
                        "--steps",
                        "2",
                        "--layers",
                        str(args.layers),
                        "--batch",
                        str(args.batch),
                        "--threads",
                        str(args.threads),
                    ],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
                rates[t]["ours"].append(json.loads(line)["images_per_second"])
    result = {}
    for t in types:
        torch_rate = statistics.median(rates[t]["torch"])
        result[t] = {"torch": torch_rate}
        if rates[t]["ours"]:
            ratios = [a / b for a, b in zip(rates[t]["ours"], rates[t]["torch"])]
            result[t].update(
                ours=statistics.median(rates[t]["ours"]), ratio=statistics.median(ratios)
            )
    if args.json:
        print(json.dumps(result))
    else:
        for t, r in result.items():
            print(
                t,
                "  ".join(f"{k} {v:.2f}" for k, v in r.items()),
                "(images/s; ratio: median over rounds)",
            )


if __name__ == "__main__":
    main()
