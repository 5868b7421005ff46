//! Names that other libraries and papers have for what a recipe calls otherwise.

/// Their name and ours: fields, choices and modules, of diffusers, k-diffusion, the papers, and older versions of this tool.
/// A name that stands for several things has a line for each.
const NAMES: &[(&str, &str)] = &[
    // Sections
    ("training", "train"),
    ("optimizer", "train"),
    ("sampling", "sample"),
    ("evaluate", "run"),
    ("evaluation", "run"),
    ("checkpoints", "run"),
    ("dataset", "data"),
    ("model", "net"),
    ("scheduler", "schedule"),
    // [train]
    ("learning-rate", "lr"),
    ("rate", "lr"),
    ("lr-scheduler", "lr_schedule"),
    ("scheduler", "lr_schedule"),
    ("decay", "lr_schedule"),
    ("lr-warmup-steps", "warmup"),
    ("warmup-steps", "warmup"),
    ("epochs", "steps"),
    ("num-epochs", "steps"),
    ("num-train-epochs", "steps"),
    ("max-steps", "steps"),
    ("max-train-steps", "steps"),
    ("iterations", "steps"),
    ("batch-size", "batch"),
    ("train-batch-size", "batch"),
    ("gradient-accumulation-steps", "accumulate"),
    ("gradient-clip-val", "clip"),
    ("clip-grad-norm", "clip"),
    ("grad-clip-norm", "clip"),
    ("accumulate-grad-batches", "accumulate"),
    ("grad-accum", "accumulate"),
    ("max-grad-norm", "clip"),
    ("grad-clip", "clip"),
    ("ema", "ema_decay"),
    ("ema-rate", "ema_decay"),
    ("ema-max-decay", "ema_decay"),
    ("decay-rate", "ema_decay"),
    ("use-ema", "ema_decay"),
    ("drop", "cond_dropout"),
    ("p-uncond", "cond_dropout"),
    ("uncond-prob", "cond_dropout"),
    ("class-dropout-prob", "cond_dropout"),
    ("optimizer", "adam"),
    ("weight-decay", "adam.weight_decay"),
    ("adam-weight-decay", "adam.weight_decay"),
    ("adam-epsilon", "adam.eps"),
    ("adam-beta1", "adam.beta1"),
    ("adam-beta2", "adam.beta2"),
    ("beta-1", "beta1"),
    ("beta-2", "beta2"),
    ("betas", "beta1"),
    ("betas", "adam"),
    ("beta1", "adam.beta1"),
    ("beta2", "adam.beta2"),
    ("eps", "adam.eps"),
    ("adam-eps", "adam.eps"),
    ("wd", "adam.weight_decay"),
    ("workers", "shards"),
    ("num-workers", "shards"),
    ("random-seed", "seed"),
    ("epsilon", "eps"),
    // [sample]
    ("num-inference-steps", "steps"),
    ("guidance-scale", "guidance"),
    ("cfg", "guidance"),
    ("cfg-scale", "guidance"),
    ("num-samples", "n"),
    ("scheduler", "sampler"),
    ("timestep-spacing", "times"),
    ("timesteps", "times"),
    // Flags
    ("output-dir", "out"),
    ("resume-from-checkpoint", "resume"),
    ("ckpt-every", "checkpoint_every"),
    ("checkpointing-steps", "checkpoint_every"),
    ("checkpointing-steps", "checkpoint-every"),
    ("save-steps", "checkpoint_every"),
    ("validation-steps", "evaluate_every"),
    ("eval-steps", "evaluate_every"),
    ("class-labels", "class"),
    ("labels", "class"),
    ("thresholding", "threshold"),
    ("dynamic-thresholding-ratio", "threshold"),
    ("eval-batch-size", "batch"),
    // Schedules
    ("beta-schedule", "name"),
    ("noise-schedule", "name"),
    ("schedule-name", "name"),
    ("type", "name"),
    ("kind", "name"),
    ("num-train-timesteps", "steps"),
    ("timesteps", "steps"),
    ("first", "beta_start"),
    ("last", "beta_end"),
    ("min", "sigma_min"),
    ("max", "sigma_max"),
    ("min", "beta_min"),
    ("max", "beta_max"),
    ("ddpm", "linear"),
    ("squaredcos-cap-v2", "cosine"),
    ("improved-ddpm", "cosine"),
    ("vp", "variance-preserving"),
    ("ve", "variance-exploding"),
    ("sub-vp", "sub-variance-preserving"),
    ("flow", "flow-matching"),
    ("rectified-flow", "flow-matching"),
    // Noises and predictions
    ("normal", "gaussian"),
    ("mask", "absorbing"),
    ("masked", "absorbing"),
    ("prediction-type", "prediction"),
    ("v-prediction", "v"),
    ("eps", "epsilon"),
    ("noise", "epsilon"),
    ("sample", "x0"),
    ("x-start", "x0"),
    ("x-0", "x0"),
    ("data", "x0"),
    ("flow", "velocity"),
    ("flow-prediction", "velocity"),
    // Nets
    ("u-net", "unet"),
    ("unet2d", "unet"),
    ("unet2dmodel", "unet"),
    ("diffusion-transformer", "dit"),
    ("gpt", "transformer"),
    ("model-channels", "channels"),
    ("block-out-channels", "channels"),
    ("layers-per-block", "blocks"),
    ("num-res-blocks", "blocks"),
    ("attention-resolutions", "attention"),
    ("norm-num-groups", "groups"),
    ("num-heads", "heads"),
    ("num-layers", "depth"),
    ("hidden-size", "width"),
    ("dim", "width"),
    ("patch-size", "patch"),
    ("told", "cond_width"),
    // Losses
    ("mse", "simple"),
    ("l2", "simple"),
    ("elbo", "vlb"),
    ("nll", "vlb"),
    ("mdlm", "masked-nelbo"),
    ("sedd", "score-entropy"),
    ("ce", "cross-entropy"),
    // Samplers
    ("ddpm", "ancestral"),
    ("euler-a", "euler-ancestral"),
    ("k-euler", "euler"),
    ("k-euler-a", "euler-ancestral"),
    ("edm", "churn"),
    ("dpm-2", "dpm2"),
    ("dpm2-a", "dpm2-ancestral"),
    ("dpm-2-ancestral", "dpm2-ancestral"),
    ("dpmpp-2m", "dpm-solver++"),
    ("dpmpp-2m-sde", "dpm-solver++"),
    ("dpmpp-3m", "dpm-solver++"),
    ("dpm++", "dpm-solver++"),
    ("dpm++-2m", "dpm-solver++"),
    ("dpm-solver++-2m", "dpm-solver++"),
    ("dpmsolver++", "dpm-solver++"),
    ("dpmpp-2s", "dpm-solver++2s"),
    ("dpmpp-sde", "dpm-solver++2s"),
    ("dpmpp-2s-a", "dpm-solver++2s-ancestral"),
    ("dpmpp-2s-ancestral", "dpm-solver++2s-ancestral"),
    ("uni-pc", "unipc"),
    ("k-lms", "lms"),
    ("k-heun", "heun"),
    ("k-dpm-2", "dpm2"),
    ("k-dpm-2-a", "dpm2-ancestral"),
    ("dpm2a", "dpm2-ancestral"),
    ("dpm-adaptive", "dormand-prince"),
    ("dpmpp-3m-sde", "dpm-solver++"),
    ("dpm++-sde", "dpm-solver++2s"),
    ("dpm++-2s", "dpm-solver++2s"),
    ("dpm++-2s-a", "dpm-solver++2s-ancestral"),
    ("dpm-solver-multistep", "dpm-solver++"),
    ("edm-stochastic", "churn"),
    ("euler-maruyama-sde", "euler-maruyama"),
    ("pc", "predictor-corrector"),
    ("langevin", "predictor-corrector"),
    ("remdm", "remasking"),
    ("semi-autoregressive", "blocks"),
    ("gillespie", "tau-leaping"),
    ("ddpm-cache", "cached"),
    // Classes of diffusers, without the ending "Scheduler"
    ("ddpmparallel", "ancestral"),
    ("ddimparallel", "ddim"),
    ("eulerdiscrete", "euler"),
    ("eulerancestraldiscrete", "euler-ancestral"),
    ("heundiscrete", "heun"),
    ("kdpm2discrete", "dpm2"),
    ("kdpm2ancestraldiscrete", "dpm2-ancestral"),
    ("lmsdiscrete", "lms"),
    ("dpmsolvermultistep", "dpm-solver++"),
    ("dpmsolversinglestep", "dpm-solver"),
    ("dpmsolversde", "dpm-solver++2s"),
    ("deismultistep", "deis"),
    ("unipcmultistep", "unipc"),
    ("sasolver", "sa-solver"),
    ("edmeuler", "churn"),
    ("edmdpmsolvermultistep", "dpm-solver++"),
    ("flowmatcheulerdiscrete", "euler"),
    ("flowmatchheundiscrete", "heun"),
    ("rk45", "dormand-prince"),
    ("dopri5", "dormand-prince"),
    ("lcm", "consistency"),
    ("maskgit", "ordered"),
    ("churn", "s_churn"),
    // Spacings
    ("trailing", "grid"),
    ("lognormal", "log-normal"),
    ("ays", "align-your-steps"),
];

/// Our name for `word`, among those that are known. Of a field within a table, as `adam.eps`, the table must be known.
pub(crate) fn ours<'a, T: AsRef<str>>(word: &str, known: &'a [T]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let named = |word: &str| {
        let has = |name: &str| known.iter().any(|known| known.as_ref() == name);
        // Steps of sampling are none of training.
        if word == "num-inference-steps" && !has("sampler") {
            return None;
        }
        let is_known = |name: &str| has(name.split('.').next().unwrap_or(name));
        NAMES.iter().find(|(theirs, ours)| *theirs == word && is_known(ours)).map(|(_, ours)| *ours)
    };
    // `DDIMScheduler` and `sample_euler` are called by what is in them.
    let bare = word.strip_suffix("scheduler").unwrap_or(&word);
    let bare = bare.strip_prefix("sample-").unwrap_or(bare).trim_matches('-');
    let itself = || known.iter().map(AsRef::as_ref).find(|known| *known == bare && *known != word);
    named(&word).or_else(itself).or_else(|| named(bare))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_what_the_place_knows() {
        assert_eq!(ours("learning_rate", &["steps", "lr"]), Some("lr"));
        assert_eq!(ours("weight_decay", &["lr", "adam"]), Some("adam.weight_decay"));
        assert_eq!(ours("ddpm", &["ddim", "ancestral"]), Some("ancestral"));
        assert_eq!(ours("ddpm", &["linear", "cosine"]), Some("linear"));
        assert_eq!(ours("v_prediction", &["x0", "v"]), Some("v"));
        assert_eq!(ours("ddpm", &["ddim"]), None);
        assert_eq!(ours("DDIMScheduler", &["ddim", "euler"]), Some("ddim"));
        assert_eq!(ours("sample_euler", &["ddim", "euler"]), Some("euler"));
        assert_eq!(ours("sample_dpmpp_2m", &["dpm-solver++"]), Some("dpm-solver++"));
        assert_eq!(ours("EulerAncestralDiscreteScheduler", &["euler-ancestral"]), Some("euler-ancestral"));
        assert_eq!(ours("lr_scheduler", &["lr_schedule"]), Some("lr_schedule"));
        assert_eq!(ours("Scheduler", &["data"]), None);
        assert_eq!(ours("num_inference_steps", &["steps", "sampler"]), Some("steps"));
        assert_eq!(ours("num_inference_steps", &["steps", "batch"]), None);
    }
}
