"""Prints the table of `bench/gpu_check.sh` from its JSON lines: `python bench/gpu_table.py gpu.jsonl [TFLOPS]`, with the peak of bf16 of the device for the utilization."""
import json, sys

rows = [json.loads(line) for line in open(sys.argv[1]) if line.startswith("{")]
peak = float(sys.argv[2]) if len(sys.argv) > 2 else 989.0
flops = {(row["net"], row["batch"]): row["flops"] for row in rows if row.get("flops")}
ours = {(row["net"], row["mode"], row["batch"], row["precision"]): row for row in rows if row["side"] == "tweedie"}
theirs = {(row["net"], row["mode"], row["batch"], row["precision"], row["variant"]): row for row in rows if row["side"] == "torch"}
print("| net | work | batch | precision | tweedie ms | torch ms | compile ms | ratio | to compile | utilization | memory MB | torch MB |")
print("|---|---|---|---|---|---|---|---|---|---|---|---|")
for (net, mode, batch, precision), row in ours.items():
    like = "tf32" if precision == "f32" else precision
    eager, compiled = (theirs.get((net, mode, batch, like, variant)) for variant in ("eager", "compile"))
    time = row["median_ms"]
    number = lambda other: f"{other['median_ms']:.2f}" if other else "-"
    ratio = lambda other: f"{other['median_ms'] / time:.2f}" if other else "-"
    work = flops.get((net, batch), 0) * (3 if mode == "train" else 1)
    used = f"{100 * work / (time * 1e-3) / (peak * 1e12):.1f} %" if work and mode != "sample" else "-"
    print(f"| {net} | {mode} | {batch} | {precision} | {time:.2f} | {number(eager)} | {number(compiled)} | {ratio(eager)} | {ratio(compiled)} | {used} | {row['reserved_mb']} | {eager['reserved_mb'] if eager else '-'} |")
