//! Points that flow to noise and back.
use super::{Made, code};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;
use tweedie::exact::Mixture;
use tweedie::noise::Gaussian;
use tweedie::sample::{Heun, trajectory_from};
use tweedie::schedule::Schedule;
use tweedie::{Error, Result, Rng};
use tweedie_data::{Points, Shape};
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Process};

/// The components of the data's density.
const COMPONENTS: usize = 200;

fn points(shape: Shape, n: usize, rng: &Rng) -> Vec<f64> {
    let uniforms = rng.stream("points").uniforms(n, Points::UNIFORMS);
    Points::new(shape).rows(&uniforms).0.into_iter().map(f64::from).collect()
}

/// The points at every time from 0 to 1, each step a draw of `q(x_t | x_s)`.
fn forth(x: &[f64], times: &[f64], schedule: &dyn Schedule, rng: &Rng) -> Vec<Vec<f64>> {
    let mut all = vec![x.to_vec()];
    for (step, pair) in times.windows(2).enumerate() {
        let (s, t) = (schedule.at(pair[0]), schedule.at(pair[1]));
        let r = t.alpha / s.alpha;
        let std = (t.sigma.powi(2) - (r * s.sigma).powi(2)).max(0.0).sqrt();
        let eps = rng.stream("forth").at_step(step as u64).normals(x.len() / 2, 2);
        let next = all[step].iter().zip(eps).map(|(z, eps)| r * z + std * eps).collect();
        all.push(next);
    }
    all
}

/// The points from the last of the rising `times` back to 0, by the probability flow of an exact denoiser.
fn back(model: &Mixture, z: Vec<f64>, times: &[f64]) -> Result<Vec<Vec<f64>>> {
    let falling: Vec<f64> = times.iter().rev().copied().collect();
    let shape = [z.len() / 2, 2];
    // show process
    let z = Tensor::<2>::from_data(TensorData::new(z, shape), (&Device::flex(), DType::F64));
    let walk = trajectory_from(model, &Heun {}, falling, z, &Rng::new(0))?;
    let ways: Vec<Vec<f64>> = walk.map(|(_, z)| z.into_data().iter::<f64>().collect()).collect();
    // show
    Ok(ways)
}

/// Forth and back, with ways and scores.
pub fn page(shape: Shape, schedule: Arc<dyn Schedule>, n: usize, steps: usize, seed: u64) -> Made {
    let rng = Rng::new(seed);
    let noise = Gaussian::new(schedule.clone());
    let centres: Vec<Vec<f64>> =
        points(shape, COMPONENTS, &rng.stream("density")).chunks(2).map(<[f64]>::to_vec).collect();
    let model = Mixture::empirical(noise, centres, 0.08)?;
    // Drawn from the very density whose score is known.
    let x: Vec<f64> = model.sample(n, &mut rng.stream("data")).concat();
    // Even in the logarithm of the signal-to-noise ratio, where the picture changes most evenly.
    let clean = schedule.at(0.0).log_snr().min(6.0);
    let noisy = schedule.at(1.0).log_snr().max(-6.0);
    let mut times: Vec<f64> = gallery::grid(clean, noisy, steps).iter().map(|&l| schedule.time_at_log_snr(l)).collect();
    if times[0] > 0.0 {
        times.insert(0, 0.0);
    }
    times.dedup();
    if times.len() < 3 {
        return Err(Error::invalid("the schedule does not go from data to noise: its log-SNR hardly falls"));
    }
    let there = forth(&x, &times, &*schedule, &rng);
    let last = there[there.len() - 1].clone();
    let again = back(&model, last, &times)?;
    let frames: Vec<Vec<f64>> = there.into_iter().chain(again.into_iter().skip(1)).collect();
    let path: Vec<f64> = times.iter().copied().chain(times.iter().rev().skip(1).copied()).collect();
    // As far as all but a few points ever are.
    let mut far: Vec<f64> = frames.iter().flatten().map(|v| v.abs()).collect();
    far.sort_by(f64::total_cmp);
    let reach = 1.05 * far[(0.995 * (far.len() - 1) as f64) as usize];
    let marks = gallery::grid(-0.92 * reach, 0.92 * reach, 15);
    let at: Vec<f64> = marks.iter().flat_map(|y| marks.iter().flat_map(move |x| [*x, *y])).collect();
    let score = |t: f64| -> Vec<f64> {
        let c = schedule.at(t.max(times[1]));
        at.chunks(2).flat_map(|z| model.closed_form(z, c).eps.into_iter().map(move |eps| -eps / c.sigma)).collect()
    };
    let middle = times.len() - 1;
    let labels =
        path.iter().enumerate().map(|(i, t)| format!("{} t = {t:.3}", if i > middle { "back," } else { "forth," }));
    let name = format!("{shape:?}").to_lowercase();
    let process = Process {
        labels: labels.collect(),
        arrows: path.iter().map(|&t| score(t)).collect(),
        points: frames,
        trajectories: 16.min(n),
        positions: at,
        field: "The score ∇ ln p(xₜ), by the root of its length".into(),
        half_width: reach,
    };
    Ok(Page {
        slug: format!("process-{name}"),
        title: format!("Process, {name}: to noise and back"),
        text: "Forth, noise is added at random and every point wanders off; back, nothing is random: points follow the \
               probability flow, whose velocity is the score of the noisy data, and land where data are. The score here is \
               exact, that of a mixture of Gaussians, so what is seen is the process and not a net's mistakes."
            .into(),
        formula: "dx = f x dt + g dw  (forth),   dx/dt = f x − ½ g² ∇ ln p(xₜ)  (back)".into(),
        figures: vec![gallery::process("Points under a diffusion process", &process)],
        code: code(include_str!("process.rs"), "process"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::schedule::VariancePreserving;

    #[test]
    fn forth_ends_in_noise_and_back_ends_in_the_data() {
        let schedule: Arc<dyn Schedule> = Arc::new(VariancePreserving::default());
        let rng = Rng::new(2);
        let centres: Vec<Vec<f64>> = points(Shape::Gaussians, 40, &rng).chunks(2).map(<[f64]>::to_vec).collect();
        let model = Mixture::empirical(Gaussian::new(schedule.clone()), centres.clone(), 0.08).unwrap();
        let x = model.sample(400, &mut rng.stream("data")).concat();
        let times: Vec<f64> = gallery::grid(0.0, 1.0, 60);
        let there = forth(&x, &times, &*schedule, &rng);
        let end = tweedie::distribution::gaussian::MultivariateNormal::fit(&there[59], 2).unwrap();
        assert!(end.kl(&tweedie::distribution::gaussian::MultivariateNormal::standard(2)).unwrap() < 0.03);
        let again = back(&model, there[59].clone(), &times).unwrap();
        assert_eq!((again.len(), &again[0]), (60, &there[59]));
        // Within five standard deviations of a component, nearly all of them.
        let near = |z: &[f64]| centres.iter().any(|c| (z[0] - c[0]).hypot(z[1] - c[1]) < 0.4);
        let landed = again[59].chunks(2).filter(|z| near(z)).count();
        assert!(landed > 385, "{landed} of 400 points came back");
    }
}
