"""Times blocks of nets in PyTorch: `python bench/torch_blocks.py [FILTER]` prints one JSON line per block; counterpart of `bench/src/blocks.rs`.

Eager mode, two threads, medians. A name `…_fwdbwd` is `(f(x) * g).sum().backward()`, with gradients of input and parameters.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from torch_timing import bench

torch.manual_seed(0)
randn = torch.randn


def both(name, block, shape):
    x, g = randn(shape), randn(shape)
    with torch.no_grad():
        bench(f"{name}_fwd", 9, lambda: block(x))
    leaf = randn(shape).requires_grad_()

    def run():
        leaf.grad = None
        block.zero_grad(set_to_none=True)
        (block(leaf) * g).sum().backward()

    bench(f"{name}_fwdbwd", 7, run)


class CrossAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.q, self.kv, self.out, self.heads = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width), heads
        self.tokens = randn(16, 24, width)
        self.keep = (torch.arange(24) <= 8 + torch.arange(16)[:, None])[:, None, None]

    def forward(self, x):
        split = lambda y: y.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k, v = self.kv(self.tokens).chunk(2, -1)
        y = F.scaled_dot_product_attention(split(self.q(x)), split(k), split(v), attn_mask=self.keep)
        return self.out(y.transpose(1, 2).flatten(2))


def normalized(x, axes):
    norm = torch.linalg.vector_norm(x, dim=axes, keepdim=True)
    return x / (1e-4 + norm * (norm.numel() / x.numel()) ** 0.5)


class MPConv(nn.Module):
    def __init__(self, a, b, *kernel):
        super().__init__()
        self.weight = nn.Parameter(randn(b, a, *kernel))

    def forward(self, x, gain=1):
        w = normalized(self.weight, list(range(1, self.weight.ndim))) * (gain / self.weight[0].numel() ** 0.5)
        return x @ w.t() if w.ndim == 2 else F.conv2d(x, w, padding=w.shape[-1] // 2)


def silu(x):
    return F.silu(x) / 0.596


def mix(a, b, t=0.3):
    return a.lerp(b, t) / ((1 - t) ** 2 + t**2) ** 0.5


def concatenated(a, b):
    n, m = a.shape[1], b.shape[1]
    scale = ((n + m) / 2) ** 0.5
    return torch.cat([a * (scale / n**0.5), b * (scale / m**0.5)], 1)


class Block(nn.Module):
    def __init__(self, a, b, encodes, attends):
        super().__init__()
        self.conv1, self.conv2 = MPConv(b if encodes else a, b, 3, 3), MPConv(b, b, 3, 3)
        self.cond, self.gain = MPConv(64, b), nn.Parameter(torch.zeros([]))
        self.skip = MPConv(a, b, 1, 1) if a != b else None
        self.qkv, self.out = (MPConv(b, 3 * b, 1, 1), MPConv(b, b, 1, 1)) if attends else (None, None)
        self.encodes = encodes

    def forward(self, x, cond):
        if self.encodes:
            x = normalized(x if self.skip is None else self.skip(x), 1)
        y = self.conv1(silu(x)) * (self.cond(cond, self.gain) + 1)[:, :, None, None]
        y = self.conv2(silu(y))
        if not self.encodes and self.skip is not None:
            x = self.skip(x)
        x = mix(x, y)
        if self.qkv is not None:
            b, c, h, w = x.shape
            q, k, v = normalized(self.qkv(x).reshape(b, 3, 1, c, h * w), 3).transpose(3, 4).unbind(1)
            y = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(b, c, h, w)
            x = mix(x, self.out(y))
        return x.clip(-256, 256)


class Edm2(nn.Module):
    """One level of 64 channels with one block, for 32 channels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rates", 8 * torch.pi * randn(64))
        self.time, self.first, self.last = MPConv(64, 64), MPConv(33, 64, 3, 3), MPConv(64, 32, 3, 3)
        self.gain = nn.Parameter(torch.zeros([]))
        self.encoder = Block(64, 64, True, False)
        self.middle = nn.ModuleList([Block(64, 64, False, True), Block(64, 64, False, False)])
        self.decoder = nn.ModuleList([Block(128, 64, False, False), Block(128, 64, False, False)])

    def forward(self, x):
        t = torch.full([x.shape[0]], 0.5)
        cond = silu(self.time((t[:, None] * self.rates).cos() * 2**0.5))
        x = self.first(torch.cat([x, torch.ones_like(x[:, :1])], 1))
        skips = [x]
        x = self.encoder(x, cond)
        skips.append(x)
        for block in self.middle:
            x = block(x, cond)
        for block in self.decoder:
            x = block(concatenated(x, skips.pop()), cond)
        return self.last(x, self.gain)


both("cross_attention_16x256x128_24", CrossAttention(128, 4), (16, 256, 128))
both("conv1d_32x64x1024", nn.Conv1d(64, 64, 3, padding=1), (32, 64, 1024))
both("conv3d_4x32x16x16x16", nn.Conv3d(32, 32, 3, padding=1), (4, 32, 16, 16, 16))
both("edm2_16x64x16x16", Edm2(), (16, 32, 16, 16))
