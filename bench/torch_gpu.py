"""Times the nets of `bench/src/gpu.rs` in PyTorch: `python bench/torch_gpu.py NET f32|tf32|bf16 eager|compile [SECONDS [DEVICE]]` prints JSON lines.

The same layers, batches and work: loss, gradient, clipping, fused AdamW and a moving average of the weights; bf16 is autocast, convolutions in
channels_last. Data and noise are drawn on the device. A step's loss is read back once, as there.
"""
import copy, json, math, statistics, sys, time

import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_transformer import Block

name, precision, variant = sys.argv[1:4]
seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 5.0
device = sys.argv[5] if len(sys.argv) > 5 else "cuda"
torch.manual_seed(0)
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
torch.backends.cudnn.benchmark = True


def time_features(t, features):
    half = features // 2
    angle = t[:, None] * 1000 * torch.exp(-math.log(1e4) * torch.arange(half, device=t.device) / half)
    return torch.cat([angle.sin(), angle.cos()], 1)


class Residual(nn.Module):
    def __init__(self, a, b, cond):
        super().__init__()
        self.norm1, self.conv1, self.cond = nn.GroupNorm(8, a), nn.Conv2d(a, b, 3, padding=1), nn.Linear(cond, 2 * b)
        self.norm2, self.conv2 = nn.GroupNorm(8, b), nn.Conv2d(b, b, 3, padding=1)
        self.skip = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x, cond):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.cond(cond)[:, :, None, None].chunk(2, 1)
        return self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift)) + self.skip(x)


class Attention(nn.Module):
    def __init__(self, c, head=64):
        super().__init__()
        self.heads = max(c // head, 1)
        self.norm, self.qkv, self.out = nn.GroupNorm(8, c), nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)

    def forward(self, x):
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(b, 3, self.heads, c // self.heads, h * w).transpose(3, 4).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, h, w)
        return x + self.out(y)


class UNet(nn.Module):
    def __init__(self, widths, channels=3, blocks=2):
        super().__init__()
        cond, last = 4 * widths[0], len(widths) - 1
        self.cond = nn.Sequential(nn.Linear(64, cond), nn.SiLU(), nn.Linear(cond, cond), nn.SiLU())
        self.first = nn.Conv2d(channels, widths[0], 3, padding=1)
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
        self.last = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1))

    def forward(self, x, t):
        cond = self.cond(time_features(t, 64))
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
    def __init__(self, channels, patch, width, heads, size, depth=12):
        super().__init__()
        self.channels, self.patch, self.width, self.side = channels, patch, width, size // patch
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.register_buffer("positions", torch.randn(1, self.side**2, width) * 0.02)
        self.cond = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(depth)])
        self.modulate, self.last = nn.Linear(width, 2 * width), nn.Linear(width, channels * patch * patch)

    def forward(self, x, t):
        b, c, p, s = len(x), self.channels, self.patch, self.side
        h, cond = self.patches(x).flatten(2).transpose(1, 2) + self.positions, self.cond(time_features(t, 64))
        for block in self.blocks:
            h = block(h, cond)
        shift, scale = self.modulate(cond)[:, None].chunk(2, -1)
        h = self.last(F.layer_norm(h, (self.width,), eps=1e-6) * (1 + scale) + shift)
        return h.reshape(b, s, s, p, p, c).permute(0, 5, 1, 3, 2, 4).reshape(b, c, s * p, s * p)


net, shape, batch = {
    "unet-32": (lambda: UNet((64, 128, 128)), (3, 32, 32), 128),
    "unet-64": (lambda: UNet((128, 256, 384)), (3, 64, 64), 64),
    "dit-s2": (lambda: Dit(4, 2, 384, 6, 32), (4, 32, 32), 128),
    "dit-b4": (lambda: Dit(3, 4, 768, 12, 64), (3, 64, 64), 128),
}[name]
net = net().to(device)
layout = torch.channels_last if precision == "bf16" and name.startswith("unet") else torch.contiguous_format
net = net.to(memory_format=layout)
average = copy.deepcopy(net)
call = torch.compile(net) if variant == "compile" else net
optimizer = torch.optim.AdamW(net.parameters(), 1e-4, fused=device == "cuda")
parameters = sum(p.numel() for p in net.parameters())
data = torch.randn(2 * batch, *shape, device=device)


def cast():
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


def step():
    x = data[torch.randint(0, len(data), (batch,), device=device)].contiguous(memory_format=layout)
    t, eps = torch.rand(batch, device=device), torch.randn_like(x)
    angle = t[:, None, None, None] * math.pi / 2
    with cast():
        out = call(angle.cos() * x + angle.sin() * eps, t)
    loss = F.mse_loss(out.float(), eps)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0, foreach=True)
    optimizer.step()
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(net.parameters()), 0.001)
    return loss.item()


def forward(rows):
    x, t = torch.randn(rows, *shape, device=device).contiguous(memory_format=layout), torch.full((rows,), 0.5, device=device)

    def run():
        with torch.inference_mode(), cast():
            out = call(x, t)
        if device == "cuda":
            torch.cuda.synchronize()
        return out

    return run


def measure(mode, rows, f):
    begin = time.perf_counter()
    f()
    first = time.perf_counter() - begin
    f(), f()
    times, begin = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds and len(times) < 1000:
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_reserved() >> 20 if device == "cuda" else 0
    print(json.dumps(dict(side="torch", net=name, mode=mode, precision=precision, variant=variant, batch=rows, parameters=parameters, first_s=round(first, 2),
                          median_ms=round(statistics.median(times) * 1e3, 3), least_ms=round(min(times) * 1e3, 3), runs=len(times), reserved_mb=memory, flops=flops(rows))), flush=True)


def flops(rows):
    """Floating-point operations of a forward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.randn(rows, *shape, device=device).contiguous(memory_format=layout), torch.rand(rows, device=device))
    return counter.get_total_flops()


measure("train", batch, step)
measure("forward", batch, forward(batch))
measure("forward", 1, forward(1))
