#!/usr/bin/env python3
"""Estimates training steps of DiT^DH-XL on many computers from measurements on one.

    scaling.py [docs/scaling.md]

Prints the table of docs/scaling.md, or replaces it in the file. The measurements below are those of
bench_ranks (tests/bench/ranks_bench.cpp); docs/scaling.md explains each of them and the model.
"""

import sys

# Measured on two cores, with a LightningDiT of 32.6 million parameters and 8.45 GFLOP per picture.
FLOPS_PER_CORE = 108.6e9  # of the products of a training step, f32
UPDATE_PER_PARAMETER = 5.1e-9  # seconds of AdamW, average and norm on one core
HIDDEN_SHARE = 0.69  # of the backward pass in which a network at its limit is busy

# DiT^DH-XL with 16 x 16 tokens (`rae bench`): parameters, and operations of a training step for a
# picture: a multiplication and an addition for each product, three times for both gradients.
PARAMETERS = 838.7e6
FLOPS_PER_PICTURE = 2 * 3 * 161.4e9

# Not measured: seconds of a message between computers, as is usual for TCP.
LATENCY = 10e-6

# A computer with two processors of 32 cores, one rank each. Not measured: the share of the speed of
# separate cores that all of them reach together, and the memory's bandwidth in cores that saturate
# it.
CORES, CORE_SHARE, MEMORY_CORES = 64, 0.8, 16
BATCH = 1024  # pictures of a step, as in the official training
NODES = (1, 8, 16, 32, 64, 128, 256)
NETWORKS = (10e9, 100e9)  # bits per second of one computer in each direction
SPEEDS = {"cores": 1, "fast": 4}  # of the products, compared with the cores measured here


def step(nodes, network, speed):
    """Seconds of computing, of communication, and of a whole step."""
    pictures = -(-BATCH // nodes)  # the rank with the most
    products = pictures * FLOPS_PER_PICTURE / (speed * FLOPS_PER_CORE * CORES * CORE_SHARE)
    update = PARAMETERS * UPDATE_PER_PARAMETER / MEMORY_CORES
    if nodes == 1:
        return products + update, 0.0, products + update
    sent = 2 * (nodes - 1) / nodes * 4 * PARAMETERS
    buckets = 4 * PARAMETERS / max(4 << 20, nodes * (128 << 10))
    messages = 2 * (nodes - 1) * buckets
    communication = 8 * sent / network + messages * LATENCY
    backward = products * 2 / 3
    waiting = max(communication - HIDDEN_SHARE * backward, communication / buckets)
    return products + update, communication, products + update + waiting


def seconds(value):
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def table(speed):
    head = ["nodes", "pictures", "computing"]
    for network in NETWORKS:
        head += [f"sums ({network / 1e9:.0f})", "step", "efficiency"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for nodes in NODES:
        row = [str(nodes), f"{BATCH / nodes:g}", seconds(step(nodes, NETWORKS[0], speed)[0])]
        for network in NETWORKS:
            _, communication, whole = step(nodes, network, speed)
            alone = step(1, network, speed)[2]
            row += [seconds(communication), seconds(whole), f"{100 * alone / nodes / whole:.0f} %"]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main():
    if len(sys.argv) == 1:
        for name, speed in SPEEDS.items():
            print(f"{name}\n{table(speed)}\n")
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    for name, speed in SPEEDS.items():
        begin, end = f"<!-- modelled: {name} -->\n", "<!-- /modelled -->"
        at = text.index(begin) + len(begin)
        text = text[:at] + table(speed) + "\n" + text[text.index(end, at):]
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(text)


main()
