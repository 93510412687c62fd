//! Tables in Markdown, aligned so that they can be read as they are.

/// A table; the first column is aligned to the left, the others to the right.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<S: Into<String>>(head: impl IntoIterator<Item = S>) -> Self {
        Self { rows: vec![head.into_iter().map(Into::into).collect()] }
    }

    pub(super) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
            })
            .collect();
        let mut out = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, &width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                out.push_str(&match column {
                    0 => format!("| {cell:<width$} "),
                    _ => format!("| {cell:>width$} "),
                });
            }
            out.push_str("|\n");
            if index == 0 {
                for (column, &width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    out.push_str(&match column {
                        0 => format!("|-{dashes}"),
                        _ => format!("|{dashes}:"),
                    });
                }
                out.push_str("|\n");
            }
        }
        out
    }
}

/// A whole number with a comma between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The first as a part of the second: `0.46 ×`. Nothing where there is nothing to compare with.
pub(super) fn ratio(ours: f64, theirs: f64) -> String {
    if theirs > 0.0 { format!("{:.2} ×", ours / theirs) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use super::ratio;
    use super::thousands;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["what", "bytes"]);
        table.row(["/init", "1,234,567"]);
        table.row(["é"]);
        let expected = "| what  |     bytes |\n\
                        |-------|----------:|\n\
                        | /init | 1,234,567 |\n\
                        | é     |           |\n";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(6_991_872), "6,991,872");
        assert_eq!(ratio(1.0, 0.0), "");
        assert_eq!(ratio(1.0, 2.0), "0.50 ×");
    }
}
