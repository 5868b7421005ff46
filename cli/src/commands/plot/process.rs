//! The forward process on points, and the probability-flow ODE back to data.
use super::code;
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

/// Number of components of the data density.
const COMPONENTS: usize = 200;

fn points(shape: Shape, n: usize, rng: &Rng) -> Vec<f64> {
    let uniforms = rng.stream("points").uniforms(n, Points::UNIFORMS);
    Points::new(shape).rows(&uniforms).0.into_iter().map(f64::from).collect()
}

/// The points at all times, each step a sample of `q(x_t | x_s)`.
fn forward(x: &[f64], times: &[f64], schedule: &dyn Schedule, rng: &Rng) -> Vec<Vec<f64>> {
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

/// The points from the last of the increasing `times` back to 0, by the probability-flow ODE of an exact denoiser.
fn reverse(model: &Mixture, z: Vec<f64>, times: &[f64]) -> Result<Vec<Vec<f64>>> {
    let decreasing: Vec<f64> = times.iter().rev().copied().collect();
    let shape = [z.len() / 2, 2];
    // show process
    let z = Tensor::<2>::from_data(TensorData::new(z, shape), (&Device::flex(), DType::F64));
    let heun = Heun::default();
    let trajectory = trajectory_from(model, &heun, decreasing, z, &Rng::new(0))?;
    let frames: Vec<Vec<f64>> = trajectory.map(|(_, z)| z.into_data().iter::<f64>().collect()).collect();
    // show
    Ok(frames)
}

/// The page: forward and reverse, with trajectories and scores.
pub fn page(shape: Shape, schedule: Arc<dyn Schedule>, n: usize, steps: usize, seed: u64) -> Result<Page> {
    let rng = Rng::new(seed);
    let noise = Gaussian::new(schedule.clone());
    let centers: Vec<Vec<f64>> =
        points(shape, COMPONENTS, &rng.stream("density")).chunks(2).map(<[f64]>::to_vec).collect();
    let model = Mixture::empirical(noise, centers, 0.08)?;
    // Sampled from the density whose score is exact.
    let x: Vec<f64> = model.sample(n, &mut rng.stream("data")).concat();
    // Uniform in log-SNR, in which the picture changes most evenly.
    let clean = schedule.at(0.0).log_snr().min(6.0);
    let noisy = schedule.at(1.0).log_snr().max(-6.0);
    let mut times: Vec<f64> = gallery::grid(clean, noisy, steps).iter().map(|&l| schedule.time_at_log_snr(l)).collect();
    if times[0] > 0.0 {
        times.insert(0, 0.0);
    }
    times.dedup();
    if times.len() < 3 {
        return Err(Error::invalid("the schedule does not go from data to noise: its log-SNR hardly decreases"));
    }
    let noising = forward(&x, &times, &*schedule, &rng);
    let last = noising[noising.len() - 1].clone();
    let denoising = reverse(&model, last, &times)?;
    let frames: Vec<Vec<f64>> = noising.into_iter().chain(denoising.into_iter().skip(1)).collect();
    let path: Vec<f64> = times.iter().copied().chain(times.iter().rev().skip(1).copied()).collect();
    // Contains 99.5 % of all coordinates.
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
    let labels = path
        .iter()
        .enumerate()
        .map(|(i, t)| format!("{} t = {}", if i > middle { "reverse," } else { "forward," }, gallery::fixed(*t, 3)));
    let name = format!("{shape:?}").to_lowercase();
    let process = Process {
        labels: labels.collect(),
        arrows: path.iter().map(|&t| score(t)).collect(),
        points: frames,
        trajectories: 16.min(n),
        positions: at,
        field: "Score ∇ ln p(xₜ), arrow length ∝ √‖∇ ln p(xₜ)‖".into(),
        half_width: reach,
    };
    Ok(Page {
        slug: format!("process-{name}"),
        title: format!("Forward and reverse process, {name}"),
        text:
            "The forward process adds random noise. In reverse, the points follow the deterministic probability-flow \
               ODE, whose velocity depends on the score of the noisy data, and end at data. The data are a mixture of \
               Gaussians, so the score is exact and there is no network error."
                .into(),
        formula: "dx = f x dt + g dw  (forward),   dx/dt = f x − ½ g² ∇ ln p(xₜ)  (reverse)".into(),
        figures: vec![gallery::process("Points in the forward and reverse process", &process)],
        code: code(include_str!("process.rs"), "process"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::schedule::VariancePreserving;

    #[test]
    fn the_forward_process_ends_in_noise_and_the_reverse_in_data() {
        let schedule: Arc<dyn Schedule> = Arc::new(VariancePreserving::default());
        let rng = Rng::new(2);
        let centers: Vec<Vec<f64>> = points(Shape::Gaussians, 40, &rng).chunks(2).map(<[f64]>::to_vec).collect();
        let model = Mixture::empirical(Gaussian::new(schedule.clone()), centers.clone(), 0.08).unwrap();
        let x = model.sample(400, &mut rng.stream("data")).concat();
        let times: Vec<f64> = gallery::grid(0.0, 1.0, 60);
        let noising = forward(&x, &times, &*schedule, &rng);
        let end = tweedie::distribution::gaussian::MultivariateNormal::fit(&noising[59], 2).unwrap();
        assert!(end.kl(&tweedie::distribution::gaussian::MultivariateNormal::standard(2).unwrap()).unwrap() < 0.03);
        let denoising = reverse(&model, noising[59].clone(), &times).unwrap();
        assert_eq!((denoising.len(), &denoising[0]), (60, &noising[59]));
        // Nearly all points end within five standard deviations of a component.
        let near = |z: &[f64]| centers.iter().any(|c| (z[0] - c[0]).hypot(z[1] - c[1]) < 0.4);
        let ended = denoising[59].chunks(2).filter(|z| near(z)).count();
        assert!(ended > 385, "{ended} of 400 points ended in the data");
    }
}
