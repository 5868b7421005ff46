//! An image that becomes noise.
use super::{Kind, Made, code};
use std::path::Path;
use tweedie::distribution::gaussian::UnivariateNormal;
use tweedie::schedule::Schedule;
use tweedie::{Error, Result, Rng};
use tweedie_data::image;
use tweedie_plot::gallery::{self, NoisyImage};
use tweedie_plot::{Page, Pixels};

/// The picture at a path, or one of our own, with sides of at most `side` pixels.
pub fn picture(path: Option<&Path>, side: usize) -> Result<Pixels> {
    let Some(path) = path else { return Ok(landscape(side)) };
    let bytes = std::fs::read(path).map_err(Error::io(path, "read"))?;
    let decoded = image::load_from_memory(&bytes)
        .map_err(|error| Error::format(path, format!("no picture that can be read, PNG or JPEG: {error}")))?;
    let decoded = decoded.into_rgb8();
    let (width, height) = (decoded.width() as usize, decoded.height() as usize);
    Ok(Pixels::rgb(width, height, decoded.into_raw()).shrunk(side))
}

/// Hills under an evening sun: smooth shades and hard edges.
fn landscape(side: usize) -> Pixels {
    let mix = |a: [f64; 3], b: [f64; 3], w: f64| [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * w.clamp(0.0, 1.0));
    let hill = |x: f64, base: f64, tall: f64, turns: f64, shift: f64| base - tall * (turns * x + shift).sin();
    // Drawn three times finer and shrunk: edges without steps.
    let fine = 3 * side;
    let colour = |x: f64, y: f64| {
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
    let bytes = (0..fine * fine).flat_map(|i| colour(unit(i % fine), unit(i / fine))).map(|v| v.round() as u8);
    Pixels::rgb(fine, fine, bytes.collect()).shrunk(side)
}

/// The values of an image, −1 to 1, at a time: one draw of `q(x_t | x)`.
fn noised(x: &[f64], schedule: &dyn Schedule, t: f64, kind: Kind, rng: &Rng) -> Vec<f64> {
    // The same numbers at every time, so that what moves is the time alone.
    let mut rng = rng.stream("noise");
    // show forward
    let c = schedule.at(t);
    let xt: Vec<f64> = match kind {
        Kind::Gaussian => x.iter().zip(rng.normals(1, x.len())).map(|(x, eps)| c.alpha * x + c.sigma * eps).collect(),
        Kind::Uniform => {
            let (lost, other) = (rng.uniforms(1, x.len()), rng.uniforms(1, x.len()));
            let level = |u: f64| (256.0 * u).floor() / 127.5 - 1.0;
            x.iter()
                .zip(lost.into_iter().zip(other))
                .map(|(&x, (u, v))| if u < c.alpha { x } else { level(v) })
                .collect()
        }
        Kind::Absorbing => {
            let lost = rng.uniforms(x.len() / 3, 1);
            x.iter().enumerate().map(|(i, &x)| if lost[i / 3] < c.alpha { x } else { MASK }).collect()
        }
    };
    // show
    xt
}

/// A masked pixel: outside the range of colours.
const MASK: f64 = -1.3;

/// The image as a strip and with a slider.
pub fn page(picture: &Pixels, schedule: &dyn Schedule, name: &str, kind: Kind, frames: usize, seed: u64) -> Made {
    let (x, rng) = (picture.values(), Rng::new(seed));
    let at = |t: f64| {
        let values = noised(&x, schedule, t, kind, &rng);
        let c = schedule.at(t);
        let label = match kind {
            Kind::Gaussian => format!("t = {t:.2}, α = {:.2}, σ = {:.2}", c.alpha, c.sigma),
            Kind::Uniform | Kind::Absorbing => format!("t = {t:.2}, kept {:.0} %", 100.0 * c.alpha),
        };
        // Noise is shown with more room than colours: cut at two standard deviations.
        let reach = if kind == Kind::Gaussian { c.alpha.clamp(1e-9, 1.0) + 1.4 * c.sigma } else { 1.0 };
        NoisyImage { label, values, range: [-reach, reach] }
    };
    // A schedule over unscaled data ends at a noise that is not one: values are then told in units of it.
    let unit = schedule.at(1.0).sigma.max(1.0);
    let mut slides: Vec<NoisyImage> = gallery::grid(0.0, 1.0, frames).into_iter().map(at).collect();
    let mut strip: Vec<NoisyImage> = [0.0, 0.25, 0.5, 0.75, 1.0].map(at).into();
    for noised in strip.iter_mut().chain(&mut slides).filter(|_| unit > 1.0) {
        noised.values.iter_mut().for_each(|v| *v /= unit);
        noised.range = noised.range.map(|v| v / unit);
    }
    for noised in &mut strip {
        noised.label = noised.label.split(',').next().unwrap_or_default().to_owned();
    }
    let normal = UnivariateNormal::STANDARD;
    let bell = |v: f64| normal.density(v);
    let flat = |v: f64| if v.abs() <= 1.0 { 0.5 } else { 0.0 };
    let (counted, limit): (_, Option<(&str, gallery::Function<'_>)>) = match kind {
        Kind::Gaussian => ([-4.0, 4.0], Some(("N(0, 1)", &bell))),
        Kind::Uniform => ([-1.4, 1.4], Some(("uniform", &flat))),
        // The mask is no value: the histogram's area is the part that is kept.
        Kind::Absorbing => ([-1.0, 1.0], None),
    };
    let (word, more, formula) = match kind {
        Kind::Gaussian => (
            "forward",
            "Every value is shrunk a little and a little Gaussian noise is added, again and again; the values' histogram \
             tends to the bell of N(0, 1), whatever the image was. All steps at once are one step: a sum of Gaussians is \
             Gaussian.",
            "xₜ = αₜ x + σₜ ε,  ε ~ N(0, I)        (one step: xₜ = √(1 − β) xₛ + √β ε)",
        ),
        Kind::Uniform => (
            "forward-uniform",
            "Every value is kept with probability α and otherwise replaced by any of 256 levels, all alike; the histogram \
             tends to a flat one. Colours do not fade, they are replaced.",
            "q(xₜ | x) = Cat(α x + (1 − α) π),  π uniform",
        ),
        Kind::Absorbing => (
            "forward-absorbing",
            "Every pixel is kept with probability α and otherwise masked, here black, and then stays so; the histogram \
             loses its area to the mask and keeps its form. What is left is untouched: a model sees what it must fill in.",
            "q(xₜ | x) = Cat(α x + (1 − α) π),  π all on the mask",
        ),
    };
    let size = [picture.width, picture.height];
    let title = format!("From data to noise under the {name} schedule");
    Ok(Page {
        slug: word.into(),
        title: match kind {
            Kind::Gaussian => "Forward, Gaussian: an image becomes noise".into(),
            Kind::Uniform => "Forward, uniform: an image loses its colours".into(),
            Kind::Absorbing => "Forward, absorbing: an image is masked".into(),
        },
        text: more.into(),
        formula: formula.into(),
        figures: vec![
            gallery::forward_strip(&title, size, &strip),
            gallery::forward_slider(size, counted, &slides, limit),
        ],
        code: code(include_str!("forward.rs"), "forward"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie::schedule::FlowMatching;

    #[test]
    fn noised_values_follow_the_law_of_the_process() {
        let x: Vec<f64> = landscape(64).values();
        let n = x.len() as f64;
        let rng = Rng::new(1);
        let t = 0.3; // α = 0.7, σ = 0.3
        let gaussian = noised(&x, &FlowMatching {}, t, Kind::Gaussian, &rng);
        let rest =
            UnivariateNormal::fit(&gaussian.iter().zip(&x).map(|(z, x)| z - 0.7 * x).collect::<Vec<_>>()).unwrap();
        assert!(rest.mean().abs() < 5.0 * 0.3 / n.sqrt() && (rest.std() - 0.3).abs() < 5.0 * 0.3 / (2.0 * n).sqrt());
        let kept = |values: &[f64]| values.iter().zip(&x).filter(|(z, x)| z == x).count() as f64 / n;
        let slack = 5.0 * (0.21 / (n / 3.0)).sqrt();
        // One redraw in 256 gives the same level.
        let uniform = noised(&x, &FlowMatching {}, t, Kind::Uniform, &rng);
        assert!((kept(&uniform) - (0.7 + 0.3 / 256.0)).abs() < slack);
        assert!(uniform.iter().all(|v| ((v + 1.0) * 127.5).fract().min(1.0 - ((v + 1.0) * 127.5).fract()) < 1e-9));
        let absorbing = noised(&x, &FlowMatching {}, t, Kind::Absorbing, &rng);
        assert!((kept(&absorbing) - 0.7).abs() < slack);
        assert!(absorbing.chunks(3).all(|p| p.iter().all(|v| *v == MASK) || p.iter().all(|v| *v != MASK)));
        // What is masked stays masked.
        let later = noised(&x, &FlowMatching {}, 0.6, Kind::Absorbing, &rng);
        assert!(absorbing.iter().zip(&later).all(|(early, late)| *early != MASK || *late == MASK));
        assert_eq!(noised(&x, &FlowMatching {}, 0.0, Kind::Gaussian, &rng), x);
    }
}
