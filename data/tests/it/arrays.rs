//! Signals and volumes from NumPy arrays: what is read, and what is refused.
use crate::wrong::message;
use std::{fs, path::PathBuf};
use tempfile::{TempDir, tempdir};
use tweedie_data::{ArraySet, Arrays, Error, Split, npy};

fn saved<T: npy::Element>(folder: &TempDir, shape: &[usize], data: &[T]) -> PathBuf {
    let path = folder.path().join("x.npy");
    npy::save(&path, shape, data).unwrap();
    path
}
fn load(path: &std::path::Path, held_out: usize, range: Option<[f64; 2]>, split: Split) -> Result<ArraySet, Error> {
    let source = Arrays { path: path.into(), held_out, range, ..Arrays::default() };
    Ok(source.load(split)?.expect("a part that is there"))
}

#[test]
fn every_shape_is_signals_or_volumes_with_their_channels() {
    let folder = tempdir().unwrap();
    let numbers: Vec<f32> = (0..48).map(|i| (i * i % 17) as f32).collect();
    for (shape, expected) in [
        (&[6, 8][..], &[1, 8][..]),
        (&[6, 2, 4], &[2, 4]),
        (&[6, 2, 2, 2], &[1, 2, 2, 2]),
        (&[6, 2, 2, 2, 1], &[2, 2, 2, 1]),
    ] {
        let path = saved(&folder, shape, &numbers);
        let train = load(&path, 3, None, Split::Train).unwrap();
        let held = load(&path, 3, None, Split::Test).unwrap();
        assert_eq!((train.n, held.n, &train.shape[..], &held.shape[..]), (4, 2, expected, expected));
        assert_eq!(train.scales, held.scales);
        // Each number is one of a row, scaled: rows 2 and 5 are held out.
        let channels = expected[0];
        let back = |set: &ArraySet| -> Vec<f64> {
            let own = 8 / channels;
            let scaled = set.values.iter().enumerate().map(|(i, x)| {
                let [low, high] = set.scales[i / own % channels];
                (low + (f64::from(*x) + 1.0) * 0.5 * (high - low) * 1.0).round()
            });
            scaled.collect()
        };
        let rows = |rows: &[usize]| -> Vec<f64> {
            rows.iter().flat_map(|row| &numbers[row * 8..row * 8 + 8]).map(|x| f64::from(*x)).collect()
        };
        assert_eq!((back(&train), back(&held)), (rows(&[0, 1, 3, 4]), rows(&[2, 5])));
        // Mean 0 and variance 1 of each channel of the training part.
        for channel in 0..channels {
            let own: Vec<f64> = (0..train.values.len())
                .filter(|i| i / (8 / channels) % channels == channel)
                .map(|i| f64::from(train.values[i]))
                .collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            let square = own.iter().map(|x| x * x).sum::<f64>() / own.len() as f64;
            assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-5, "{mean} {square}");
        }
        assert!(Arrays { path: path.clone(), held_out: 0, ..Arrays::default() }.load(Split::Test).unwrap().is_none());
        assert_eq!(load(&path, 0, None, Split::Train).unwrap().n, 6);
        assert_eq!(Arrays { path, ..Arrays::default() }.memory().unwrap(), 48 * 16);
    }
}

#[test]
fn every_type_of_number_is_read_and_a_range_becomes_minus_one_to_one() {
    let folder = tempdir().unwrap();
    let expected = vec![-1.0, 1.0, 0.0, -0.5];
    let range = Some([0.0, 200.0]);
    let numbers = [0u8, 200, 100, 50];
    let path = saved(&folder, &[2, 2], &numbers);
    assert_eq!(load(&path, 0, range, Split::Train).unwrap().values, expected);
    let path = saved(&folder, &[2, 2], &numbers.map(i64::from));
    assert_eq!(load(&path, 0, range, Split::Train).unwrap().values, expected);
    let path = saved(&folder, &[2, 2], &numbers.map(f64::from));
    assert_eq!(load(&path, 0, range, Split::Train).unwrap().values, expected);
    // The same bytes under the names of shorter types.
    let bytes = fs::read(saved(&folder, &[2, 2], &numbers)).unwrap();
    let (header, start) = (String::from_utf8_lossy(&bytes[..128]).into_owned(), bytes.len() - 4);
    assert!(header.contains("'|u1'"));
    for (name, size) in [("<i2", 2), ("<u2", 2), ("<i4", 4), ("<u4", 4)] {
        let mut file = bytes[..start].to_vec();
        let at = file.windows(3).position(|w| w == b"|u1").unwrap();
        file[at..at + 3].copy_from_slice(name.as_bytes());
        for number in numbers {
            file.extend(&u32::from(number).to_le_bytes()[..size]);
        }
        let path = folder.path().join("y.npy");
        fs::write(&path, file).unwrap();
        assert_eq!(load(&path, 0, range, Split::Train).unwrap().values, expected, "{name}");
    }
}

#[test]
fn arrays_that_are_not_such_data_are_refused_in_one_sentence() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let refused =
        |held_out: usize, range: Option<[f64; 2]>, split: Split| message(load(&path, held_out, range, split), &folder);
    let wrong = |expected: &str| {
        let found = refused(2, None, Split::Train);
        assert!(found.contains(expected), "{found}");
    };
    wrong("was not found");
    for (bytes, expected) in [
        (&b"PK\x03\x04abc"[..], "is a zip archive, and not a NumPy array"),
        (b"a,b\n1,2\n", "expected the magic bytes of a NumPy array"),
        (b"", "expected the magic bytes of a NumPy array"),
        (b"\x93NUMPY\x01\0v\0{", "is truncated"),
    ] {
        fs::write(&path, bytes).unwrap();
        wrong(expected);
    }
    for shape in [&[24][..], &[1, 2, 3, 2, 2, 1], &[]] {
        npy::save(&path, shape, &vec![1.0f32; shape.iter().product()]).unwrap();
        wrong("must have 2 or 3 axes for signals, [n, channels, length], or 4 or 5 for volumes");
    }
    npy::save::<f32>(&path, &[0, 4], &[]).unwrap();
    wrong("holds an array without values, of shape [0, 1, 4]");
    let mut numbers = vec![0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
    npy::save(&path, &[4, 2], &numbers).unwrap();
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    wrong("is truncated: expected 160 bytes, found 157");
    fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    wrong("has extra bytes at its end");
    let header = |from: &str, to: &str| {
        let at = whole.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        fs::write(&path, [&whole[..at], to.as_bytes(), &whole[at + from.len()..]].concat()).unwrap();
    };
    header("<f4", ">f4");
    wrong("array of `>f4` in C order, expected `<f4` in C order; convert it with numpy.ascontiguousarray");
    header("False", "True ");
    wrong("in Fortran order");
    header("(4, 2)", "(9999999999999, 2)");
    wrong("is truncated");
    fs::write(&path, &whole).unwrap();
    assert!(refused(1, None, Split::Train).starts_with("`held_out` must be 0 or at least 2, got 1"));
    assert!(refused(5, None, Split::Test).starts_with("`held_out` is 5, more than the 4 samples"));
    for range in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, f64::INFINITY], [0.0, 1e300]] {
        assert!(refused(0, Some(range), Split::Train).starts_with("`range` must be two numbers, the lower one first"));
    }
    let found = refused(0, Some([0.0, 6.5]), Split::Train);
    assert!(
        found.starts_with("`range` is [0, 6.5], and sample 3 (from 0) holds the value 7; set a wider one"),
        "{found}"
    );
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-2e30, "-2e30")] {
        numbers[5] = value;
        npy::save(&path, &[4, 2], &numbers).unwrap();
        wrong(&format!("holds the value {name}"));
        wrong("in sample 2 (from 0)");
    }
    npy::save(&path, &[2, 2], &[0.0f64, 1e-12, 1e29, 0.0]).unwrap();
    let found = refused(2, None, Split::Test);
    assert!(found.contains("1e29 in held-out sample 1 (from 0), too far from"), "{found}");
    npy::save(&path, &[4, 2, 1], &[7.0f32, 1.0, 7.0, 2.0, 7.0, 3.0, 7.0, 4.0]).unwrap();
    wrong("holds the value 7 in every sample in channel 0 (from 0): there is nothing to learn");
    npy::save(&path, &[4, 2], &[0.1f32; 8]).unwrap();
    wrong("in every sample: there is nothing to learn");
}

#[test]
fn conditions_of_arrays_are_read_from_a_table_of_as_many_rows() {
    let folder = tempdir().unwrap();
    let path = saved(&folder, &[4, 2], &[0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let table = folder.path().join("t.csv");
    let of = |text: &str, columns: &[&str], split: Split| {
        fs::write(&table, text).unwrap();
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let (path, metadata) = (path.clone(), Some(table.clone()));
        Arrays { path, held_out: 2, metadata, columns, ..Arrays::default() }.load(split)
    };
    let text = "pitch,kind\n1.5,a\n2,b\n,c\n4,d\n";
    let train = of(text, &["kind", "pitch"], Split::Train).unwrap().unwrap();
    let held = of(text, &["kind", "pitch"], Split::Test).unwrap().unwrap();
    let numbers = |set: &ArraySet| -> Vec<Option<f64>> {
        set.columns.get("pitch").unwrap().iter().map(tweedie_data::Cell::number).collect()
    };
    assert_eq!((numbers(&train), numbers(&held)), (vec![Some(1.5), None], vec![Some(2.0), Some(4.0)]));
    let found = message(of("pitch\n1\n2\n", &["pitch"], Split::Train), &folder);
    assert_eq!(found, "`DIR/t.csv` has 2 rows, and there are 4 samples; write one row per sample, in their order.");
    let found = message(of(text, &["volume"], Split::Train), &folder);
    assert!(found.starts_with("`DIR/t.csv`") && found.contains("volume") && found.contains("`pitch`"), "{found}");
    fs::remove_file(&table).unwrap();
    let source = Arrays { path, metadata: Some("none.csv".into()), columns: vec!["a".into()], ..Arrays::default() };
    assert!(message(source.load(Split::Train), &folder).starts_with("`none.csv` was not found"));
}
