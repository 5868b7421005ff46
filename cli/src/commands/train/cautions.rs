//! Settings that are allowed but rarely intended, each reported in one sentence before the first step.
use crate::messages::{count, grouped};
use crate::recipe::sections::RunSettings;
use tweedie::train::Train;

/// A sentence for each.
pub(super) fn of(train: &Train, run: &RunSettings, samples: usize) -> Vec<String> {
    let Train { steps, batch, accumulate, shards, lr, warmup, .. } = *train;
    let mut cautions = vec![];
    if warmup > steps {
        let last = train.lr_at(steps - 1);
        cautions.push(format!(
            "`train.warmup` is {warmup} steps and the run has {steps}: the learning rate rises to {last:.1e} and never \
             reaches `train.lr` = {lr}"
        ));
    }
    if batch > samples {
        let times = batch as f64 / samples as f64;
        cautions.push(format!(
            "`train.batch` is {} and there are {}: each step takes every one of them about {times:.1} times",
            grouped(batch),
            count(samples, "training sample"),
        ));
    }
    let part = batch / accumulate;
    if shards > part {
        cautions.push(format!(
            "`train.shards` is {shards} and a part of the batch has {}: {} left empty",
            count(part, "sample"),
            if shards == part + 1 { "1 shard is".into() } else { format!("{} shards are", shards - part) },
        ));
    }
    if run.checkpoint_every == 0 {
        cautions.push(
            "`run.checkpoint_every` is 0: the only checkpoint is that of the last step, and a run that is killed before it \
             starts over (Ctrl-C saves one)"
                .into(),
        );
    }
    cautions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_reported_with_its_numbers_and_nothing_else_is() {
        let (train, run) = (Train::default(), RunSettings::default());
        assert!(of(&train, &run, 64).is_empty());
        let reported = |train: Train| of(&train, &run, 50).join("\n");
        let short = Train { steps: 50, batch: 50, ..train.clone() };
        assert_eq!(
            reported(short.clone()),
            "`train.warmup` is 100 steps and the run has 50: the learning rate rises to 5.0e-4 and never reaches \
             `train.lr` = 0.001"
        );
        assert_eq!(reported(Train { warmup: 50, ..short }), "");
        assert_eq!(
            reported(Train { batch: 5000, ..train.clone() }),
            "`train.batch` is 5,000 and there are 50 training samples: each step takes every one of them about 100.0 times"
        );
        assert_eq!(
            of(&Train { batch: 63, shards: 64, ..train.clone() }, &run, 100),
            ["`train.shards` is 64 and a part of the batch has 63 samples: 1 shard is left empty"]
        );
        let run = RunSettings { checkpoint_every: 0, ..run };
        assert!(of(&train, &run, 64)[0].starts_with("`run.checkpoint_every` is 0: "));
    }
}
