"""The UNet of tweedie in PyTorch, and the time and memory of its training step.

    OMP_WAIT_POLICY=passive python bench/unet.py digits|mnist|large [train|infer] [STEPS]

The same layers in the same order as `src/net/unet.rs`, with the same number of parameters; random data, AdamW, eager mode, two
threads. Prints one JSON line. The Rust side is `cargo run --release -p tweedie-bench --bin unet -- NAME MODE STEPS`.
"""
import json
import math
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# name: data size, channels, batch, levels with attention, blocks, classes
CASES = {
    "digits": (8, [1, 32, 64], 64, [], 1, 10),
    "mnist": (28, [1, 32, 64, 64], 64, [], 1, 10),
    "large": (32, [1, 64, 128, 128], 32, [2], 2, 0),
}


def groups(channels, most=8):
    return next(d for d in range(min(channels, most), 0, -1) if channels % d == 0)


class Block(nn.Module):
    def __init__(self, a, b, told):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups(a), a), nn.Conv2d(a, b, 3, padding=1)
        self.told = nn.Linear(told, 2 * b)
        self.norm2, self.conv2 = nn.GroupNorm(groups(b), b), nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, told):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm, self.qkv, self.out, self.heads = nn.GroupNorm(groups(c), c), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1), max(c // 32, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(b, c, h, w)
        return x + self.out(y)


class UNet(nn.Module):
    def __init__(self, channels, attention, blocks, classes):
        super().__init__()
        data, widths = channels[0], channels[1:]
        told = 4 * widths[0]
        self.first, self.second = nn.Linear(64, told), nn.Linear(told, told)
        self.table = nn.Embedding(classes + 1, told) if classes else None
        self.start = nn.Conv2d(data, widths[0], 3, padding=1)
        self.down, self.up, kept, width = nn.ModuleList(), nn.ModuleList(), [widths[0]], widths[0]
        for level, to in enumerate(widths):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks):
                stage["blocks"].append(Block(width, to, told))
                stage["attention"].append(Attention(to) if level in attention else nn.Identity())
                width = to
                kept.append(to)
            if level < len(widths) - 1:
                stage["resize"] = nn.Conv2d(to, to, 3, stride=2, padding=1)
                kept.append(to)
            self.down.append(stage)
        self.before, self.attend, self.after = Block(width, width, told), Attention(width), Block(width, width, told)
        for level, to in reversed(list(enumerate(widths))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks + 1):
                stage["blocks"].append(Block(width + kept.pop(), to, told))
                stage["attention"].append(Attention(to) if level in attention else nn.Identity())
                width = to
            if level > 0:
                stage["resize"] = nn.Conv2d(to, to, 3, padding=1)
            self.up.append(stage)
        self.norm, self.last = nn.GroupNorm(groups(width), width), nn.Conv2d(width, data, 3, padding=1)

    def forward(self, x, t, y):
        rates = 1000 * torch.exp(-math.log(1e4) * torch.arange(32) / 32)
        angle = t[:, None] * rates
        told = self.second(F.silu(self.first(torch.cat([angle.sin(), angle.cos()], 1))))
        if self.table is not None:
            told = told + self.table(y)
        told = F.silu(told)
        x = self.start(x)
        kept = [x]
        for stage in self.down:
            for block, attention in zip(stage["blocks"], stage["attention"]):
                x = attention(block(x, told))
                kept.append(x)
            if "resize" in stage:
                x = stage["resize"](x)
                kept.append(x)
        x = self.after(self.attend(self.before(x, told)), told)
        for stage in self.up:
            for block, attention in zip(stage["blocks"], stage["attention"]):
                x = attention(block(torch.cat([x, kept.pop()], 1), told))
            if "resize" in stage:
                x = stage["resize"](F.interpolate(x, size=kept[-1].shape[-2:], mode="nearest"))
        return self.last(F.silu(self.norm(x)))


def main():
    name = sys.argv[1]
    mode = sys.argv[2] if len(sys.argv) > 2 else "train"
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    size, channels, batch, attention, blocks, classes = CASES[name]
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net = UNet(channels, attention, blocks, classes)
    x, eps, t = torch.randn(batch, channels[0], size, size), torch.randn(batch, channels[0], size, size), torch.rand(batch)
    y = torch.randint(0, max(classes, 1), (batch,))
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        if mode == "train":
            optimizer.zero_grad()
            loss = F.mse_loss(net(x, t, y), eps)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            loss.item()
        else:
            with torch.inference_mode():
                net(x, t, y).mean().item()
        times.append(time.perf_counter() - start)
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]
    parameters = sum(p.numel() for p in net.parameters())
    ms = 1e3 * statistics.median(times[2:])
    print(json.dumps({"work": f"unet {name} {mode}", "torch_ms": round(ms, 2), "parameters": parameters, "peak_mb": int(peak) // 1024}))


if __name__ == "__main__":
    main()
