//! Custom modules, which are registered in the same way as the built-in ones.
use burn::tensor::{Device, Tensor, TensorData};
use std::process::ExitCode;
use tempfile::tempdir;
use tweedie::{
    Result, Rng,
    data::Data,
    net::{Conditions, Net, Softmax, Then, Transformer, TransformerConfig},
};
use tweedie_cli::{Facts, Loaded, NetConfig, Set, Source, Split, Task};

#[allow(dead_code)]
#[path = "../../examples/own_tool.rs"]
mod own_tool;

fn run(line: &str) -> bool {
    let arguments = ["tool"].into_iter().chain(line.split_whitespace());
    format!("{:?}", tweedie_cli::run_from(own_tool::modules(), arguments)) == format!("{:?}", ExitCode::SUCCESS)
}

#[test]
fn a_custom_tool_trains_and_samples_with_its_modules() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/own_tool.toml");
    assert!(run(&format!("train {recipe} --out {out} --steps 20 --set train.batch=8 -q")));
    assert!(run(&format!("sample {out} --n 3 -q")));
    let resolved = std::fs::read_to_string(format!("{out}/recipe.toml")).unwrap();
    for part in [
        "name = \"power\"",
        "exponent = 1.5",
        "name = \"rotation\"",
        "angle = 0.5",
        "name = \"huber\"",
        "name = \"tiny\"",
        "hidden = 128",
    ] {
        assert!(resolved.contains(part), "{resolved}");
    }
    for line in ["list schedule power", "list transform rotation", "list loss huber --json", "list net tiny", "schema"]
    {
        assert!(run(line), "{line}");
    }
    // The laws of custom modules are verified as well.
    for module in ["schedule power", "loss huber", "net tiny", recipe] {
        assert!(run(&format!("verify {module}")), "{module}");
    }
    // Invalid and unknown fields are refused.
    assert!(!run(&format!("train {recipe} --out {out}-2 --set schedule.exponent=-1 -q")));
    assert!(!run(&format!("train {recipe} --out {out}-2 --set schedule.power=1 -q")));
    assert!(!run(&format!("train {recipe} --out {out}-2 --set net.name=none -q")));
}

/// A schedule whose signal scale α increases again towards t = 1.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Returning {}
impl tweedie::schedule::Schedule for Returning {
    fn alpha(&self, t: tweedie::Dual) -> tweedie::Dual {
        1.0 - t * (1.0 - t) * 3.9
    }
}

#[test]
fn a_module_that_breaks_a_law_fails_the_tool() {
    let modules = || tweedie_cli::Modules::default().schedule::<Returning>("returning");
    let exit = |line: &str| {
        let arguments = ["tool"].into_iter().chain(line.split_whitespace());
        format!("{:?}", tweedie_cli::run_from(modules(), arguments))
    };
    assert_eq!(exit("verify schedule returning"), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(exit("verify schedule cosine"), format!("{:?}", ExitCode::SUCCESS));
}

/// A net of burn's own layers, which draw from a generator that the whole process shares.
#[derive(burn::module::Module, Debug)]
struct Burned {
    first: burn::nn::Linear,
    dropout: burn::nn::Dropout,
    last: burn::nn::Linear,
}
impl Net<2> for Burned {
    type Condition = Conditions;
    fn forward(&self, z: Tensor<2>, t: Tensor<1>, y: &Conditions) -> Tensor<2> {
        let one_hot = |class: &Option<u32>| [0, 1].map(|own| f32::from(u8::from(*class == Some(own))));
        let mut classes: Vec<f32> = y.to_classes().0.iter().flat_map(one_hot).collect();
        classes.resize(2 * z.dims()[0], 0.0);
        let classes = TensorData::new(classes, [z.dims()[0], 2]);
        let classes = Tensor::from_data(classes, &z.device());
        let input = Tensor::cat(vec![z, t.unsqueeze_dim(1), classes], 1);
        self.last.forward(self.dropout.forward(self.first.forward(input).tanh()))
    }
}
/// A net of the layers of `burn::nn`.
#[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct BurnedConfig {}
impl NetConfig<2> for BurnedConfig {
    type Net = Burned;
    fn init(&self, task: &Task<'_>, _: &Rng, device: &Device) -> Result<Burned> {
        let layer = |inputs, outputs| burn::nn::LinearConfig::new(inputs, outputs).init(device);
        let (first, last) = (layer(task.shape[0] + 3, 16), layer(16, task.shape[0]));
        Ok(Burned { first, dropout: burn::nn::DropoutConfig::new(0.2).init(), last })
    }
}

#[test]
fn a_net_of_burns_layers_has_the_weights_of_the_seed() {
    let folder = tempdir().unwrap();
    let recipe = super::MOONS.replace("name = \"mlp\"\nhidden = [16, 16]\ndropout = 0.1", "name = \"burned\"");
    std::fs::write(folder.path().join("r.toml"), recipe).unwrap();
    let modules = || tweedie_cli::Modules::default().net::<2, BurnedConfig>("burned");
    let run = |line: String| {
        let arguments = ["tool".to_owned()].into_iter().chain(line.split_whitespace().map(str::to_owned));
        let status = tweedie_cli::run_from(modules(), arguments);
        assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::SUCCESS), "{line}");
    };
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let trained = |name: &str, more: &str| {
        run(format!("train {} --out {} -q {more}", at("r.toml"), at(name)));
        super::tensors(&folder.path().join(name).join("model.safetensors"))
    };
    let one = trained("one", "");
    assert_eq!(one, trained("two", ""));
    assert_ne!(one, trained("three", "--set train.seed=9"));
    // Interrupted and resumed.
    trained("four", "--steps 2");
    run(format!("train --resume --out {} --steps 6 -q", at("four")));
    assert_eq!(one, super::tensors(&folder.path().join("four").join("model.safetensors")));
    run("verify net burned".into());
}

/// A transformer that gives probabilities.
#[derive(Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Certain {}
impl NetConfig<3> for Certain {
    type Net = Then<Transformer, Softmax>;
    fn init(&self, task: &Task<'_>, rng: &Rng, device: &Device) -> Result<Self::Net> {
        let config = TransformerConfig::default().with_width(16).with_depth(1).with_heads(2);
        Ok(Net::<3>::then(config.fit(task).init(rng, device)?, Softmax {}))
    }
}

#[test]
fn a_net_with_a_softmax_needs_the_prediction_type_probabilities() {
    let folder = tempdir().unwrap();
    let recipe = |prediction: &str| {
        format!(
            "[data]\nname = \"digits\"\n[schedule]\nname = \"cosine\"\nsteps = 20\n[noise]\nname = \"uniform\"\n\
             prediction = \"{prediction}\"\n[net]\nname = \"certain\"\n[[loss]]\nname = \"cross-entropy\"\n\
             [train]\nsteps = 3\nbatch = 4\n[sample]\nn = 2\nsteps = 3\n"
        )
    };
    let modules = || tweedie_cli::Modules::default().net::<3, Certain>("certain");
    let run = |line: &str| {
        let arguments = ["tool"].into_iter().chain(line.split_whitespace());
        format!("{:?}", tweedie_cli::run_from(modules(), arguments)) == format!("{:?}", ExitCode::SUCCESS)
    };
    let [path, out] = ["r.toml", "run"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    std::fs::write(&path, recipe("logits")).unwrap();
    assert!(!run(&format!("train {path} --out {out} -q")));
    std::fs::write(&path, recipe("probabilities")).unwrap();
    assert!(run(&format!("train {path} --out {out} -q")));
    assert!(run(&format!("sample {out} -q")) && run(&format!("evaluate {out}")) && run(&format!("verify {path}")));
}

/// Points, of which the last one learned is also the first one held out.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Overlapping {
    /// The number of points in both parts.
    shared: usize,
}
/// Points on a line.
#[derive(Debug)]
struct OnALine(std::ops::Range<usize>);
impl Data<Tensor<2>, Conditions> for OnALine {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn batch(&self, rows: &[usize], _: &Rng, device: &Device) -> (Tensor<2>, Conditions) {
        let at = |row: &usize| (self.0.start + row) as f32 / 50.0 - 1.0;
        let values: Vec<f32> = rows.iter().flat_map(|row| [at(row), -at(row)]).collect();
        (Tensor::from_data(TensorData::new(values, [rows.len(), 2]), device), Conditions::none())
    }
}
impl Set<2> for OnALine {
    fn facts(&self) -> Facts {
        Facts { shape: vec![2], samples: self.0.len(), ..Facts::default() }
    }
}
impl Source for Overlapping {
    fn load(&self, split: Split) -> Result<Option<Loaded>> {
        let rows = if split == Split::Train { 0..90 } else { 90 - self.shared..100 };
        Ok(Some(Loaded::Two(Box::new(OnALine(rows)))))
    }
}

#[test]
fn a_held_out_part_that_overlaps_by_one_fails_the_tool() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("r.toml");
    let recipe = "[data]\nname = \"overlapping\"\n[schedule]\nname = \"variance-preserving\"\n[noise]\nname = \"gaussian\"\n\
                  [net]\nname = \"mlp\"\nhidden = [8]\n[[loss]]\nname = \"simple\"\n";
    let exit = |shared: usize| {
        std::fs::write(&path, recipe.replace("overlapping\"\n", &format!("overlapping\"\nshared = {shared}\n")))
            .unwrap();
        let modules = tweedie_cli::Modules::default().data::<Overlapping>("overlapping");
        format!("{:?}", tweedie_cli::run_from(modules, ["tool", "verify", path.to_str().unwrap()]))
    };
    assert_eq!(exit(0), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(exit(1), format!("{:?}", ExitCode::FAILURE));
}
