"""Measures samples of text against their data by n-gram models.

    python3 bench/text_quality.py DATA SAMPLES.txt [OPTIONS]

DATA is a file as `[data]` of a recipe names it, plain or gzipped, split into training and held-out part as the tool
splits it; SAMPLES.txt is what `tweedie sample` writes. Needs Python alone. The cross-entropy of a set of texts under an
n-gram model of the training part is

    H_n = −Σ log₂ p_n(character | n − 1 characters before it) / number of characters,    the end of a line is one,

with the Witten–Bell smoothing of the baselines of `tweedie evaluate`. Samples of the distribution of the data have the
H_n of held-out text, within its standard error. A higher H_n means characters that do not follow one another in the
data; a lower one means samples that are too much alike, which the other columns show:

    distinct     number of different texts over the number of texts
    learned      share of samples that are lines of the training part
    words        share of words (runs of letters and apostrophes) that are words of the training part
    unigram KL   Σ p log₂ p/q of the frequencies of characters in the samples, p, and in the training part, q
    length       mean and standard deviation of the number of characters
    TV           total-variation distance of the distribution of lengths from that of the held-out part

Options: `--column NAME` of a CSV file; `--window N` for windows of N characters of a whole text in place of lines;
`--last` if the held-out part is the last tenth; `--max N`: only lines of at most N characters; `--json`: one JSON line
per file.
"""
import argparse, collections, csv, gzip, io, json, math, re

ORDERS = (1, 2, 3, 5)


def read(path):
    raw = open(path, "rb").read()
    if raw[:2] == b"\x1f\x8b":
        raw = gzip.decompress(raw)
    return raw.decode("utf-8-sig")


def split(args):
    """Training texts and held-out texts."""
    whole = read(args.data)
    if args.window:
        cut = len(whole.encode()) - len(whole.encode()) // 10
        learned, held = whole.encode()[:cut].decode(), whole.encode()[cut:].decode()
        return [learned], [held[i : i + args.window] for i in range(0, len(held) - args.window + 1, args.window)]
    if args.column:
        lines = [row[args.column] for row in csv.DictReader(io.StringIO(whole)) if row[args.column]]
    else:
        lines = [line for line in whole.splitlines() if line]
    n = len(lines) // 10
    held = (lambda i: i >= len(lines) - n) if args.last else (lambda i: i % 10 == 9)
    parts = [line for i, line in enumerate(lines) if not held(i)], [line for i, line in enumerate(lines) if held(i)]
    return [[line for line in part if len(line) <= args.max] for part in parts]


class NGram:
    """Witten–Bell interpolation of the orders 1 to `order`, as in data/src/text/ngram.rs."""

    def __init__(self, order, size, texts, lines):
        self.order, self.size, self.lines = order, size, lines
        self.pairs, self.all, self.different = (collections.Counter() for _ in range(3))
        for text in map(self.mark, texts):
            for i in range(int(lines), len(text)):
                for before in range(min(order, i + 1)):
                    past, pair = text[i - before : i], text[i - before : i + 1]
                    self.pairs[pair] += 1
                    self.all[past] += 1
                    self.different[past] += self.pairs[pair] == 1

    def mark(self, text):
        return "\0" + text + "\0" if self.lines else text

    def bits(self, text):
        text, total = self.mark(text), 0.0
        for i in range(int(self.lines), len(text)):
            p = 1.0 / self.size
            for before in range(min(self.order, i + 1)):
                past = text[i - before : i]
                if past not in self.all:
                    break
                t = self.different[past]
                p = (self.pairs[text[i - before : i + 1]] + t * p) / (self.all[past] + t)
            total -= math.log2(p)
        return total


def ratio(a, b):
    n, total = len(a), sum(b)
    value = sum(a) / total
    return value, math.sqrt(sum((x - value * y) ** 2 for x, y in zip(a, b)) * n / max(n - 1, 1)) / total


def words(text):
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text)


def measure(name, texts, models, learned, held, lines):
    known, vocabulary = set(learned), {w for t in learned for w in words(t)}
    sizes = [len(t) + lines for t in texts]
    entropy = {n: ratio([m.bits(t) for t in texts], sizes) for n, m in models.items()}
    count = lambda part: collections.Counter(c for t in part for c in (t + "\0" * lines))
    p, q = count(texts), count(learned)
    all_p, all_q = sum(p.values()), sum(q.values())
    kl = sum(k / all_p * math.log2(k / all_p * all_q / max(q[c], 0.5)) for c, k in p.items())
    spread = lambda part: {k: v / len(part) for k, v in collections.Counter(map(len, part)).items()}
    a, b = spread(texts), spread(held)
    mean = sum(map(len, texts)) / len(texts)
    found = [w for t in texts for w in words(t)]
    return {
        "name": name, "n": len(texts), "entropy": entropy, "distinct": len(set(texts)) / len(texts),
        "learned": sum(t in known for t in texts) / len(texts),
        "words": sum(w in vocabulary for w in found) / max(len(found), 1), "unigram_kl": kl, "length": mean,
        "length_std": math.sqrt(sum((len(t) - mean) ** 2 for t in texts) / len(texts)),
        "length_tv": sum(abs(a.get(k, 0) - b.get(k, 0)) for k in a.keys() | b.keys()) / 2,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("samples", nargs="*")
    parser.add_argument("--column")
    parser.add_argument("--window", type=int)
    parser.add_argument("--last", action="store_true")
    parser.add_argument("--max", type=int, default=10**9)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    learned, held = split(args)
    lines = not args.window
    alphabet = {c for t in learned for c in t}
    models = {n: NGram(n, len(alphabet) + lines, learned, lines) for n in ORDERS}
    sets = [("held out", held)]
    for path in args.samples:
        # Line breaks and backslashes of a sample are escaped, one sample is a line.
        unescape = lambda s: re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t", "r": "\r"}.get(m[1], m[1]), s)
        sets.append((path, [unescape(s) for s in open(path, encoding="utf-8").read().split("\n")[:-1]]))
    if not args.json:
        heads = "".join(f"{f'H{n}':>13}" for n in ORDERS)
        print(f"{'':<34}{'n':>6}{heads}  distinct learned  words unigram KL   length        TV")
    for name, texts in sets:
        m = measure(name, texts, models, learned, held, lines)
        if args.json:
            print(json.dumps(m))
            continue
        heads = "".join(f"{v:7.3f}±{e:.3f}" for v, e in m["entropy"].values())
        print(
            f"{name[-34:]:<34}{m['n']:>6}{heads}  {m['distinct']:8.3f} {m['learned']:7.3f} {m['words']:6.3f}"
            f" {m['unigram_kl']:10.4f} {m['length']:6.2f}±{m['length_std']:5.2f} {m['length_tv']:5.3f}"
        )


if __name__ == "__main__":
    main()
