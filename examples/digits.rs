//! Trains a small UNet on handwritten digits and writes ten samples of each class to `digits.png`.
use tweedie::prelude::*;
use tweedie_data::{Digits, Source, Split, picture};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let digits = Digits::default().load(Split::Train)?;
    let rows: Vec<usize> = (0..digits.len()).collect();
    let data =
        Samples::new(digits.to_unit(&rows, None), [rows.len(), 1, 8, 8]).with_labels(digits.labels.clone().unwrap());
    let net = UNetConfig::new(1, [32, 64]).with_num_classes(10).init(&Rng::new(0), &Device::flex())?;
    let model = Model::new(Gaussian::new(Cosine::new(1000)), net)?.with_range(-1.0, 1.0);
    let steps = std::env::args().nth(1).map_or(Ok(600), |n| n.parse())?;
    let mut trainer = model.train(&data, Simple {}, Train { steps, lr: 2e-3, ema_decay: 0.99, ..Train::default() })?;
    while let Some(step) = trainer.next().transpose()? {
        println!("{:4}  {:.4}", step.step, step.loss);
    }
    let classes = Conditions::classes((0..100).map(|i| i / 10));
    let images = trainer.model().sample(&Ddim::default(), 50, [100, 1, 8, 8], &classes, &Rng::new(7))?;
    let grid = picture::grid(&images.try_into_vec_as::<f32>().unwrap(), [100, 1, 8, 8], &picture::Layout::default())?;
    Ok(picture::save(&grid, "digits.png")?)
}
