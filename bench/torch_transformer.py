"""The block of a diffusion transformer (adaLN-zero) in PyTorch, for `torch_nets.py` and `torch_gpu.py`."""
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.cond = heads, nn.Linear(width, 6 * width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, cond):
        b, n, width = x.shape
        shift, scale, gate, shift2, scale2, gate2 = self.cond(cond)[:, None].chunk(6, -1)
        y = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale) + shift
        q, k, v = self.qkv(y).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        x = x + gate * self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, width))
        y = F.layer_norm(x, (width,), eps=1e-6) * (1 + scale2) + shift2
        return x + gate2 * self.narrow(F.gelu(self.wide(y), approximate="tanh"))
