//! Spacings that learn from losses, and those made of others.
use burn::tensor::Device;
use tweedie::{
    Rng,
    data::Samples,
    laws,
    loss::Simple,
    model::Model,
    net::{Conditions, MlpConfig, Net},
    noise::{Gaussian, Prediction},
    sample::{Ddim, trajectory},
    schedule::{Edm, FlowMatching, Linear, Schedule, VarianceExploding},
    spacing::{
        Exponential, Importance, Independent, Karras, Leading, Levels, Linspace, LossHistory, Quadratic, Spacing,
        Steps, TimestepList, Uniform,
    },
    train::{Checkpoint, Train},
};

/// A loss of 1 early and of 10 in the last tenth.
fn loss(t: f64) -> f64 {
    if t > 0.9 { 10.0 } else { 1.0 }
}

fn learned(times: &Importance<Uniform>, rng: &Rng) -> LossHistory {
    let mut history = times.loss_history();
    for step in 0..40 {
        let drawn = times.sample_weighted(64, &mut rng.at_step(step), &history);
        let losses: Vec<f64> = drawn.times.iter().map(|t| loss(*t)).collect();
        history.record(&drawn.strata, &losses);
    }
    history
}

#[test]
fn importance_times_leave_the_mean_and_lessen_the_spread() {
    let base = Uniform { from: 0.0 };
    let times = Importance { strata: 20, keep: 5, ..Importance::of(base) };
    let history = learned(&times, &Rng::new(1));
    let p = times.probabilities(&history);
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // 18 strata of loss 1 and two of 10: 20 of 38 parts of the draws are in the last two.
    assert!((p[19] - (0.999 * 10.0 / 38.0 + 0.001 / 20.0)).abs() < 1e-12, "{p:?}");

    // One row at a time, so that strata of the draw itself lessen no spread.
    let (n, rng) = (40_000, Rng::new(2));
    let moments = |weighted: bool| {
        let one = |i: u64| {
            let mut rng = rng.at_step(i);
            if !weighted {
                return loss(base.sample(1, &mut rng)[0]);
            }
            let drawn = times.sample_weighted(1, &mut rng, &history);
            drawn.weights.unwrap()[0] * loss(drawn.times[0])
        };
        let all: Vec<f64> = (0..n).map(one).collect();
        let mean = all.iter().sum::<f64>() / n as f64;
        (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
    };
    let ((plain, plain_spread), (weighted, spread)) = (moments(false), moments(true));
    // E[L] is 0.9 + 1, and its spread 0.9 · 0.1 · 81; the weighted loss is all but constant.
    assert!((plain - 1.9).abs() < 0.07 && (plain_spread - 7.29).abs() < 0.3, "{plain} {plain_spread}");
    assert!((weighted - 1.9).abs() < 0.01 && spread < 0.05, "{weighted} {spread}");
}

#[test]
fn timesteps_are_sampled_alike_until_every_stratum_is_known() {
    let times = Importance { strata: 4, keep: 2, floor: 0.5, ..Importance::of(Steps(4)) };
    let mut history = times.loss_history();
    history.record(&[0, 1, 2, 3, 0, 1, 2], &[9.0; 7]);
    assert_eq!(times.probabilities(&history), [0.25; 4]);
    history.record(&[3], &[1.0]);
    let p = times.probabilities(&history);
    assert!(p[0] == p[1] && p[3] < p[0] && p[3] > 0.125, "{p:?}");
    // The oldest is forgotten.
    history.record(&[3, 3], &[9.0, 9.0]);
    assert!(times.probabilities(&history).iter().all(|p| (p - 0.25).abs() < 1e-12));
    // Losses of nothing: alike again.
    history.record(&[0, 0, 1, 1, 2, 2, 3, 3], &[0.0; 8]);
    assert_eq!(times.probabilities(&history), [0.25; 4]);
    for broken in
        [Importance { strata: 0, ..times }, Importance { keep: 0, ..times }, Importance { floor: 0.0, ..times }]
    {
        assert!(broken.check().is_err(), "{broken:?}");
    }
}

fn model() -> Model<2, impl Net<2, Condition = Conditions>> {
    let net = MlpConfig::new(2)
        .with_hidden([16])
        .with_num_classes(2)
        .init(&Rng::new(1), &burn::tensor::Device::flex())
        .unwrap();
    Model::new(Gaussian::new(FlowMatching {}).with_prediction(Prediction::Velocity), net).unwrap()
}

#[test]
fn a_run_with_importance_times_resumes_to_the_last_bit() {
    let values = Rng::new(9).normals(40, 2).into_iter().map(|x| x as f32).collect();
    let data = Samples::new(values, [40, 2]).with_labels((0..40).map(|i| i % 2).collect());
    let settings = Train { steps: 30, batch: 12, accumulate: 2, ..Train::default() };
    let times = || std::sync::Arc::new(Importance { strata: 5, keep: 3, ..Importance::of(Uniform::default()) });
    let trainer = || model().train(&data, Simple {}, settings.clone()).unwrap().with_times(times());
    let mut whole = trainer();
    let steps: Vec<_> = whole.by_ref().map(Result::unwrap).collect();

    let mut first = trainer();
    first.by_ref().take(17).for_each(|step| assert!(step.is_ok()));
    let path = std::env::temp_dir().join(format!("tweedie-importance-{}.safetensors", std::process::id()));
    first.checkpoint().save(&path, &[]).unwrap();
    let (checkpoint, _) = Checkpoint::load(&path, &burn::tensor::Device::flex()).unwrap();
    assert!(
        checkpoint.losses.len() == 15 && checkpoint.losses.iter().all(|loss| *loss > 0.0),
        "{:?}",
        checkpoint.losses
    );
    let rest: Vec<_> = trainer().restore(checkpoint.clone()).unwrap().map(Result::unwrap).collect();
    assert_eq!(rest[..], steps[17..]);
    // The losses matter, and times without a memory do not take them.
    let forgotten = Checkpoint { losses: vec![1.0; 15], ..checkpoint.clone() };
    let other: Vec<_> = trainer().restore(forgotten).unwrap().map(Result::unwrap).collect();
    assert_ne!(other[..], steps[17..]);
    let error = model().train(&data, Simple {}, settings.clone()).unwrap().restore(checkpoint).unwrap_err().to_string();
    assert!(error.contains("15") && error.contains("times"), "{error}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_weighted_gradient_is_without_bias() {
    // The score of little noise is large: a net that says 0 loses 1/σ², 25 at t = 0 and ¼ at t = 1.
    let values = Rng::new(9).normals(64, 2).into_iter().map(|x| x as f32).collect();
    let data = Samples::new(values, [64, 2]);
    let mean = |times: Option<std::sync::Arc<dyn Spacing>>| {
        // A rate of next to nothing: the same net at all steps.
        let settings = Train { steps: 300, batch: 64, lr: 1e-30, cond_dropout: 0.0, ..Train::default() };
        let net = MlpConfig::new(2).with_hidden([16]).init(&Rng::new(1), &burn::tensor::Device::flex()).unwrap();
        let noise =
            Gaussian::new(VarianceExploding { sigma_min: 0.2, sigma_max: 2.0 }).with_prediction(Prediction::Score);
        let trainer = Model::new(noise, net).unwrap().train(&data, Simple {}, settings).unwrap();
        let trainer = match times {
            Some(times) => trainer.with_times(times),
            None => trainer,
        };
        trainer.map(|step| step.unwrap().loss).sum::<f64>() / 300.0
    };
    let importance = Importance { strata: 10, keep: 4, ..Importance::of(Uniform::default()) };
    let (even, weighted) = (mean(None), mean(Some(std::sync::Arc::new(importance))));
    assert!((even - weighted).abs() < 0.05 * even, "{even} {weighted}");
}

#[test]
fn levels_that_a_schedule_does_not_reach_are_left_out() {
    // A table of ten steps ends at σ/α = 4: Karras' levels begin there, and the ρ-th roots are even below.
    let schedule = Linear::new(10);
    let end = schedule.at(1.0);
    let most = end.sigma / end.alpha;
    assert!(most < 80.0);
    let grid = Karras::default().on(schedule.clone()).grid(8);
    let own = Karras { max: most, ..Karras::default() }.on(schedule).grid(8);
    assert_eq!(grid.len(), 9);
    assert!(grid.iter().zip(own).all(|(a, b)| (a - b).abs() < 1e-9), "{grid:?}");
    assert!((grid[0] - 1.0).abs() < 1e-9 && grid.windows(2).all(|pair| pair[0] > pair[1]), "{grid:?}");
    // A schedule that begins at the smallest level ends there, after as many steps.
    let grid = Karras::default().on(Edm::default()).grid(5);
    assert!(grid.len() == 6 && grid[0] > 1.0 - 1e-9 && grid[5] == 0.0, "{grid:?}");
    assert!(
        Exponential { min: 100.0, max: 200.0 }
            .on(Edm::default())
            .check()
            .unwrap_err()
            .to_string()
            .contains("are outside of the schedule's")
    );
    let listed = TimestepList::levels(&[1.0, 4.0, 0.25], &FlowMatching {}).unwrap().grid(3);
    assert!(listed.iter().zip([0.8, 0.5, 0.2, 0.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{listed:?}");
    assert!(TimestepList::levels(&[-1.0], &FlowMatching {}).is_err());
}

#[test]
fn independent_times_are_no_grid() {
    let mut times = Independent(Uniform { from: 0.0 }).sample(1000, &mut Rng::new(3));
    times.sort_by(f64::total_cmp);
    let far = times.iter().enumerate().map(|(i, t)| (t - (i as f64 + 0.5) / 1000.0).abs()).fold(0.0, f64::max);
    // Kolmogorov's distance of 1000 draws: 0.02 to 0.06; of a grid it is 0.0005.
    assert!((0.01..0.062).contains(&far), "{far}");
    // All others are stratified: one time in each part.
    let mut times = Uniform { from: 0.0 }.sample(1000, &mut Rng::new(3));
    times.sort_by(f64::total_cmp);
    assert!(times.iter().enumerate().all(|(i, t)| (t * 1000.0) as usize == i), "{times:?}");
    assert!(laws::spacing(&Uniform::default()).iter().all(laws::Check::holds));
}

/// A trajectory that begins below t = 1 begins with the noise of its first time.
#[test]
fn a_trajectory_begins_with_the_noise_of_its_first_time() {
    let model = laws::problem(VarianceExploding { sigma_min: 0.01, sigma_max: 50.0 });
    for first in [1.0, 0.6] {
        let sampler = Ddim::default();
        let start = trajectory(&model, &sampler, vec![first, 0.0], [20_000, 2], &Rng::new(0), &Device::flex());
        let z: Vec<f64> = start.unwrap().next().unwrap().1.try_into_vec_as().unwrap();
        let std = (z.iter().map(|z| z * z).sum::<f64>() / z.len() as f64).sqrt();
        let sigma = 0.01 * 5000.0_f64.powf(first);
        assert!((std / sigma - 1.0).abs() < 0.02, "{std} for {sigma} at {first}");
    }
}

/// Of no steps there is one timestep, the last; not a division by zero.
#[test]
fn a_grid_of_no_steps_is_empty_of_steps() {
    let spacings: [Box<dyn Spacing>; 6] = [
        Box::new(Uniform::default()),
        Box::new(Steps(10)),
        Box::new(Leading::default()),
        Box::new(Linspace::default()),
        Box::new(Quadratic {}),
        Box::new(Karras::default().on(FlowMatching {})),
    ];
    for spacing in spacings {
        assert_eq!(spacing.grid(0), [0.0], "{spacing:?}");
    }
}
