// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables as virsh prints them.

use std::io::{self, Write};

/// Prints a table.
pub fn print(out: &mut dyn Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, &width)| format!(" {cell:width$}  "));
        cells.collect::<String>().trim_end().to_owned()
    };
    writeln!(out, "{}", line(&mut header.iter().copied()))?;
    writeln!(out, "{}", "-".repeat(widths.iter().map(|width| width + 3).sum()))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(&mut row.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_stand_below_each_other() {
        let mut out = Vec::new();
        let rows =
            [vec!["1".into(), "linux".into(), "running".into()], vec!["12".into(), "x".into(), "-".into()]];
        super::print(&mut out, &["Id", "Name", "State"], &rows).unwrap();
        let expected =
            " Id   Name    State\n-----------------------\n 1    linux   running\n 12   x       -\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
