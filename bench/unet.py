"""Times the training step or the forward pass of tweedie's UNet in PyTorch, and measures its memory.

    OMP_WAIT_POLICY=passive python bench/unet.py digits|mnist|large [train|infer] [STEPS]

The layers and the number of parameters are those of `src/net/unet.rs`; random data, AdamW, eager mode, two threads. Prints one JSON line.
The Rust counterpart is `cargo run --release -p tweedie-bench --bin unet -- NAME MODE STEPS`.
"""
import json
import math
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

# name: image size, channels, batch size, levels with attention, blocks, classes
CASES = {
    "digits": (8, [1, 32, 64], 64, [], 1, 10),
    "mnist": (28, [1, 32, 64, 64], 64, [], 1, 10),
    "large": (32, [1, 64, 128, 128], 32, [2], 2, 0),
}


def groups(channels, most=8):
    return next(d for d in range(min(channels, most), 0, -1) if channels % d == 0)


class Block(nn.Module):
    def __init__(self, a, b, cond):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(groups(a), a), nn.Conv2d(a, b, 3, padding=1)
        self.cond = nn.Linear(cond, 2 * b)
        self.norm2, self.conv2 = nn.GroupNorm(groups(b), b), nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, cond):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.cond(cond)[:, :, None, None].chunk(2, 1)
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
        cond = 4 * widths[0]
        self.first, self.second = nn.Linear(64, cond), nn.Linear(cond, cond)
        self.table = nn.Embedding(classes + 1, cond) if classes else None
        self.start = nn.Conv2d(data, widths[0], 3, padding=1)
        self.down, self.up, skips, width = nn.ModuleList(), nn.ModuleList(), [widths[0]], widths[0]
        for level, to in enumerate(widths):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks):
                stage["blocks"].append(Block(width, to, cond))
                stage["attention"].append(Attention(to) if level in attention else nn.Identity())
                width = to
                skips.append(to)
            if level < len(widths) - 1:
                stage["resize"] = nn.Conv2d(to, to, 3, stride=2, padding=1)
                skips.append(to)
            self.down.append(stage)
        self.before, self.attend, self.after = Block(width, width, cond), Attention(width), Block(width, width, cond)
        for level, to in reversed(list(enumerate(widths))):
            stage = nn.ModuleDict({"blocks": nn.ModuleList(), "attention": nn.ModuleList()})
            for _ in range(blocks + 1):
                stage["blocks"].append(Block(width + skips.pop(), to, cond))
                stage["attention"].append(Attention(to) if level in attention else nn.Identity())
                width = to
            if level > 0:
                stage["resize"] = nn.Conv2d(to, to, 3, padding=1)
            self.up.append(stage)
        self.norm, self.last = nn.GroupNorm(groups(width), width), nn.Conv2d(width, data, 3, padding=1)

    def forward(self, x, t, y):
        frequencies = 1000 * torch.exp(-math.log(1e4) * torch.arange(32) / 32)
        angle = t[:, None] * frequencies
        cond = self.second(F.silu(self.first(torch.cat([angle.sin(), angle.cos()], 1))))
        if self.table is not None:
            cond = cond + self.table(y)
        cond = F.silu(cond)
        x = self.start(x)
        skips = [x]
        for stage in self.down:
            for block, attention in zip(stage["blocks"], stage["attention"]):
                x = attention(block(x, cond))
                skips.append(x)
            if "resize" in stage:
                x = stage["resize"](x)
                skips.append(x)
        x = self.after(self.attend(self.before(x, cond)), cond)
        for stage in self.up:
            for block, attention in zip(stage["blocks"], stage["attention"]):
                x = attention(block(torch.cat([x, skips.pop()], 1), cond))
            if "resize" in stage:
                x = stage["resize"](F.interpolate(x, size=skips[-1].shape[-2:], mode="nearest"))
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
