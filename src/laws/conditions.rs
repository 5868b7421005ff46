//! Laws of the parts of a condition.
use super::{Checks, conditioning::Gradient};
use crate::{
    distribution::host,
    net::{Condition, Net},
};
use burn::tensor::Tensor;

/// Checks each named part of a condition, on a batch whose rows differ: with it dropped the output is another; the output of a row does
/// not depend on what was dropped of it, nor on what is dropped of other rows; and a gradient reaches parameters that the part alone
/// uses.
///
/// `gradient` computes the gradient of each parameter at one row.
pub(super) fn parts<const D: usize, N: Net<D>>(
    net: &N,
    z: &Tensor<D>,
    t: &Tensor<1>,
    y: &N::Condition,
    gradient: impl Fn(&Tensor<D>, Tensor<1>, &N::Condition) -> Gradient,
    checks: &mut Checks,
) {
    let rows = z.dims()[0];
    let output = |z: &Tensor<D>, y: &N::Condition| host(net.forward(z.clone(), t.clone(), y));
    let given = output(z, y);
    let width = given.len() / rows;
    let size = given.iter().fold(f64::MIN_POSITIVE, |most, x| most.max(x.abs()));
    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / size;
    // The same x_t in every row: only the condition differs.
    let equal = z.clone().narrow(0, 0, 1).repeat_dim(0, rows);
    let first = y.select(&vec![0; rows]);
    for name in y.names() {
        let all = y.without_named(name, &vec![true; rows]);
        let changed = gap(&output(z, &all), &given);
        let place = format!("{name}: {changed:.1e} apart");
        checks.note(
            "each part of the condition changes the output",
            place,
            if changed > 1e-6 { 0.0 } else { 1.0 },
            0.0,
        );

        // Rows that differ in this part alone: the others are those of the first row.
        let others = |rest: &N::Condition| {
            let kept: Vec<&str> = y.names().into_iter().filter(|other| *other != name).collect();
            kept.iter().fold(rest.clone(), |rest, other| rest.without_named(other, &vec![true; rows]))
        };
        let dropped = output(&equal, &others(y).without_named(name, &vec![true; rows]));
        let apart = (1..rows).map(|row| gap(&dropped[row * width..][..width], &dropped[..width])).fold(0.0, f64::max);
        let law = "what is dropped has no effect: its null embedding takes its place";
        checks.note(law, name.to_owned(), apart, 1e-5);

        let last: Vec<bool> = (0..rows).map(|row| row == rows - 1).collect();
        let kept = output(&equal, &first.without_named(name, &last));
        let whole = output(&equal, &first);
        let apart = gap(&kept[..(rows - 1) * width], &whole[..(rows - 1) * width]);
        checks.note("dropping a part of one row leaves the other rows", name.to_owned(), apart, 1e-5);

        let (z, t) = (z.clone().narrow(0, 0, 1), t.clone().narrow(0, 0, 1));
        let reached = |y: &N::Condition| -> Vec<bool> {
            let gradient = gradient(&z, t.clone(), y);
            gradient.into_iter().flat_map(|(.., values)| values).map(|x| x != 0.0).collect()
        };
        let row = (0..rows).find(|row| {
            let one = y.select(&[*row]);
            format!("{one:?}") != format!("{:?}", one.without_named(name, &[true]))
        });
        let Some(row) = row else { continue };
        let one = y.select(&[row]);
        let without = reached(&one.without_named(name, &[true]));
        let own = reached(&one).into_iter().zip(without).filter(|(with, without)| *with && !without).count();
        let place = format!("{name}: {own} numbers");
        checks.note("a gradient reaches the embedding of each part", place, if own > 0 { 0.0 } else { 1.0 }, 0.0);
    }
}
