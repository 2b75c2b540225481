//! Did you mean …? The known name that somebody who wrote another one most likely meant.

/// Longer words are no typos of anything, and comparing them is slow.
const LONGEST: usize = 60;

/// The most alike of `names`, or else one that `word` is a part of.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut part = None;
    let word_bare = bare(word);
    let names = names.into_iter().inspect(|name| {
        if part.is_none() && word_bare.len() > 2 && bare(name).contains(&word_bare) {
            part = Some(*name);
        }
    });
    misspelt(word, names).or(part)
}

/// The one of `names` that differs from `word` in the fewest letters, if those are few.
pub fn misspelt<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = bare(word);
    let most = (word.chars().count() / 3).max(1);
    let typos = names.into_iter().filter_map(|name| {
        let name_bare = bare(name);
        let is_comparable = word.len() <= LONGEST && name_bare.len() <= LONGEST * 2;
        let distance = is_comparable.then(|| strsim::damerau_levenshtein(&word, &name_bare))?;
        (distance <= most).then_some((distance, name))
    });
    typos.min().map(|(_, name)| name)
}

/// Spellings that differ only in case and separators are the same.
fn bare(text: &str) -> String {
    text.replace(['_', '-', ' '], "").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = [
        "docker_image",
        "docker_run_args",
        "container_port",
        "backend_name_ref",
    ];

    #[test]
    fn typos_other_spellings_and_parts_are_found_but_no_strangers() {
        for (word, name) in [
            ("dockr_image", Some("docker_image")),
            ("dockerImage", Some("docker_image")),
            ("port", Some("container_port")),
            ("container_prot", Some("container_port")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, KEYS), name, "{word}");
        }
    }

    #[test]
    fn a_part_is_no_typo_and_an_endless_word_is_neither() {
        assert_eq!(misspelt("port", KEYS), None);
        assert_eq!(misspelt("docker-imag", KEYS), Some("docker_image"));
        assert_eq!(nearest(&"docker".repeat(10_000), KEYS), None);
    }
}
