"""Times whole nets in PyTorch: `python bench/torch_nets.py unet|dit train|forward [eager|compile] [RUNS]` prints one JSON line.

The nets have the same layers as those of `bench/src/nets.rs`: a UNet of 6.5 million parameters and a DiT of 7.4 million; batch size 32 of 1×32×32, fp32,
Adam, two threads.
"""
import json, math, statistics, sys, time

import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_transformer import Block

name, mode = sys.argv[1], sys.argv[2]
variant = sys.argv[3] if len(sys.argv) > 3 else "eager"
runs = int(sys.argv[4]) if len(sys.argv) > 4 else 7
torch.set_num_threads(2)
torch.manual_seed(0)


def time_features(t, features):
    half = features // 2
    angle = t[:, None] * torch.exp(-math.log(1e4) * torch.arange(half) / half)
    return torch.cat([angle.sin(), angle.cos()], 1)


class Residual(nn.Module):
    def __init__(self, a, b, cond):
        super().__init__()
        self.norm1, self.conv1, self.cond = nn.GroupNorm(8, a), nn.Conv2d(a, b, 3, padding=1), nn.Linear(cond, b)
        self.norm2, self.conv2 = nn.GroupNorm(8, b), nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, cond):
        h = self.conv1(F.silu(self.norm1(x))) + self.cond(cond)[:, :, None, None]
        return self.conv2(F.silu(self.norm2(h))) + self.skip(x)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(8, c), nn.Linear(c, 3 * c), nn.Linear(c, c)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).flatten(2).transpose(1, 2))[:, None].chunk(3, -1)
        y = self.out(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return x + y.transpose(1, 2).reshape(b, c, h, w)


class UNet(nn.Module):
    def __init__(self, widths=(64, 128, 128), blocks=2):
        super().__init__()
        cond, last = 4 * widths[0], len(widths) - 1
        self.cond = nn.Sequential(nn.Linear(widths[0], cond), nn.SiLU(), nn.Linear(cond, cond), nn.SiLU())
        self.first = nn.Conv2d(1, widths[0], 3, padding=1)
        self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [widths[0]], widths[0]
        for level, to in enumerate(widths):
            for _ in range(blocks):
                self.down.append(nn.ModuleList([Residual(width, to, cond), Attention(to) if level == last else nn.Identity()]))
                width = to
                skips.append(to)
            if level < last:
                self.down.append(nn.Conv2d(to, to, 3, stride=2, padding=1))
                skips.append(to)
        self.middle = nn.ModuleList([Residual(width, width, cond), Attention(width), Residual(width, width, cond)])
        for level, to in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                self.up.append(nn.ModuleList([Residual(width + skips.pop(), to, cond), Attention(to) if level == last else nn.Identity()]))
                width = to
            if level > 0:
                self.up.append(nn.Conv2d(to, to, 3, padding=1))
        self.last = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))
        self.width = widths[0]

    def forward(self, x, t):
        cond = self.cond(time_features(t, self.width))
        x = self.first(x)
        skips = [x]
        for part in self.down:
            x = part(x) if isinstance(part, nn.Conv2d) else part[1](part[0](x, cond))
            skips.append(x)
        x = self.middle[2](self.middle[1](self.middle[0](x, cond)), cond)
        for part in self.up:
            if isinstance(part, nn.Conv2d):
                x = part(F.interpolate(x, scale_factor=2, mode="nearest"))
            else:
                x = part[1](part[0](torch.cat([x, skips.pop()], 1), cond))
        return self.last(x)


class Dit(nn.Module):
    def __init__(self, patch=4, width=256, depth=6, heads=4, size=32):
        super().__init__()
        self.patch, self.width, self.side = patch, width, size // patch
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.positions = nn.Parameter(torch.randn(1, self.side**2, width) * 0.02)
        self.cond = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.modulate, self.last = nn.Linear(width, 2 * width), nn.Linear(width, patch * patch)

    def forward(self, x, t):
        b, p, s = len(x), self.patch, self.side
        h, cond = self.patches(x).flatten(2).transpose(1, 2) + self.positions, self.cond(time_features(t, 256))
        for block in self.blocks:
            h = block(h, cond)
        shift, scale = self.modulate(cond)[:, None].chunk(2, -1)
        h = self.last(F.layer_norm(h, (self.width,), eps=1e-6) * (1 + scale) + shift)
        return h.reshape(b, s, s, p, p, 1).permute(0, 5, 1, 3, 2, 4).reshape(b, 1, s * p, s * p)


net = UNet() if name == "unet" else Dit()
f = torch.compile(net) if variant == "compile" else net
optimizer = torch.optim.Adam(net.parameters(), 1e-4)
x, t = torch.randn(32, 1, 32, 32), 1000 * torch.rand(32)
eps = torch.randn_like(x)
times = []
for i in range(runs + 2):
    if i == 2:
        cpu = time.process_time()
    start = time.perf_counter()
    if mode == "train":
        optimizer.zero_grad()
        loss = F.mse_loss(f(x, t), eps)
        loss.backward()
        optimizer.step()
    else:
        with torch.inference_mode():
            loss = f(x, t).mean()
    value = loss.item()
    times.append(time.perf_counter() - start)
cpu, times = (time.process_time() - cpu) / runs, times[2:]
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")][0].split()[1]
print(json.dumps(dict(model=name, mode=mode, variant=variant, median=statistics.median(times), min=min(times), cpu=cpu,
                      params=sum(p.numel() for p in net.parameters()), rss_mb=int(peak) // 1024, loss=value)))
