//! Words as a POSIX shell needs them.

/// The word itself where that is safe, else in quotes.
pub fn word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command line of these words.
pub fn line(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let quoted = words.into_iter().map(|one| word(one.as_ref()));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let words = [
            "plain-1.2:3",
            "",
            "two words",
            "it's",
            "$HOME",
            "~",
            "a\nb",
            "!",
            "日本",
        ];
        let script = format!("printf '%s\\0' {}", line(words));
        let said = std::process::Command::new("sh")
            .args(["-c", &script])
            .output();
        let said = String::from_utf8(said.expect("a shell").stdout).expect("UTF-8");
        assert_eq!(said.split_terminator('\0').collect::<Vec<_>>(), words);
        assert_eq!(word("plain-1.2:3"), "plain-1.2:3");
    }
}
