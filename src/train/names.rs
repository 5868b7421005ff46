//! Names of parameters in files of earlier versions.
use super::Parameters;

/// Parts of a name in earlier files and what replaces them, whole segments between dots; the first that fits counts.
const RENAMED: [(&str, &str); 5] = [
    ("context.told", "cond.embedding"),
    ("context.classes", "cond.classes"),
    ("told", "cond"),
    ("own", "linear"),
    ("places", "positions"),
];

/// Returns the present name of a parameter that an earlier version wrote as `name`.
pub(super) fn current(name: &str) -> String {
    let (mut rest, mut renamed) = (name, vec![]);
    while !rest.is_empty() {
        let fits = |old: &str| rest.strip_prefix(old).filter(|after| after.is_empty() || after.starts_with('.'));
        let (segment, after) = match RENAMED.iter().find_map(|(old, new)| fits(old).map(|after| (*new, after))) {
            Some(found) => found,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        renamed.push(segment);
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    renamed.join(".")
}

impl Parameters {
    /// Gives parameters that an earlier version named otherwise the names they have in `module`; a module whose own names
    /// are those of the earlier version keeps them.
    pub(super) fn renamed_as(self, module: &Self) -> Self {
        self.rename(module, |old, new| old != new && current(old) == new)
    }
}

#[cfg(test)]
mod tests {
    use super::current;

    #[test]
    fn whole_segments_are_renamed() {
        for (old, new) in [
            ("net.told.first.weight", "net.cond.first.weight"),
            ("net.context.told.second.bias", "net.cond.embedding.second.bias"),
            ("net.context.classes", "net.cond.classes"),
            ("net.hidden.0.own.weight", "net.hidden.0.linear.weight"),
            ("net.down.1.blocks.0.told.bias", "net.down.1.blocks.0.cond.bias"),
            ("net.places", "net.positions"),
            ("net.told_apart.owner", "net.told_apart.owner"),
            ("net.context.other", "net.context.other"),
        ] {
            assert_eq!(current(old), new);
        }
    }
}
