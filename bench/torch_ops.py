"""Times single operations in PyTorch: `python bench/torch_ops.py [FILTER]` prints one JSON line per operation; counterpart of `bench/src/ops.rs`.

Eager mode, two threads, medians. A name `…_fwdbwd` is `(f(x) * g).sum().backward()`; gradients of convolutions are ATen's, one at a time.
"""
import torch
import torch.nn.functional as F

from torch_timing import bench

randn = torch.randn


def conv(ci, co, h, k, s):
    x, w, b = randn(32, ci, h, h), randn(co, ci, k, k), randn(co) if k == 3 else None
    g = randn(32, co, (h + s - 1) // s, (h + s - 1) // s)
    name = f"conv{k}x{k}{'' if s == 1 else f's{s}'}_{ci}_{co}_{h}"

    def backward(*wanted):
        return torch.ops.aten.convolution_backward(g, x, w, [co], [s, s], [k // 2] * 2, [1, 1], False, [0, 0], 1, [*wanted, False])

    bench(f"{name}_fwd", 9, lambda: F.conv2d(x, w, b, stride=s, padding=k // 2))
    bench(f"{name}_bwd_w", 7, lambda: backward(False, True))
    bench(f"{name}_bwd_x", 7, lambda: backward(True, False))


def both(name, shape, width, f):
    """Times forward, and forward and backward, of a function of `x`, and of gain and offset if a width is given."""
    x, others = randn(shape), [randn(width), randn(width)] if width else []
    with torch.no_grad():
        bench(f"{name}_fwd", 25, lambda: f(x, *others))
    g, leaves = randn(shape), [x, *others]

    def run():
        for leaf in leaves:
            leaf.grad = None
        (f(*leaves) * g).sum().backward()

    for leaf in leaves:
        leaf.requires_grad_()
    bench(f"{name}_fwdbwd", 15, run)


with torch.no_grad():
    for ci, co, h in [(64, 64, 32), (128, 128, 16), (128, 64, 32), (128, 128, 8), (256, 128, 16)]:
        conv(ci, co, h, 3, 1)
    conv(128, 64, 32, 1, 1)
    conv(64, 64, 32, 3, 2)
    conv(1, 64, 32, 3, 1)
    conv(64, 1, 32, 3, 1)
    a, b, bt, at = randn(2048, 256), randn(256, 1024), randn(1024, 256), randn(256, 2048)
    bench("matmul_2048_256_1024", 15, lambda: a @ b)
    bench("matmul_2048_256_1024_bT", 15, lambda: a @ bt.T)
    bench("matmul_aT", 15, lambda: at.T @ b)
both("silu_2M", (32, 64, 32, 32), None, F.silu)
both("gelu_tanh_2M", (32, 64, 32, 32), None, lambda x: F.gelu(x, approximate="tanh"))
both("gelu_2M", (32, 64, 32, 32), None, F.gelu)
both("groupnorm_32x64x32x32", (32, 64, 32, 32), 64, lambda x, w, b: F.group_norm(x, 8, w, b))
both("groupnorm_silu_32x64x32x32", (32, 64, 32, 32), 64, lambda x, w, b: F.silu(F.group_norm(x, 8, w, b)))
both("layernorm_8192x256", (8192, 256), 256, lambda x, w, b: F.layer_norm(x, (256,), w, b))
with torch.no_grad():
    s, q = randn(128, 256, 256), randn(32, 4, 64, 64)
    bench("softmax_128x256x256", 15, lambda: s.softmax(2))
    bench("sdpa_32x4x64x64", 25, lambda: F.scaled_dot_product_attention(q, q, q))
    bench("randn_4M", 9, lambda: randn(4 << 20))
