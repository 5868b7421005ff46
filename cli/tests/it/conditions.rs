//! Conditions of recipes: what is read beside the data, trained with, and sampled for.
use super::{done, refused, tensors, tweedie};
use serde_json::Value;
use std::{fs, path::Path};
use tempfile::tempdir;
use tweedie_data::{RgbImage, image::Rgb, npy, picture};

/// A folder of pictures of one color each, a table beside them, a second picture and a map of labels for each.
fn pictures(at: &Path) {
    let data = at.join("pictures");
    fs::create_dir_all(data.join("more")).unwrap();
    let mut table = String::from("file_name,color,size,caption,sketch,map\n");
    for i in 0..24_u32 {
        let (name, color) = [("red", [200, 0, 0]), ("green", [0, 200, 0]), ("blue", [0, 0, 200])][i as usize % 3];
        let level = (i * 10) as u8;
        RgbImage::from_pixel(8, 8, Rgb(color.map(|c: u8| c.saturating_add(level / 10))))
            .save(data.join(format!("{i:02}.png")))
            .unwrap();
        RgbImage::from_pixel(4, 4, Rgb([level; 3])).save(at.join(format!("sketch{i}.png"))).unwrap();
        RgbImage::from_fn(8, 8, |x, _| Rgb([u8::from(x < i % 8); 3])).save(at.join(format!("map{i}.png"))).unwrap();
        // One caption and one size are missing.
        let caption = if i == 5 { String::new() } else { format!("\"a {name} square, number {i}\"") };
        let size = if i == 7 { String::new() } else { format!("{}", 10.0 + f64::from(i)) };
        table += &format!("{i:02}.png,{name},{size},{caption},../sketch{i}.png,../map{i}.png\n");
    }
    fs::write(data.join("metadata.csv"), table).unwrap();
}

const RECIPE: &str = r#"
[data]
name = "folder"
path = "pictures"
held_out = 4

[condition.color]
kind = "class"
dropout = 0.2

[condition.size]
kind = "vector"

[condition.caption]
kind = "tokens"
tokens = "characters"
dropout = 0.2

[condition.sketch]
kind = "image"
channels = 1
dropout = 0.2

[condition.map]
kind = "label-map"
dropout = 0.2

[schedule]
name = "cosine"

[noise]
name = "gaussian"

[net]
name = "unet"
channels = [8, 16]
blocks = 1
cross_attention = [1]

[train]
steps = 4
batch = 6
warmup = 0

[run]
checkpoint_every = 2
evaluate_every = 2
evaluate_rows = 6

[sample]
n = 4
steps = 2
"#;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn conditions_of_every_kind_are_trained_with_resumed_evaluated_and_sampled_for() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    pictures(at);
    fs::write(at.join("r.toml"), RECIPE).unwrap();
    done(at, "train r.toml --out whole -q");
    done(at, "train r.toml --out parts --steps 2 -q");
    done(at, "train --resume --out parts --steps 4 -q");
    let model = |run: &str| tensors(&at.join(run).join("model.safetensors"));
    assert!(model("whole") == model("parts"), "a resumed run has other weights");
    // What a run writes runs again.
    done(at, "train whole/recipe.toml --out again -q");
    assert!(model("whole") == model("again"));
    done(at, "evaluate whole");

    // Samples of a run are conditioned as held-out data.
    let default = json(&at.join("whole/conditions.json"));
    assert_eq!(default.as_array().unwrap().len(), 4);
    assert!(default[0]["color"].is_string() && default[0]["size"][0].is_number(), "{default}");

    let given = "sample whole --n 6 --condition color=red --condition color=blue --condition size=12 --out s -q";
    done(at, given);
    let chosen = json(&at.join("s/conditions.json"));
    let colors: Vec<&str> = (0..6).map(|i| chosen[i]["color"].as_str().unwrap()).collect();
    assert_eq!(colors, ["red", "blue", "red", "blue", "red", "blue"]);
    assert_eq!((chosen[3]["size"][0].as_f64(), chosen[3]["caption"].is_null()), (Some(12.0), true));
    assert!(at.join("s/samples.png").exists());
    // Each condition changes the samples.
    let samples = |text: &str| {
        done(at, &format!("sample whole --n 2 --out t -q {text}"));
        npy::load::<f32>(at.join("t/samples.npy")).unwrap().data
    };
    let base = samples("--condition size=12");
    for more in ["color=green", "caption=blue", "size=30", "sketch=sketch3.png", "map=map5.png"] {
        // A later value of the same condition would come in turn.
        let all = if more.starts_with("size") { String::new() } else { "--condition size=12 ".into() };
        assert_ne!(samples(&format!("{all}--condition {more}")), base, "{more}");
    }
    assert_eq!(samples("--condition size=12 --condition color=none"), base, "what is not given is dropped");
}

#[test]
fn weights_are_trained_on_with_the_names_statistics_and_vocabulary_that_they_know() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    pictures(at);
    fs::write(at.join("r.toml"), RECIPE).unwrap();
    done(at, "train r.toml --out old --steps 2 -q");
    // Other data: one color less, other sizes.
    let table = at.join("pictures/metadata.csv");
    let whole = fs::read_to_string(&table).unwrap();
    fs::write(&table, whole.replace(",blue,", ",green,").replace(",1", ",7")).unwrap();
    done(at, "train r.toml --out new --from old --steps 2 -q");
    let facts = |run: &str| {
        let bytes = fs::read(at.join(run).join("model.safetensors")).unwrap();
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let facts: Value = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["data"]).unwrap();
        facts["conditions"].clone()
    };
    assert_eq!(facts("old"), facts("new"));
    // Resumed too.
    done(at, "train --resume --out new --steps 4 -q");
    done(at, "train r.toml --out whole --from old --steps 4 -q");
    let model = |run: &str| tensors(&at.join(run).join("model.safetensors"));
    assert!(model("new") == model("whole"));
    // From the start, the conditions are learned anew.
    done(at, "train r.toml --out other --steps 2 -q");
    assert_ne!(facts("old"), facts("other"));
    let error = refused(at, "train r.toml --out none --from old --set condition.size.columns=[\"size\",\"size\"]");
    assert!(error.contains("are for the conditions `color` (one of 3 classes)"), "{error}");

    // What reads the data of a run reads them with its names too: there are two more colors here than it knows.
    let colors = whole.lines().enumerate().map(|(i, line)| {
        let cells: Vec<&str> = line.splitn(3, ',').collect();
        if i == 0 { line.to_owned() } else { format!("{},color {},{}", cells[0], i % 5, cells[2]) }
    });
    fs::write(&table, colors.collect::<Vec<_>>().join("\n")).unwrap();
    for command in ["compare old --n 6 --steps 2 --sampler ddim --quiet", "evaluate old", "sample old --n 6 --out s -q"]
    {
        done(at, command);
    }
}

#[test]
fn wrong_conditions_are_refused_in_a_sentence() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    pictures(at);
    fs::write(at.join("r.toml"), RECIPE).unwrap();
    done(at, "train r.toml --out run --steps 1 -q");
    for (given, message) in [
        ("color=pink", "unknown value `pink`. The values are `blue`, `green` and `red`, and none"),
        ("colour=red", "unknown condition `colour`; did you mean `color`?"),
        ("size=large", "`large` does not hold finite numbers alone"),
        ("size=1,2", "1 number is needed, `size`, separated by commas, got 2"),
        ("size=nan", "does not hold finite numbers alone"),
        ("color", "write NAME=VALUE"),
        (
            "color=red",
            "the condition `size` (a vector of 1 value) is missing, and the model was never trained without it alone",
        ),
        ("caption=ж", "ж"),
        ("sketch=pictures/00.png", "the picture is 8 × 8 pixels, and 4 × 4 are needed"),
        ("sketch=none.png", "`none.png`: it does not exist"),
        ("map=sketch9.png", "the picture is 4 × 4 pixels, and 8 × 8 are needed"),
        ("map=pictures/00.png", "the picture has the gray level"),
    ] {
        let error = refused(at, &format!("sample run --out none --condition {given}"));
        assert!(error.contains(message), "{given}: {error}");
        assert!(!at.join("none").exists(), "{given}: something was written");
    }
    for (set, message) in [
        ("condition.color.column=colour", "does not have a column `colour`"),
        ("condition.caption.kind=vector", "has no field `tokens`"),
        ("condition.color.kind=vector", "holds `red`, which is not a finite number"),
        ("condition.size.columns=[\"caption\"]", "which is not a finite number"),
        ("condition.map.labels=1", "the picture has the gray level 1, and there are the labels 0 to 0"),
        ("condition.sketch.channels=2", "must be 1 (gray) or 3 (RGB), got 2"),
        ("condition.sketch.of=gray", "leave one out"),
        ("condition.x.kind=colour", "there is no kind of condition `colour`"),
        ("net.cross_attention=[2]", "must hold levels 0 (full resolution) to 1"),
    ] {
        let extra = if set.contains(".of=") { " --set condition.sketch.column=sketch" } else { "" };
        let mut command = tweedie(at);
        command.args(["train", "r.toml", "--out", "none", "--set", set]).args(extra.split_whitespace());
        let output = command.output().expect("the tool runs");
        let error = super::text(&output.stderr);
        assert!(!output.status.success() && error.contains(message), "{set}: {error}");
        assert!(!at.join("none").exists(), "{set}: something was written");
    }
    // A picture without a row, a row twice, no table.
    let table = at.join("pictures/metadata.csv");
    let whole = fs::read_to_string(&table).unwrap();
    let without: Vec<&str> = whole.lines().filter(|line| !line.starts_with("03.png")).collect();
    fs::write(&table, without.join("\n")).unwrap();
    assert!(refused(at, "train r.toml --out none").contains("has no row for the picture `03.png`"));
    let again = whole.lines().last().unwrap();
    fs::write(&table, format!("{whole}{again}\n")).unwrap();
    assert!(refused(at, "train r.toml --out none").contains("has a second row for the picture `23.png`"));
    // A value that changed is data that changed.
    fs::write(&table, whole.replace("00.png,red,10", "00.png,red,11")).unwrap();
    let error = refused(at, "train --resume --out run --steps 2");
    assert!(error.contains("data"), "{error}");
    fs::remove_file(&table).unwrap();
    assert!(refused(at, "train r.toml --out none").contains("has no metadata.csv or metadata.jsonl beside or above"));
}

#[test]
fn points_follow_their_known_law_given_a_direction() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/directions.toml")).unwrap();
    fs::write(at.join("r.toml"), recipe).unwrap();
    done(at, "train r.toml --out run --steps 1500 --set run.evaluate_every=0 -q");
    done(at, "sample run --n 1000 --condition direction=0.6,0.8 --out s -q");
    let points = npy::load::<f32>(at.join("s/samples.npy")).unwrap().data;
    let (u, n) = ([0.6, 0.8], points.len() as f64 / 2.0);
    let along: Vec<f64> = points.chunks(2).map(|p| u[0] * f64::from(p[0]) + u[1] * f64::from(p[1])).collect();
    let across: Vec<f64> = points.chunks(2).map(|p| u[0] * f64::from(p[1]) - u[1] * f64::from(p[0])).collect();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let deviation =
        |values: &[f64]| (values.iter().map(|x| (x - mean(values)).powi(2)).sum::<f64>() / values.len() as f64).sqrt();
    // Without noise: rings of radii r and 2 r, scaled so that the whole has variance 1.
    let r = (1.0_f64 - 0.05 * 0.05).sqrt() / 1.25_f64.sqrt();
    assert!(mean(&across).abs() < 0.02 && deviation(&across) < 0.1, "{} ± {}", mean(&across), deviation(&across));
    let inner: Vec<f64> = along.iter().copied().filter(|x| *x < 1.5 * r).collect();
    let outer: Vec<f64> = along.iter().copied().filter(|x| *x >= 1.5 * r).collect();
    assert!((inner.len() as f64 / n - 0.5).abs() < 0.08, "{} of {n}", inner.len());
    for (found, radius) in [(&inner, r), (&outer, 2.0 * r)] {
        assert!((mean(found) - radius).abs() < 0.04, "{} and {radius}", mean(found));
        assert!(deviation(found) < 0.12, "{}", deviation(found));
    }
}

#[test]
fn computed_conditions_are_of_the_sample_as_it_was_augmented() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let recipe = super::DIGITS.replace("[schedule]", "[condition.small]\nkind = \"image\"\nof = \"downscaled\"\n\n[condition.part]\nkind = \"image\"\nof = \"masked\"\n\n[schedule]");
    fs::write(at.join("r.toml"), recipe).unwrap();
    done(at, "train r.toml --out run --steps 2 -q");
    done(at, "sample run --n 3 --out s -q");
    let shown = picture::load(at.join("s/samples.png")).unwrap();
    // Two conditions before each sample: pictures of 8 × 8 pixels, three in a row.
    assert!(shown.width() > 2 * shown.height() / 3, "{} × {}", shown.width(), shown.height());
    // A picture of the condition's size, and one of the data's, of which the condition is computed.
    RgbImage::from_pixel(4, 4, Rgb([90; 3])).save(at.join("small.png")).unwrap();
    RgbImage::from_pixel(8, 8, Rgb([90; 3])).save(at.join("large.png")).unwrap();
    let part = tweedie_data::image::RgbaImage::from_fn(8, 8, |x, _| {
        tweedie_data::image::Rgba([200, 200, 200, if x < 4 { 0 } else { 255 }])
    });
    part.save(at.join("part.png")).unwrap();
    let samples = |small: &str| {
        done(at, &format!("sample run --n 2 --out t -q --condition small={small} --condition part=part.png"));
        npy::load::<f32>(at.join("t/samples.npy")).unwrap().data
    };
    assert_eq!(samples("small.png"), samples("large.png"));
    let error = refused(at, "sample run --out none --condition small=small.png --condition part=large.png");
    assert!(error.contains("has no transparent pixels"), "{error}");
    let error = refused(at, "sample run --out none --condition small=s/samples.png --condition part=part.png");
    assert!(error.contains("and 4 × 4 are needed, or 8 × 8, of which that is computed"), "{error}");
    let error = refused(at, "train r.toml --out none --set condition.small.factor=3");
    assert!(error.contains("must divide the images' size of 8 × 8 pixels, got 3"), "{error}");
    let error = refused(at, "train r.toml --out none --set net=dit --set condition.small.of=gray");
    assert!(error.contains("images of 3 channels, and these have 1"), "{error}");
}

#[test]
fn nets_refuse_kinds_that_they_do_not_take() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let recipe = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../recipes/directions.toml")).unwrap();
    let recipe =
        recipe.replace("kind = \"vector\"\ncolumns = [\"cos\", \"sin\"]", "kind = \"tokens\"\ncolumn = \"cos\"");
    fs::write(at.join("r.toml"), recipe).unwrap();
    let error = refused(at, "train r.toml --out none");
    assert!(
        error.contains(
            "the net `mlp` takes conditions of the kinds `class` and `vector`, and `direction` is of the kind `tokens`"
        ),
        "{error}"
    );
    assert!(
        refused(at, "train r.toml --out none --set condition.direction.column=tan")
            .contains("points have the columns `cos`, `sin` and `radius`")
    );
}

#[test]
fn real_attributes_and_captions_are_read() {
    let Some(data) = std::env::var_os("TWEEDIE_DATA") else {
        eprintln!("skipped: the data are looked up under TWEEDIE_DATA, which is not set");
        return;
    };
    let run = |at: &Path, line: &str| {
        let output =
            tweedie(at).env("TWEEDIE_DATA", &data).args(line.split_whitespace()).output().expect("the tool runs");
        (output.status.success(), super::text(&output.stderr))
    };
    let done = |at: &Path, line: &str| {
        let (success, error) = run(at, line);
        assert!(success, "tweedie {line}\n{error}");
    };
    let folder = tempdir().unwrap();
    let at = folder.path();
    for (name, set, column) in [
        ("e2e-attributes", "--set net.width=32 --set net.depth=1 --set sample.steps=8 --set sample.n=4", "mr"),
        ("emoji-tone", "--set net.channels=[8,8] --set sample.steps=2 --set sample.n=4", "tone"),
        ("fashion-upscale", "--set net.channels=[8,8] --set sample.steps=2 --set sample.n=4", "small"),
    ] {
        let recipe = fs::read_to_string(format!("{}/../recipes/{name}.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        fs::write(at.join("r.toml"), recipe).unwrap();
        done(
            at,
            &format!("train r.toml --out {name} --steps 2 --set train.batch=8 --set run.evaluate_rows=8 -q {set}"),
        );
        let conditions = json(&at.join(name).join("conditions.json"));
        let value = conditions[0][column].as_str().unwrap();
        let known = match column {
            "mr" => value.contains("name["),
            "tone" => value == "0" || value == "1",
            _ => value.contains("[1, 14, 14]"),
        };
        assert!(known, "{value}");
    }
    done(at, "sample e2e-attributes --n 2 --out s -q --condition mr=name[Alimentum]");
    done(at, "sample emoji-tone --n 2 --out t -q --condition tone=1 --class Flags");
    let (_, error) = run(at, "sample emoji-tone --condition tone=2");
    assert!(error.contains("unknown value `2`. The values are `0` and `1`, and none"), "{error}");
}
