#!/usr/bin/env python3
"""Writes the measurements of tests/bench/measure.sh into the tables of the documentation.

    report.py FOLDER

FOLDER contains models.json, gemm.json, gemv.json, plain_gemm.json, attention.json, kernels.json,
ladder.json, picture.json, load_*.json, threads_*.json and training.json. The tables of a missing
file stay unchanged.

Tables are replaced between the lines `<!-- measured: NAME -->` and `<!-- /measured -->` of
docs/performance.md and docs/03_kernels.md.
"""

import glob
import json
import os
import re
import sys
import textwrap

DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs")
PEER_NAMES = {"torch": "PyTorch", "ggml": "ggml"}


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def paragraph(text):
    """The text in lines of at most 100 columns."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def milliseconds(seconds):
    value = 1e3 * seconds
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def gigabytes(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


# --- Whole networks ---
def machine(models, load):
    peaks = ", ".join(
        f"{dtype} {value / 1e9:.0f}" for dtype, value in models["peak_per_second"].items()
    )
    text = (
        f"Machine: {models['processor']}, {models['threads']} threads, "
        f"kernels {models['kernels']}, {models['compiler']}. Measured in the same run: "
        f"multiply-adds, counted as two operations, {peaks} GFLOP/s; reading memory "
        f"{models['read_bytes_per_second'] / 1e9:.0f} GB/s. Load average before the run: {load}."
    )
    versions = [f"{PEER_NAMES[name]} {values[name]}" for name, values in models["programs"].items()]
    if float(load) > 0.5:
        text += " **Other programs were running: on an idle machine, all times would be shorter.**"
    return paragraph(text + (f" Peers: {', '.join(versions)}." if versions else ""))


def peer_of(network, program):
    """The peer that a network is compared with.

    Of PyTorch the same type, or else its narrowest one; of ggml its fastest type.
    """
    peers = [peer for peer in network.get("peers", []) if peer["program"] == program]
    if program == "ggml":
        return min(peers, key=lambda peer: peer["seconds"], default=None)
    same = [peer for peer in peers if peer["dtype"] == network["dtype"]]
    return (same or [peer for peer in peers if peer["dtype"] == "bf16"] or [None])[0]


def compared(peer):
    return (
        f"{milliseconds(peer['seconds'])} ms {peer['dtype']}, {peer['ratio']:.2f}x" if peer else ""
    )


def networks(models):
    programs = list(models["programs"])
    head = ["network", "type", "weights", "ms", "GFLOP/s", "of peak"] + [
        f"{PEER_NAMES[p]}, speed-up of rae" for p in programs
    ]
    rows, last = [], None
    for each in models["networks"]:
        work = 2 * each["products_per_picture"] * models["batch"] / each["seconds"]
        name = (
            f"{each['name']}, {each['products_per_picture'] / 1e9:.1f} GMAC"
            if each["name"] != last
            else ""
        )
        last = each["name"]
        rows.append(
            [
                name,
                each["dtype"],
                gigabytes(each["weight_bytes"]),
                milliseconds(each["seconds"]),
                f"{work / 1e9:.0f}",
                f"**{each['fraction_of_peak']:.2f}**",
            ]
            + [compared(peer_of(each, p)) for p in programs]
        )
    text = table(head, rows)
    apart = [
        f"{peer['conditioning_seconds'] * 1e3:.0f} ms {peer['dtype']}"
        for each in models["networks"]
        if each["name"] == "dit-dh-xl" and each["dtype"] == "f32"
        for peer in each["peers"]
        if "conditioning_seconds" in peer
    ]
    if apart:
        text += "\n\n" + paragraph(
            "PyTorch's figures, like ours, do not include the part of the conditioning that "
            "depends only on time and label. The official code computes it in every step, which "
            f"takes {' and '.join(apart)} more for dit-dh-xl."
        )
    return text


def threads(runs):
    """Columns are numbers of threads.

    Rows are, for each network and type, its time, its speed-up over one thread, and its peers.
    """
    runs = sorted(runs, key=lambda run: run["threads"])
    last, rows = runs[-1], []
    peaks = ", ".join(
        f"{dtype} {value / 1e9:.0f}" for dtype, value in last["peak_per_second"].items()
    )
    versions = [f"{PEER_NAMES[name]} {values[name]}" for name, values in last["programs"].items()]
    text = paragraph(
        f"Machine: {last['processor']}, kernels {last['kernels']}, {last['compiler']}; "
        f"{last['threads']} threads do {peaks} GFLOP/s and read "
        f"{last['read_bytes_per_second'] / 1e9:.0f} GB/s of memory. Peers: {', '.join(versions)}."
    )
    text += "\n\n"
    for network in last["networks"]:
        key = network["name"], network["dtype"]
        same = [
            next(each for each in run["networks"] if (each["name"], each["dtype"]) == key)
            for run in runs
        ]
        label = f"{network['name']} {network['dtype']}"
        rows.append(
            [f"{label}, ms (of peak)"]
            + [f"{milliseconds(each['seconds'])} ({each['fraction_of_peak']:.2f})" for each in same]
        )
        rows.append(
            ["speed-up over one thread"]
            + [f"{same[0]['seconds'] / each['seconds']:.1f}x" for each in same]
        )
        for program in last["programs"]:
            peers = [peer_of(each, program) for each in same]
            if any(peers):
                rows.append(
                    [f"{PEER_NAMES[program]}, speed-up of rae"] + [compared(peer) for peer in peers]
                )
    return text + table(["threads"] + [str(run["threads"]) for run in runs], rows)


# --- Kernels ---
def gemm(lines):
    out = []
    for threads in (2, 1):
        chosen = [line for line in lines if line["threads"] == threads]
        if not chosen:
            continue
        shapes = list(dict.fromkeys(line["line"].split()[-1] for line in chosen))
        rows = []
        for dtype in dict.fromkeys(line["dtype"] for line in chosen):
            group = [line for line in chosen if line["dtype"] == dtype]
            peak = sorted(line["peak"] for line in group)[len(group) // 2]
            for name in dict.fromkeys(c["name"] for line in group for c in line["candidates"]):
                mine = [next(c for c in line["candidates"] if c["name"] == name) for line in group]
                mean = sum(c["fraction"] for c in mine) / len(mine)
                ratio = sum(c["ours_over_it"] for c in mine) / len(mine)
                label = {"ours": "rae", "bf16 in": "rae, bf16 input"}.get(name, name)
                rows.append(
                    [
                        (
                            f"{dtype}, {label}"
                            if rows and name != "ours"
                            else f"{dtype}, {label} (peak {peak / 1e9:.0f})"
                        )
                    ]
                    + [f"{c['fraction']:.2f}" for c in mine]
                    + [f"**{mean:.3f}**", "" if mine[0]["ours"] else f"{ratio:.2f}x"]
                )
        out.append(
            table(
                [f"{threads} thread{'s' if threads > 1 else ''}"]
                + shapes
                + ["mean", "speed-up of rae"],
                rows,
            )
        )
    return "\n\n".join(out)


def plain_gemm(lines):
    """Means over products of one kind, and the range of the ratio to OpenBLAS."""
    kinds = {"Y": "y = x W^T", "dX": "dx = dy W", "dW": "dW = dy^T x"}

    def group_of(line):
        threads, *_, kind, shape = line["line"].split()
        size = [int(n) for n in shape.split("x")]
        rows = size[2] if kind == "dW" else size[0]
        return (
            threads,
            f"{line['dtype']}: {kinds[kind]}, {'256 or 261' if rows < 300 else rows} rows",
        )

    out = []
    for threads in dict.fromkeys(group_of(line)[0] for line in lines):
        mine = [line for line in lines if group_of(line)[0] == threads]
        names = list(dict.fromkeys(c["name"] for line in mine for c in line["candidates"]))
        rows = []
        for group in sorted(
            dict.fromkeys(group_of(line)[1] for line in mine), key=lambda g: g.startswith("bf16")
        ):
            members = [
                {c["name"]: c for c in line["candidates"]}
                for line in mine
                if group_of(line)[1] == group
            ]
            row = [f"{group}, {len(members)} shapes"]
            for name in names:
                fractions = [m[name]["fraction"] for m in members if name in m]
                row.append(f"{sum(fractions) / len(fractions):.2f}" if fractions else "")
            ratios = [m["OpenBLAS"]["ours_over_it"] for m in members if "OpenBLAS" in m]
            rows.append(row + [f"{min(ratios):.2f}x to {max(ratios):.2f}x" if ratios else ""])
        out.append(
            table(
                [f"{threads[1:]} thread{'' if threads == 'T1' else 's'}"]
                + names
                + ["speed-up over OpenBLAS"],
                rows,
            )
        )
    return "\n\n".join(out)


def gemv(lines):
    """A row for each number of threads, shape and type; a column for each number of rows M.

    Lines have names such as "T2 int4 M16 1152x4608".
    """
    heads = list(dict.fromkeys(line["line"].split()[2] for line in lines))
    groups = {}
    for line in lines:
        threads, dtype, m, shape = line["line"].split()
        ours = next(c for c in line["candidates"] if c["ours"])
        ratios = [c["ours_over_it"] for c in line["candidates"] if not c["ours"]]
        groups.setdefault((threads, shape, dtype), {})[m] = (
            f"{ours['rate'] / 1e9:.0f} ({ours['fraction']:.2f})",
            ratios,
        )
    rows = []
    for (threads, shape, dtype), cells in sorted(
        groups.items(), key=lambda item: item[0][0], reverse=True
    ):
        ratios = [r for _, each in cells.values() for r in each]
        rows.append(
            [f"{threads} {shape} {dtype}"]
            + [cells[m][0] if m in cells else "" for m in heads]
            + [f"{min(ratios):.2f}x to {max(ratios):.2f}x" if ratios else ""]
        )
    return table(
        ["threads, N x K, type"] + [f"M = {m[1:]}" for m in heads] + ["speed-up over oneDNN"], rows
    )


def training(types):
    rows = [
        [
            dtype,
            f"{t['ours']:.1f}" if "ours" in t else "",
            f"{t['torch']:.1f}",
            f"{t['ratio']:.2f}x" if "ratio" in t else "",
        ]
        for dtype, t in types.items()
        if "ours" in t
    ]
    return table(
        ["type", "rae, pictures per second", "PyTorch (bf16: autocast)", "speed-up of rae"], rows
    )


def picture(lines):
    rows = [
        [
            line["dtype"],
            f"{line['picture']:.1f} s",
            f"{line['forward']:.3f} s",
            f"{line['decode']:.3f} s",
            f"**{line['overhead']:.3f}**",
        ]
        for line in lines
    ]
    return table(
        ["type", "picture", "one forward", "decoding", "picture / (49 forwards + decoding)"], rows
    )


def loading(lines):
    rows = []
    for packed in (False, True):
        for dtype in ("f32", "bf16", "int8"):
            same = [line for line in lines if (line["dtype"], line["packed"]) == (dtype, packed)]
            if same:
                best = min(same, key=lambda line: line["begins"])
                rows.append(
                    [
                        "packed" if packed else "f32",
                        dtype,
                        f"**{best['begins']:.2f} s**",
                        gigabytes(best["resident_bytes"]),
                    ]
                )
    return table(
        [
            "file",
            "loaded as",
            "first step begins after",
            "largest resident set, including the mapped file",
        ],
        rows,
    )


def attention(lines):
    rows = [
        [
            line["line"],
            milliseconds(line["seconds"]),
            f"{line['fraction']:.2f}",
            milliseconds(line["backward_seconds"]),
            f"{line['backward_fraction']:.2f}",
        ]
        for line in lines
    ]
    return table(
        [
            "threads, type, tokens x heads x width",
            "forward, ms",
            "of peak",
            "backward, ms",
            "of peak",
        ],
        rows,
    )


def kernels(benchmarks):
    """A row for each kernel; a column for each size and number of threads.

    The JSON is that of Google Benchmark. Benchmarks are named "KERNEL/ROWS/threads:N/...".
    """
    cells = {}
    for each in benchmarks:
        name, rows, threads = each["name"].split("/")[:3]
        far = int(rows) > 1000
        rate = each["bytes_per_second"] / 1e9
        text = f"{rate:.{0 if rate >= 10 else 1}f}" + (f" ({each['of_memory']:.2f})" if far else "")
        cells.setdefault(name, {})[(far, int(threads.split(":")[1]))] = text
    heads = sorted({key for row in cells.values() for key in row})
    titles = [
        f"{'from memory' if far else 'in cache'}, {threads} thread{'' if threads == 1 else 's'}"
        for far, threads in heads
    ]
    return table(
        ["kernel"] + titles,
        [[name] + [row.get(key, "") for key in heads] for name, row in cells.items()],
    )


def ladder(lines):
    rows, last = [], None
    for line in lines:
        gain = "" if last is None else f"{line['flops'] / last:.1f}x"
        rows.append([line["rung"], f"{line['flops'] / 1e9:.1f}", gain, f"{line['fraction']:.3f}"])
        last = line["flops"]
    return table(["rung", "GFLOP/s", "over the previous rung", "of peak"], rows)


def insert(page, name, text):
    path = os.path.join(DOCS, page)
    with open(path) as file:
        old = file.read()
    pattern = re.compile(rf"(<!-- measured: {name} -->\n).*?(<!-- /measured -->)", re.S)
    if not pattern.search(old):
        sys.exit(f"{page}: no place for '{name}'")
    with open(path, "w") as file:
        file.write(pattern.sub(lambda m: m.group(1) + text + "\n" + m.group(2), old))


def main():
    folder = sys.argv[1] if len(sys.argv) == 2 else sys.exit(__doc__)

    def read(name):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            print(f"{path} is missing, so its tables stay unchanged")
            return None
        with open(path) as file:
            return json.load(file)

    if models := read("models.json"):
        with open(os.path.join(folder, "load")) as file:
            insert("performance.md", "machine", machine(models, file.read().strip()))
        insert("performance.md", "networks", networks(models))
    if numbers := read("gemm.json"):
        insert("performance.md", "gemm", gemm(numbers["lines"]))
    if numbers := read("gemv.json"):
        insert("performance.md", "gemv", gemv(numbers["lines"]))
    if numbers := read("plain_gemm.json"):
        insert("performance.md", "plain gemm", plain_gemm(numbers["lines"]))
    if numbers := read("training.json"):
        insert("performance.md", "training", training(numbers))
    if numbers := read("picture.json"):
        insert("performance.md", "picture", picture(numbers["lines"]))
    if files := glob.glob(os.path.join(folder, "load_*.json")):
        lines = []
        for path in files:
            with open(path) as file:
                lines += json.load(file)["lines"]
        insert("performance.md", "loading", loading(lines))
    if files := glob.glob(os.path.join(folder, "threads_*.json")):
        runs = []
        for path in files:
            with open(path) as file:
                runs.append(json.load(file))
        insert("performance.md", "threads", threads(runs))
    if numbers := read("attention.json"):
        insert("performance.md", "attention", attention(numbers["lines"]))
    if numbers := read("kernels.json"):
        insert("performance.md", "kernels", kernels(numbers["benchmarks"]))
    if numbers := read("ladder.json"):
        insert("03_kernels.md", "ladder", ladder(numbers["lines"]))


if __name__ == "__main__":
    main()
