//! Likelihoods by the probability-flow ODE.
use crate::{
    denoise::Denoiser,
    distribution::host,
    error::{Error, Result},
    rng::Rng,
    sample::{angle, integrate, polar},
};
use burn::tensor::Tensor;
use std::f64::consts::TAU;

/// Solves the probability flow of a denoiser from s to t and integrates `div u` along it; `trace` gives `tr ∂x̂/∂z` of each row.
///
/// With `w = z/n`, `n = √(α² + σ²)`, `φ = arctan(σ/α)`: `dw/dφ = (cos φ w − x̂)/sin φ`, so
/// `div = (d cos φ − n tr ∂x̂/∂z)/sin φ`.
pub(crate) fn transport<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    s: f64,
    t: f64,
    tolerances: (f64, f64),
    mut trace: impl FnMut(Tensor<D>, f64) -> Tensor<1>,
) -> Result<(Tensor<D>, Tensor<1>)> {
    let Some(path) = model.noise().path() else {
        return Err(Error::invalid(
            "a likelihood by the probability-flow ODE needs Gaussian noise, and this noise has no α and σ",
        )
        .with_remedy("use `likelihood::bound`"));
    };
    if let Some((name, time)) = [("s", s), ("t", t)].into_iter().find(|(_, time)| !(0.0..=1.0).contains(time)) {
        return Err(Error::invalid(format!("must be in [0, 1], got {time}")).with_field(name));
    }
    let (start, end) = (path.at(s), path.at(t));
    if !(start.sigma > 0.0 && end.sigma > 0.0) {
        return Err(Error::invalid(format!(
            "the likelihood of x_s needs σ > 0 at both ends of the flow, and σ is {} at s = {s} and {} at t = {t}",
            start.sigma, end.sigma
        ))
        .with_remedy("take an s a little above 0, such as 0.001"));
    }
    let ((norm, from), (last, to)) = (polar(start), polar(end));
    let count = z.dims()[1..].iter().product::<usize>() as f64;
    let zero = Tensor::<1>::zeros([z.dims()[0]], (&z.device(), z.dtype()));
    let ((w, gained), _) = integrate(
        |phi, (w, _): (Tensor<D>, Tensor<1>)| {
            let (time, c) = if phi == from {
                (s, start)
            } else if phi == to {
                (t, end)
            } else {
                angle(path, phi)
            };
            let (sin, cos) = phi.sin_cos();
            let n = c.alpha.hypot(c.sigma);
            let z = w.clone() * n;
            let x = model.denoise(z.clone(), &[time]).mean;
            let divergence = trace(z, time) * (-n / sin) + count * cos / sin;
            (w * (cos / sin) - x * sin.recip(), divergence)
        },
        (z * norm.recip(), zero),
        from,
        to,
        tolerances,
        None,
    );
    // w = z/n, so ln p(z) and ln p(w) differ by d ln n at each end.
    Ok((w * last, gained + count * (last / norm).ln()))
}

/// Computes ln p(x_s) of each row under a [`Denoiser`], in nats, by its probability flow from s to 1.
///
/// The divergence is Hutchinson's estimate `tr J ≈ mean vᵀ J v` over `probes` random sign vectors v, with `J v` by a central
/// difference of width `delta`; no gradients are needed. s must be above 0 if σ(0) = 0.
///
/// Song et al. (2021), section 4.3, <https://arxiv.org/abs/2011.13456>.
///
/// The density is that of the denoiser as it is given: of a clipped or thresholded one, that of the flow of the clipped estimate,
/// which the deterministic samplers follow.
///
/// # Errors
///
/// If the noise is not Gaussian, s is not in [0, 1] or σ = 0 there, `probes` is 0, or `delta` or a tolerance is not positive.
#[doc(alias = "probability_flow_ode")]
pub fn log_likelihood<const D: usize>(
    model: &dyn Denoiser<D>,
    z: Tensor<D>,
    s: f64,
    tolerances: (f64, f64),
    (probes, delta): (usize, f64),
    rng: &mut Rng,
) -> Result<Vec<f64>> {
    if probes == 0 {
        return Err(Error::invalid("must be 1 or more, got 0: the divergence is a mean over them").with_field("probes"));
    }
    let (absolute, relative) = tolerances;
    for (field, value) in [("delta", delta), ("absolute", absolute), ("relative", relative)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(Error::invalid(format!("must be a positive number, got {value}")).with_field(field));
        }
    }
    let signs: Vec<Tensor<D>> =
        (0..probes).map(|_| rng.uniform_tensor(z.dims(), &z.device(), z.dtype()).sub_scalar(0.5).sign()).collect();
    let rows = z.dims()[0];
    let trace = |z: Tensor<D>, t: f64| {
        let mut total = Tensor::<1>::zeros([rows], (&z.device(), z.dtype()));
        for v in &signs {
            let (up, down) = (z.clone() + v.clone() * delta, z.clone() - v.clone() * delta);
            let change = model.denoise(up, &[t]).mean - model.denoise(down, &[t]).mean;
            let along: Tensor<2> = (change * v.clone()).reshape([rows, 0]);
            total = total + along.sum_dim(1).reshape([rows]) * (0.5 / delta / probes as f64);
        }
        total
    };
    let (end, gained) = transport(model, z, s, 1.0, tolerances, trace)?;
    let sigma = model.noise().path().expect("checked by `transport`").at(1.0).sigma;
    let dim = end.dims()[1..].iter().product::<usize>();
    let last = host(end);
    let square = |z: &[f64]| z.iter().map(|z| z * z).sum::<f64>();
    let last = last.chunks(dim).map(|z| -0.5 * (square(z) / sigma.powi(2) + dim as f64 * (TAU * sigma.powi(2)).ln()));
    Ok(last.zip(host(gained)).map(|(last, gained)| last + gained).collect())
}
