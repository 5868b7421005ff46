//! Text: samples, held-out parts, errors, and n-grams on a source of known entropy.
use crate::files::gzip;
use std::fs;
use tempfile::{TempDir, tempdir};
use tweedie_data::*;

fn put(folder: &TempDir, name: &str, bytes: &[u8]) -> Text {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    Text { path, held_out: 0, ..Text::default() }
}

fn train(source: &Text) -> Texts {
    source.load(Split::Train).unwrap().unwrap()
}

fn message(source: &Text, folder: &TempDir) -> String {
    let Err(error) = source.load(Split::Train) else { panic!("this must be an error") };
    let text = error.to_string();
    assert!(!text.contains('\n') && text.ends_with('.'), "one paragraph: {text}");
    text.replace(&folder.path().display().to_string(), "DIR")
}

#[test]
fn a_line_is_a_sample_that_ends() {
    let folder = tempdir().unwrap();
    let lines = "\u{feff}ada\nbo\r\n\nöd\n".as_bytes();
    for source in [put(&folder, "a.txt", lines), put(&folder, "a.txt.gz", &gzip(lines))] {
        let set = train(&source);
        assert_eq!((set.len(), set.codec.length, set.codec.categories()), (3, 4, 6));
        assert_eq!(serde_json::to_string(&set.codec.vocabulary).unwrap(), r#"{"characters":"abdoö"}"#);
        assert_eq!(set.batch(&[0, 2]), [0, 2, 0, 5, 4, 2, 5, 5]);
        assert_eq!((set.text(1), set.num_characters(1), set.num_characters(0)), ("bo".into(), 3, 4));
        // a a b d d o ö and five ends.
        assert_eq!(set.frequencies(), [2., 1., 2., 1., 1., 5.].map(|n| n / 12.0));
        assert_eq!(source.load(Split::Test).unwrap(), None);
        // Tokens after an end are not shown; a mask is shown as a placeholder.
        assert_eq!(set.codec.decode(&[0, 6, 2, 5]), "a░d");
        assert_eq!((set.codec.decode(&[5, 0, 0, 5]), set.codec.num_characters(&[5, 0, 0, 5])), (String::new(), 1));
        for text in ["", "ada", "bobö"] {
            let row = set.codec.encode(text).unwrap();
            assert_eq!((row.len(), set.codec.decode(&row)), (4, text.to_owned()));
        }
        let known: Codec = serde_json::from_str(&serde_json::to_string(&set.codec).unwrap()).unwrap();
        assert_eq!(known, set.codec);
    }
    // A line of the whole length has no end, also if it was truncated.
    let exact = Text { length: Some(3), ..put(&folder, "a.txt", lines) };
    assert_eq!((train(&exact).batch(&[0]), train(&exact).num_characters(0)), (vec![0, 2, 0], 3));
    let cut = train(&Text { length: Some(2), too_long: TooLong::Truncate, ..exact.clone() });
    assert_eq!((cut.text(0), cut.num_characters(0), cut.len()), ("ad".into(), 2, 3));
    let short = train(&Text { length: Some(2), too_long: TooLong::Skip, ..exact });
    assert_eq!((0..short.len()).map(|row| short.text(row)).collect::<Vec<_>>(), ["bo", "öd"]);
}

#[test]
fn held_out_lines_are_not_in_the_training_part() {
    let folder = tempdir().unwrap();
    let names: Vec<String> = (0..25).map(|i| format!("name {i}")).collect();
    let source = put(&folder, "names", names.join("\n").as_bytes());
    let all = |set: &Texts| (0..set.len()).map(|row| set.text(row)).collect::<Vec<_>>();
    let (learned, held) = Text { held_out: 10, ..source.clone() }.parts().unwrap();
    assert_eq!(all(&held.unwrap()), ["name 9", "name 19"]);
    assert_eq!((learned.len(), learned.text(9)), (23, "name 10".into()));
    let (learned, held) = Text { held_out: 10, last: true, ..source.clone() }.parts().unwrap();
    assert_eq!((learned.len(), all(&held.unwrap())), (23, vec!["name 23".into(), "name 24".into()]));
    fs::write(folder.path().join("other"), "name 3\nname 999").unwrap();
    let (learned, held) = Text { test: Some(folder.path().join("other")), ..source }.parts().unwrap();
    assert_eq!((learned.len(), learned.codec.length), (25, 9));
    assert_eq!(all(&held.unwrap()), ["name 3", "name 999"]);
}

#[test]
fn windows_slide_over_the_text_and_its_end_is_held_out() {
    let folder = tempdir().unwrap();
    let text = "abcdefghij\nklmnopqrst\n".repeat(3);
    let source = Text { sample: Sample::Window, length: Some(6), held_out: 3, ..put(&folder, "text", text.as_bytes()) };
    let (learned, held) = source.parts().unwrap();
    let held = held.unwrap();
    assert_eq!((learned.len(), held.len()), (44 - 6 + 1, 22 / 6));
    assert_eq!((learned.text(0), learned.text(7)), ("abcdef".into(), "hij\nkl".into()));
    assert_eq!((held.text(0), held.text(2)), ("abcdef".into(), "lmnopq".into()));
    assert_eq!(learned.batch(&[1, 0]).len(), 12);
    assert_eq!((learned.codec.ends, learned.num_characters(0)), (false, 6));
    let strides = train(&Text { stride: 5, ..source.clone() });
    assert_eq!((strides.len(), strides.text(1)), ((44 - 6) / 5 + 1, "fghij\n".into()));
    // The end of line and a to e: four of the one and two of each of the others, among two times 22 characters.
    assert_eq!((0..6).map(|i| (44.0 * learned.frequencies()[i]).round()).collect::<Vec<_>>(), [4., 2., 2., 2., 2., 2.]);
    assert!(learned.codec.encode("abc").unwrap_err().to_string().contains("; lengthen it"));
}

#[test]
fn the_cells_of_a_column_are_samples() {
    let folder = tempdir().unwrap();
    let table = "mr,ref\n\"a, b\",\"one \"\"two\"\", three\"\nx,\ny,\"four\nfive\"\n";
    let source = Text { column: Some("ref".into()), ..put(&folder, "t.csv.gz", &gzip(table.as_bytes())) };
    let set = train(&source);
    assert_eq!((0..set.len()).map(|row| set.text(row)).collect::<Vec<_>>(), ["one \"two\", three", "four\nfive"]);
}

#[test]
fn byte_pair_encoding_round_trips_any_text() {
    let folder = tempdir().unwrap();
    let lines = "the cat sat\nthe hat sat on the cat\nthat cat\n".repeat(4) + "naïve 猫\n";
    let source = Text { tokens: Tokens::Bpe, vocabulary: 262, ..put(&folder, "text", lines.as_bytes()) };
    let set = train(&source);
    let Vocabulary::Bpe(_) = &set.codec.vocabulary else { panic!("`tokens` is \"bpe\"") };
    assert_eq!(set.codec.vocabulary.len(), 262);
    assert!(set.get(0).len() < 11, "pairs are merged: {:?}", set.get(0));
    for text in ["the cat sat", "naïve 猫", " two  spaces ", "tab\tand\u{0}", "🙂 beyond"] {
        let tokens = set.codec.vocabulary.encode(text).unwrap();
        assert_eq!(set.codec.vocabulary.decode(&tokens), text);
        let characters: usize = tokens.iter().map(|token| set.codec.vocabulary.num_characters(*token)).sum();
        assert_eq!(characters, text.chars().count(), "{text}");
    }
    assert_eq!(train(&source), set, "learning again gives the same tokens");
    let written = serde_json::to_string(&set.codec).unwrap();
    let read: Codec = serde_json::from_str(&written).unwrap();
    assert_eq!(read, set.codec);
    assert_eq!(read.vocabulary.encode("that hat").unwrap(), set.codec.vocabulary.encode("that hat").unwrap());
    assert!(serde_json::from_str::<Vocabulary>(r#"{"bpe":"t h\nxx y\n"}"#).unwrap_err().to_string().contains("`xx`"));
    // The first merge is the most frequent pair: "at" is in cat, sat, hat, that, and no pair is in more of them.
    let Vocabulary::Bpe(bpe) = set.codec.vocabulary else { unreachable!() };
    assert_eq!(String::from(bpe).lines().next(), Some("a t"));
}

#[test]
fn the_keys_of_older_recipes_are_read() {
    let read = |settings: &str| serde_json::from_str::<Text>(settings).unwrap().too_long;
    for (old, new, value) in
        [("refuse", "error", TooLong::Error), ("cut", "truncate", TooLong::Truncate), ("drop", "skip", TooLong::Skip)]
    {
        assert_eq!(read(&format!(r#"{{"longer": "{old}"}}"#)), value);
        assert_eq!(read(&format!(r#"{{"too_long": "{new}"}}"#)), value);
        let written = serde_json::to_value(Text { too_long: value, ..Text::default() }).unwrap();
        assert_eq!((written["too_long"].as_str(), written.get("longer")), (Some(new), None));
    }
}

#[test]
fn errors_of_text_say_what_was_found_and_what_to_do() {
    let folder = tempdir().unwrap();
    let good = put(&folder, "good", b"one\ntwo\nthree\n");
    assert_eq!(
        message(&put(&folder, "empty", b""), &folder),
        "`DIR/empty` does not hold any text; give a file with text in it."
    );
    assert_eq!(
        message(&put(&folder, "latin", b"one\ncaf\xe9 au lait"), &folder),
        "`DIR/latin` is not UTF-8: byte 7 (0xe9, line 2) does not start a character; save it as UTF-8, for example \
         with `iconv -f LATIN1 -t UTF-8`."
    );
    let packed = gzip(b"one\ntwo \xff");
    assert!(message(&put(&folder, "latin.gz", &packed), &folder).contains("byte 8 after decompression (0xff, line 2)"));
    let broken = message(&put(&folder, "broken.gz", &gzip(&b"one two three ".repeat(9))[..24]), &folder);
    assert!(broken.contains("is damaged: its gzip stream ends after"), "{broken}");
    let table = put(&folder, "t.csv", b"mr,ref\na,b\n");
    assert_eq!(
        message(&table, &folder),
        "`DIR/t.csv` is a table with the columns `mr`, `ref`, and `column` is not set; set `column = \"ref\"`, or \
         another of them."
    );
    assert_eq!(
        message(&Text { column: Some("text".into()), ..table }, &folder),
        "`DIR/t.csv` does not have a column `text`, only `mr`, `ref`; set `column` to one of these."
    );
    let ragged = Text { column: Some("ref".into()), ..put(&folder, "r.csv", b"mr,ref\na,b\nc\n") };
    assert!(message(&ragged, &folder).contains("line 3 has 1 cell"), "{}", message(&ragged, &folder));
    assert_eq!(
        message(&Text { length: Some(4), ..good.clone() }, &folder),
        "`DIR/good` has 1 of 3 samples in its training part that are longer than `length = 4` tokens (the longest of \
         all has 5); set `length = 6`, or `too_long = \"truncate\"` to shorten them, or `too_long = \"skip\"` to leave \
         them out."
    );
    fs::write(folder.path().join("odd"), "two\nthé").unwrap();
    assert_eq!(
        message(&Text { test: Some(folder.path().join("odd")), ..good.clone() }, &folder),
        "`DIR/odd` has a character that the training text does not have: `é` (U+00E9), line 2, character 3; remove or \
         replace it, or use byte-pair encoding, which encodes every character: `tokens = \"bpe\"`."
    );
    let contains = |source: Text, part: &str| {
        let text = message(&source, &folder);
        assert!(text.contains(part), "{text}");
    };
    contains(Text { length: Some(0), ..good.clone() }, "`length` must be 1 or more tokens, got 0");
    contains(Text { stride: 0, ..good.clone() }, "`stride` must be 1 or more tokens, got 0");
    contains(
        Text { held_out: 1, ..good.clone() },
        "`held_out` must be 0 or at least 2, got 1, which leaves nothing for training",
    );
    contains(
        Text { held_out: 10, ..good.clone() },
        "has 3 samples, too few to hold out every 10th; set `held_out = 2`",
    );
    contains(Text { path: "".into(), ..good.clone() }, "`path` is not set");
    contains(Text { path: "no-such".into(), ..good.clone() }, "`no-such` was not found");
    contains(Text { sample: Sample::Window, ..good.clone() }, "a window needs `length = 128`");
    let bpe = Text { tokens: Tokens::Bpe, ..good.clone() };
    contains(Text { vocabulary: 200, ..bpe.clone() }, "`vocabulary` must be more than 256");
    contains(Text { vocabulary: 100_000, ..bpe.clone() }, "`vocabulary` must be 65536 or less, got 100000");
    contains(
        Text { vocabulary: 300, ..bpe },
        "pairs that occur at least twice give 256 tokens, got 300; set 256 or less",
    );
    let letters = train(&good).codec;
    assert_eq!(
        letters.encode("thé").unwrap_err().to_string(),
        "`é` (U+00E9), character 3 of \"thé\", is not in the vocabulary of 7 characters: ehnortw; use characters of \
         the vocabulary only."
    );
    let long = letters.encode("threethree").unwrap_err().to_string();
    assert_eq!(long, "the text has 10 tokens, but the samples of the model have 6; shorten it.");
}

/// A uniform variate on [0, 1), by hashing.
fn uniform(i: usize) -> f64 {
    let mut x = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    for shift in [30, 27, 31] {
        x = (x ^ (x >> shift)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Transition probabilities of a Markov chain over three letters, which a bigram model describes completely.
const CHAIN: [[f64; 3]; 3] = [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]];

#[test]
fn a_bigram_reaches_the_entropy_rate_of_a_markov_chain() {
    // Its stationary distribution, by iteration, its entropy rate and the entropy of the stationary distribution.
    let mut share = [1.0 / 3.0; 3];
    for _ in 0..200 {
        share = std::array::from_fn(|j| (0..3).map(|i| share[i] * CHAIN[i][j]).sum());
    }
    let entropy = |p: &[f64; 3]| -p.iter().map(|p| p * p.log2()).sum::<f64>();
    let rate: f64 = (0..3).map(|i| share[i] * entropy(&CHAIN[i])).sum();
    let alone = entropy(&share);

    let mut state = 0;
    let text: String = (0..200_000)
        .map(|i| {
            let u = uniform(i);
            state = if u < CHAIN[state][0] {
                0
            } else if u < CHAIN[state][0] + CHAIN[state][1] {
                1
            } else {
                2
            };
            ['a', 'b', 'c'][state]
        })
        .collect();
    let folder = tempdir().unwrap();
    let source =
        Text { sample: Sample::Window, length: Some(500), held_out: 4, ..put(&folder, "chain", text.as_bytes()) };
    let (train, test) = source.parts().unwrap();
    let test = test.unwrap();
    let rows: Vec<usize> = (0..test.len()).collect();
    let [unigram, bigram, five] = &baselines(&train, &test, &rows)[..] else { panic!("three of them") };
    // The first token of a window has no context.
    let expected = rate + (alone - rate) / 500.0;
    for (model, expected) in [(unigram, alone), (bigram, expected)] {
        let Mean { value, error } = model.bits_per_char;
        assert!(error > 1e-4 && error < 0.01, "{}: ± {error}", model.name);
        assert!((value - expected).abs() < 4.0 * error, "{}: {value} ± {error}, not {expected}", model.name);
    }
    // Longer contexts have no more information, and overfit a little.
    assert!((five.bits_per_char.value - expected).abs() < 0.01, "{five:?}");
    assert_eq!(bigram.bits_per_char, bigram.bits_per_token);
}

#[test]
fn n_gram_probabilities_sum_to_one_after_any_context() {
    let tokens: Vec<u32> = (0..3000).map(|i| (5.0 * uniform(i) * uniform(i + 9000)) as u32).collect();
    for order in 1..=5 {
        let model = NGram::count(order, 7, [(&tokens[..], 0)]);
        for past in [&[][..], &[0], &[6], &[1, 2, 3], &[0, 0, 0, 0, 0], &[4, 4, 4, 4], &[6, 0, 1, 0, 0]] {
            let all: Vec<f64> = (0..7).map(|token| model.probability(past, token)).collect();
            assert!((all.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{order}: {all:?} after {past:?}");
            assert!(all.iter().all(|p| *p > 0.0), "{order}: {all:?} after {past:?}");
        }
    }
    // Two a and one b: three tokens of two kinds, over four categories.
    let few = NGram::count(1, 4, [(&[0, 0, 1][..], 0)]);
    assert_eq!([0, 1, 2].map(|token| few.probability(&[], token)), [2.5 / 5.0, 1.5 / 5.0, 0.5 / 5.0]);
}

#[test]
fn baselines_of_lines_include_their_ends() {
    let folder = tempdir().unwrap();
    // Every line is "ab": given its first token, nothing is uncertain.
    let source = Text { held_out: 10, ..put(&folder, "same", "ab\n".repeat(2000).as_bytes()) };
    let (train, test) = source.parts().unwrap();
    let test = test.unwrap();
    let all = baselines(&train, &test, &[0, 1, 5]);
    // Three equally frequent tokens, the end being one of them.
    assert!((all[0].bits_per_char.value - 3f64.log2()).abs() < 1e-3, "{all:?}");
    assert!(all[1].bits_per_char.value < 2e-3 && all[2].bits_per_char.value < 2e-3, "{all:?}");
    assert!(all[0].bits_per_char.error < 1e-12, "all lines are equal: {all:?}");
}
