"""Counts which attributes of the E2E data sentences express: those of real sentences, and those that samples were conditioned on.

    python3 bench/attributes.py DATA SAMPLES...

DATA is a file of https://github.com/tuetschek/e2e-dataset, plain or gzipped, with the columns `mr` (attributes) and `ref`
(sentence), of which the last tenth is held out as in recipes/e2e-attributes.toml; SAMPLES are folders that `tweedie sample`
wrote, with samples.txt and conditions.json. Needs Python alone.

An attribute counts as expressed if one of the usual wordings of its value occurs (`WORDINGS`), and for familyFriendly if it is
denied or not as the value says. That is a rule of thumb: the line of the real held-out sentences says how often it finds what
their authors wrote, and `shuffled` how often attributes of another row are found by chance. `known name` counts the names that
occur in the training part.
"""
import csv, gzip, io, json, re, sys
from pathlib import Path

PRICE_LOW = r"cheap|inexpensive|affordable|\blow|under £? ?20|less than £? ?20|below £? ?20|bargain"
PRICE_HIGH = r"high|expensive|pric[e]?y|upscale|more than £? ?30|over £? ?30|above £? ?30|£? ?30"
PRICE_MIDDLE = r"moderate|average|mid|reasonabl|20 ?(-|to|and|–) ?£? ?25|fair"
RATING = {
    "low": r"\blow|poor|bad|\b(1|one)\b.{0,4}(out of|of|/|star)|not (well|highly)|un(popular|favou?rable)",
    "average": r"average|moderate|decent|mid|\b(3|three)\b.{0,4}(out of|of|/|star)|satisf|ok",
    "high": r"high|excellent|great|well|top|best|\b(5|five)\b.{0,4}(out of|of|/|star)|perfect|good",
}
WORDINGS = {
    "area": {"city centre": r"(city|town)[ -]?cent(re|er)|cent(re|er) of|cent(re|er)\b|\bcity\b", "riverside": r"river"},
    "food": {"Chinese": r"chinese", "English": r"english|british"},
    "priceRange": {
        "cheap": PRICE_LOW, "less than £20": PRICE_LOW, "moderate": PRICE_MIDDLE, "£20-25": PRICE_MIDDLE,
        "high": PRICE_HIGH, "more than £30": PRICE_HIGH,
    },
    "customer rating": {
        "1 out of 5": RATING["low"], "3 out of 5": RATING["average"], "5 out of 5": RATING["high"], **RATING,
    },
}
FAMILY = r"famil|kid|child|adult"
DENIED = r"(\b(not?|non|isn|doesn|don|aren|never|nor|unfriendly|without|unsuitable|lacks?)\b|n't|n’t)[^.]{0,45}(famil|kid|child)|(famil|kid|child)[^.,]{0,25}(\bnot?\b|unfriendly|unwelcome)|adult|unfriendly|non-? ?(famil|kid|child)"


def plain(text):
    return text.lower().replace("é", "e").replace("’", "'")


def attributes(text):
    return {name.strip(): value for name, value in re.findall(r"([^,\[\]]+)\[([^\]]*)\]", text)}


def expresses(sentence, name, value):
    sentence = plain(sentence)
    if name == "familyFriendly":
        denied = re.search(DENIED, sentence) is not None
        return re.search(FAMILY, sentence) is not None and denied == (value == "no")
    if name in WORDINGS and value in WORDINGS[name]:
        return re.search(plain(WORDINGS[name][value]), sentence) is not None
    value = plain(value)
    return value.removeprefix("the ") in sentence


def count(rows, known):
    """By attribute: how often it was asked for, and how often it is expressed."""
    counts = {}
    for wanted, sentence in rows:
        for name, value in attributes(wanted).items():
            found = expresses(sentence, name, value)
            for key in [name, "all"] + (["known name"] if name == "name" and value in known else []):
                asked, right = counts.get(key, (0, 0))
                counts[key] = (asked + 1, right + found)
    return counts


def report(title, rows, known):
    counts = count(rows, known)
    cells = [f"{name} {100 * right / asked:.1f}" for name, (asked, right) in counts.items() if name != "all"]
    asked, right = counts["all"]
    print(f"{title}: {len(rows)} sentences, {100 * right / asked:.1f} % of {asked} attributes ({', '.join(cells)})")


def shuffled(rows):
    """Every sentence with the attributes of the row half a set further."""
    half = len(rows) // 2
    return [(rows[(i + half) % len(rows)][0], sentence) for i, (_, sentence) in enumerate(rows)]


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    raw = Path(sys.argv[1]).read_bytes()
    raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    data = [(row["mr"], row["ref"]) for row in csv.DictReader(io.StringIO(raw.decode("utf-8-sig")))]
    learned, held_out = data[: len(data) - len(data) // 10], data[len(data) - len(data) // 10 :]
    known = {attributes(wanted).get("name") for wanted, _ in learned}
    report("real, training part", learned, known)
    report("real, training part, shuffled", shuffled(learned), known)
    report("real, held out", held_out, known)
    for folder in map(Path, sys.argv[2:]):
        sentences = (folder / "samples.txt").read_text().splitlines()
        wanted = [row["mr"] or "" for row in json.loads((folder / "conditions.json").read_text())]
        rows = list(zip(wanted, sentences, strict=True))
        report(folder, rows, known)
        report(f"{folder}, shuffled", shuffled(rows), known)


if __name__ == "__main__":
    main()
