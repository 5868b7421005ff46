"""Compares the speed of tweedie and PyTorch: `python bench/race.py PYTHON`, where PYTHON is a Python interpreter with torch.

The PyTorch side is `torch_nets.py`, `torch_ops.py`, `torch_blocks.py` and `mlp.py` in this folder, with the same nets and operations. The two sides run
alternately, `--rounds` times, and medians over the rounds are compared. Prints a table and writes one JSON line per row to `--out`
(default: `target/race.jsonl`):

    work, tweedie_ms, torch_ms, ratio          medians of wall time, and the ratio torch / tweedie
    tweedie_cpu_ms, torch_cpu_ms, cpu_ratio    processor time of all threads, nearly independent of other processes
    tweedie_mb, torch_mb                       peak memory of the process, for whole nets

PyTorch waits without spinning (OMP_WAIT_POLICY=passive), so that its threads do not slow the other side. Rows named `compile` compare with
torch.compile; if that fails, the row has the reason. The row `default recipe` compares the kernels with burn's own operations, from the start
of the process to the finished samples.
"""
import argparse, json, os, resource, statistics, subprocess, sys, tempfile, time
from pathlib import Path

here = Path(__file__).resolve().parent
root = here.parent
arguments = argparse.ArgumentParser(description="Compares the speed of tweedie and PyTorch.")
arguments.add_argument("python", help="Python interpreter with torch")
arguments.add_argument("--rounds", type=int, default=3, help="number of rounds")
arguments.add_argument("--only", default="nets,mlp,ops,blocks,compile,recipe", help="parts to run, separated by commas")
arguments.add_argument("--out", type=Path, default=root / "target" / "race.jsonl", help="file for the JSON lines")
arguments.add_argument("--built", action="store_true", help="do not build the programs first")
arguments = arguments.parse_args()
parts = arguments.only.split(",")
binaries = Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "release"
environment = dict(os.environ, OMP_WAIT_POLICY="passive")


def run(command):
    """Returns the JSON lines that a program prints."""
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


class Side:
    """Measurements of one side, by the name of the work."""

    def __init__(self):
        self.seen = {}

    def note(self, name, row):
        unit = 1 if "ms" in row else 1000
        entry = self.seen.setdefault(name, {"ms": [], "cpu": [], "mb": []})
        entry["ms"].append(row.get("ms", row.get("median")) * unit)
        entry["cpu"].append(row["cpu"] * unit)
        if "rss_mb" in row:
            entry["mb"].append(row["rss_mb"])

    def get(self, name):
        return {key: statistics.median(values) for key, values in self.seen[name].items() if values}


ours, theirs, failed = Side(), Side(), {}


def both(name, our, their):
    """Runs one round of one work on both sides; the rows have their own names if `name` is None."""
    try:
        rows = run([arguments.python, *their])
    except RuntimeError as error:
        failed[name] = str(error)
        return
    for row in rows:
        theirs.note(name or row["op"], row)
    for row in run(our):
        ours.note(name or row["op"], row)


bins = [argument for name in ("ops", "blocks", "nets", "mlp", "tweedie") for argument in ("--bin", name)]
if not arguments.built:
    subprocess.run(["cargo", "build", "--release", "--workspace", *bins], cwd=root, check=True)
works = [(net, mode) for net in ("unet", "dit") for mode in ("train", "forward")]
for _ in range(arguments.rounds):
    if "nets" in parts:
        for net, mode in works:
            both(f"{net} {mode}", [binaries / "nets", net, mode, 7], [here / "torch_nets.py", net, mode, "eager", 5])
    if "mlp" in parts:
        for net in ("plain", "conditioned"):
            both(f"mlp {net}", [binaries / "mlp", net, 400], [here / "mlp.py", net, 400])
    if "ops" in parts:
        both(None, [binaries / "ops"], [here / "torch_ops.py"])
    if "blocks" in parts:
        both(None, [binaries / "blocks"], [here / "torch_blocks.py"])
    if "compile" in parts:
        for net, mode in works:
            name = f"{net} {mode} compile"
            if name not in failed:
                both(name, [binaries / "nets", net, mode, 7], [here / "torch_nets.py", net, mode, "compile", 5])

rows = []
for name in [name for name in ours.seen if name in theirs.seen]:
    a, b = ours.get(name), theirs.get(name)
    row = {"work": name, "tweedie_ms": round(a["ms"], 3), "torch_ms": round(b["ms"], 3), "ratio": round(b["ms"] / a["ms"], 2)}
    row |= {"tweedie_cpu_ms": round(a["cpu"], 3), "torch_cpu_ms": round(b["cpu"], 3), "cpu_ratio": round(b["cpu"] / a["cpu"], 2)}
    if "mb" in a and "mb" in b:
        row |= {"tweedie_mb": a["mb"], "torch_mb": b["mb"]}
    rows.append(row)
rows += [{"work": name, "torch": reason} for name, reason in failed.items()]

if "recipe" in parts:
    row = {"work": "default recipe"}
    for key, kernels in (("tweedie", "on"), ("before", "off")):
        with tempfile.TemporaryDirectory() as folder:
            command = [binaries / "tweedie", "train", "--out", Path(folder) / "run"]
            start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, env=dict(environment, TWEEDIE_KERNELS=kernels), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            row[f"{key}_ms"] = round((time.monotonic() - start) * 1e3)
            row[f"{key}_cpu_ms"] = round((now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) * 1e3)
    row |= {"ratio": round(row["before_ms"] / row["tweedie_ms"], 2), "cpu_ratio": round(row["before_cpu_ms"] / row["tweedie_cpu_ms"], 2)}
    rows.append(row)

with open(arguments.out, "w") as out:
    out.writelines(json.dumps(row) + "\n" for row in rows)
print(f"{'work':32}{'tweedie ms':>12}{'other ms':>12}{'ratio':>8}{'cpu ratio':>11}{'MB':>8}{'other MB':>10}")
for row in rows:
    if "ratio" not in row:
        print(f"{row['work']:32}{row['torch']}")
        continue
    other = row.get("torch_ms", row.get("before_ms"))
    memory = f"{row['tweedie_mb']:8.0f}{row['torch_mb']:10.0f}" if "tweedie_mb" in row else ""
    print(f"{row['work']:32}{row['tweedie_ms']:12.2f}{other:12.2f}{row['ratio']:8.2f}{row['cpu_ratio']:11.2f}{memory}")
