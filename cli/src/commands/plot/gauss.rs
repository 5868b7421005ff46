//! Normal distributions. The code between two `show` lines is printed on its page.
use super::code;
use tweedie::distribution::gaussian::{
    Covariance, Density, GaussianError, MultivariateNormal, UnivariateNormal, convolve,
};
use tweedie::{Error, Result, Rng};
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Conditional, Curve, Joint, Term};

const SOURCE: &str = include_str!("gauss.rs");

/// A parameter in a label, without the last digits of sums and products of parameters.
fn number(v: f64) -> String {
    gallery::plain(format!("{v:.11e}").parse().unwrap_or(v))
}

/// N(mean, std²).
fn normal_label(mean: f64, std: f64) -> String {
    let std = number(std);
    let square = if std.contains('×') { format!("({std})²") } else { format!("{std}²") };
    format!("N({}, {square})", number(mean))
}

fn curve<'a>(label: String, normal: &UnivariateNormal, density: &'a dyn Fn(f64) -> f64) -> Curve<'a> {
    Curve { label, mean: normal.mean(), std: normal.std(), density }
}

/// The univariate normal distribution and families of it.
pub fn univariate(mean: f64, std: f64, low: Option<f64>, high: Option<f64>) -> Result<Page> {
    let (low, high) = (low.unwrap_or(mean - std), high.unwrap_or(mean + std));
    if low >= high {
        let what = format!("`--low` must be below `--high`, got {low} and {high}");
        return Err(Error::invalid(what));
    }
    // show univariate
    let normal = UnivariateNormal::new(mean, std)?;
    let probability = normal.cdf(high) - normal.cdf(low);
    let density = |x: f64| normal.density(x);
    let label = normal_label(mean, std);
    let one = gallery::univariate(&curve(label, &normal, &density), [low, high], probability);
    // show
    let shifted = [-2.0, 0.0, 2.0].map(|by| UnivariateNormal::new(mean + by * std, std));
    let scaled = [0.5, 1.0, 2.0].map(|by| UnivariateNormal::new(mean, by * std));
    let shifted = shifted.into_iter().collect::<Result<Vec<_>, _>>()?;
    let scaled = scaled.into_iter().collect::<Result<Vec<_>, _>>()?;
    let densities = |normals: &[UnivariateNormal]| -> Vec<Box<dyn Fn(f64) -> f64>> {
        normals.iter().map(|&n| Box::new(move |x: f64| n.density(x)) as Box<dyn Fn(f64) -> f64>).collect()
    };
    let (by_mean, by_std) = (densities(&shifted), densities(&scaled));
    let means = shifted.iter().zip(&by_mean).map(|(n, p)| curve(format!("μ = {}", number(n.mean())), n, p)).collect();
    let stds = scaled.iter().zip(&by_std).map(|(n, p)| curve(format!("σ = {}", number(n.std())), n, p)).collect();
    Ok(Page {
        slug: "univariate".into(),
        title: "Univariate normal distribution".into(),
        text: "The mean μ is the location of the density and the standard deviation σ its width; the area under the \
               density is always one, so a wider density is lower. The probability of an interval is the area above \
               it: about 68 % within one σ of the mean, about 95 % within two."
            .into(),
        formula: "N(x; μ, σ²) = exp(−(x − μ)² / 2σ²) / √(2πσ²)\nP(a ≤ x ≤ b) = Φ((b − μ)/σ) − Φ((a − μ)/σ)".into(),
        figures: vec![
            one,
            gallery::families(&[("Varying the mean μ", means), ("Varying the standard deviation σ", stds)]),
        ],
        code: code(SOURCE, "univariate"),
    })
}

/// A bivariate normal distribution with its marginals and samples.
struct Pair {
    label: String,
    joint: MultivariateNormal,
    marginals: [UnivariateNormal; 2],
    sample: Vec<f64>,
}

impl Pair {
    fn new(label: &str, mean: [f64; 2], std: [f64; 2], correlation: f64, seed: u64) -> Result<Self, GaussianError> {
        // show pair
        let cross = correlation * std[0] * std[1];
        let covariance = Covariance::full(&[[std[0].powi(2), cross], [cross, std[1].powi(2)]])?;
        let joint = MultivariateNormal::new(&mean, covariance)?;
        let sample = joint.sample(1500, &mut Rng::new(seed));
        // show
        let marginals = [UnivariateNormal::new(mean[0], std[0])?, UnivariateNormal::new(mean[1], std[1])?];
        Ok(Self { label: label.into(), joint, marginals, sample })
    }

    /// Calls `plot` with the densities as functions.
    fn plot<T>(&self, plot: impl FnOnce(&Joint<'_>) -> T) -> T {
        let density = |x: f64, y: f64| at(&self.joint, &[x, y]);
        let (first, second) = (|x: f64| self.marginals[0].density(x), |x: f64| self.marginals[1].density(x));
        plot(&Joint {
            label: self.label.clone(),
            mean: self.marginals.map(|m| m.mean()),
            std: self.marginals.map(|m| m.std()),
            density: &density,
            marginals: [&first, &second],
            sample: &self.sample,
        })
    }
}

/// The density at a point of as many coordinates as there are dimensions.
fn at(normal: &MultivariateNormal, x: &[f64]) -> f64 {
    normal.densities(x).map_or(f64::NAN, |densities| densities[0])
}

/// [`Pair::plot`] of several distributions in one figure.
fn plot_all<T>(pairs: &[Pair], plot: impl FnOnce(Vec<Joint<'_>>) -> T) -> T {
    let densities: Vec<_> = pairs.iter().map(|p| |x: f64, y: f64| at(&p.joint, &[x, y])).collect();
    let firsts: Vec<_> = pairs.iter().map(|p| |x: f64| p.marginals[0].density(x)).collect();
    let seconds: Vec<_> = pairs.iter().map(|p| |x: f64| p.marginals[1].density(x)).collect();
    let joint = |i: usize| Joint {
        label: pairs[i].label.clone(),
        mean: pairs[i].marginals.map(|m| m.mean()),
        std: pairs[i].marginals.map(|m| m.std()),
        density: &densities[i],
        marginals: [&firsts[i], &seconds[i]],
        sample: &pairs[i].sample,
    };
    plot((0..pairs.len()).map(joint).collect())
}

/// The bivariate normal distribution: densities and samples.
pub fn bivariate(correlation: f64, std: [f64; 2], seed: u64) -> Result<Page> {
    let one = Pair::new("A joint density", [0.0, 0.0], std, correlation, seed)?;
    // Beside no correlation stands a usual one of either sign.
    let beside = if correlation == 0.0 { 0.8 } else { correlation.abs() };
    let three = [-beside, 0.0, beside].map(|rho| {
        let label = format!("ρ = {}", number(rho));
        Pair::new(&label, [0.0, 0.0], std, rho, seed)
    });
    let three = three.into_iter().collect::<Result<Vec<_>, _>>()?;
    let round = Pair::new("Isotropic, Σ = σ² I", [0.0, 0.0], [std[0]; 2], 0.0, seed)?;
    Ok(Page {
        slug: "bivariate".into(),
        title: "Bivariate normal distribution".into(),
        text: "If the covariance is positive, large values of one coordinate tend to come with large values of the \
               other; if it is negative, with small ones. For jointly normal variables zero covariance implies \
               independence, which is not true in general. With equal variances as well, the density is isotropic."
            .into(),
        formula: "N(x; μ, Σ) = exp(−½ (x − μ)ᵀ Σ⁻¹ (x − μ)) / √((2π)² |Σ|),   Σ = ( σ₁²  ρσ₁σ₂ ; ρσ₁σ₂  σ₂² )".into(),
        figures: vec![
            one.plot(gallery::joint_surface),
            plot_all(&three, |all| gallery::covariances(&all)),
            round.plot(gallery::isotropic),
        ],
        code: code(SOURCE, "pair") + "\nlet figure = gallery::joint_surface(&joint);",
    })
}

/// Conditional densities as slices of a joint density.
pub fn conditional(correlation: f64, mean: [f64; 2], std: [f64; 2], frames: usize, seed: u64) -> Result<Page> {
    let pair = Pair::new("A joint density", mean, std, correlation, seed)?;
    let values = gallery::grid(mean[1] - 2.5 * std[1], mean[1] + 2.5 * std[1], frames);
    let joint = &pair.joint;
    // show conditional
    let given = values.iter().map(|&a| joint.condition(&[1], &[a])).collect::<Result<Vec<_>, _>>()?;
    let densities: Vec<_> = given.iter().map(|normal| |x: f64| at(normal, &[x])).collect();
    let given: Vec<Conditional<'_>> = values
        .iter()
        .zip(given.iter().zip(&densities))
        .map(|(&a, (normal, density))| {
            let variance = normal.covariance().matrix()[(0, 0)];
            Conditional { a, mean: normal.mean()[0], variance, density }
        })
        .collect();
    // show
    Ok(Page {
        slug: "conditional".into(),
        title: "Conditional normal distribution".into(),
        text: "The density of x₁ given x₂ = a is the slice of the joint density along the line x₂ = a, normalized to \
               area one. It is normal. Its mean is linear in a; its variance is at most that of x₁ and does not depend \
               on a. Move the slider to change a."
            .into(),
        formula: "x₁ | x₂ = a  ~  N( μ₁ + Σ₁₂ Σ₂₂⁻¹ (a − μ₂),  Σ₁₁ − Σ₁₂ Σ₂₂⁻¹ Σ₂₁ )".into(),
        figures: vec![pair.plot(|joint| gallery::conditional(joint, &given))],
        code: code(SOURCE, "conditional"),
    })
}

/// The distribution of one of two independent summands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Summand {
    /// N(mean, std²).
    Normal(UnivariateNormal),
    /// U(low, high).
    Uniform([f64; 2]),
}

impl std::str::FromStr for Summand {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("a density must be normal:MEAN:STD or uniform:LOW:HIGH, got {text}");
        let parts: Vec<&str> = text.split(':').collect();
        let [name, a, b] = parts[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        let (a, b) = (number(a)?, number(b)?);
        match name {
            "normal" => Self::normal(a, b).map_err(|error| error.to_string()),
            "uniform" if a < b && (b - a).is_finite() => Ok(Self::Uniform([a, b])),
            "uniform" => Err(format!("LOW of a uniform density must be below HIGH, got {a} and {b}")),
            _ => Err(wrong()),
        }
    }
}

impl Summand {
    /// N(mean, std²).
    ///
    /// # Errors
    ///
    /// As [`UnivariateNormal::new`].
    pub fn normal(mean: f64, std: f64) -> Result<Self, GaussianError> {
        UnivariateNormal::new(mean, std).map(Self::Normal)
    }

    fn density(&self, x: f64) -> f64 {
        match self {
            Self::Normal(n) => n.density(x),
            // Half the density at the ends: the trapezoidal rule on the grid is then exact.
            Self::Uniform([a, b]) if x == *a || x == *b => 0.5 / (b - a),
            Self::Uniform([a, b]) => f64::from(u8::from(x > *a && x < *b)) / (b - a),
        }
    }

    fn range(&self) -> [f64; 2] {
        match self {
            Self::Normal(n) => [n.mean() - 9.0 * n.std(), n.mean() + 9.0 * n.std()],
            Self::Uniform([a, b]) => [*a, *b],
        }
    }

    fn label(&self) -> String {
        match self {
            Self::Normal(n) => normal_label(n.mean(), n.std()),
            Self::Uniform([a, b]) => format!("U({}, {})", number(*a), number(*b)),
        }
    }

    /// The exact density of the sum.
    fn sum(&self, other: &Self, z: f64) -> f64 {
        match (self, other) {
            (Self::Normal(p), Self::Normal(q)) => p.sum(q).density(z),
            (Self::Normal(n), Self::Uniform([a, b])) | (Self::Uniform([a, b]), Self::Normal(n)) => {
                (n.cdf(z - a) - n.cdf(z - b)) / (b - a)
            }
            (Self::Uniform([a, b]), Self::Uniform([c, d])) => {
                let overlap = b.min(z - c) - a.max(z - d);
                overlap.max(0.0) / ((b - a) * (d - c))
            }
        }
    }
}

/// The convolution of two densities, and its error.
pub fn convolution(p: Summand, q: Summand, points: usize) -> Result<Page> {
    let (a, b) = (p.range(), q.range());
    let step = (a[1] - a[0]).max(b[1] - b[0]) / (points.max(2) as f64 - 1.0);
    // The error is smallest if the jumps of the density are grid points.
    let step = match (p, q) {
        (Summand::Uniform([a, b]), _) | (_, Summand::Uniform([a, b])) => (b - a) / ((b - a) / step).ceil(),
        _ => step,
    };
    let count = |[low, high]: [f64; 2]| ((high - low) / step - 1e-6).ceil() as usize + 1;
    if count(a) < 2 || count(b) < 2 {
        let what = format!("the densities differ too much in width for a common grid of {points} points");
        return Err(
            Error::invalid(what).with_remedy("take `--first` and `--second` of more similar width, or more `--points`")
        );
    }
    let end = |[low, high]: [f64; 2]| low + step * (count([low, high]) - 1) as f64;
    // show convolution
    let first = Density::of(|x| p.density(x), a[0], end(a), count(a))?;
    let second = Density::of(|x| q.density(x), b[0], end(b), count(b))?;
    let numeric = convolve(&first, &second)?;
    let error = numeric.error(|z| p.sum(&q, z));
    // show
    let [largest, total, lost] = [error.largest, error.total, error.missing_mass.max(0.0)].map(gallery::scientific);
    let report = format!("Error of the convolution: maximum {largest}, integrated {total}, missing mass {lost}");
    let (one, two, both) = (|x: f64| p.density(x), |x: f64| q.density(x), |x: f64| p.sum(&q, x));
    // Shown to four standard deviations.
    let shown = |summand: &Summand| match summand {
        Summand::Normal(n) => [n.mean() - 4.0 * n.std(), n.mean() + 4.0 * n.std()],
        Summand::Uniform([a, b]) => [a - 0.1 * (b - a), b + 0.1 * (b - a)],
    };
    let (da, db) = (shown(&p), shown(&q));
    let ranges = [[da[0] + db[0], da[1] + db[1]].map(|v| v * 0.75), da, db];
    let term = |label: String, range, density| Term { label, range, density };
    let figure = gallery::convolution(
        [&term(p.label(), ranges[1], &one), &term(q.label(), ranges[2], &two)],
        &term("their sum, exact".into(), ranges[0], &both),
        &numeric.points(),
        numeric.values(),
        &report,
    );
    Ok(Page {
        slug: "convolution".into(),
        title: "Convolution: sums of independent variables".into(),
        text: "The density of a sum of independent random variables is the convolution of their densities; on a grid \
               it is computed as a product of Fourier transforms. Adding Gaussian noise smooths a density, and the sum \
               of two independent normal variables is normal with the sum of their variances. Every step of the \
               forward process is such a convolution, after scaling."
            .into(),
        formula: "(p ∗ q)(z) = ∫ p(x) q(z − x) dx,   N(μ₁, σ₁²) ∗ N(μ₂, σ₂²) = N(μ₁ + μ₂, σ₁² + σ₂²)".into(),
        figures: vec![figure],
        code: code(SOURCE, "convolution"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_shown_in_ascending_order_and_zero_has_no_sign() {
        for (given, shown) in [(-0.9, "0.9"), (0.9, "0.9"), (0.0, "0.8"), (-0.0, "0.8")] {
            let page = bivariate(given, [1.0, 2.0], 0).unwrap();
            let titles = page.figures[1].titles();
            assert_eq!(titles[..3], [&format!("ρ = −{shown}"), "ρ = 0", &format!("ρ = {shown}")]);
        }
        assert_eq!([normal_label(-0.0, 1.0), normal_label(0.1 + 0.2, 1e-12)], ["N(0, 1²)", "N(0.3, (1×10⁻¹²)²)"]);
    }

    #[test]
    fn densities_are_parsed() {
        assert_eq!("uniform:-1:2".parse(), Ok(Summand::Uniform([-1.0, 2.0])));
        assert!("normal:0:1".parse::<Summand>().is_ok());
        for wrong in ["normal", "normal:0:0", "uniform:2:1", "cauchy:0:1", "normal:a:1", "normal:0:1:2"] {
            assert!(wrong.parse::<Summand>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_density_of_a_sum_has_mass_one_and_the_right_variance() {
        let summands = ["normal:0.5:0.7", "uniform:-1:2", "uniform:0:0.5"].map(|text| text.parse::<Summand>().unwrap());
        let variance = |summand: &Summand| match summand {
            Summand::Normal(n) => n.variance(),
            Summand::Uniform([a, b]) => (b - a).powi(2) / 12.0,
        };
        for p in &summands {
            for q in &summands {
                let sum = Density::of(|z| p.sum(q, z), -15.0, 15.0, 30_001).unwrap();
                assert!((sum.mass() - 1.0).abs() < 1e-5);
                assert!((sum.variance() - variance(p) - variance(q)).abs() < 1e-4);
            }
        }
    }
}
