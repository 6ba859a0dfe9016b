// SPDX-License-Identifier: MIT OR Apache-2.0
//! `abi-page`: `docs/abi.md` is what `cargo xtask abi` makes of the sources of the contract.

use super::tree::Source;
use crate::abi_page::{PAGE, page};

/// The page, if it is not current.
pub fn find(sources: &[Source]) -> Vec<String> {
    let wanted = match page(sources) {
        Ok(wanted) => wanted,
        Err(error) => return vec![format!("{PAGE}: {error:#}")],
    };
    let found = sources.iter().find(|source| source.path == PAGE).map_or("", |source| source.text.as_str());
    let differs =
        |(number, line): (usize, &str)| (found.lines().nth(number) != Some(line)).then_some(number + 1);
    match wanted.lines().enumerate().find_map(differs) {
        None if found.lines().count() == wanted.lines().count() => Vec::new(),
        line => vec![format!("{PAGE}:{}: not current; run `cargo xtask abi`", line.unwrap_or(1))],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::source;
    use super::*;

    #[test]
    fn a_contract_that_lacks_a_file_is_a_finding() {
        assert_eq!(find(&[source("hv/abi/src/lib.rs", "pub const VERSION: u32 = 1;\n")]).len(), 1);
        assert_eq!(find(&[]).len(), 1);
    }
}
