//! What U-Nets need of memory.
use super::{Count, Footprint, condition_tokens, scores};
use crate::net::{Edm2Config, PixelsConfig, Resampling, Task, UNetConfig, embed::extra_channels};

impl UNetConfig {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let config = self.clone().fit(task);
        match &task.image {
            Some([_, sizes @ ..]) => config.count(sizes),
            None => config.count(task.shape.get(1..).unwrap_or_default()),
        }
    }

    /// For data of these spatial sizes.
    fn count(&self, sizes: &[usize]) -> Footprint {
        let taps = 3f64.powi(sizes.len() as i32);
        let Self { outputs, num_classes, time_features, .. } = *self;
        // Of more than these no machine could hold the parameters.
        let blocks = self.blocks.min(100_000);
        if self.channels.is_empty() {
            return Footprint::default();
        }
        let widths: Vec<f64> = self.channels.iter().map(|n| *n as f64).collect();
        let (data, last) = (self.in_channels as f64, widths.len() - 1);
        let halved = |n: usize, level: usize| (0..level).fold(n, |n, _| n.div_ceil(2)) as f64;
        let pixels = |level: usize| sizes.iter().map(|size| halved(*size, level)).product::<f64>();
        let dropped = if self.dropout > 0.0 { 2.0 } else { 0.0 };
        let mut all = Count::default();
        let cond = 4.0 * widths[0];
        all.time_and_class(time_features, num_classes, cond);
        all.conditions(&self.conditions, cond, cond);
        let (extra, tokens) = (extra_channels(&self.conditions) as f64, condition_tokens(&self.conditions));
        let heads = |c: f64| (c / self.head_channels.max(1) as f64).floor().max(1.0);
        let cross = |all: &mut Count, c: f64, pixels: f64| {
            if tokens > 0.0 {
                all.parameters += 2.0 * c;
                all.part(c * pixels + 2.0 * c * tokens, |all| {
                    all.outputs(2.0 * c * pixels, 0.0);
                    all.cross(c, cond, heads(c), pixels, tokens);
                });
            }
        };
        let block = |all: &mut Count, from: f64, to: f64, pixels: f64| {
            all.parameters += 2.0 * from + 2.0 * to;
            all.conv(from, to, taps);
            all.linear(cond, if self.scale_shift { 2.0 * to } else { to });
            all.conv(to, to, taps);
            if from != to {
                all.conv(from, to, 1.0);
            }
            let added = if self.scale_shift { 0.0 } else { to };
            let outputs = pixels * (from + (3.0 + dropped) * to + added);
            all.part(pixels * to, |all| all.outputs(outputs, pixels * (2.0 * from + 3.0 * to)));
        };
        let resize = |all: &mut Count, c: f64, from: f64, to: f64| match self.resampling {
            Resampling::Convolution => {
                all.conv(c, c, taps);
                let wide = c * to + if to > from { c * to } else { 0.0 };
                all.outputs(wide, wide);
            }
            Resampling::Residual => {
                // The norm at one resolution, the rest at the other, and both branches resized.
                block(all, c, c, to);
                all.outputs(c * (from + to), c * (from + to));
            }
        };
        let attend = |all: &mut Count, c: f64, pixels: f64| {
            all.parameters += 2.0 * c;
            all.conv(c, 3.0 * c, 1.0);
            all.conv(c, c, 1.0);
            let own = 6.0 * c * pixels + scores(false, heads(c), pixels);
            all.part(c * pixels, |all| all.outputs(own, own));
        };
        all.conv(data + extra, widths[0], taps);
        all.outputs((widths[0] + extra) * pixels(0), 0.0);
        let mut skips = vec![(widths[0], 0)];
        let mut from = widths[0];
        for (level, &to) in widths.iter().enumerate() {
            for _ in 0..blocks {
                block(&mut all, from, to, pixels(level));
                from = to;
                if self.attention.contains(&level) {
                    attend(&mut all, to, pixels(level));
                }
                if self.cross_attention.contains(&level) {
                    cross(&mut all, to, pixels(level));
                }
                skips.push((to, level));
            }
            from = to;
            if level < last {
                resize(&mut all, to, pixels(level), pixels(level + 1));
                skips.push((to, level + 1));
            }
        }
        all.kept = skips.iter().map(|(c, level)| c * pixels(*level)).sum();
        block(&mut all, from, from, pixels(last));
        attend(&mut all, from, pixels(last));
        cross(&mut all, from, pixels(last));
        block(&mut all, from, from, pixels(last));
        for (level, &to) in widths.iter().enumerate().rev() {
            for _ in 0..=blocks {
                let wide = from + skips.pop().map_or(0.0, |(c, _)| c);
                all.outputs(wide * pixels(level), 0.0);
                block(&mut all, wide, to, pixels(level));
                from = to;
                if self.attention.contains(&level) {
                    attend(&mut all, to, pixels(level));
                }
                if self.cross_attention.contains(&level) {
                    cross(&mut all, to, pixels(level));
                }
            }
            if level > 0 {
                resize(&mut all, to, pixels(level), pixels(level - 1));
            }
        }
        all.parameters += 2.0 * from;
        all.conv(from, outputs as f64 * data, taps);
        let end = (from + outputs as f64 * data) * pixels(0);
        all.outputs(end, end);
        all.done()
    }
}

impl PixelsConfig {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let (Some([channels, height, width]), Some(categories)) = (task.image, task.categories) else {
            return Footprint::default();
        };
        let task = Task { shape: &[channels, height, width], outputs: categories, ..*task };
        let inside = self.unet.clone().fit(&task).count(&[height, width]);
        // The image that is read, and the logits in their order.
        let more = (channels * height * width * (categories + 1)) as f64;
        Footprint {
            training: inside.training + more,
            checkpointed: inside.checkpointed + more,
            inference: inside.inference + more,
            ..inside
        }
    }
}

impl Edm2Config {
    /// Counts the numbers that the net holds in memory, for data of this task.
    pub fn footprint(&self, task: &Task<'_>) -> Footprint {
        let config = self.clone().fit(task);
        let (Some(first), sizes) =
            (config.channels.first().map(|c| *c as f64), task.shape.get(1..).unwrap_or_default())
        else {
            return Footprint::default();
        };
        let (blocks, last) = (config.blocks.min(100_000), config.channels.len() - 1);
        let (cond, data) = (config.cond_width() as f64, config.in_channels as f64);
        let halved = |n: usize, level: usize| (0..level).fold(n, |n, _| n.div_ceil(2)) as f64;
        let pixels = |level: usize| sizes.iter().map(|size| halved(*size, level)).product::<f64>();
        let mut all = Count { parameters: 1.0 + first * cond + config.num_classes as f64 * cond, ..Count::default() };
        all.conditions(&config.conditions, cond, 0.0);
        let dropped = if config.dropout > 0.0 { 2.0 } else { 0.0 };
        let block = |all: &mut Count, from: f64, to: f64, encodes: bool, attends: bool, pixels: f64| {
            let inside = if encodes { to } else { from };
            all.parameters += 1.0 + cond * to + 9.0 * (inside * to + to * to);
            all.parameters += if from == to { 0.0 } else { from * to };
            let heads = (to / config.head_channels.max(1) as f64).floor().max(1.0);
            let attention = if attends { 13.0 * to * pixels + scores(false, heads, pixels) } else { 0.0 };
            all.parameters += if attends { 4.0 * to * to } else { 0.0 };
            let own = pixels * (from + 4.0 * inside + (9.0 + dropped) * to) + attention;
            all.part(pixels * to, |all| all.outputs(own, pixels * (2.0 * from + 4.0 * to) + attention));
        };
        let read = data + 1.0;
        all.parameters += 9.0 * read * first;
        all.outputs((read + first) * pixels(0), 0.0);
        let (mut from, mut skips) = (first, vec![(first, 0)]);
        for (level, to) in config.channels.iter().map(|c| *c as f64).enumerate() {
            if level > 0 {
                block(&mut all, from, from, true, false, pixels(level));
                skips.push((from, level));
            }
            for _ in 0..blocks {
                block(&mut all, from, to, true, config.attention.contains(&level), pixels(level));
                from = to;
                skips.push((to, level));
            }
        }
        all.kept = skips.iter().map(|(c, level)| c * pixels(*level)).sum();
        block(&mut all, from, from, false, true, pixels(last));
        block(&mut all, from, from, false, false, pixels(last));
        for (level, to) in config.channels.iter().map(|c| *c as f64).enumerate().rev() {
            if level < last {
                block(&mut all, from, from, false, false, pixels(level));
            }
            for _ in 0..=blocks {
                let wide = from + skips.pop().map_or(0.0, |(c, _)| c);
                all.outputs(2.0 * wide * pixels(level), 0.0);
                block(&mut all, wide, to, false, config.attention.contains(&level), pixels(level));
                from = to;
            }
        }
        let outputs = config.outputs as f64 * data;
        all.parameters += 9.0 * from * outputs;
        all.outputs(outputs * pixels(0), outputs * pixels(0));
        all.done()
    }
}
