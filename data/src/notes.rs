//! What loading a set left out, or read in part.
use std::{collections::BTreeMap, fmt};

/// What loading a set left out, or read in part: what a user should be told, in one line.
///
/// ```
/// use tweedie_data::Notes;
/// let mut notes = Notes::default();
/// assert!(notes.is_empty());
/// notes.endings.insert(".txt".into(), 97);
/// notes.endings.insert("".into(), 2);
/// notes.first_frames = 1;
/// assert_eq!(notes.to_string(), "left out: 97 .txt, 2 without an ending; of 1 animation or file of several pages, the first was read");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Number of files of other kinds, by the ending of their names in lower case, as ".txt"; "" for none.
    pub endings: BTreeMap<String, usize>,
    /// Number of what is neither a file nor a folder, or leads back: pipes, devices, links.
    pub special: BTreeMap<&'static str, usize>,
    /// Pictures and folders that could not be read and were skipped: their names and why.
    pub unreadable: Vec<(String, String)>,
    /// Number of pictures with several frames or pages, of which the first was read.
    pub first_frames: usize,
    /// Pairs of classes whose names differ in case, white space or accents only.
    pub alike: Vec<[String; 2]>,
}

/// How many skipped files are shown.
const SHOWN: usize = 3;

impl Notes {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Counts one more file that is left out, by the ending of its name.
    pub(crate) fn add_ending(&mut self, path: &std::path::Path) {
        let ending = path.extension().map(|ending| format!(".{}", ending.to_string_lossy().to_lowercase()));
        *self.endings.entry(ending.unwrap_or_default()).or_default() += 1;
    }

    /// Counts one more of a special kind.
    pub(crate) fn add_special(&mut self, what: &'static str) {
        *self.special.entry(what).or_default() += 1;
    }

    /// Notes the pairs of names that are equal but for case, white space and accents.
    pub(crate) fn compare(&mut self, names: &[String]) {
        let mut seen = BTreeMap::<String, &String>::new();
        for name in names {
            if let Some(first) = seen.get(&folded(name)) {
                self.alike.push([(*first).clone(), name.clone()]);
            } else {
                seen.insert(folded(name), name);
            }
        }
    }
}

/// A name in lower case, without white space and accents.
fn folded(name: &str) -> String {
    let bare = |c: char| match c {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        other => other,
    };
    let kept = |c: &char| !c.is_whitespace() && !('\u{300}'..='\u{36f}').contains(c);
    name.to_lowercase().chars().filter(kept).map(bare).collect()
}

impl fmt::Display for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut endings: Vec<_> = self.endings.iter().collect();
        endings.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let named = |(ending, count): &(&String, &usize)| match ending.as_str() {
            "" => format!("{count} without an ending"),
            ending => format!("{count} {ending}"),
        };
        let mut left: Vec<String> = endings.iter().map(named).collect();
        left.extend(self.special.iter().map(|(what, count)| format!("{count} {what}")));
        if !self.unreadable.is_empty() {
            let mut shown: Vec<_> =
                self.unreadable.iter().take(SHOWN).map(|(name, why)| format!("`{name}`: {why}")).collect();
            if self.unreadable.len() > SHOWN {
                shown.push(format!("and {} more", self.unreadable.len() - SHOWN));
            }
            left.push(format!("{} unreadable ({})", self.unreadable.len(), shown.join("; ")));
        }
        let mut parts = Vec::new();
        if !left.is_empty() {
            parts.push(format!("left out: {}", left.join(", ")));
        }
        match self.first_frames {
            0 => {}
            1 => parts.push("of 1 animation or file of several pages, the first was read".into()),
            n => parts.push(format!("of {n} animations or files of several pages, the first was read")),
        }
        parts.extend(self.alike.iter().map(|[a, b]| format!("the classes `{a}` and `{b}` have almost the same name")));
        f.write_str(&parts.join("; "))
    }
}
