//! Laws of the layers by which a net reads time and condition.
use super::Checks;
use crate::{
    distribution::host,
    net::{Condition, Net},
};
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;

/// A gradient of a net: of each parameter its name, shape and values.
pub(super) type Gradient = Vec<(String, Vec<usize>, Vec<f32>)>;

/// A layer that reads one vector per row: the gradient of its weights is an outer product of that vector and of the gradient at its
/// outputs.
struct Reader {
    /// The direction of the vector it reads.
    input: Vec<f64>,
    /// Whether each output has an effect.
    used: Vec<bool>,
}

/// The layers of a gradient that read one vector per row.
fn readers(gradient: Gradient) -> BTreeMap<String, Reader> {
    let readers = gradient.into_iter().filter_map(|(name, shape, values)| {
        let [inputs, outputs] = shape[..] else { return None };
        let at = |i: usize, j: usize| f64::from(values[i * outputs + j]);
        let most = (0..values.len()).max_by(|a, b| values[*a].abs().total_cmp(&values[*b].abs()))?;
        let (row, column) = (most / outputs, most % outputs);
        let pivot = at(row, column);
        let outer = |i: usize, j: usize| (at(i, j) - at(i, column) * at(row, j) / pivot).abs() <= 1e-3 * pivot.abs();
        let product = (0..inputs).all(|i| (0..outputs).all(|j| outer(i, j)));
        if inputs < 2 || outputs < 2 || pivot == 0.0 || !product {
            return None;
        }
        let length = (0..inputs).map(|i| at(i, column).powi(2)).sum::<f64>().sqrt() * pivot.signum();
        let input = (0..inputs).map(|i| at(i, column) / length).collect();
        let used = (0..outputs).map(|j| at(row, j).abs() > 1e-9 * pivot.abs()).collect();
        Some((name, Reader { input, used }))
    });
    readers.collect()
}

/// The distance of two directions.
fn turn(a: &[f64], b: &[f64]) -> f64 {
    let along = |sign: f64| a.iter().zip(b).map(|(a, b)| (a - sign * b).powi(2)).sum::<f64>().sqrt();
    along(1.0).min(along(-1.0))
}

/// Checks the layers that read the time or the condition, one vector per row, and not x_t: all that differ in their number alone, as
/// the blocks of a net do, read the same; and every one of their outputs has an effect.
///
/// `gradient` computes the gradient of net k, of the same parameters perturbed in another way for each k, at x_t, t and y.
pub(super) fn conditioning<const D: usize, N: Net<D>>(
    gradient: impl Fn(u64, &Tensor<D>, Tensor<1>, &N::Condition) -> Gradient,
    z: &Tensor<D>,
    y: &N::Condition,
    other: Option<&N::Condition>,
    checks: &mut Checks,
) {
    let last = z.dims()[0] - 1;
    let (first, second) = (z.clone().narrow(0, 0, 1), z.clone().narrow(0, last, 1));
    if host(first.clone()) == host(second.clone()) {
        return;
    }
    let time = |t: f32| Tensor::<1>::from_data(TensorData::new(vec![t], [1]), &z.device());
    let own = y.select(&[0]);
    let base = readers(gradient(0, &first, time(0.3), &own));
    let moves = |other: BTreeMap<String, Reader>| -> BTreeMap<String, bool> {
        let turned = |(name, reader): (&String, &Reader)| {
            let turned = other.get(name).is_none_or(|other| turn(&reader.input, &other.input) > 1e-4);
            (name.clone(), turned)
        };
        base.iter().map(turned).collect()
    };
    let reads_x = moves(readers(gradient(0, &second, time(0.3), &own)));
    let reads_t = moves(readers(gradient(0, &first, time(0.8), &own)));
    let reads_y = other.map(|other| moves(readers(gradient(0, &first, time(0.3), other))));
    let pure: Vec<&String> = base.keys().filter(|name| !reads_x[*name]).collect();
    for (law, reads) in [
        ("layers of one kind all read t, or none does", Some(&reads_t)),
        ("layers of one kind all read the condition, or none does", reads_y.as_ref()),
    ] {
        let Some(reads) = reads else { continue };
        for name in &pure {
            let reader = pure.iter().find(|other| kind(other) == kind(name) && reads[**other]);
            let (place, missing) = match reader {
                Some(reader) if !reads[*name] => (format!("{name} does not, {reader} does"), 1.0),
                _ => ((*name).clone(), 0.0),
            };
            checks.note(law, place, missing, 0.0);
        }
    }
    // A unit may be without effect at some numbers, as one that is cut off at zero: not at all of them.
    let mut used: BTreeMap<&String, Vec<bool>> = pure.iter().map(|name| (*name, base[*name].used.clone())).collect();
    for (k, z, t, y) in [
        (0, &second, 0.8, Some(&own)),
        (1, &first, 0.3, Some(&own)),
        (2, &second, 0.6, other),
        (3, &first, 0.1, Some(&own)),
        (4, &second, 0.9, Some(&own)),
    ] {
        let mut again = readers(gradient(k, z, time(t), y.unwrap_or(&own)));
        for (name, used) in &mut used {
            let Some(reader) = again.remove(*name) else { continue };
            used.iter_mut().zip(reader.used).for_each(|(used, again)| *used |= again);
        }
    }
    for (name, used) in used {
        let idle = used.iter().filter(|used| !**used).count();
        let place = format!("{name}, {idle} of {} outputs have none", used.len());
        checks.note("every output of a layer that reads t or the condition has an effect", place, idle as f64, 0.0);
    }
}

/// The name of a parameter without its numbers: the same for the blocks of a net.
fn kind(name: &str) -> String {
    let part = |part: &str| if part.bytes().all(|byte| byte.is_ascii_digit()) { "*".into() } else { part.to_owned() };
    name.split('.').map(part).collect::<Vec<_>>().join(".")
}
