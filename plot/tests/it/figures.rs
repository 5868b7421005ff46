//! A figure of every kind, for the tests of both renderers.
use tweedie_plot::gallery::{self, Conditional, Curve, Curves, Joint, NoisyImage, Process, Run, Series, Term};
use tweedie_plot::{Axis, Color, Figure, Mark, Panel, Pixels};

fn normal(x: f64, mean: f64, std: f64) -> f64 {
    (-0.5 * ((x - mean) / std).powi(2)).exp() / (std * (2.0 * std::f64::consts::PI).sqrt())
}

/// Quasi-random numbers in (0, 1).
fn noise(n: usize) -> Vec<f64> {
    (1..=n).map(|i| (i as f64 * 0.754_877_666).fract()).collect()
}

fn joint<T>(rho: f64, draw: impl FnOnce(&Joint<'_>) -> T) -> T {
    let density = |x: f64, y: f64| normal(x, 0.0, 1.0) * normal(y, rho * x, (1.0 - rho * rho).sqrt());
    let marginal = |x: f64| normal(x, 0.0, 1.0);
    let sample: Vec<f64> = noise(400).into_iter().map(|u| 4.0 * u - 2.0).collect();
    draw(&Joint {
        label: format!("ρ = {rho}"),
        mean: [0.0; 2],
        std: [1.0; 2],
        density: &density,
        marginals: [&marginal, &marginal],
        sample: &sample,
    })
}

/// All figures, by name.
pub fn all() -> Vec<(&'static str, Figure)> {
    let bell = |x: f64| normal(x, 0.0, 1.0);
    let wide = |x: f64| normal(x, 1.0, 2.0);
    let curve = |label: &str, density| Curve { label: label.into(), mean: 0.0, std: 1.0, density };
    let given: Vec<f64> = gallery::grid(-2.0, 2.0, 9);
    let slices: Vec<_> = given.iter().map(|&a| move |x: f64| normal(x, 0.6 * a, 0.8)).collect();
    let slices: Vec<Conditional<'_>> = given
        .iter()
        .zip(&slices)
        .map(|(&a, density)| Conditional { a, mean: 0.6 * a, variance: 0.64, density })
        .collect();
    let term = |label: &str, density| Term { label: label.into(), range: [-6.0, 8.0], density };
    let points = gallery::grid(-6.0, 8.0, 141);
    let sum = |x: f64| normal(x, 1.0, 5f64.sqrt());
    let numeric: Vec<f64> = points.iter().map(|&x| sum(x) + 1e-9).collect();
    let image = |t: f64| NoisyImage {
        label: format!("t = {t:.2}"),
        values: noise(12 * 8 * 3).iter().enumerate().map(|(i, u)| (1.0 - t) * (i % 3) as f64 + t * u).collect(),
        range: [0.0, 2.0],
    };
    let frames: Vec<NoisyImage> = gallery::grid(0.0, 1.0, 6).into_iter().map(image).collect();
    let t = gallery::grid(0.01, 0.99, 50);
    let curves = Curves {
        label: "cosine".into(),
        alpha: t.iter().map(|t| (1.57 * t).cos()).collect(),
        sigma: t.iter().map(|t| (1.57 * t).sin()).collect(),
        log_snr: t.iter().map(|t| -2.0 * (1.57 * t).tan().ln()).collect(),
        beta: t.iter().map(|t| 3.0 * (1.57 * t).tan()).collect(),
        t,
    };
    let cloud = |frame: usize| noise(60).iter().map(|u| (4.0 * u - 2.0) * (1.0 - 0.1 * frame as f64)).collect();
    let process = Process {
        labels: (0..5).map(|i| format!("t = {i}")).collect(),
        points: (0..5).map(cloud).collect(),
        trajectories: 4,
        positions: vec![-1.0, -1.0, 1.0, 1.0, 0.0, 0.5],
        arrows: (0..5).map(|i| vec![1.0, 0.1 * f64::from(i), -1.0, 0.5, 0.2, -0.3]).collect(),
        field: "Score".into(),
        half_width: 2.5,
    };
    let steps = gallery::grid(1.0, 300.0, 300);
    let losses = Series { label: "train".into(), value: steps.iter().map(|s| 1.0 / s).collect(), step: steps };
    let run = Run {
        title: "A run".into(),
        loss: vec![losses.clone()],
        grad_norm: vec![losses],
        samples: vec![
            ("1".into(), Pixels::from_values(4, 4, &noise(16), [0.0, 1.0])),
            ("2".into(), Pixels::from_values(4, 4, &[0.5; 16], [0.0, 1.0])),
        ],
        ..Run::default()
    };
    let grid = gallery::grid(-1.0, 1.0, 15);
    let saddle: Vec<f64> = grid.iter().flat_map(|y| grid.iter().map(move |x| x * x - y * y)).collect();
    let others = Figure::new("Other marks", 2)
        .panel(
            Panel::plane("Heat <b>&</b> dots", "x", "y")
                .equal()
                .scale("height", [-1.0, 1.0])
                .mark(Mark::heat(grid.clone(), grid.clone(), saddle.clone()).name("saddle"))
                .mark(Mark::colored([0.0, 0.5], [0.5, 0.0], [-0.5, 0.5]).name("dots")),
        )
        .panel(
            Panel::space("Cloud", "x", "y", "z")
                .mark(Mark::cloud(noise(30), noise(30), noise(30)).name("cloud"))
                .mark(Mark::surface(grid.clone(), grid, saddle).opacity(0.8)),
        )
        .panel(
            Panel::plane("Logarithms", Axis::new("x").log(), Axis::new("y").log())
                .mark(Mark::line([1e-3, 1e-2, 1.0, 1e2, 1e3], [1e2, 10.0, f64::NAN, 1e-3, 1e-5]).name("broken"))
                .mark(Mark::line([1e-3, 1.0, 1e3], [1.0, 10.0, 1e2]).name("whole").color(Color::Muted)),
        );
    vec![
        ("univariate", gallery::univariate(&curve("N(0, 1)", &bell), [-1.0, 1.0], 0.6827)),
        ("families", gallery::families(&[("μ", vec![curve("0", &bell), curve("1", &wide)])])),
        ("surface", joint(0.7, gallery::joint_surface)),
        ("covariances", joint(0.7, |j| gallery::covariances(std::slice::from_ref(j)))),
        ("isotropic", joint(0.0, gallery::isotropic)),
        ("conditional", joint(0.6, |j| gallery::conditional(j, &slices))),
        (
            "convolution",
            gallery::convolution(
                [&term("p", &bell), &term("q", &wide)],
                &term("p ∗ q", &sum),
                &points,
                &numeric,
                "Error",
            ),
        ),
        ("strip", gallery::forward_strip("Strip", [12, 8], &frames)),
        ("forward", gallery::forward_slider([12, 8], [-1.0, 3.0], &frames, Some(("limit", &bell)))),
        ("schedules", gallery::schedules(&[curves])),
        ("process", gallery::process("Process", &process)),
        ("run", gallery::run(&run)),
        ("samples", gallery::run_samples(&run).unwrap()),
        ("others", others),
    ]
}

/// Figures of long texts, of huge and tiny numbers, of one point, of values that are all equal, and of many classes.
pub fn extreme() -> Vec<(String, Figure)> {
    let mut all = Vec::new();
    let long =
        "a long name of several words with_one_that_is_rather_longer_than_its_panel_is_wide_and_goes_on ".repeat(3);
    for unit in [1e-12, 1.0, 1e9] {
        for name in ["x", &long, "名前 кошка"] {
            let case = |what: &str| format!("{what}, {unit:e}, {}", name.chars().take(12).collect::<String>());
            let bell = |x: f64| normal(x / unit, 0.3, 1.0) / unit;
            let curve = || Curve { label: name.into(), mean: 0.3 * unit, std: unit, density: &bell };
            all.push((case("univariate"), gallery::univariate(&curve(), [-unit, unit], 0.6827)));
            let families: Vec<_> = (0..4).map(|_| (name, vec![curve(), curve()])).collect();
            all.push((case("families"), gallery::families(&families)));
            let density = |x: f64, y: f64| normal(x / unit, 0.0, 1.0) * normal(y / unit, 0.8 * x / unit, 0.6) / unit;
            let sample: Vec<f64> = noise(60).into_iter().map(|u| (4.0 * u - 2.0) * unit).collect();
            let joint = || Joint {
                label: name.into(),
                mean: [0.0; 2],
                std: [unit; 2],
                density: &density,
                marginals: [&bell, &bell],
                sample: &sample,
            };
            all.push((case("surface"), gallery::joint_surface(&joint())));
            all.push((case("isotropic"), gallery::isotropic(&joint())));
            all.push((case("covariances"), gallery::covariances(&[joint(), joint(), joint()])));
            let given: Vec<Conditional<'_>> = [-unit, 0.0, unit]
                .map(|a| Conditional { a, mean: 0.6 * a, variance: 0.64 * unit * unit, density: &bell })
                .into();
            all.push((case("conditional"), gallery::conditional(&joint(), &given)));
            for columns in 1..=5 {
                let panel = |i: usize| {
                    let (x, y): (Vec<f64>, Vec<f64>) =
                        (0..=i).map(|k| (k as f64 * unit, 7.0 * unit + k as f64)).unzip();
                    let log = if i == 2 { Axis::new(name).log() } else { Axis::new(name) };
                    let mut panel = Panel::plane(name, Axis::new(name), log)
                        .note(name)
                        .mark(Mark::points(x.clone(), y.clone()).name(name))
                        .mark(Mark::line(x, y).name(format!("{name} too")).series(1));
                    if i == 3 {
                        panel = panel.scale(name, [-unit, unit]);
                    }
                    if i == 4 {
                        let z = [0.0, unit, f64::NAN, 0.0];
                        let cloud = Mark::surface([0.0, unit], [0.0, unit], z);
                        panel = Panel::space(name, name, name, name).mark(cloud);
                    }
                    panel
                };
                all.push((
                    case(&format!("{columns} columns")),
                    (0..5).map(panel).fold(Figure::new(name, columns), Figure::panel),
                ));
            }
            let process = Process {
                labels: vec![name.to_owned(); 3],
                points: vec![vec![0.5 * unit, -0.5 * unit]; 3],
                trajectories: 1,
                positions: vec![0.0, 0.0],
                arrows: vec![vec![0.0, 0.0]; 3],
                field: name.into(),
                half_width: unit,
            };
            all.push((case("process"), gallery::process(name, &process)));
            let series = |value: Vec<f64>| Series {
                label: name.into(),
                step: (1..=value.len()).map(|i| i as f64).collect(),
                value,
            };
            let run = Run {
                title: name.into(),
                loss: vec![series((1..=1500).map(|i| unit / f64::from(i)).collect()), series(vec![unit])],
                loss_by_noise: vec![series(vec![unit; 9])],
                grad_norm: vec![series(vec![f64::NAN, unit, 0.0, -unit])],
                lr: vec![series(vec![unit])],
                ema_distance: vec![series(vec![0.0])],
                ..Run::default()
            };
            all.push((case("run"), gallery::run(&run)));
        }
    }
    for classes in [1, 200] {
        let mark = |i: usize| Mark::points([i as f64], [0.0]).name(format!("class {i}")).series(i);
        let panel = (0..classes).map(mark).fold(Panel::plane("", "x₁", "x₂").equal(), Panel::mark);
        all.push((format!("{classes} classes"), Figure::new("", 1).panel(panel)));
    }
    all.push(("nothing".into(), Figure::new("", 2).panel(Panel::plane("", "", "")).panel(Panel::plane("", "x", "y"))));
    let empty = Panel::plane("", Axis::new("x").range(0.0, 0.0), Axis::new("y").range(1.0, f64::NAN));
    let bars = empty.mark(Mark::bars([0.0, 1.0, 2.0], [0.0, f64::NAN]).name("none"));
    all.push(("empty ranges".into(), Figure::new("", 1).panel(bars)));
    all
}
