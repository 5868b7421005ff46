//! The pages of the Gaussian. What stands between two `show` lines is printed on the page that it makes.
use super::{Made, code};
use tweedie::distribution::gaussian::{
    Covariance, Density, GaussianError, MultivariateNormal, UnivariateNormal, convolve,
};
use tweedie::{Error, Rng};
use tweedie_plot::Page;
use tweedie_plot::gallery::{self, Conditional, Curve, Joint, Term};

const SOURCE: &str = include_str!("gauss.rs");

/// With the sign that mathematics is set with.
fn minus(text: String) -> String {
    text.replace('-', "−")
}

fn curve<'a>(label: String, normal: &UnivariateNormal, density: &'a dyn Fn(f64) -> f64) -> Curve<'a> {
    Curve { label, mean: normal.mean(), std: normal.std(), density }
}

/// One density, and families of it.
pub fn univariate(mean: f64, std: f64, low: Option<f64>, high: Option<f64>) -> Made {
    let (low, high) = (low.unwrap_or(mean - std), high.unwrap_or(mean + std));
    if low >= high {
        let what = format!("the shaded area runs from {low} to {high}: its lower end must be below its upper end");
        return Err(Error::invalid(what));
    }
    // show univariate
    let normal = UnivariateNormal::new(mean, std)?;
    let probability = normal.cdf(high) - normal.cdf(low);
    let density = |x: f64| normal.density(x);
    let label = minus(format!("N({mean}, {std}²)"));
    let one = gallery::univariate(&curve(label, &normal, &density), [low, high], probability);
    // show
    let moved = [-2.0, 0.0, 2.0].map(|by| UnivariateNormal::new(mean + by * std, std));
    let scaled = [0.5, 1.0, 2.0].map(|by| UnivariateNormal::new(mean, by * std));
    let moved = moved.into_iter().collect::<Result<Vec<_>, _>>()?;
    let scaled = scaled.into_iter().collect::<Result<Vec<_>, _>>()?;
    let densities = |normals: &[UnivariateNormal]| -> Vec<Box<dyn Fn(f64) -> f64>> {
        normals.iter().map(|&n| Box::new(move |x: f64| n.density(x)) as Box<dyn Fn(f64) -> f64>).collect()
    };
    let (by_mean, by_std) = (densities(&moved), densities(&scaled));
    let means = moved.iter().zip(&by_mean).map(|(n, p)| curve(minus(format!("μ = {}", n.mean())), n, p)).collect();
    let stds = scaled.iter().zip(&by_std).map(|(n, p)| curve(format!("σ = {}", n.std()), n, p)).collect();
    Ok(Page {
        slug: "univariate".into(),
        title: "The normal distribution: one number".into(),
        text: "The mean μ says where the bell stands and the standard deviation σ how wide it is; the area under it is \
               always one, so a wider bell is a lower one. Probability is area: between one σ below and one σ above the \
               mean lies about 68 % of it, between two σ about 95 %."
            .into(),
        formula: "N(x; μ, σ²) = exp(−(x − μ)² / 2σ²) / √(2πσ²)\nP(a ≤ x ≤ b) = Φ((b − μ)/σ) − Φ((a − μ)/σ)".into(),
        figures: vec![one, gallery::families(&[("Varying the mean μ", means), ("Varying the standard deviation σ", stds)])],
        code: code(SOURCE, "univariate"),
    })
}

/// A joint normal of two numbers with what its pictures need.
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

    /// Hands the densities, as functions, to what draws them.
    fn drawn<T>(&self, draw: impl FnOnce(&Joint<'_>) -> T) -> T {
        let density = |x: f64, y: f64| self.joint.densities(&[x, y])[0];
        let (first, second) = (|x: f64| self.marginals[0].density(x), |x: f64| self.marginals[1].density(x));
        draw(&Joint {
            label: self.label.clone(),
            mean: self.marginals.map(|m| m.mean()),
            std: self.marginals.map(|m| m.std()),
            density: &density,
            marginals: [&first, &second],
            sample: &self.sample,
        })
    }
}

/// Draws several pairs at once.
fn drawn_all<T>(pairs: &[Pair], draw: impl FnOnce(Vec<Joint<'_>>) -> T) -> T {
    let densities: Vec<_> = pairs.iter().map(|p| |x: f64, y: f64| p.joint.densities(&[x, y])[0]).collect();
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
    draw((0..pairs.len()).map(joint).collect())
}

/// Surfaces and draws of two numbers.
pub fn bivariate(correlation: f64, std: [f64; 2], seed: u64) -> Made {
    let negative = minus(format!("ρ = {}", -correlation));
    let positive = minus(format!("ρ = {correlation}"));
    let one = Pair::new("A joint density", [0.0, 0.0], std, correlation, seed)?;
    let three = [
        Pair::new(&negative, [0.0, 0.0], std, -correlation, seed)?,
        Pair::new("ρ = 0", [0.0, 0.0], std, 0.0, seed)?,
        Pair::new(&positive, [0.0, 0.0], std, correlation, seed)?,
    ];
    let round = Pair::new("Isotropic, Σ = σ² I", [0.0, 0.0], [std[0]; 2], 0.0, seed)?;
    Ok(Page {
        slug: "bivariate".into(),
        title: "The joint normal: two numbers and their covariance".into(),
        text: "The covariance tilts the hill: where it is positive large values of one coordinate come with large values \
               of the other, where it is negative with small ones. For jointly normal numbers, and only for those, zero \
               covariance means independence; with equal variances as well the density is the same in all directions."
            .into(),
        formula: "N(x; μ, Σ) = exp(−½ (x − μ)ᵀ Σ⁻¹ (x − μ)) / √((2π)² |Σ|),   Σ = ( σ₁²  ρσ₁σ₂ ; ρσ₁σ₂  σ₂² )".into(),
        figures: vec![
            one.drawn(gallery::joint_surface),
            drawn_all(&three, |all| gallery::covariances(&all)),
            round.drawn(gallery::isotropic),
        ],
        code: code(SOURCE, "pair") + "\nlet figure = gallery::joint_surface(&joint);",
    })
}

/// A slice of a joint density.
pub fn conditional(correlation: f64, mean: [f64; 2], std: [f64; 2], frames: usize, seed: u64) -> Made {
    let pair = Pair::new("A joint density", mean, std, correlation, seed)?;
    let values = gallery::grid(mean[1] - 2.5 * std[1], mean[1] + 2.5 * std[1], frames);
    let joint = &pair.joint;
    // show conditional
    let given = values.iter().map(|&a| joint.condition(&[1], &[a])).collect::<Result<Vec<_>, _>>()?;
    let densities: Vec<_> = given.iter().map(|law| |x: f64| law.densities(&[x])[0]).collect();
    let given: Vec<Conditional<'_>> = values
        .iter()
        .zip(given.iter().zip(&densities))
        .map(|(&a, (law, density))| {
            let variance = law.covariance().matrix()[(0, 0)];
            Conditional { a, mean: law.mean()[0], variance, density }
        })
        .collect();
    // show
    Ok(Page {
        slug: "conditional".into(),
        title: "Conditioning: what one number tells of another".into(),
        text: "Where x₂ is known to be a, the density of x₁ is the slice of the joint density along the line x₂ = a, \
               scaled to area one, and it is normal again. Its mean moves in a straight line with a; its variance is \
               smaller than before and the same for every a. Move the slider to cut elsewhere."
            .into(),
        formula: "x₁ | x₂ = a  ~  N( μ₁ + Σ₁₂ Σ₂₂⁻¹ (a − μ₂),  Σ₁₁ − Σ₁₂ Σ₂₂⁻¹ Σ₂₁ )".into(),
        figures: vec![pair.drawn(|joint| gallery::conditional(joint, &given))],
        code: code(SOURCE, "conditional"),
    })
}

/// A density that can be added to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// N(mean, std²).
    Normal(UnivariateNormal),
    /// Uniform between two numbers.
    Uniform([f64; 2]),
}

impl std::str::FromStr for Law {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text} is no density: write normal:MEAN:STD or uniform:LOW:HIGH");
        let parts: Vec<&str> = text.split(':').collect();
        let [name, a, b] = parts[..] else { return Err(wrong()) };
        let number = |text: &str| text.parse::<f64>().map_err(|_| wrong());
        let (a, b) = (number(a)?, number(b)?);
        match name {
            "normal" => Self::normal(a, b).map_err(|error| error.to_string()),
            "uniform" if a < b && (b - a).is_finite() => Ok(Self::Uniform([a, b])),
            "uniform" => Err(format!("a uniform density runs from a lower to a higher number, not from {a} to {b}")),
            _ => Err(wrong()),
        }
    }
}

impl Law {
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
            // Half at the ends, as the sum over a grid wants it.
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
            Self::Normal(n) => minus(format!("N({}, {}²)", n.mean(), n.std())),
            Self::Uniform([a, b]) => minus(format!("U({a}, {b})")),
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

/// Two densities and that of the sum.
pub fn convolution(p: Law, q: Law, points: usize) -> Made {
    let (a, b) = (p.range(), q.range());
    let step = (a[1] - a[0]).max(b[1] - b[0]) / (points.max(2) as f64 - 1.0);
    // A jump costs least where it stands on a point of the grid.
    let step = match (p, q) {
        (Law::Uniform([a, b]), _) | (_, Law::Uniform([a, b])) => (b - a) / ((b - a) / step).ceil(),
        _ => step,
    };
    let count = |[low, high]: [f64; 2]| ((high - low) / step - 1e-6).ceil() as usize + 1;
    let end = |[low, high]: [f64; 2]| low + step * (count([low, high]) - 1) as f64;
    // show convolution
    let first = Density::of(|x| p.density(x), a[0], end(a), count(a))?;
    let second = Density::of(|x| q.density(x), b[0], end(b), count(b))?;
    let numeric = convolve(&first, &second)?;
    let error = numeric.error(|z| p.sum(&q, z));
    // show
    let [largest, total, lost] = [error.largest, error.total, error.missing_mass].map(gallery::scientific);
    let report = format!("Error of the convolution: at most {largest}, in all {total}, mass lost {lost}");
    let (one, two, both) = (|x: f64| p.density(x), |x: f64| q.density(x), |x: f64| p.sum(&q, x));
    // Drawn to four standard deviations: what is nine away is flat.
    let drawn = |law: &Law| match law {
        Law::Normal(n) => [n.mean() - 4.0 * n.std(), n.mean() + 4.0 * n.std()],
        Law::Uniform([a, b]) => [a - 0.1 * (b - a), b + 0.1 * (b - a)],
    };
    let (da, db) = (drawn(&p), drawn(&q));
    let ranges = [[da[0] + db[0], da[1] + db[1]].map(|v| v * 0.75), da, db];
    let term = |label: String, range, density| Term { label, range, density };
    let figure = gallery::convolution(
        [&term(p.label(), ranges[1], &one), &term(q.label(), ranges[2], &two)],
        &term("their sum, exactly".into(), ranges[0], &both),
        &numeric.points(),
        numeric.values(),
        &report,
    );
    Ok(Page {
        slug: "convolution".into(),
        title: "Convolution: adding independent numbers".into(),
        text: "The density of a sum of independent numbers is the convolution of their densities; on a grid that is a \
               product of Fourier transforms. Adding a normal number to anything smooths it, and normal plus normal is \
               normal with the variances added: this is all that the forward process of diffusion does, again and again."
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
    fn laws_are_read_and_refused() {
        assert_eq!("uniform:-1:2".parse(), Ok(Law::Uniform([-1.0, 2.0])));
        assert!("normal:0:1".parse::<Law>().is_ok());
        for wrong in ["normal", "normal:0:0", "uniform:2:1", "cauchy:0:1", "normal:a:1", "normal:0:1:2"] {
            assert!(wrong.parse::<Law>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_density_of_a_sum_has_mass_one_and_the_right_variance() {
        let laws = ["normal:0.5:0.7", "uniform:-1:2", "uniform:0:0.5"].map(|text| text.parse::<Law>().unwrap());
        let variance = |law: &Law| match law {
            Law::Normal(n) => n.variance(),
            Law::Uniform([a, b]) => (b - a).powi(2) / 12.0,
        };
        for p in &laws {
            for q in &laws {
                let sum = Density::of(|z| p.sum(q, z), -15.0, 15.0, 30_001).unwrap();
                assert!((sum.mass() - 1.0).abs() < 1e-5);
                assert!((sum.variance() - variance(p) - variance(q)).abs() < 1e-4);
            }
        }
    }
}
