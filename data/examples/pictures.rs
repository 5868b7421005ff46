//! Writes pictures of the built-in sets, and of real ones found under `TWEEDIE_DATA`, for a look at them:
//! `cargo run -p tweedie-data --example pictures FOLDER`.
use std::path::Path;
use tweedie_data::image::GrayImage;
use tweedie_data::picture::{Layout, grid, save, strip};
use tweedie_data::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("give the folder to write the pictures to")?;
    let folder = Path::new(&folder);
    let digits = Digits::default().load(Split::Train)?;
    classes(&folder.join("digits.png"), &digits, 10)?;
    fading(&folder.join("strip.png"), &digits)?;
    for shape in [Shape::Moons, Shape::Rings, Shape::Spirals, Shape::Gaussians, Shape::Checkerboard, Shape::Swissroll] {
        cloud(shape).save(folder.join(format!("{shape:?}.png").to_lowercase()))?;
    }
    if find("mnist").is_ok() {
        let source = Idx { path: Some("mnist".into()), ..Idx::default() };
        classes(&folder.join("mnist.png"), &source.load(Split::Test)?, 12)?;
    }
    if find("dcss_tiles").is_ok() {
        let source = Parquet { path: "dcss_tiles".into(), channels: 4, ..Parquet::default() };
        classes(&folder.join("tiles.png"), &source.load(Split::Train)?, 12)?;
    }
    if find("noto_emoji").is_ok() {
        let background = Background([255, 220, 160]);
        let source = Parquet { path: "noto_emoji".into(), size: Some(24), background, ..Parquet::default() };
        classes(&folder.join("emoji.png"), &source.load(Split::Train)?, 12)?;
    }
    Ok(())
}

/// The first images of each class, one row per class.
fn classes(file: &Path, set: &Images, columns: usize) -> Result<(), Error> {
    let of = |class: usize| (0..set.len()).filter(move |&i| set.label(i) == Some(class as u32)).take(columns);
    let chosen: Vec<usize> = (0..set.classes.len()).flat_map(of).collect();
    let [c, h, w] = set.shape();
    let layout = Layout { columns, row_labels: set.classes.clone(), ..Layout::default() };
    save(&grid(&set.to_unit(&chosen, None), [chosen.len(), c, h, w], &layout)?, file)
}

/// Three digits that fade into stripes.
fn fading(file: &Path, digits: &Images) -> Result<(), Error> {
    let times = [1.0, 0.8, 0.6, 0.4, 0.2, 0.0];
    let clean = digits.to_unit(&[0, 1, 2], None);
    let stripes = |i: usize| if (i * 7919) % 13 < 6 { -0.8 } else { 0.9 };
    let frame = |t: f64| clean.iter().enumerate().map(move |(i, x)| (1.0 - t as f32) * x + t as f32 * stripes(i));
    let frames: Vec<f32> = times.iter().flat_map(|&t| frame(t)).collect();
    let row_labels = ["0", "1", "2"].map(String::from).to_vec();
    save(&strip(&frames, [6, 3, 1, 8, 8], &times, &Layout { row_labels, ..Layout::default() })?, file)
}

/// 4,000 points of a lattice in the uniform variates of a shape.
fn cloud(shape: Shape) -> GrayImage {
    let uniforms: Vec<f64> =
        (0..4000).flat_map(|i| [0.618, 0.7549, 0.8191, 0.8567].map(|s| (f64::from(i) * s).fract())).collect();
    let mut canvas = GrayImage::new(160, 160);
    for point in Points::new(shape).rows(&uniforms).0.chunks_exact(2) {
        let [x, y] = [point[0], -point[1]].map(|x| (80.0 + 30.0 * x).clamp(0.0, 159.0) as u32);
        canvas.get_pixel_mut(x, y).0 = [255];
    }
    canvas
}
