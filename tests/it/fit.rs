//! Parts that do not fit each other are refused before the first step, with a remedy.
use crate::common::{device, normal};
use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use tweedie::{
    Error, Result, Rng,
    data::{Data, Samples},
    likelihood,
    loss::{Batch, CrossEntropy, Loss, Objective, Simple, Vlb, per_sample},
    model::Model,
    net::{Conditions, DitConfig, Layer, MlpConfig, Net, PixelsConfig, TransformerConfig, UNetConfig},
    noise::{Discrete, Gaussian, Noise, Variance},
    sample::{Analytic, Ancestral, Blocks, Ddim, trajectory, trajectory_from},
    schedule::{Cosine, FlowMatching},
    train::Train,
    transform::{OneHot, Patches, Transform},
};

fn gaussian() -> Gaussian {
    Gaussian::new(Cosine::new(100))
}
fn learned() -> Gaussian {
    gaussian().with_variance(Variance::Learned)
}
fn absorbing(k: usize) -> Discrete {
    Discrete::absorbing(FlowMatching {}, k, k - 1)
}
fn settings() -> Train {
    Train { steps: 2, batch: 4, warmup: 0, ..Train::default() }
}
/// Twelve samples of a shape, all numbers below 3.
fn samples<const D: usize>(shape: [usize; D]) -> Samples<D> {
    let mut all = shape;
    all[0] = 12;
    Samples::new((0..all.iter().product()).map(|i| (i % 3) as f32).collect(), all)
}
fn labels() -> Vec<u32> {
    (0..12).map(|i| if i == 11 { 5 } else { i % 3 }).collect()
}
fn initial<N>(init: impl Fn(&Rng, &Device) -> Result<N>) -> N {
    init(&Rng::new(1), &device()).unwrap()
}

/// The error of training, which is also that of sampling data of this shape with these classes, if the classes are given.
#[track_caller]
fn refused<const D: usize, N: Net<D, Condition = Conditions>>(
    net: N,
    noise: impl Noise<D> + 'static,
    data: &Samples<D>,
    objective: impl Into<Objective<D>>,
) -> Error {
    let (_, y) = Data::<Tensor<D>, Conditions>::batch(data, &[0, 11], &Rng::new(0), &device());
    let (x, _) = Data::<Tensor<D>, Conditions>::batch(data, &[0, 11], &Rng::new(0), &device());
    let model = Model::new(noise, net).unwrap();
    let sampled = model.sample(&Ancestral {}, 3, x.dims(), &y, &Rng::new(0)).map(|_| ());
    let error = model.train(data, objective, settings()).map(|_| ()).expect_err("refused");
    assert_eq!(sampled.expect_err("refused").to_string(), error.to_string());
    assert!(error.remedy().is_some(), "{error}");
    error
}
fn said(error: &Error, field: &str, part: &str) {
    assert_eq!(error.field(), Some(field), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn data_of_another_shape_than_the_nets_are_refused() {
    let (one, three) = (samples([0, 1, 8, 8]), samples([0, 3, 8, 8]));
    let unet = |channels| initial(|rng, device| UNetConfig::new(channels, [8]).with_blocks(1).init(rng, device));
    said(&refused(unet(1), gaussian(), &three, Simple {}), "in_channels", "must be 3, the channels of the data, got 1");
    said(&refused(unet(3), gaussian(), &one, Simple {}), "in_channels", "must be 1, the channels of the data, got 3");
    let dit = |channels| initial(|rng, device| DitConfig::new(channels).with_width(16).with_depth(1).init(rng, device));
    said(&refused(dit(1), gaussian(), &three, Simple {}), "in_channels", "must be 3, the channels of the data, got 1");
    let mlp = initial(|rng, device| MlpConfig::new(2).with_hidden([8]).init(rng, device));
    said(
        &refused(mlp, gaussian(), &samples([0, 3]), Simple {}),
        "features",
        "must be 3, the values of the data, got 2",
    );
    let config = TransformerConfig::continuous(4, 6).with_width(16).with_depth(1);
    let transformer = || initial(|rng, device| config.init(rng, device));
    said(&refused(transformer(), gaussian(), &samples([0, 7, 4]), Simple {}), "length", "must be at least 7");
    said(
        &refused(transformer(), gaussian(), &samples([0, 6, 5]), Simple {}),
        "in_channels",
        "must be 5, the values per token",
    );
    let config = TransformerConfig::new(4, 6).with_width(16).with_depth(1);
    let words = || initial(|rng, device| config.init(rng, device));
    said(&refused(words(), absorbing(4), &samples([0, 9, 1]), Vlb::new(10)), "length", "must be at least 9");
    said(&refused(words(), absorbing(5), &samples([0, 6, 5]), Vlb::new(10)), "vocabulary", "must be 5");
    let unet = UNetConfig::new(1, [8]).with_blocks(1);
    let pixels = initial(|rng, device| PixelsConfig::new([1, 4, 4], 4, unet.clone()).init(rng, device));
    said(&refused(pixels, absorbing(4), &samples([0, 25, 1]), Vlb::new(10)), "size", "must have a product of 25");
}

#[test]
fn classes_without_an_embedding_are_refused_wherever_they_are_in_the_data() {
    for (num_classes, part) in [(0, "an unconditional net"), (3, "class 5 was given to a net of 3 classes (0 to 2)")] {
        let labelled = |error: Error| said(&error, "num_classes", part);
        let images = samples([0, 1, 6, 6]).with_labels(labels());
        let config = UNetConfig::new(1, [8]).with_blocks(1).with_num_classes(num_classes);
        labelled(refused(initial(|rng, device| config.init(rng, device)), gaussian(), &images, Simple {}));
        let config = DitConfig::new(1).with_width(16).with_depth(1).with_num_classes(num_classes);
        labelled(refused(initial(|rng, device| config.init(rng, device)), gaussian(), &images, Simple {}));
        let config = MlpConfig::new(2).with_hidden([8]).with_num_classes(num_classes);
        let points = samples([0, 2]).with_labels(labels());
        labelled(refused(initial(|rng, device| config.init(rng, device)), gaussian(), &points, Simple {}));
        let config = TransformerConfig::new(4, 6).with_width(16).with_depth(1).with_num_classes(num_classes);
        let text = samples([0, 6, 1]).with_labels(labels());
        labelled(refused(initial(|rng, device| config.init(rng, device)), absorbing(4), &text, Vlb::new(10)));
        let inside = UNetConfig::new(1, [8]).with_blocks(1).with_num_classes(num_classes);
        let levels = samples([0, 16, 1]).with_labels(labels());
        let config = PixelsConfig::new([1, 4, 4], 4, inside);
        labelled(refused(initial(|rng, device| config.init(rng, device)), absorbing(4), &levels, Vlb::new(10)));
    }
}

#[test]
fn an_output_of_another_shape_than_the_noise_reads_is_refused() {
    let images = samples([0, 1, 6, 6]);
    let unet = |outputs| {
        let config = UNetConfig::new(1, [8]).with_blocks(1).with_outputs(outputs);
        initial(|rng, device| config.init(rng, device))
    };
    let narrow = "must be 2, because the noise has a learned variance, got 1";
    said(&refused(unet(1), learned(), &images, Simple {}), "outputs", narrow);
    let dit = initial(|rng, device| DitConfig::new(1).with_width(16).with_depth(1).init(rng, device));
    said(&refused(dit, learned(), &images, Simple {}), "outputs", narrow);
    let mlp = initial(|rng, device| MlpConfig::new(2).with_hidden([8]).init(rng, device));
    said(&refused(mlp, learned(), &samples([0, 2]), Simple {}), "outputs", narrow);
    let config = TransformerConfig::continuous(4, 6).with_width(16).with_depth(1);
    let transformer = initial(|rng, device| config.init(rng, device));
    said(&refused(transformer, learned(), &samples([0, 6, 4]), Simple {}), "outputs", narrow);
    let wide = refused(unet(2), gaussian(), &images, Simple {}).to_string();
    assert!(wide.contains("an output of shape [2, 6, 6] for data of shape [1, 6, 6]"), "{wide}");
    // Categories: of the net, of the noise, and in the data.
    let config = TransformerConfig::new(4, 6).with_width(16).with_depth(1);
    let words = || initial(|rng, device| config.init(rng, device));
    let error = refused(words(), absorbing(5), &samples([0, 6, 1]), Vlb::new(10)).to_string();
    assert!(error.contains("an output of shape [6, 4]") && error.contains("the noise reads [6, 5]"), "{error}");
    let error = refused(words(), absorbing(4), &samples([0, 6, 3]), Vlb::new(10)).to_string();
    assert!(error.contains("3 values along the last axis were given to a noise of 4 categories"), "{error}");
    let model = Model::new(absorbing(4), words()).unwrap();
    let letters = Samples::new(vec![7.0; 72], [12, 6, 1]);
    let error = model.train(&letters, Vlb::new(10), settings()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the value 7, which is not the index of one of 4 categories"), "{error}");
    assert!(error.remedy().is_some());
}

/// A net of a user, which declares nothing.
#[derive(Module, Debug)]
struct Own {
    weight: Param<Tensor<2>>,
}
impl Own {
    fn new(inputs: usize, outputs: usize) -> Self {
        Self { weight: Param::from_tensor(normal("own", [inputs, outputs])) }
    }
}
impl Net<2> for Own {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, _: Tensor<1>, _: &Conditions) -> Tensor<2> {
        z.matmul(self.weight.val())
    }
}
/// A layer that only maps three values.
#[derive(Module, Debug)]
struct Third {}
impl Layer<2> for Third {
    fn apply(&self, output: Tensor<2>) -> Tensor<2> {
        output.narrow(1, 2, 1)
    }
}

#[test]
fn a_net_of_ones_own_is_tried_on_one_row() {
    let points = samples([0, 3]);
    let error = refused(Own::new(2, 2), gaussian(), &points, Simple {});
    assert!(error.to_string().starts_with("the network cannot compute an output for data of shape [3]"), "{error}");
    let error = refused(Own::new(3, 2), gaussian(), &points, Simple {}).to_string();
    assert!(error.contains("an output of shape [2] for data of shape [3], and the noise reads [3]"), "{error}");
    said(&refused(Own::new(3, 3), learned(), &points, Simple {}), "outputs", "must be 2");
    let error = refused(Own::new(3, 3).then(Third {}), gaussian(), &points, Simple {}).to_string();
    assert!(error.contains("an output of shape [1] for data of shape [3]"), "{error}");
    let error = refused(Own::new(3, 2).then(Third {}), gaussian(), &points, Simple {}).to_string();
    assert!(error.contains("cannot be applied to outputs of shape [2]"), "{error}");
    assert!(Model::new(gaussian(), Own::new(3, 3)).unwrap().train(&points, Simple {}, settings()).is_ok());
    let frozen = Own::new(3, 3).no_grad();
    let error = Model::new(gaussian(), frozen).unwrap().train(&points, Simple {}, settings()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("no parameter to train"), "{error}");
}

#[test]
fn a_loss_without_one_number_per_row_and_a_transform_of_other_data_are_refused() {
    #[derive(Debug)]
    struct Whole;
    impl Loss<2> for Whole {
        fn compute(&self, batch: &Batch<2>) -> Tensor<1> {
            per_sample(batch.prediction() - batch.target()).mean()
        }
    }
    let points = samples([0, 3]);
    let model = || Model::new(gaussian(), Own::new(3, 3)).unwrap();
    let error = model().train(&points, Whole, settings()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the loss Whole gives [1] numbers for 2 rows"), "{error}");
    // Images of 7×7 pixels in patches of 2×2.
    let config = TransformerConfig::continuous(4, 9).with_width(16).with_depth(1);
    let patches = Patches { side: 2, size: [7, 7] };
    let model =
        Model::new(gaussian(), initial(|rng, device| config.init(rng, device))).unwrap().with_transform(patches);
    let error = model.train(&samples([0, 1, 7, 7]), Simple {}, settings()).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("cannot be cut into patches of 2×2"), "{error}");
}

/// Data that do not know their labels before they are read.
struct Stream;
impl Data<Tensor<2>, Conditions> for Stream {
    fn len(&self) -> usize {
        12
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<2>, Conditions) {
        let label = |row: &usize| if *row == 7 { 9 } else { 0 };
        (Tensor::ones([rows.len(), 2], device), rows.iter().map(label).collect::<Vec<_>>().into())
    }
}

#[test]
fn a_class_that_is_found_in_a_later_batch_stops_the_run_without_a_change() {
    let config = MlpConfig::new(2).with_hidden([8]).with_num_classes(3);
    let model = Model::new(gaussian(), initial(|rng, device| config.init(rng, device))).unwrap();
    let mut trainer = model.train(&Stream, Simple {}, Train { steps: 9, ..settings() }).unwrap();
    let bits = |checkpoint: tweedie::train::Checkpoint| -> Vec<u32> {
        checkpoint.weights.to_host().into_iter().flat_map(|(.., values)| values).map(f32::to_bits).collect()
    };
    let mut before = bits(trainer.checkpoint());
    let error = loop {
        match trainer.next().expect("a batch with the class") {
            Ok(_) => before = bits(trainer.checkpoint()),
            Err(error) => break error,
        }
    };
    said(&error, "num_classes", "class 9 was given to a net of 3 classes");
    assert_eq!(before, bits(trainer.checkpoint()));
}

#[test]
fn a_trajectory_and_a_bound_of_another_shape_or_class_are_refused() {
    let config = MlpConfig::new(2).with_hidden([8]).with_num_classes(3);
    let model = Model::<2, _>::new(gaussian(), initial(|rng, device| config.init(rng, device))).unwrap();
    let rng = Rng::new(0);
    let known = Conditions::classes([0, 1]);
    for (shape, y, part) in [
        ([2, 3], known.clone(), "`features` must be 3"),
        ([2, 2], Conditions::classes([0, 3]), "class 3 was given to a net of 3 classes"),
        ([3, 2], known.clone(), "2 classes were given for a batch of 3"),
    ] {
        let (one, two) = (model.conditioned(&y), model.guided(&y, 3.0));
        let clamped = tweedie::denoise::Clamped { model: model.conditioned(&y), low: -1.0, high: 1.0 };
        for denoiser in [&*one, &*two, &clamped] {
            let error = trajectory(denoiser, &Ddim { eta: 0.0 }, model.grid(3), shape, &rng, &device()).err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
            let z = Tensor::zeros(shape, &device());
            let error = trajectory_from(denoiser, &Ddim { eta: 0.0 }, model.grid(3), z.clone(), &rng).err().unwrap();
            assert!(error.to_string().contains(part), "{error}");
            let error = likelihood::bound(denoiser, &Vlb::new(0), z, 1, &rng).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert!(model.sample(&Ddim { eta: 0.0 }, 3, [2, 2], &known, &rng).is_ok());
}

/// A sampler that gives the net a window of the sequence at a time may sample longer ones than the net reads.
#[test]
fn a_sequence_longer_than_the_net_is_sampled_by_windows() {
    let config = TransformerConfig::new(4, 6).with_width(16).with_depth(1);
    let model = Model::new(absorbing(4), initial(|rng, device| config.init(rng, device))).unwrap();
    let sample = |window: usize| {
        let sampler = Blocks { sampler: Analytic {}, block: 3, window: Some(window) };
        model.sample(&sampler, 5, [2, 15, 1], &Conditions::none(), &Rng::new(0))
    };
    assert_eq!(sample(6).unwrap().dims(), [2, 15, 1]);
    said(&sample(7).unwrap_err(), "length", "must be at least 7");
    assert!(model.sample(&Analytic {}, 5, [2, 15, 1], &Conditions::none(), &Rng::new(0)).is_err());
}

/// One-hot vectors and category indices are both data of the same noise.
#[test]
fn one_hot_data_fit() {
    let config = TransformerConfig::new(4, 6).with_width(16).with_depth(1);
    let net = initial(|rng, device| config.init(rng, device));
    let letters = Tensor::<2>::ones([12, 6], &device()).int();
    let hot: Tensor<3> = OneHot { k: 4 }.encode(letters);
    let data = Samples::new(hot.try_into_vec_as().unwrap(), [12, 6, 4]);
    let model = Model::new(absorbing(4), net).unwrap();
    assert!(model.train(&data, CrossEntropy {}, settings()).is_ok());
}
