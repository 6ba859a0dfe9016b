// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sentences in lines that fit a terminal. Tables are `table`'s.

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Text in lines that fit a terminal, all but the first one indented. What stands between backticks
/// stays whole.
pub fn wrap(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let (mut column, mut begun) = (0, false);
    let mut words = text.split(' ');
    while let Some(first) = words.next() {
        let mut word = first.to_owned();
        while word.matches('`').count() % 2 == 1 {
            let Some(next) = words.next() else { break };
            word = format!("{word} {next}");
        }
        let length = word.chars().count();
        if column > indent && column + 1 + length > WIDTH {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if begun {
            out.push(' ');
            column += 1;
        }
        begun = true;
        out.push_str(&word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn long_text_is_broken_between_words_and_commands_stay_whole() {
        let text = format!("{} `understudy checkpoint rm linux 1` removes it", "word ".repeat(11));
        let wrapped = wrap(&text, 4);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert!(
            lines.len() == 2 && lines.iter().all(|line| line.chars().count() <= super::WIDTH),
            "{wrapped}"
        );
        assert!(wrapped.contains("`understudy checkpoint rm linux 1`"), "{wrapped}");
        assert!(lines[1].starts_with("    "), "{wrapped}");
        assert_eq!(wrap("   two  spaces", 4), "   two  spaces");
    }
}
