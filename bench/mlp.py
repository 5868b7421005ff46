"""Times training steps of a flow-matching MLP in PyTorch: `python bench/mlp.py conditioned|plain [STEPS] [VARIANT]`.

The nets have the same layers as those of `bench/src/mlp.rs`; batch size 256, Adam with gradient clipping and an EMA of the weights, as there.
VARIANT: `eager` (default); `bare`: without clipping and EMA; `compile`: with torch.compile. Prints one JSON line.
"""
import json, math, statistics, sys, time
import torch, torch.nn as nn, torch.nn.functional as F

name = sys.argv[1] if len(sys.argv) > 1 else "conditioned"
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 300
variant = sys.argv[3] if len(sys.argv) > 3 else "eager"
torch.set_num_threads(2)
torch.manual_seed(0)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU(), nn.Linear(256, 2))

    def forward(self, z, t):
        return self.net(torch.cat([z, t[:, None]], 1))


class Conditioned(nn.Module):
    def __init__(self, width=256, features=64):
        super().__init__()
        frequencies = torch.exp(-math.log(1e4) * torch.arange(features // 2) / (features // 2)) * 1000
        self.register_buffer("frequencies", frequencies)
        self.first, self.second = nn.Linear(features, width), nn.Linear(width, width)
        self.hidden = nn.ModuleList([nn.Linear(2 if i == 0 else width, width) for i in range(3)])
        self.cond = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.last = nn.Linear(width, 2)

    def forward(self, z, t):
        angle = t[:, None] * self.frequencies
        e = F.silu(self.second(F.silu(self.first(torch.cat([angle.sin(), angle.cos()], 1)))))
        for hidden, cond in zip(self.hidden, self.cond):
            h = F.silu(hidden(z) + cond(e))
            z = z + h if z.shape == h.shape else h
        return self.last(z)


net = Plain() if name == "plain" else Conditioned()
f = torch.compile(net) if variant == "compile" else net
data = torch.randn(10_000, 2)
optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.0)
ema = [p.detach().clone() for p in net.parameters()]
times, cpu = [], 0.0
for i in range(steps + 20):
    if i == 20:
        cpu = time.process_time()
    start = time.perf_counter()
    x = data[torch.randint(0, 10_000, (256,))]
    eps, t = torch.randn_like(x), torch.rand(256)
    z = (1 - t[:, None]) * x + t[:, None] * eps
    loss = F.mse_loss(f(z, t), eps - x)
    optimizer.zero_grad()
    loss.backward()
    if variant != "bare":
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    if variant != "bare":
        with torch.no_grad():
            torch._foreach_lerp_(ema, list(net.parameters()), 1e-3)
    value = loss.item()
    times.append(time.perf_counter() - start)
cpu = (time.process_time() - cpu) / steps
times = times[20:]
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print(json.dumps(dict(model=f"mlp {name}", mode="train", variant=variant, median=statistics.median(times), min=min(times), cpu=cpu, rss_mb=int(peak) // 1024, params=sum(p.numel() for p in net.parameters()), loss=value)))
