//! Flags of other libraries, and fields of recipes typed as flags.
use crate::{args::Cli, messages, recipe::hints};
use clap::{
    CommandFactory,
    builder::StyledStr,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

/// The error of an unknown flag with a tip to the flag or the field of a recipe that is meant, if there is one.
pub(crate) fn explained(mut error: Error) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return error };
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let Some(tip) = tip(flag.trim_start_matches('-'), &usage) else { return error };
    error.remove(ContextKind::SuggestedArg);
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

/// What a flag means for the command whose usage this is.
fn tip(flag: &str, usage: &str) -> Option<String> {
    let cli = Cli::command();
    let named = |name: &str| usage.split_whitespace().any(|word| word == name);
    let command = cli.get_subcommands().find(|command| named(command.get_name()))?;
    let flags: Vec<&str> = command.get_arguments().filter_map(|own| own.get_long()).collect();
    let as_flag = |name: &str| flags.iter().find(|flag| name.replace('_', "-") == **flag).copied();
    let own = messages::synonym(flag, &flags).and_then(as_flag);
    let section = if command.get_name() == "train" { "train" } else { "sample" };
    match (own, hints::field_elsewhere(flag, section)) {
        (Some(own), _) => Some(format!("here it is '--{own}'")),
        (None, Some(field)) if command.get_name() == "train" => {
            Some(format!("it is a field of recipes, set by '--set {field}=…'"))
        }
        (None, Some(field)) => {
            let own = field.strip_prefix("sample.").and_then(as_flag);
            Some(match own {
                Some(own) => format!("here it is '--{own}'"),
                None => format!("it is the field `{field}` of recipes, which `tweedie train` reads"),
            })
        }
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn message(line: &str) -> String {
        explained(Cli::try_parse_from(line.split_whitespace()).unwrap_err()).to_string()
    }

    #[test]
    fn a_flag_of_another_library_leads_to_ours() {
        for (flag, tip) in [
            ("--lr", "'--set train.lr=…'"),
            ("--learning_rate", "'--set train.lr=…'"),
            ("--learning-rate", "'--set train.lr=…'"),
            ("--epochs", "'--steps'"),
            ("--num_train_epochs", "'--steps'"),
            ("--max_train_steps", "'--steps'"),
            ("--weight_decay", "'--set train.adam.weight_decay=…'"),
            ("--ema_decay", "'--set train.ema_decay=…'"),
            ("--batch_size", "'--set train.batch=…'"),
            ("--train_batch_size", "'--set train.batch=…'"),
            ("--gradient_accumulation_steps", "'--set train.accumulate=…'"),
            ("--max_grad_norm", "'--set train.clip=…'"),
            ("--adam_beta1", "'--set train.adam.beta1=…'"),
            ("--output_dir", "'--out'"),
            ("--resume_from_checkpoint", "'--resume'"),
        ] {
            let message = message(&format!("tweedie train {flag} 1"));
            assert!(message.contains(tip), "{flag}: {message}");
        }
        for (flag, tip) in [
            ("--guidance_scale", "'--guidance'"),
            ("--cfg-scale", "'--guidance'"),
            ("--num_inference_steps", "'--steps'"),
            ("--num_samples", "'--n'"),
            ("--batch_size", "'--batch'"),
            ("--scheduler", "'--sampler'"),
            ("--timestep_spacing", "'--times'"),
            ("--class_labels", "'--class'"),
        ] {
            let message = message(&format!("tweedie sample run {flag} 1"));
            assert!(message.contains(tip), "{flag}: {message}");
        }
        assert!(!message("tweedie train --zebra 1").contains("here it is"));
    }
}
