//! Pictures of samples, and arrays.
use tweedie_data::image::{self, Rgb};
use tweedie_data::picture::{Layout, grid, save, strip};
use tweedie_data::*;

#[test]
fn a_grid_shows_each_pixel_at_its_place_and_size() {
    // Three images of 1 × 2 pixels; two columns; the last cell stays empty.
    let layout = Layout { columns: 2, zoom: 3, gap: 1, background: [9, 8, 7], ..Layout::default() };
    let picture = grid(&[-1.0, 1.0, 0.0, -1.0, 1.0, 1.0], [3, 1, 1, 2], &layout).unwrap();
    assert_eq!(picture.dimensions(), (1 + 2 * 7, 1 + 2 * 4));
    for (x, y, &Rgb(pixel)) in picture.enumerate_pixels() {
        let cell =
            |x: u32, size: u32| (x >= 1).then(|| ((x - 1) / (size + 1), (x - 1) % (size + 1))).filter(|c| c.1 < size);
        let expected = match (cell(x, 6), cell(y, 3)) {
            (Some((column, inside)), Some((row, _))) if 2 * row + column < 3 => {
                [[0, 255], [128, 0], [255, 255]][(2 * row + column) as usize].map(|v| [v; 3])[(inside / 3) as usize]
            }
            _ => [9, 8, 7],
        };
        assert_eq!(pixel, expected, "at {x}, {y}");
    }
}

#[test]
fn small_images_are_enlarged_and_colors_and_transparent_pixels_shown() {
    let digit = grid(&[0.0; 64], [1, 1, 8, 8], &Layout::default()).unwrap();
    assert_eq!(digit.dimensions(), (52, 52));
    let large = grid(&[0.0; 100 * 50], [1, 1, 100, 50], &Layout { gap: 0, ..Layout::default() }).unwrap();
    assert_eq!(large.dimensions(), (50, 100));
    let layout = Layout { zoom: 1, gap: 0, background: [10, 20, 30], ..Layout::default() };
    let color = grid(&[-1.0, 0.0, 1.0], [1, 3, 1, 1], &layout).unwrap();
    assert_eq!(color.get_pixel(0, 0).0, [0, 128, 255]);
    let clear = grid(&[1.0, 1.0, 1.0, -1.0], [1, 4, 1, 1], &layout).unwrap();
    assert_eq!(clear.get_pixel(0, 0).0, [10, 20, 30]);
}

#[test]
fn a_strip_has_one_row_per_sample_and_the_times_above() {
    // Two times, three samples: frame t, sample n has the level 100 t + 10 n.
    let frames: Vec<f32> = (0..6).map(|i| (100 * (i / 3) + 10 * (i % 3)) as f32 / 127.5 - 1.0).collect();
    let layout = Layout { zoom: 40, row_labels: ["zero", "one", "two"].map(String::from).into(), ..Layout::default() };
    let picture = strip(&frames, [2, 3, 1, 1, 1], &[1.0, 0.25], &layout).unwrap();
    let (top, left, step) = (16 + 4, 4 * 8 + 6, 42);
    assert_eq!(picture.dimensions(), (left + 2 * step, top + 3 * step));
    for (time, sample) in (0..2).flat_map(|time| (0..3).map(move |sample| (time, sample))) {
        let middle = picture.get_pixel(left + step * time + 20, top + step * sample + 20).0;
        assert_eq!(middle, [(100 * time + 10 * sample) as u8; 3], "time {time}, sample {sample}");
    }
    // There is text above each column and left of each row, and none in the corner.
    let ink = |x0: u32, x1: u32, y0: u32, y1: u32| {
        (x0..x1)
            .flat_map(|x| (y0..y1).map(move |y| (x, y)))
            .filter(|&(x, y)| picture.get_pixel(x, y).0 == [0; 3])
            .count()
    };
    assert!((0..2).all(|time| ink(left + step * time, left + step * time + 40, 0, top) > 20), "times");
    assert!((0..3).all(|row| ink(0, left, top + step * row, top + step * row + 40) > 20), "names");
    assert_eq!(ink(0, left, top, top + 8), 0);
    // Very long labels take at most 24 columns.
    let names = vec!["漢字".to_string(), "x".repeat(1000)];
    let wide = strip(&frames, [2, 3, 1, 1, 1], &[1.0, 0.25], &Layout { row_labels: names, ..layout }).unwrap();
    assert_eq!(wide.width(), 24 * 8 + 6 + 2 * step);
}

#[test]
fn pictures_are_written_completely_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new/folder/a.png");
    let picture = grid(&[-1.0, 1.0, 1.0, -1.0], [1, 1, 2, 2], &Layout::default()).unwrap();
    save(&picture, &file).unwrap();
    save(&picture, &file).unwrap();
    assert_eq!(image::open(&file).unwrap().into_rgb8(), picture);
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn arrays_are_read_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npy");
    fn round<T: npy::Element + PartialEq + std::fmt::Debug>(file: &std::path::Path, shape: &[usize], data: Vec<T>) {
        npy::save(file, shape, &data).unwrap();
        assert_eq!(npy::load::<T>(file).unwrap(), npy::Array { shape: shape.to_vec(), data });
    }
    round(&file, &[2, 3], vec![0.0f32, -1.5, f32::MIN_POSITIVE, f32::INFINITY, 1e30, 0.1]);
    round(&file, &[1, 1, 3], vec![0.1f64, -0.0, f64::MAX]);
    round(&file, &[4], vec![i64::MIN, -1, 0, i64::MAX]);
    round(&file, &[], vec![7u8]);
    round(&file, &[0, 5], Vec::<u8>::new());
    round(&file, &[300, 1000], (0..300_000).map(f64::from).collect());
}

#[test]
fn the_header_of_an_array_is_that_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.npy");
    for (shape, text) in [(&[2usize, 3][..], "(2, 3)"), (&[6], "(6,)"), (&[1, 6, 1], "(1, 6, 1)")] {
        npy::save(&file, shape, &[0u8; 6]).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let mut expected = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {text}, }}");
        expected += &" ".repeat(117 - expected.len());
        assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(String::from_utf8_lossy(&bytes[10..128]), expected + "\n");
    }
}
