//! The classes that samples are conditioned on.
use crate::{data::Facts, messages};
use tweedie::{
    Error, Result,
    condition::{Classes, Conditions},
    train::Train,
};

/// All classes in turn: sample i has class i modulo the number of classes, whatever n; no classes if the model was never
/// trained with any.
pub(crate) fn cycled(facts: &Facts, train: &Train, n: usize) -> Conditions {
    if train.cond_dropout == 1.0 {
        return Conditions::none();
    }
    let all: Vec<Option<u32>> = (0..facts.classes.len() as u32).map(Some).collect();
    cycle(&all, n)
}
fn cycle(classes: &[Option<u32>], n: usize) -> Conditions {
    if classes.is_empty() {
        Conditions::none()
    } else {
        Classes((0..n).map(|i| classes[i % classes.len()]).collect()).into()
    }
}

/// The classes of `--class`, in turn.
pub(super) fn chosen(facts: &Facts, train: &Train, given: &[String], n: usize) -> Result<Conditions> {
    if given.is_empty() {
        return Ok(cycled(facts, train, n));
    }
    let mut classes = vec![];
    for given in given {
        // Names may have commas: the longest name that the text starts with is taken before it is divided.
        let parts: Vec<&str> = given.split(',').collect();
        let mut at = 0;
        while at < parts.len() {
            let name = (at + 1..=parts.len()).rev().find_map(|end| {
                let text = parts[at..end].join(",");
                Some((end, named(facts, &text).or_else(|| named(facts, text.trim()))?))
            });
            let (end, class) = match name {
                Some((end, class)) => (end, Some(class)),
                None => (at + 1, unnamed(facts, parts[at].trim())?),
            };
            classes.push(class);
            at = end;
        }
    }
    if !facts.classes.is_empty() {
        trained(train, &classes)?;
    }
    Ok(cycle(&classes, n))
}

/// Checks that the model was trained with the conditions that it is to be sampled with.
fn trained(train: &Train, classes: &[Option<u32>]) -> Result<()> {
    if train.cond_dropout == 0.0 && classes.contains(&None) {
        return Err(Error::invalid(
            "`--class none` needs a network that was also trained without classes, and this one never was, because \
             `cond_dropout = 0` in [train]: choose classes, or train with `cond_dropout = 0.1`",
        ));
    }
    if train.cond_dropout == 1.0 && classes.iter().any(Option::is_some) {
        return Err(Error::invalid(
            "`--class` needs a network that was trained with classes, and this one never was, because \
             `cond_dropout = 1` in [train]: leave `--class` out, or train with `cond_dropout = 0.1`",
        ));
    }
    Ok(())
}

/// The class of this name.
fn named(facts: &Facts, name: &str) -> Option<u32> {
    facts.classes.iter().position(|class| class == name).map(|class| class as u32)
}

/// The class that a text, which is not a name, stands for; `None` is unconditional.
///
/// Where a class has a number as its name, numbers are names: 02 is the class `2`. Otherwise they are indices from 0.
fn unnamed(facts: &Facts, text: &str) -> Result<Option<u32>> {
    let refused = |problem: String| Err(Error::invalid(format!("`--class {text}`: {problem}")));
    let number = text.parse::<u64>().ok();
    if facts.classes.is_empty() && text != "none" && text != "unconditional" {
        return refused("the model was trained on data without classes, so leave `--class` out".into());
    }
    if text == "none" || text == "unconditional" {
        return Ok(None);
    }
    let numbers: Vec<Option<u64>> = facts.classes.iter().map(|class| class.parse().ok()).collect();
    let same: Vec<usize> = (0..numbers.len()).filter(|&i| number.is_some() && numbers[i] == number).collect();
    match (same[..].first(), same.len(), number) {
        (Some(&class), 1, _) => return Ok(Some(class as u32)),
        (Some(&class), _, _) => {
            let others = same.iter().map(|&i| facts.classes[i].clone()).collect::<Vec<_>>();
            return refused(format!(
                "the classes {} all have that number: write the name, as {}",
                messages::list(&others),
                facts.classes[class]
            ));
        }
        (None, _, Some(index)) if numbers.iter().all(Option::is_none) && index < numbers.len() as u64 => {
            return Ok(Some(index as u32));
        }
        _ => {}
    }
    let meant = if number.is_some() { ".".into() } else { messages::meant(text, &facts.classes) };
    refused(format!(
        "the model has no class of that name{meant} Give one of {}, or `none` for unconditional samples.",
        few(&facts.classes)
    ))
}

/// All names, or the first of many.
fn few(names: &[String]) -> String {
    const MOST: usize = 20;
    if names.len() <= MOST {
        return messages::list(names);
    }
    format!(
        "{} and {} more, numbered from 0",
        names[..MOST].iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        names.len() - MOST
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(classes: &[&str]) -> Facts {
        Facts { classes: classes.iter().map(|class| class.to_string()).collect(), ..Facts::default() }
    }
    /// The classes of `--class`, −1 for none.
    fn given(facts: &Facts, given: &[&str]) -> Vec<i64> {
        let given: Vec<String> = given.iter().map(|class| class.to_string()).collect();
        let classes = chosen(facts, &Train::default(), &given, 6).unwrap_or_else(|error| panic!("{given:?}: {error}"));
        classes.to_classes().0.iter().map(|class| class.map_or(-1, i64::from)).collect()
    }
    fn refused(facts: &Facts, class: &str) -> String {
        chosen(facts, &Train::default(), &[class.to_string()], 1).unwrap_err().to_string()
    }

    #[test]
    fn names_come_before_indices_and_numbers_are_those_of_the_names() {
        // The order of folders 1 to 12.
        let months = facts(&["1", "10", "11", "12", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(given(&months, &["2"]), [4; 6]);
        assert_eq!(given(&months, &["02"]), [4; 6]);
        assert_eq!(given(&months, &["12,1"]), [3, 0, 3, 0, 3, 0]);
        assert_eq!(given(&months, &["12", "01"]), [3, 0, 3, 0, 3, 0]);
        // No class has the number 0, and an index it is not.
        assert!(
            refused(&months, "0").contains("the model has no class of that name. Give one of `1`, `10`"),
            "{}",
            refused(&months, "0")
        );
        let padded = facts(&["1", "01", "2"]);
        assert_eq!((given(&padded, &["01"]), given(&padded, &["1"])), (vec![1; 6], vec![0; 6]));
        assert!(
            refused(&padded, "001").contains("the classes `1` and `01` all have that number"),
            "{}",
            refused(&padded, "001")
        );
        let animals = facts(&["cat", "dog"]);
        assert_eq!(given(&animals, &["dog,0"]), [1, 0, 1, 0, 1, 0]);
        assert_eq!(given(&animals, &[" dog , cat"]), [1, 0, 1, 0, 1, 0]);
        assert!(refused(&animals, "2").contains("the model has no class of that name"));
        assert!(refused(&animals, "dgo").contains("did you mean `dog`?"));
        assert!(refused(&animals, "").contains("the model has no class of that name"));
        assert!(refused(&facts(&[]), "cat").contains("data without classes"));
    }

    #[test]
    fn names_may_have_commas_and_may_be_none() {
        let odd = facts(&["dog, small", "dog", "small", "none", "a,b,c", " x "]);
        assert_eq!(given(&odd, &["dog, small"]), [0; 6]);
        assert_eq!(given(&odd, &["dog,small"]), [1, 2, 1, 2, 1, 2]);
        assert_eq!(given(&odd, &["small,dog, small,a,b,c"]), [2, 0, 4, 2, 0, 4]);
        assert_eq!(given(&odd, &["none,unconditional"]), [3, -1, 3, -1, 3, -1]);
        assert_eq!(given(&odd, &[" x "]), [5; 6]);
        assert_eq!(given(&facts(&["cat"]), &["none", "cat"]), [-1, 0, -1, 0, -1, 0]);
        assert_eq!(given(&facts(&[]), &["none"]), [-1; 6]);
    }
}
