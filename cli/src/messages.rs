//! Helpers for messages: lists, suggestions, numbers and durations.
mod synonyms;

/// `` `a`, `b` and `c` ``.
pub fn list<T: AsRef<str>>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_ref())).collect();
    match words.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// [`list`], abbreviated to the first names and the number of others if there are many.
pub fn some<T: AsRef<str>>(words: &[T]) -> String {
    const MOST: usize = 8;
    const SHOWN: usize = 5;
    if words.len() <= MOST {
        return list(words);
    }
    let shown: Vec<String> = words[..SHOWN].iter().map(|word| format!("`{}`", word.as_ref())).collect();
    format!("{} and {} others", shown.join(", "), words.len() - SHOWN)
}

/// `1 law`, `2 laws`.
pub fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(n)) }
}

/// `no classes`, `1 class`, `10 classes`.
pub fn classes(n: usize) -> String {
    match n {
        0 => "no classes".into(),
        1 => "1 class".into(),
        n => format!("{} classes", grouped(n)),
    }
}

/// `640 bytes`, `1.5 kB`, `420 MB`: powers of 1000.
pub fn bytes(n: u64) -> String {
    let (mut value, mut units) = (n as f64, ["kB", "MB", "GB", "TB", "PB", "EB"].into_iter());
    if n < 1000 {
        return count(n as usize, "byte");
    }
    loop {
        value /= 1000.0;
        let unit = units.next().expect("a 64-bit number has at most exabytes");
        match value {
            v if v < 9.95 => return format!("{v:.1} {unit}"),
            v if v < 999.5 => return format!("{v:.0} {unit}"),
            _ => {}
        }
    }
}

/// `; did you mean …?` with the closest known word, or a full stop if none is close.
pub fn meant<T: AsRef<str>>(word: &str, known: &[T]) -> String {
    match synonyms::ours(word, known).or_else(|| closest(word, known)) {
        Some(known) => format!("; did you mean `{known}`?"),
        None => ".".into(),
    }
}

/// Our name for what another library or a paper calls `word`, if it is known here.
pub fn synonym<'a, T: AsRef<str>>(word: &str, known: &'a [T]) -> Option<&'a str> {
    synonyms::ours(word, known)
}

/// [`meant`], or else `other` of which the word is known.
pub fn meant_or<T: AsRef<str>>(word: &str, known: &[T], other: Option<String>) -> String {
    match (meant(word, known), other) {
        (nothing, Some(other)) if nothing == "." => format!("; did you mean `{other}`?"),
        (meant, _) => meant,
    }
}

/// The known word that was probably meant: at a small edit distance, a prefix, or with these initials.
pub fn closest<'a, T: AsRef<str>>(word: &str, known: &'a [T]) -> Option<&'a str> {
    let word = word.to_lowercase().replace('_', "-");
    let distance = |known: &str| {
        let known = known.to_lowercase().replace('_', "-");
        let prefix = word.len() >= 3 && (known.starts_with(&word) || word.starts_with(&known) && known.len() >= 3);
        let initials: String = known.split('-').filter_map(|part| part.chars().next()).collect();
        if prefix || initials.len() > 1 && initials == word { 1 } else { strsim::damerau_levenshtein(&word, &known) }
    };
    let best = known.iter().map(|known| (distance(known.as_ref()), known.as_ref())).min_by_key(|(far, _)| *far)?;
    (best.0 <= (word.chars().count() / 3).max(1)).then_some(best.1)
}

/// The text with a full stop at its end, unless it ends with punctuation.
pub fn sentence(text: &str) -> String {
    if text.ends_with(['.', '?', '!']) { text.to_owned() } else { format!("{text}.") }
}

/// 12,345.
pub fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// 1 h 02 min, 3 min 20 s, 12.3 s.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "?".into(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 3599.5 => format!("{} min {:02} s", (s.round() as u64) / 60, (s.round() as u64) % 60),
        s => format!("{} h {:02} min", (s / 60.0).round() as u64 / 60, (s / 60.0).round() as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_words_are_recognized() {
        let known = ["cosine", "linear", "variance-preserving"];
        assert_eq!(closest("cosin", &known), Some("cosine"));
        assert_eq!(closest("variance_preserving", &known), Some("variance-preserving"));
        assert_eq!(closest("liner", &known), Some("linear"));
        assert_eq!(closest("vp", &known), Some("variance-preserving"));
        assert_eq!(closest("quadratic", &known), None);
    }

    #[test]
    fn long_lists_are_abbreviated() {
        let many: Vec<String> = (0..34).map(|i| format!("w{i}")).collect();
        assert_eq!(some(&many[..3]), "`w0`, `w1` and `w2`");
        assert_eq!(some(&many), "`w0`, `w1`, `w2`, `w3`, `w4` and 29 others");
        assert_eq!([count(1, "law"), count(2000, "law")], ["1 law", "2,000 laws"]);
    }

    #[test]
    fn sizes_of_files_read_well() {
        let sizes = [640, 1500, 99_700, 999_600, 420_000_000, u64::MAX];
        assert_eq!(sizes.map(bytes), ["640 bytes", "1.5 kB", "100 kB", "1.0 MB", "420 MB", "18 EB"]);
        assert_eq!([0, 1, 10].map(classes), ["no classes", "1 class", "10 classes"]);
    }

    #[test]
    fn numbers_and_durations_read_well() {
        assert_eq!([grouped(7), grouped(1234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!([duration(3.21), duration(200.0), duration(3720.0)], ["3.2 s", "3 min 20 s", "1 h 02 min"]);
    }
}
