#!/usr/bin/env python3
"""Measures whole networks of `rae bench` and of its peers.

    compare.py RAE [--models LIST] [--threads 2] [--rounds 4] [--python PYTHON] [--ggml PROGRAM]
               [--json FILE]

RAE is the built command. Every round runs each program once, so that all are affected alike when
the speed of the machine changes. A peer that is missing (no PyTorch for PYTHON, no PROGRAM) is
left out. Prints medians in milliseconds and, for each peer, the median over the rounds of its time
divided by ours: above 1, ours is faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Runs of each network in a round. Starting a program and making its weights takes longer than one.
RUNS = 2


def run(command, folder):
    """Runs a program with --json and returns the object that it wrote."""
    path = os.path.join(folder, "out.json")
    subprocess.run(command + ["--json", path], check=True, stdout=subprocess.DEVNULL)
    with open(path) as file:
        return json.load(file)


def has_torch(python):
    return (
        subprocess.run(
            [python, "-c", "import torch"], stderr=subprocess.DEVNULL, check=False
        ).returncode
        == 0
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rae")
    parser.add_argument("--models", default="dit-dh-xl,dit-dh-s,decoder-xl,dinov2-b")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--ggml")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    common = [
        "--models",
        arguments.models,
        "--threads",
        str(arguments.threads),
        "--rounds",
        str(RUNS),
    ]
    programs = {"rae": [arguments.rae, "bench"] + common}
    if has_torch(arguments.python):
        programs["torch"] = [arguments.python, os.path.join(HERE, "torch_models.py")] + common
    if arguments.ggml:
        programs["ggml"] = [
            arguments.ggml,
            "--threads",
            str(arguments.threads),
            "--rounds",
            str(RUNS),
        ]

    rounds = []  # one map per round: program -> the object that it wrote
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            rounds.append({})
            for name, command in programs.items():
                print(
                    f"\rround {number + 1} of {arguments.rounds}: {name}   ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
                rounds[-1][name] = run(command, folder)
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)

    def seconds(program, number, line):
        for each in rounds[number][program]["networks"]:
            if (each["name"], each["dtype"]) == line:
                return each["seconds"]
        return None

    # The figures of `rae bench` over all rounds, and for each network its peers in all their types.
    result = rounds[0]["rae"]
    everything = [each for r in rounds for each in [r["rae"]]]
    result["rounds"] = RUNS * arguments.rounds
    result["read_bytes_per_second"] = statistics.median(
        each["read_bytes_per_second"] for each in everything
    )
    for dtype in result["peak_per_second"]:
        result["peak_per_second"][dtype] = statistics.median(
            each["peak_per_second"][dtype] for each in everything
        )
    for index, network in enumerate(result["networks"]):
        same = [each["networks"][index] for each in everything]
        network["seconds_of_rounds"] = sum((each["seconds_of_rounds"] for each in same), [])
        network["seconds"] = statistics.median(network["seconds_of_rounds"])
        work = 2 * network["products_per_picture"] * result["batch"]
        network["fraction_of_peak"] = (
            work / network["seconds"] / result["peak_per_second"][network["dtype"]]
        )
        network["peers"] = []
        for program in programs:
            if program == "rae":
                continue
            for peer in rounds[0][program]["networks"]:
                if peer["name"] != network["name"]:
                    continue
                if peer.get("parameters", network["parameters"]) != network["parameters"]:
                    sys.exit(
                        f"{program}: {peer['name']} has {peer['parameters']} parameters, "
                        f"ours {network['parameters']}"
                    )
                theirs = [
                    seconds(program, r, (peer["name"], peer["dtype"]))
                    for r in range(arguments.rounds)
                ]
                network["peers"].append(
                    {
                        "program": program,
                        "dtype": peer["dtype"],
                        "seconds": statistics.median(theirs),
                        "ratio": statistics.median(t / o["seconds"] for t, o in zip(theirs, same)),
                    }
                )
                if "conditioning_seconds" in peer:
                    network["peers"][-1]["conditioning_seconds"] = peer["conditioning_seconds"]
    result["programs"] = {
        name: {k: v for k, v in rounds[0][name].items() if k != "networks"}
        for name in programs
        if name != "rae"
    }

    for network in result["networks"]:
        print(
            f"{network['name']:14s} {network['dtype']:5s} {1e3 * network['seconds']:9.2f} ms",
            end="",
        )
        print(f"  {network['fraction_of_peak']:.3f} of peak", end="")
        for peer in network["peers"]:
            print(
                f"   {peer['program']} {peer['dtype']} {1e3 * peer['seconds']:.1f} ms "
                f"x{peer['ratio']:.2f}",
                end="",
            )
        print()
    if arguments.json:
        with open(arguments.json, "w") as out:
            json.dump(result, out, indent=1)


if __name__ == "__main__":
    main()
