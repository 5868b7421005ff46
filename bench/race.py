"""Races the kernels against PyTorch: `python bench/race.py PYTHON [RUNS]`.

PYTHON is a Python that has torch; its side of the race is in the folder that TWEEDIE_PEER names (`ops.py`, `bench.py`,
`models.py`). Both sides run in turn, RUNS times, and medians are compared. A table goes to the terminal, one JSON line a
row to `bench/race.jsonl`: work, tweedie_ms, torch_ms, ratio, and peak memory where whole nets are compared; the `cpu`
figures are processor time of all threads, which other processes hardly disturb.
"""
import json, os, statistics, subprocess, sys
from pathlib import Path

python, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
here = Path(__file__).resolve().parent
peer = Path(os.environ.get("TWEEDIE_PEER", here.parent.parent / "shared" / "peer"))
binaries = Path(os.environ.get("CARGO_TARGET_DIR", here.parent / "target")) / "release"
# Threads that wait without spinning do not disturb the other side.
environment = dict(os.environ, OMP_WAIT_POLICY="passive")
nets = [("unet", "train"), ("unet", "forward"), ("dit", "train"), ("dit", "forward")]


def lines(command, folder=None):
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


subprocess.run(["cargo", "build", "--release", "-p", "tweedie-bench"], cwd=here.parent, check=True)
ours, theirs = {}, {}


def note(side, name, row, factor):
    entry = side.setdefault(name, {"ms": [], "cpu": [], "rss": []})
    entry["ms"].append(row.get("ms", row.get("median")) * factor)
    entry["cpu"].append(row["cpu"] * factor)
    entry["rss"].append(row.get("rss_mb", 0))


for _ in range(runs):
    for row in lines([binaries / "ops"]):
        note(ours, row["op"], row, 1)
    for row in lines([python, "ops.py"], peer):
        note(theirs, row["op"], row, 1)
    for net, mode in nets:
        for row in lines([binaries / "nets", net, mode, "5"]):
            note(ours, f"{net} {mode}", row, 1000)
        for row in lines([python, "bench.py", net, mode, "eager", "5"], peer):
            note(theirs, f"{net} {mode}", row, 1000)

with open(here / "race.jsonl", "w") as out:
    print(f"{'work':32}{'tweedie ms':>12}{'torch ms':>12}{'ratio':>8}{'cpu ratio':>11}")
    for name in ours:
        if name not in theirs:
            continue
        a, b = ({k: statistics.median(v) for k, v in side[name].items()} for side in (ours, theirs))
        row = {"work": name, "tweedie_ms": round(a["ms"], 3), "torch_ms": round(b["ms"], 3)}
        row |= {"ratio": round(b["ms"] / a["ms"], 2), "cpu_ratio": round(b["cpu"] / max(a["cpu"], 1e-9), 2)}
        if a["rss"]:
            row |= {"tweedie_mb": a["rss"], "torch_mb": b["rss"]}
        out.write(json.dumps(row) + "\n")
        print(f"{name:32}{row['tweedie_ms']:12.2f}{row['torch_ms']:12.2f}{row['ratio']:8.2f}{row['cpu_ratio']:11.2f}")
