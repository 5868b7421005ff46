//! The forward process on an image.
use super::{Kind, code};
use crate::data::data_error;
use std::path::Path;
use tweedie::distribution::gaussian::UnivariateNormal;
use tweedie::schedule::{FlowMatching, Scales, Schedule};
use tweedie::{Result, Rng};
use tweedie_plot::gallery::{self, NoisyImage};
use tweedie_plot::{Figure, Page, Pixels};

/// The image at a path, or a built-in one, with sides of at most `side` pixels.
pub fn picture(path: Option<&Path>, side: usize) -> Result<Pixels> {
    let Some(path) = path else { return Ok(landscape(side)) };
    let decoded = tweedie_data::picture::load(path).map_err(data_error)?;
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    Ok(Pixels::rgb(width, height, decoded.into_raw()).shrunk(side))
}

/// The built-in image: hills under an evening sun, with smooth shades and hard edges.
fn landscape(side: usize) -> Pixels {
    let mix = |a: [f64; 3], b: [f64; 3], w: f64| [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * w.clamp(0.0, 1.0));
    let hill = |x: f64, base: f64, tall: f64, turns: f64, shift: f64| base - tall * (turns * x + shift).sin();
    // Rendered at three times the resolution and downscaled, for smooth edges.
    let fine = 3 * side;
    let color = |x: f64, y: f64| {
        let mut at = mix([30.0, 42.0, 98.0], [250.0, 176.0, 110.0], (y / 0.62).powf(1.4));
        let far = ((x - 0.68).powi(2) + (y - 0.4).powi(2)).sqrt();
        at = mix(at, [255.0, 226.0, 150.0], 0.55 * (-12.0 * (far - 0.11).max(0.0)).exp());
        if far < 0.11 {
            at = mix([255.0, 240.0, 190.0], [255.0, 205.0, 110.0], (y - 0.3) / 0.2);
        }
        let hills = [
            (hill(x, 0.60, 0.05, 7.0, 0.4), [126.0, 98.0, 138.0]),
            (hill(x, 0.72, 0.06, 5.0, 2.1), [82.0, 78.0, 122.0]),
            (hill(x, 0.86, 0.07, 4.0, 4.4), [38.0, 52.0, 84.0]),
        ];
        for (top, shade) in hills {
            if y > top {
                at = mix(shade, [20.0, 30.0, 52.0], 1.6 * (y - top));
            }
        }
        at
    };
    let unit = |i: usize| (i as f64 + 0.5) / fine as f64;
    let bytes = (0..fine * fine).flat_map(|i| color(unit(i % fine), unit(i / fine))).map(|v| v.round() as u8);
    Pixels::rgb(fine, fine, bytes.collect()).shrunk(side)
}

/// A sample of `q(x_t | x_s)` for an image with values in [−1, 1] at the coefficients of s and t; from those of s = 0, where
/// α = 1 and σ = 0, it is the marginal `q(x_t | x)`.
fn step(x: &[f64], [s, t]: [Scales; 2], kind: Kind, rng: &mut Rng) -> Vec<f64> {
    // show forward
    let r = t.alpha / s.alpha;
    let std = (t.sigma.powi(2) - (r * s.sigma).powi(2)).max(0.0).sqrt();
    let xt: Vec<f64> = match kind {
        Kind::Gaussian => x.iter().zip(rng.normals(1, x.len())).map(|(x, eps)| r * x + std * eps).collect(),
        Kind::Uniform => {
            let (u, v) = (rng.uniforms(1, x.len()), rng.uniforms(1, x.len()));
            let level = |v: f64| (256.0 * v).floor() / 127.5 - 1.0;
            x.iter().zip(u.into_iter().zip(v)).map(|(&x, (u, v))| if u < r { x } else { level(v) }).collect()
        }
        Kind::Absorbing => {
            let u = rng.uniforms(x.len() / 3, 1);
            x.iter().enumerate().map(|(i, &x)| if u[i / 3] < r { x } else { MASK }).collect()
        }
    };
    // show
    xt
}

/// The value of a masked pixel, outside the range of colors.
const MASK: f64 = -1.3;

/// The coefficients of data without noise.
fn clean() -> Scales {
    FlowMatching {}.at(0.0)
}

/// A forward process.
pub struct Forward<'a> {
    pub schedule: &'a dyn Schedule,
    /// Name of the schedule.
    pub name: &'a str,
    pub kind: Kind,
    pub seed: u64,
}

impl Forward<'_> {
    /// A sample of `q(x_t | x)`, with the same random numbers at every t, so that frames differ in t only.
    fn noised(&self, x: &[f64], t: f64) -> Vec<f64> {
        step(x, [clean(), self.schedule.at(t)], self.kind, &mut Rng::new(self.seed).stream("noise"))
    }

    /// The trajectory x₀, x₁, … x_T of the chain of steps `q(x_t | x_{t−1})`, at the steps listed in increasing order.
    fn chain(&self, x: &[f64], steps: usize, listed: &[usize]) -> Vec<Vec<f64>> {
        let rng = Rng::new(self.seed).stream("chain");
        let mut out = vec![];
        let (mut z, mut before) = (x.to_vec(), clean());
        for i in 0..=steps {
            if i > 0 {
                let after = self.schedule.at(i as f64 / steps as f64);
                // Where nothing is left of the data, nothing more can be lost.
                if before.alpha > 0.0 {
                    z = step(&z, [before, after], self.kind, &mut rng.at_step(i as u64));
                }
                before = after;
            }
            if listed.contains(&i) {
                out.push(z.clone());
            }
        }
        out
    }

    /// Values at time t as an image with its label, in units of `unit`.
    fn image(&self, label: String, t: f64, mut values: Vec<f64>, unit: f64) -> NoisyImage {
        let c = self.schedule.at(t);
        // The displayed range grows with the noise.
        let reach = if self.kind == Kind::Gaussian { c.alpha.clamp(1e-9, 1.0) + 1.4 * c.sigma } else { 1.0 };
        values.iter_mut().for_each(|v| *v /= unit);
        NoisyImage { label, values, range: [-reach / unit, reach / unit] }
    }

    fn label(&self, t: f64) -> String {
        let c = self.schedule.at(t);
        let [time, alpha, sigma] = [t, c.alpha, c.sigma].map(|v| gallery::fixed(v, 2));
        match self.kind {
            Kind::Gaussian => format!("t = {time}, α = {alpha}, σ = {sigma}"),
            Kind::Uniform | Kind::Absorbing => format!("t = {time}, survival = {alpha}"),
        }
    }

    /// The page: noisy images at five times, and with a slider; with a number of `steps`, the chain of as many steps too.
    pub fn page(&self, picture: &Pixels, frames: usize, steps: Option<usize>) -> Result<Page> {
        let x = picture.values();
        // If σ(1) > 1, as for variance-exploding schedules, values are shown in units of σ(1).
        let unit = self.schedule.at(1.0).sigma.max(1.0);
        let at = |label: String, t: f64| self.image(label, t, self.noised(&x, t), unit);
        let slides: Vec<NoisyImage> =
            gallery::grid(0.0, 1.0, frames).into_iter().map(|t| at(self.label(t), t)).collect();
        let strip = [0.0, 0.25, 0.5, 0.75, 1.0].map(|t| at(format!("t = {}", gallery::fixed(t, 2)), t));
        let normal = UnivariateNormal::STANDARD;
        let bell = |v: f64| normal.density(v);
        let flat = |v: f64| if v.abs() <= 1.0 { 0.5 } else { 0.0 };
        let (counted, limit): (_, Option<(&str, gallery::Function<'_>)>) = match self.kind {
            Kind::Gaussian => ([-4.0, 4.0], Some(("N(0, 1)", &bell))),
            Kind::Uniform => ([-1.4, 1.4], Some(("uniform", &flat))),
            // Masked pixels are not counted, so the histogram has area ᾱ.
            Kind::Absorbing => ([-1.0, 1.0], None),
        };
        let (slug, text, formula) = match self.kind {
            Kind::Gaussian => (
                "forward",
                "Each step scales the values down and adds Gaussian noise; the histogram of the values converges to N(0, \
                 1), whatever the image. Because sums of independent Gaussians are Gaussian, any number of steps can be \
                 taken at once.",
                "xₜ = αₜ x + σₜ ε,  ε ~ N(0, I)        (one step: xₜ = √(1 − β) xₛ + √β ε)",
            ),
            Kind::Uniform => (
                "forward-uniform",
                "Each value survives with probability ᾱ and is otherwise resampled uniformly from 256 levels; the \
                 histogram converges to the uniform distribution.",
                "q(xₜ | x) = Cat(ᾱₜ x + (1 − ᾱₜ) π),  π uniform",
            ),
            Kind::Absorbing => (
                "forward-absorbing",
                "Each pixel survives with probability ᾱ and is otherwise masked, here black; a masked pixel stays masked. \
                 The histogram of the unmasked values loses area and keeps its shape. A model predicts the masked pixels \
                 from the unmasked ones.",
                "q(xₜ | x) = Cat(ᾱₜ x + (1 − ᾱₜ) π),  π(mask) = 1",
            ),
        };
        let size = [picture.width, picture.height];
        let noise = match self.kind {
            Kind::Gaussian => "Gaussian",
            Kind::Uniform => "uniform",
            Kind::Absorbing => "absorbing",
        };
        let title = format!("From data to {noise} noise under the schedule {}", self.name);
        let mut figures =
            vec![gallery::forward_strip(&title, size, &strip), gallery::forward_slider(size, counted, &slides, limit)];
        if let Some(steps) = steps {
            figures.extend(self.chain_figures(&x, size, unit, frames, steps));
        }
        Ok(Page {
            slug: slug.into(),
            title: match self.kind {
                Kind::Gaussian => "Forward process with Gaussian noise".into(),
                Kind::Uniform => "Forward process with uniform noise".into(),
                Kind::Absorbing => "Forward process with absorbing noise".into(),
            },
            text: text.into(),
            formula: formula.into(),
            figures,
            code: code(include_str!("forward.rs"), "forward"),
        })
    }

    /// The chain of `steps` steps: x at five of them in a row, and with a slider, beside samples of the marginal.
    fn chain_figures(&self, x: &[f64], size: [usize; 2], unit: f64, frames: usize, steps: usize) -> [Figure; 2] {
        let evenly = |count: usize| -> Vec<usize> {
            let mut all: Vec<usize> =
                gallery::grid(0.0, steps as f64, count).iter().map(|i| i.round() as usize).collect();
            all.dedup();
            all
        };
        let of = |listed: &[usize], label: &dyn Fn(usize, f64) -> String| -> Vec<NoisyImage> {
            let images = self.chain(x, steps, listed).into_iter().zip(listed);
            images
                .map(|(values, &i)| {
                    let t = i as f64 / steps as f64;
                    self.image(label(i, t), t, values, unit)
                })
                .collect()
        };
        // The first steps one by one, and then evenly to the last.
        let first = (0..=steps.min(3)).collect::<Vec<_>>();
        let mut row = first.clone();
        row.extend(evenly(5).into_iter().filter(|i| *i > 3));
        let row = of(&row, &|i, _| format!("x{}", subscript(i)));
        let listed = evenly(frames.max(2));
        let slides = of(&listed, &|i, t| format!("step {i} of {steps}, {}", self.label(t)));
        let marginal: Vec<NoisyImage> = listed
            .iter()
            .map(|&i| i as f64 / steps as f64)
            .map(|t| self.image(String::new(), t, self.noised(x, t), unit))
            .collect();
        [
            gallery::forward_strip("One trajectory of the chain q(xₜ | xₜ₋₁), step by step", size, &row),
            gallery::forward_chain(size, &slides, &marginal),
        ]
    }
}

/// A whole number as subscript.
fn subscript(i: usize) -> String {
    i.to_string().chars().map(|c| char::from_u32(0x2080 + u32::from(c) - u32::from('0')).unwrap_or(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noisy_values_follow_the_forward_marginal() {
        let x: Vec<f64> = landscape(64).values();
        let n = x.len() as f64;
        let noised = |x: &[f64], schedule: &dyn Schedule, t: f64, kind: Kind| {
            Forward { schedule, name: "", kind, seed: 1 }.noised(x, t)
        };
        let t = 0.3; // α = 0.7, σ = 0.3
        let gaussian = noised(&x, &FlowMatching {}, t, Kind::Gaussian);
        let rest =
            UnivariateNormal::fit(&gaussian.iter().zip(&x).map(|(z, x)| z - 0.7 * x).collect::<Vec<_>>()).unwrap();
        assert!(rest.mean().abs() < 5.0 * 0.3 / n.sqrt() && (rest.std() - 0.3).abs() < 5.0 * 0.3 / (2.0 * n).sqrt());
        let unchanged = |values: &[f64]| values.iter().zip(&x).filter(|(z, x)| z == x).count() as f64 / n;
        let slack = 5.0 * (0.21 / (n / 3.0)).sqrt();
        // One of 256 resampled values equals the old one.
        let uniform = noised(&x, &FlowMatching {}, t, Kind::Uniform);
        assert!((unchanged(&uniform) - (0.7 + 0.3 / 256.0)).abs() < slack);
        assert!(uniform.iter().all(|v| ((v + 1.0) * 127.5).fract().min(1.0 - ((v + 1.0) * 127.5).fract()) < 1e-9));
        let absorbing = noised(&x, &FlowMatching {}, t, Kind::Absorbing);
        assert!((unchanged(&absorbing) - 0.7).abs() < slack);
        assert!(absorbing.chunks(3).all(|p| p.iter().all(|v| *v == MASK) || p.iter().all(|v| *v != MASK)));
        // Masked pixels stay masked.
        let later = noised(&x, &FlowMatching {}, 0.6, Kind::Absorbing);
        assert!(absorbing.iter().zip(&later).all(|(early, late)| *early != MASK || *late == MASK));
        assert_eq!(noised(&x, &FlowMatching {}, 0.0, Kind::Gaussian), x);
    }
    #[test]
    fn the_end_of_the_chain_has_the_forward_marginal() {
        let x: Vec<f64> = landscape(64).values();
        let n = x.len() as f64;
        for (kind, steps) in [(Kind::Gaussian, 10), (Kind::Uniform, 7), (Kind::Absorbing, 7)] {
            // At t = 0.6: α = 0.4, σ = 0.6.
            #[derive(Debug)]
            struct Part;
            impl Schedule for Part {
                fn alpha(&self, t: tweedie::Dual) -> tweedie::Dual {
                    FlowMatching {}.alpha(t * 0.6)
                }
                fn sigma(&self, t: tweedie::Dual) -> tweedie::Dual {
                    FlowMatching {}.sigma(t * 0.6)
                }
            }
            let forward = Forward { schedule: &Part, name: "", kind, seed: 3 };
            let all = forward.chain(&x, steps, &(0..=steps).collect::<Vec<_>>());
            assert_eq!((all.len(), &all[0]), (steps + 1, &x));
            let end = &all[steps];
            let unchanged = end.iter().zip(&x).filter(|(z, x)| z == x).count() as f64 / n;
            match kind {
                Kind::Gaussian => {
                    let rest = end.iter().zip(&x).map(|(z, x)| z - 0.4 * x).collect::<Vec<_>>();
                    let rest = UnivariateNormal::fit(&rest).unwrap();
                    let slack = 5.0 * 0.6 / n.sqrt();
                    assert!(rest.mean().abs() < slack && (rest.std() - 0.6).abs() < slack, "{rest:?}");
                    // Consecutive steps differ by less than independent samples of their marginals do.
                    let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
                    assert!(far(end, &all[steps - 1]) < 0.5 * far(end, &forward.noised(&x, 0.9)));
                }
                Kind::Uniform => {
                    assert!((unchanged - 0.4 - 0.6 / 256.0).abs() < 5.0 * (0.24 / n).sqrt(), "{unchanged}")
                }
                Kind::Absorbing => {
                    assert!((unchanged - 0.4).abs() < 5.0 * (0.72 / n).sqrt(), "{unchanged}");
                    let masked = |values: &[f64]| values.iter().map(|v| *v == MASK).collect::<Vec<_>>();
                    let stays = |a: &[f64], b: &[f64]| masked(a).iter().zip(masked(b)).all(|(a, b)| !a || b);
                    assert!(all.windows(2).all(|pair| stays(&pair[0], &pair[1])), "a masked pixel stays masked");
                }
            }
        }
    }
}
