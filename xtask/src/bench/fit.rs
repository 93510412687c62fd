//! A straight line through measured points.

/// `value = constant + slope * x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) constant: f64,
    pub(super) slope: f64,
}

impl Line {
    /// The line with the least squares of what it is off. Points that all have one x give a line
    /// without slope.
    pub(super) fn through(points: &[(f64, f64)]) -> Self {
        let count = points.iter().map(|_| 1.0).sum::<f64>().max(1.0);
        let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
        let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
        let square: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let product: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let slope = if square > 0.0 { product / square } else { 0.0 };
        Self { constant: mean_y - slope * mean_x, slope }
    }

    pub(super) fn at(self, x: f64) -> f64 {
        self.constant + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    use super::Line;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn points_on_a_line_give_that_line() {
        let line = Line::through(&[(10.0, 25.0), (20.0, 45.0), (100.0, 205.0)]);
        assert!(close(line.constant, 5.0) && close(line.slope, 2.0), "{line:?}");
        assert!(close(line.at(12.0), 29.0));
    }

    #[test]
    fn too_few_points_give_no_slope() {
        assert_eq!(Line::through(&[]), Line { constant: 0.0, slope: 0.0 });
        assert_eq!(Line::through(&[(3.0, 7.0), (3.0, 9.0)]), Line { constant: 8.0, slope: 0.0 });
    }
}
