"""Timing of single operations and blocks in PyTorch, of those whose name contains the first argument of the command line."""
import json, statistics, sys, time

import torch

part = sys.argv[1] if len(sys.argv) > 1 else ""
torch.set_num_threads(2)


def bench(name, runs, f):
    """Runs f and prints median, minimum and processor time per run in milliseconds."""
    if part not in name:
        return
    times = []
    for i in range(runs + 2):
        if i == 2:
            cpu = time.process_time()
        start = time.perf_counter()
        result = f()
        times.append((time.perf_counter() - start) * 1e3)
        del result
    cpu = (time.process_time() - cpu) / runs * 1e3
    print(json.dumps(dict(op=name, ms=round(statistics.median(times[2:]), 4), min=round(min(times[2:]), 4), cpu=round(cpu, 4))), flush=True)
